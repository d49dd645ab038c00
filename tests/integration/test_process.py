# SPDX-License-Identifier: BSD-2-Clause
"""portwatchd as a process: the descriptors, the rights and the signals that it gets, and what it tells systemd."""

import os
import resource
import stat
import sys
import time

import pytest
from harness import equals, eventually, program
from scene import connect_pool
from systemd import Systemd

HERE = "127.0.0.1"
WEB = connect_pool(HERE, HERE, 8080)

# Becomes another program with all descriptors from 3 on taken.
CROWDED = """
import os, sys
null = os.open("/dev/null", os.O_RDWR)
for fd in range(3, int(sys.argv[1])):
    os.dup2(null, fd, inheritable=True)
os.execv(sys.argv[2], sys.argv[2:])
"""


def target(pid, fd):
    return os.readlink(f"/proc/{pid}/fd/{fd}")


def load_and_notify(scene):
    """Half of the ports taken: the whole way from the kernel to the receiver of notifications."""
    scene.connect()
    scene.expect([(WEB, "normal", "warning")])
    scene.until(WEB, used=600, state="warning")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_started_with_closed_descriptors(scene, closed):
    """Its sockets are not those of standard input, output and error: it hears, answers and notifies."""
    daemon = scene.start(prefix=("sh", "-c", f'exec "$@" {closed}', "sh"))
    for fd, redirection in enumerate(["<&-", ">&-", "2>&-"]):
        if redirection in closed.split():
            assert target(daemon.pid, fd) == "/dev/null"
    load_and_notify(scene)
    assert daemon.stop() == 0


def test_a_record_is_not_written_elsewhere(scene, tmp_path):
    """Without a standard output the record gets what belongs to it, and nothing else."""
    scene.connect()
    record = tmp_path / "record"
    command = [program("portwatch"), "--config=/dev/null", f"--record={record}"]
    assert scene.ns.run("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command, check=False).returncode == 0
    shown = scene.ns.run(program("portwatch"), "--config=/dev/null", f"--replay={record}").stdout
    assert WEB in shown and "600" in shown


def test_many_descriptors(scene):
    """The soft limit of 1,024 is no limit, and sockets beyond it are served: also the one of a second session."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < 4096:
        pytest.skip(f"no more than {limit} descriptors here")
    daemon = scene.start(prefix=("prlimit", "--nofile=1500:4096", sys.executable, "-c", CROWDED, "1400"))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (4096, 4096)
    load_and_notify(scene)
    scene.master.kill()
    scene.restart_master()
    scene.until(WEB, used=600, state="warning")
    assert max(int(fd) for fd in os.listdir(f"/proc/{daemon.pid}/fd")) > 1400
    assert daemon.stop() == 0


def test_many_reloads_are_few(scene):
    """A flood of SIGHUP: the file is read once a second, and polls come when they would have come."""
    daemon = scene.start(interval=1)
    polls, begun = scene.manager.get("pwPolls"), time.monotonic()
    while time.monotonic() < begun + 5:
        daemon.reload()
        time.sleep(0.01)
    eventually(lambda: daemon.log().count("configuration reloaded") >= 3)
    seconds = time.monotonic() - begun
    assert scene.manager.get("pwPolls") - polls <= seconds + 2
    assert daemon.log().count("configuration reloaded") <= seconds + 2
    daemon.configure("min-used = nonsense")
    daemon.reload()
    equals(lambda: scene.manager.get("pwConfigStatus"), "reloadFailed")


def test_another_interval_counts_from_the_last_poll(scene):
    """Reloads that change the interval again and again can't put the next poll off."""
    daemon = scene.start(interval=2)
    polls, begun = scene.manager.get("pwPolls"), time.monotonic()
    text = daemon.config.read_text()
    for turn in range(8):
        daemon.config.write_text(text.replace("poll-interval = 2", f"poll-interval = {2 + turn % 2}"))
        daemon.reload()
        eventually(lambda wanted=turn + 1: daemon.log().count("configuration reloaded") == wanted)
    assert time.monotonic() - begun > 6
    assert scene.manager.get("pwPolls") - polls >= 2


def test_a_configuration_that_cannot_be_read_again(scene):
    """With -u: said at the start, not only when a reload is refused."""
    path = scene.workshop.directory / "portwatchd.conf"
    path.touch(mode=0o600)
    daemon = scene.workshop.daemon(scene.ns, scene.master.socket, arguments=("-u", "nobody"))
    eventually(lambda: "each reload will be refused" in daemon.log())
    assert f"{path}: Permission denied as user nobody" in daemon.log()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.reload()
    eventually(lambda: "reload refused" in daemon.log())


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_tells_systemd(scene, kind):
    with scene.ns.entered():
        systemd = Systemd(scene.workshop.directory / "notify" if kind == "path" else f"@portwatch-test-{os.getpid()}")
    daemon = scene.start(prefix=systemd.starts(watchdog_s=2))
    eventually(lambda: "READY=1" in systemd.hear())
    eventually(lambda: systemd.hear().count("WATCHDOG=1") >= 3)
    daemon.reload()
    eventually(lambda: systemd.hear().count("READY=1") == 2)
    assert systemd.heard.index("RELOADING=1") > systemd.heard.index("READY=1")
    assert daemon.stop() == 0
    assert systemd.hear()[-1] == "STOPPING=1"


def test_systemd_stands_still(scene):
    """It hears nothing: its queue is full, and polls go on. Once it hears again: READY=1 was not forgotten."""
    systemd = Systemd(scene.workshop.directory / "notify")
    systemd.stand_still()
    daemon = scene.start(prefix=systemd.starts(watchdog_s=2))
    load_and_notify(scene)
    eventually(lambda: "READY=1" in systemd.hear())
    assert daemon.stop() == 0
