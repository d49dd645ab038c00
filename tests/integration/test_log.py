# SPDX-License-Identifier: BSD-2-Clause
"""Whoever reads the log of portwatchd stands still: polls, alarms, notifications and the end of the daemon do not wait for it."""

import fcntl
import os
import pathlib
import re
import socket
import sys
import time

import pytest
from harness import PATIENCE, equals, eventually
from scene import connect_pool

WEB = connect_pool("127.0.0.1", "127.0.0.1", 8080)
SMALL = 4096  # bytes, so that the log stands still within seconds

# Becomes another program whose stderr is a pipe or a socket (as journald's) that is found at a path.
REDIRECT = """
import os, socket, stat, sys
path = sys.argv[1]
if stat.S_ISSOCK(os.stat(path).st_mode):
    end = socket.socket(socket.AF_UNIX)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, %d)
    end.connect(path)
    fd = end.fileno()
else:
    fd = os.open(path, os.O_WRONLY)
os.dup2(fd, 2)
os.execv(sys.argv[2], sys.argv[2:])
""" % SMALL


class Reader:
    """The reader of a log, who reads only when told to."""

    def __init__(self, kind, path):
        self.text = b""
        if kind == "pipe":
            os.mkfifo(path)
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, SMALL)
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
            self._fd = None

    def read(self):
        """All lines so far."""
        if self._fd is None:
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._fd = connection.detach()
        while True:
            try:
                more = os.read(self._fd, 65536)
            except BlockingIOError:
                break
            if not more:
                break
            self.text += more
        return self.text.decode()


@pytest.fixture(name="stalled", params=["pipe", "socket"])
def fixture_stalled(request, scene):
    """portwatchd with -d, and far more lines than reader and buffer hold."""
    path = scene.workshop.directory / "log"
    reader = Reader(request.param, path)
    scene.start(interval=0.02, prefix=(sys.executable, "-c", REDIRECT, path))
    scene.load.listen("127.0.0.1", 8080)
    group = scene.load.connect(600, "127.0.0.1", 8080)
    scene.expect([(WEB, "normal", "warning")])
    scene.polls(600)
    return scene, reader, group


def test_nothing_waits(stalled):
    """More polls than lines find room, an alarm that ends, and then SIGTERM."""
    scene, _, group = stalled
    group.reset()
    equals(scene.crossings, [(WEB, "normal", "warning"), (WEB, "warning", "normal")], 20)
    asked = time.monotonic()
    assert scene.daemon.stop() == 0
    assert time.monotonic() - asked < 5 * PATIENCE


def test_lost_lines_are_counted(stalled):
    """Once the log flows again, it says how many lines are missing, and goes on."""
    scene, reader, _ = stalled
    eventually(lambda: "lines of the log were lost" in reader.read(), 20)
    lost = int(re.search(r"warning: (\d+) lines of the log were lost", reader.text.decode()).group(1))
    assert lost > 100
    length = len(reader.text)
    scene.polls(5)
    eventually(lambda: len(reader.read()) > length)
    for line in reader.text.decode().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+ \w+: ", line), line
    assert scene.daemon.stop() == 0


FULL_DISK = 'mount -t tmpfs -o size=64k full "$1" && head -c 48k /dev/zero >"$1/filler" && log=$1/log && shift && exec "$@" 2>>"$log"'


def test_a_full_disk(scene):
    """The log is a file on a disk that fills up: nothing waits, and once there is room it says how many lines are missing, and goes on."""
    disk = scene.workshop.directory / "disk"
    disk.mkdir()
    scene.start(interval=0.02, prefix=("unshare", "--mount", "--propagation", "private", "sh", "-c", FULL_DISK, "sh", disk))
    inside = pathlib.Path(f"/proc/{scene.daemon.pid}/root{disk}")
    scene.load.listen("127.0.0.1", 8080)
    group = scene.load.connect(600, "127.0.0.1", 8080)
    scene.expect([(WEB, "normal", "warning")])
    eventually(lambda: os.statvfs(inside).f_bavail == 0, 60)
    scene.polls(50)
    size = (inside / "log").stat().st_size
    group.reset()
    equals(scene.crossings, [(WEB, "normal", "warning"), (WEB, "warning", "normal")], 20)
    assert (inside / "log").stat().st_size == size
    (inside / "filler").unlink()
    eventually(lambda: re.search(r"warning: \d+ lines of the log were lost", (inside / "log").read_text(errors="replace")), 20)
    assert scene.daemon.stop() == 0
