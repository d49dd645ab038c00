# SPDX-License-Identifier: BSD-2-Clause
"""Sockets that are bound but not connected, on a host with so many connections that the walk for them is mostly left out."""

HERE = "127.0.0.1"
BASE = 5100  # connections; both ends count, and from 10,000 sockets on a poll saves what it can


def blocked(scene):
    namespace, = scene.manager.table("pwNamespaceTable").values()
    return namespace["pwNsBlocked"]


def busy_scene(make_scene):
    scene = make_scene(20000, 31999)
    for port in (8080, 8081):
        scene.load.listen(HERE, port)
        scene.load.connect(BASE // 2, HERE, port)
    scene.start()
    scene.polls(2)
    assert blocked(scene) == 0
    return scene


def test_a_bound_socket_is_seen_by_the_next_poll(make_scene):
    scene = busy_scene(make_scene)
    for _ in range(3):
        scene.polls(1)
        held = scene.load.hold(7, HERE)
        scene.polls(2)
        assert blocked(scene) == 7
        held.close()
        scene.polls(2)
        assert blocked(scene) == 0


def test_bound_sockets_in_exchange_for_others_are_seen(make_scene):
    """UDP sockets go and TCP sockets come, one for one: only what no protocol counts tells that."""
    scene = busy_scene(make_scene)
    datagrams = scene.load.hold(20, HERE, protocol="udp")
    scene.polls(3)
    datagrams.close()
    scene.load.hold(20, HERE)
    scene.polls(2)
    assert blocked(scene) == 20
