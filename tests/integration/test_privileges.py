# SPDX-License-Identifier: BSD-2-Clause
"""What is left of root after portwatchd -u, and what the command line refuses."""

import pwd
import subprocess

import pytest
from harness import Daemon, eventually, program

USER = pwd.getpwnam("nobody")
NET_ADMIN, SYS_PTRACE, SYS_ADMIN, PERFMON = 1 << 12, 1 << 19, 1 << 21, 1 << 38
NOTHING = "probe = off\nconnect-failures = false\n"


def status(pid):
    """{field: words} of /proc/PID/status"""
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


@pytest.mark.parametrize(("settings", "expected"), [
    (NOTHING, 0),
    ("connect-failures = false\n", NET_ADMIN),
    ("probe = off\n", None),
    (NOTHING + "backend = netlink\nnamespaces { all = true }\n", SYS_ADMIN | SYS_PTRACE),
    (NOTHING + "backend = bpf\nnamespaces { all = true }\n", 0),
], ids=["nothing", "probes", "failures", "namespaces", "namespaces from the outside"])
def test_gives_up_root_but_for_what_the_configuration_needs(workshop, settings, expected):
    ns = workshop.namespace(ip_local_port_range="40000 40999")
    daemon = workshop.keep(Daemon(ns, workshop.directory, workshop.directory / "no-master", settings, arguments=("-u", USER.pw_name)))
    eventually(lambda: status(daemon.pid)["NoNewPrivs"] == ["1"])
    if expected is None:  # BPF programs need none once they are loaded (Linux 5.19); perf events do
        eventually(lambda: "failing connects are " in daemon.log())
        expected = PERFMON if "by perf events" in daemon.log() or "perf_event_open" in daemon.log() else 0
    now = status(daemon.pid)
    assert now["Uid"] == [str(USER.pw_uid)] * 4 and now["Gid"] == [str(USER.pw_gid)] * 4
    assert [int(now[name][0], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [expected, expected, 0, 0]
    assert now["Groups"] in ([], [str(USER.pw_gid)])
    assert daemon.running


@pytest.mark.parametrize(("user", "arguments", "code", "words"), [
    ("root", ("-f", "-u", "no-such-user"), 1, "user no-such-user: unknown"),
    ("nobody", ("-f", "-u", "root"), 1, "only root can become another user"),
    ("root", ("-x", "/m", "-L", "udp:127.0.0.1:1161"), 2, "exclude each other"),
    ("root", ("surplus",), 2, "unexpected argument: surplus"),
    ("root", ("--nonsense",), 2, "usage: portwatchd"),
    ("root", ("-h",), 0, "usage: portwatchd"),
    ("root", ("-v",), 0, "portwatchd "),
])
def test_command_line(user, arguments, code, words):
    result = subprocess.run([program("portwatchd"), "-c", "/dev/null", *arguments], user=user, capture_output=True, text=True,
                            check=False, timeout=20)
    assert result.returncode == code and words in result.stdout + result.stderr
