# SPDX-License-Identifier: BSD-2-Clause
"""Who holds a pool: sockets of real control groups, named in the tables, the notification and on the command line."""

import contextlib
import json
import os
import pathlib

import pytest
from harness import eventually, program
from scene import connect_pool

HERE, PORT = "127.0.0.1", 8080
POOL = connect_pool(HERE, HERE, PORT)
MOUNTS = [pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/unified")]


@contextlib.contextmanager
def control_group(name):
    """A control group of the second version; skips where this host has none that we may make."""
    root = next((mount for mount in MOUNTS if (mount / "cgroup.procs").exists() and (mount / "cgroup.controllers").exists()), None)
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    group = root / f"portwatch-test-{os.getpid()}" / name
    try:
        group.mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    try:
        yield group
    finally:
        for directory in (group, group.parent):
            eventually(lambda path=directory: remove(path))


def remove(directory):
    """A control group can be removed once its last process is gone."""
    with contextlib.suppress(OSError):
        directory.rmdir()
    return not directory.exists()


@pytest.fixture(name="service")
def fixture_service():
    with control_group("nginx.service") as group:
        yield group


@pytest.fixture(name="crowd")
def fixture_crowd(service, scene):
    """300 connections of a service and 100 of root's processes outside of it; this is the service's load."""
    scene.load.listen(HERE, PORT)
    scene.load.connect(100, HERE, PORT)
    load = scene.workshop.load(scene.ns)
    (service / "cgroup.procs").write_text(str(load.pid))
    load.connect(300, HERE, PORT)
    yield load
    load.stop()  # before its control group is removed


def test_who_holds_most_is_named_with_its_share(scene, crowd):
    scene.start("warning { rise = 30  fall = 25 }")
    scene.until(POOL, owner="nginx.service (75 %)")
    assert scene.manager.table("pwTopTable")["1"]["pwTopOwner"] == "nginx.service (75 %)"
    rising = next(event for event in scene.expect([(POOL, "normal", "warning")]))
    assert rising["pwEventOwner"] == "nginx.service (75 %)"
    assert "owner nginx.service (75 %)" in scene.daemon.log()
    crowd.stop()
    scene.until(POOL, owner="user root")


def test_a_delegated_group_shows_its_user(scene, service):
    """Below a group that belongs to nobody (a user's manager, say) names are the choice of that user."""
    os.chown(service.parent, 65534, 65534)
    scene.load.listen(HERE, PORT)
    load = scene.workshop.load(scene.ns)
    (service / "cgroup.procs").write_text(str(load.pid))
    load.connect(300, HERE, PORT)
    scene.start()
    scene.until(POOL, owner="user nobody: nginx.service")
    load.stop()


def test_time_wait_has_no_owner(scene):
    server = scene.load.listen(HERE, PORT)
    group = scene.load.connect(100, HERE, PORT)
    scene.start()
    scene.until(POOL, used=100, owner="user root")
    group.finish(server)
    scene.until(POOL, used=100, timeWait=100, owner="")


def test_on_the_command_line(scene, crowd):
    """Also from another network namespace, and for a pool without a row."""
    elsewhere = scene.workshop.namespace()

    def portwatch(*arguments, ns=scene.ns):
        return ns.run(program("portwatch"), "--config=/dev/null", *arguments, check=False).stdout

    def owners(*arguments, **where):
        return {pool["name"]: pool["owner"] for pool in json.loads(portwatch("--json", *arguments, **where))["pools"]}

    assert owners()[POOL] == "nginx.service (75 %)"
    path = f"/proc/{crowd.pid}/ns/net"
    assert owners(f"--netns={path}", ns=elsewhere)[f"{POOL}@{path}"] == "nginx.service (75 %)"
    assert "Its sockets belong to nginx.service (75 %)." in " ".join(portwatch("--explain").split())
    crowd.listen(HERE, PORT + 1)
    crowd.connect(2, HERE, PORT + 1)
    assert owners("--all")[connect_pool(HERE, HERE, PORT + 1)] == "nginx.service"


def test_a_record_knows_users_by_number_only(scene, crowd, tmp_path):
    file = tmp_path / "record"
    scene.ns.run(program("portwatch"), "--config=/dev/null", f"--record={file}", check=False)
    text = scene.ns.run(program("portwatch"), "--config=/dev/null", "--json", f"--replay={file}", check=False).stdout
    assert {pool["owner"] for pool in json.loads(text)["pools"] if pool["name"] == POOL} == {"uid 0"}
    assert crowd.pid != scene.load.pid  # two processes of two control groups, one user
