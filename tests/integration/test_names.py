# SPDX-License-Identifier: BSD-2-Clause
"""Names that others chose (an interface, a control group, a process, a namespace) through every way out: no control character, nothing that is
no UTF-8, nothing that cannot be seen or turns the text around, and nothing that breaks a format."""

import json
import os
import re
import socket
import subprocess
import sys
import unicodedata

import pytest
from harness import Process, eventually, program
from scene import Scene
from test_owner import control_group

PORT, COUNT, ADDRESS = 8080, 600, "fe80::7"
# Each at most 15 bytes, without "/" and blanks: what the kernel takes for an interface.
NAMES = {
    "escape": b"e\x1b[2J\x1b[31m",
    "quotes": b"q\"'`$(x)|;\\{}",
    "right-to-left": "r\u202egnp\u200b".encode(),
    "no UTF-8": b"n\xff\xc3\xe2\x82\x9b",
    "C1": b"c\xc2\x9b2J\x7f\x01\x08",
}
# Holds connections; what it is called by /proc/PID/comm is its own choice.
HOLDER = """
import os, socket, sys, time
port, count, zone = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
open("/proc/self/comm", "wb").write(bytes.fromhex(sys.argv[4]))
with open(sys.argv[5], "w") as procs:
    procs.write(str(os.getpid()))
held = []
for _ in range(count):
    sock = socket.socket(socket.AF_INET6)
    sock.connect(("%s", port, 0, zone))
    held.append(sock)
print("ready", flush=True)
time.sleep(600)
""" % ADDRESS


def unsafe(text):
    """The characters in a text that no reader should see."""
    return {char for char in text if char not in "\n\t" and
            (unicodedata.category(char) in ("Cc", "Zl", "Zp") or char in "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff")}


def assert_clean(output, what):
    text = output.decode() if isinstance(output, bytes) else output  # UnicodeDecodeError: it is no UTF-8
    assert not unsafe(text), f"{what}: {unsafe(text)} in {text[:2000]!r}"


@pytest.fixture(name="hostile", params=NAMES.values(), ids=NAMES)
def fixture_hostile(request, workshop, mib):
    """600 connections over an interface of that name, of a process of that name, in a control group of that name."""
    name, scene = request.param, Scene(workshop, mib)
    scene.ns.run("ip", "link", "add", os.fsdecode(name), "type", "veth", "peer", "name", "peer")
    scene.ns.run("ip", "link", "set", "peer", "up")
    scene.ns.run("ip", "link", "set", os.fsdecode(name), "up")
    scene.ns.run("ip", "address", "add", f"{ADDRESS}/64", "dev", os.fsdecode(name), "nodad")
    with scene.ns.entered():
        zone = socket.if_nametoindex(os.fsdecode(name))
        listener = socket.create_server(("::", PORT), family=socket.AF_INET6, backlog=4096)
    with control_group(os.fsdecode(name) + ".service") as group:
        holder = workshop.keep(Process(scene.ns, [sys.executable, "-c", HOLDER, PORT, COUNT, zone, name.hex(), group / "cgroup.procs"],
                                       workshop.directory / "holder.log"))
        eventually(lambda: "ready" in holder.log(), 20)
        yield scene
        holder.stop()
        listener.close()


def portwatch(scene, *arguments):
    """Its output, as bytes."""
    with scene.ns.entered():
        return subprocess.run([program("portwatch"), "--config=/dev/null", *arguments], stdout=subprocess.PIPE, check=False, timeout=60).stdout


def test_every_way_out(hostile):
    hostile.start(failures=True)
    rows = eventually(lambda: [row for row in hostile.manager.pools().values() if row["pwPoolUsed"] == COUNT])
    event = eventually(hostile.notifications)[0]
    for text in [*rows[0].values(), *event.values()]:
        assert_clean(str(text), "SNMP")
    assert rows[0]["pwPoolName"].startswith(f"tcp [{ADDRESS}%") and ".service" in rows[0]["pwPoolOwner"]
    assert_clean(hostile.daemon.log_path.read_bytes(), "log")
    assert "warning, was normal" in hostile.daemon.log()
    for arguments in (["--all"], ["--explain"], ["--all", "--openmetrics"], ["--check"], ["--json", "--all"]):
        output = portwatch(hostile, *arguments)
        assert_clean(output, arguments)
        assert str(COUNT).encode() in output or b"60" in output, arguments
    pools = json.loads(portwatch(hostile, "--json", "--all"))["pools"]
    assert any(pool["used"] == COUNT and ADDRESS in pool["name"] for pool in pools)
    for pool in pools:
        assert_clean(json.dumps(pool, ensure_ascii=False), "JSON")
    first = portwatch(hostile, "--check").decode().splitlines()[0]
    assert first.count("|") == 1 and re.match(r"PORTWATCH (WARNING|CRITICAL)", first)
