# SPDX-License-Identifier: BSD-2-Clause
"""portwatchd itself while its master agent fails: polls, alarms and the log go on, the notification comes later, SIGTERM ends it in time."""

import contextlib
import signal
import socket
import time

import pytest
from agent import fill_backlog
from harness import PATIENCE, Daemon, eventually
from scene import TRAP_V2C, connect_pool

WEB = connect_pool("127.0.0.1", "127.0.0.1", 8080)
INTERVAL = 0.2
OUTAGE_SECONDS = 3


class Fault:
    """Something that happens to the master, and its end."""

    def __init__(self, scene):
        self.scene, self.held = scene, []

    def killed(self):
        self.scene.master.kill()
        yield
        self.scene.restart_master()

    def hung(self):
        self.scene.master.signal(signal.SIGSTOP)
        yield
        self.scene.master.signal(signal.SIGCONT)

    def hung_with_full_backlog(self):
        self.scene.master.signal(signal.SIGSTOP)
        held = fill_backlog(self.scene.master.socket)
        yield
        for client in held:
            client.close()
        self.scene.master.signal(signal.SIGCONT)

    def socket_gone(self):
        self.scene.master.kill()
        self.scene.master.socket.unlink()
        yield
        self.scene.restart_master()


FAULTS = ["killed", "hung", "hung_with_full_backlog", "socket_gone"]


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost(scene, name):
    """Half of the ports are taken while the master is away: polled, logged and, once it is back, notified, exactly once."""
    scene.start(interval=INTERVAL)
    scene.load.listen("127.0.0.1", 8080)
    polls, begun = scene.manager.get("pwPolls"), time.monotonic()
    with contextlib.contextmanager(getattr(Fault(scene), name))():
        scene.load.connect(600, "127.0.0.1", 8080)
        eventually(lambda: WEB in scene.daemon.log())
        seen = time.monotonic()
        while time.monotonic() < seen + OUTAGE_SECONDS:
            assert scene.daemon.running
            time.sleep(0.1)
    event, = scene.expect([(WEB, "normal", "warning")])
    assert event["pwEventUsed"] == 600
    assert scene.until(WEB, used=600)["pwPoolState"] == "warning"
    polled = scene.manager.get("pwPolls") - polls
    wanted = (time.monotonic() - begun) / INTERVAL
    assert wanted * 0.8 / PATIENCE <= polled <= wanted + 2, f"{polled} polls, expected {wanted:.0f}"
    assert scene.manager.get("pwPollErrors") == 0


@pytest.mark.parametrize("name", FAULTS)
def test_ends_in_time(scene, name):
    """SIGTERM during the outage, with notifications that nobody takes."""
    scene.start(interval=INTERVAL)
    scene.load.listen("127.0.0.1", 8080)
    with contextlib.contextmanager(getattr(Fault(scene), name))():
        scene.load.connect(600, "127.0.0.1", 8080)
        eventually(lambda: WEB in scene.daemon.log())
        begun = time.monotonic()
        scene.daemon.signal(signal.SIGTERM)
        assert scene.daemon.wait(10) == 0
        took = time.monotonic() - begun
    print(f"{name}: {took:.2f} s")
    assert took < 2 * PATIENCE


class Resolving(Daemon):
    """portwatchd whose master is a host name, and whose name server is one in its namespace."""

    def command(self):
        resolv = self.config.with_name("resolv.conf")
        resolv.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh",
                *super().command()]


def test_a_name_server_that_does_not_answer(scene):
    """Resolving the master's name holds up its thread alone: polls and alarms go on, and SIGTERM ends the daemon in time."""
    with scene.ns.entered():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
    with server:
        server.settimeout(10 * PATIENCE)
        daemon = scene.workshop.keep(Resolving(scene.ns, scene.workshop.directory, "tcp:master.example:705", interval=INTERVAL))
        assert b"example" in server.recv(512)
        scene.load.listen("127.0.0.1", 8080)
        scene.load.connect(600, "127.0.0.1", 8080)
        eventually(lambda: WEB in daemon.log())
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
        assert time.monotonic() - begun < 2 * PATIENCE


UDP = "udp 0.0.0.0 bind"
WITH_SOURCE_PORT = "trap2sink -s 127.0.0.1:10162 127.0.0.1:162 public"


def exhaust_udp(scene):
    """Sockets on every UDP port of the range, as a leak makes them."""
    held = []
    with scene.ns.entered(), contextlib.suppress(OSError):
        while True:
            held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            held[-1].connect(("127.0.0.1", 53))
    return held


@pytest.mark.parametrize("source_port", [False, True], ids=["any port", "a source port"])
def test_snmpd_restarts_while_udp_ports_are_exhausted(make_scene, source_port):
    """A snmpd that finds no port for its receivers drops notifications that it acknowledges: the log warns. With a source port outside of the range,
    as the documentation has it, they come through."""
    scene = make_scene(low=40000, high=40099, snmpd=WITH_SOURCE_PORT if source_port else TRAP_V2C)
    daemon = scene.start("min-used = 10\n", interval=INTERVAL)
    held = exhaust_udp(scene)
    assert len(held) > 90
    eventually(lambda: UDP in daemon.log())
    scene.master.kill()
    held += exhaust_udp(scene)
    scene.load.listen("127.0.0.1", 8080)
    scene.load.connect(60, "127.0.0.1", 8080)
    eventually(lambda: WEB in daemon.log())
    scene.restart_master()
    eventually(lambda: "connected while no UDP port is free" in daemon.log())
    if source_port:
        eventually(lambda: (WEB, "normal", "warning") in scene.crossings())
    else:
        eventually(lambda: "cannot create sink" in scene.master.log())
    for client in held:
        client.close()
