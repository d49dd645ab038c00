# SPDX-License-Identifier: BSD-2-Clause
"""portwatchd without privileges, under the system call filter of its systemd unit, the files that it opens, what it attaches."""

import ctypes
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess

import pytest
from harness import LIBC, SOURCE, Daemon, check, eventually
from scene import TRAP_V2C, connect_pool

HERE = "127.0.0.1"
WEB = connect_pool(HERE, HERE, 8080)
UNIT = SOURCE / "conf" / "systemd" / "portwatchd.service.in"


@pytest.fixture(name="scene")
def fixture_scene(make_scene):
    scene = make_scene(snmpd=f"{TRAP_V2C}\nagentXPerms 0666 0755\n")
    os.chmod(scene.workshop.directory, 0o755)
    scene.connect()
    return scene


class Wrapped(Daemon):
    """portwatchd started by another program."""

    def __init__(self, scene, *wrapper, **options):
        self.wrapper = wrapper
        super().__init__(scene.ns, scene.workshop.directory, scene.master.socket, **options)

    def command(self):
        return [*self.wrapper, *super().command()]


def start(scene, *wrapper, config="", **options):
    scene.daemon = scene.workshop.keep(Wrapped(scene, *wrapper, extra=config, **options))
    scene.manager.ready()
    return scene.daemon


def status(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return re.search(rf"^{name}:\s+(.*)$", text, re.M)[1]


# --- capabilities ------------------------------------------------------------------------------------------------------


def test_without_any_capability(scene):
    """An unprivileged user: the numbers are those that inference gives, and what is not available says so."""
    daemon = start(scene, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs", "--")
    scene.until(WEB, used=600, free=400, state="warning", basis="inferred")
    assert int(status(daemon.pid, "CapEff"), 16) == 0 and status(daemon.pid, "Uid").split() == ["65534"] * 4
    assert re.search("sockets are read by netlink: (BPF: Operation not permitted|built without BPF)$", daemon.log(), re.M)
    assert "ports in doubt are not probed" in daemon.log()
    assert scene.manager.get("pwConnectFailuresStatus") == "unavailable"
    assert scene.manager.get("pwPollErrors") == 0
    scene.expect([(WEB, "normal", "warning")])


AS_IN_THE_UNIT = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+bpf,+perfmon",
                  "--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=-all,+bpf,+perfmon", "--no-new-privs", "--")


def test_with_what_the_unit_gives(scene):
    """CAP_BPF and CAP_PERFMON load the programs; a moment later nothing of both is left, and sockets are read all the same."""
    daemon = start(scene, *AS_IN_THE_UNIT)
    scene.until(WEB, used=600, free=400, state="warning", basis="read")
    assert [int(status(daemon.pid, name), 16) for name in ("CapEff", "CapPrm", "CapAmb")] == [0, 0, 0]
    assert "sockets are read by BPF" in daemon.log()
    assert scene.manager.get("pwConnectFailuresStatus") == "counting"
    scene.load.hold(50, HERE)
    scene.until(WEB, blocked=50, free=350, basis="read")


# --- what is attached ----------------------------------------------------------------------------------------------------


def held(pid):
    """The kinds of what the process has of BPF and perf events: "bpf_prog" is a program that is loaded, and makes nothing slower; the
    others are attached to something that all processes run through, a link with its link_type."""
    kinds = []
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            name, info = os.readlink(entry), pathlib.Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text(encoding="ascii")
        except FileNotFoundError:
            continue  # closed meanwhile
        if (link := re.search(r"^link_type:\s*(\S+)", info, re.M)) is not None:
            kinds.append(f"link {link[1]}")
        elif (kind := re.search(r"bpf[_-](?:link|prog)|perf_event", name)) is not None:
            kinds.append(kind[0].replace("-", "_"))
    return kinds


def attached(pid):
    return sorted(kind for kind in held(pid) if kind != "bpf_prog")


def test_nothing_is_attached_by_the_walk(scene):
    """Without events, programs are loaded and run, and no system call or packet of anybody runs through them, whatever the pools do.
    With events some are attached, and given back when a reload switches events off."""
    off, on = "connect-failures = false\nevents = off\n", "connect-failures = true\nevents = auto\n"
    daemon = start(scene, config="backend = bpf\n" + off)
    if "sockets are read by BPF" not in daemon.log():
        pytest.skip(f"no walk: {daemon.log()}")
    scene.until(WEB, used=600, state="warning", basis="read")
    assert "bpf_prog" in held(daemon.pid) and attached(daemon.pid) == []
    scene.load.connect(400, HERE, 8080)
    scene.until(WEB, used=1000, state="exhausted")
    scene.polls(3)
    assert attached(daemon.pid) == []
    daemon.configure("backend = bpf\n" + on)
    daemon.reload()
    eventually(lambda: scene.manager.get("pwConnectFailuresReason") != "connect-failures = false")
    if scene.manager.get("pwConnectFailuresStatus") != "counting":
        pytest.skip(f"nothing can be attached here: {scene.manager.get('pwConnectFailuresReason')}")
    print(attached(daemon.pid))
    assert attached(daemon.pid) != []
    daemon.configure("backend = bpf\n" + off)
    daemon.reload()
    eventually(lambda: attached(daemon.pid) == [])


# --- the unit ----------------------------------------------------------------------------------------------------------


def settings(name):
    """All values of a setting of the unit, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.M)


def set_of_calls(name):
    """The system calls of a set of systemd, with those of the sets in it."""
    listing = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True, timeout=30).stdout
    names = [line.strip() for line in listing.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    found = set()
    for entry in names:
        found |= set_of_calls(entry) if entry.startswith("@") else {entry}
    return found


def allowed_calls():
    """What SystemCallFilter= lets through: the first line allows, "~" takes away (systemd.exec(5))."""
    allowed = set_of_calls("@default")
    for value in settings("SystemCallFilter"):
        named = set().union(*(set_of_calls(word) if word.startswith("@") else {word} for word in value.lstrip("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def call_numbers():
    """{name: number} of the system calls of this machine."""
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"], capture_output=True, text=True,
                          check=True, timeout=30).stdout
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)}


BPF_LOAD, BPF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER_AT, FIRST_ARGUMENT_AT = 0, 16  # in struct seccomp_data
PR_SET_SECCOMP, MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
EPERM, EAFNOSUPPORT = 1, 97


def filter_program(calls, families):
    """A seccomp filter: these system calls, and sockets of these families; the execve() that starts the program is allowed as well."""
    numbers = call_numbers()
    program = [(BPF_LOAD, 0, 0, NUMBER_AT), (BPF_EQUAL, 0, 2 * len(families) + 2, numbers["socket"]), (BPF_LOAD, 0, 0, FIRST_ARGUMENT_AT)]
    for family in families:
        program += [(BPF_EQUAL, 0, 1, family), (BPF_RETURN, 0, 0, ALLOW)]
    program += [(BPF_RETURN, 0, 0, ERRNO | EAFNOSUPPORT)]
    for number in sorted(numbers[name] for name in calls if name in numbers):
        program += [(BPF_EQUAL, 0, 1, number), (BPF_RETURN, 0, 0, ALLOW)]
    return [*program, (BPF_RETURN, 0, 0, ERRNO | EPERM)]


def confine(program):
    """Puts the calling process under the filter (seccomp(2))."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    check(LIBC.prctl(PR_SET_SECCOMP, MODE_FILTER, header, 0, 0), "seccomp")


FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


def unit_families():
    return [FAMILIES[word] for value in settings("RestrictAddressFamilies") for word in value.split()]


LAUNCH = """
import os, sys
sys.path.insert(0, {here!r})
import test_sandbox as t
t.confine(t.filter_program(t.allowed_calls() | {{"execve"}}, {families}))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def sandbox(families):
    """The command that starts a program under the unit's filter."""
    here = str(pathlib.Path(__file__).resolve().parent)
    return ("/usr/bin/python3", "-c", LAUNCH.format(here=here, families=families))


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@needs_systemd
@pytest.mark.parametrize("netlink", [True, False], ids=["as in the unit", "without AF_NETLINK"])
def test_under_the_system_call_filter_of_the_unit(scene, netlink):
    """Polls, serves, notifies, reloads, meets another master and ends under the filter, and meets it nowhere; not as root, who gives up
    nothing."""
    families = unit_families()
    assert set(FAMILIES.values()) == set(families)
    if not netlink:
        families.remove(FAMILIES["AF_NETLINK"])
    runtime = scene.workshop.directory / "run"
    runtime.mkdir()
    os.chown(runtime, 65534, 65534)
    told = runtime / "portwatch.sock"
    # in a build with sanitizers: what looks for leaks at the end needs ptrace(), which the filter forbids
    daemon = start(scene, *AS_IN_THE_UNIT, "env", "ASAN_OPTIONS=detect_leaks=0", *sandbox(families), config=f'control {{ socket = "{told}" }}\n')
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(told))
        assert client.recv(1) == b"{"
    assert status(daemon.pid, "Seccomp") == "2" and int(status(daemon.pid, "CapPrm"), 16) == 0
    scene.until(WEB, used=600, free=400, state="warning")
    assert ("no inet_diag for TCP" in daemon.log()) != netlink
    scene.master.kill()
    scene.restart_master()
    daemon.reload()
    scene.manager.ready()
    scene.expect([(WEB, "normal", "warning")])
    assert scene.manager.get("pwPollErrors") == 0
    # a locked-down kernel may refuse to let programs follow its functions, with or without a filter
    refused = "the kernel lets no BPF program follow a function (Operation not permitted)"
    assert "not permitted" not in daemon.log().replace(refused, "")
    assert daemon.stop() == 0


@needs_systemd
def test_the_unit_is_tight(tmp_path):
    """systemd's own judgement of it, without a running systemd: 10 is no sandbox at all."""
    text = re.sub(r"@\w+@", "/usr/bin", UNIT.read_text()).replace("/usr/bin/portwatchd", "/bin/true")
    (tmp_path / "portwatchd.service").write_text(text)
    result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", tmp_path / "portwatchd.service"],
                            capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "SYSTEMD_COLORS": "0"})
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)[1])
    print(f"exposure {exposure}")
    assert exposure <= 2.0


# --- files -------------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_file_is_written(scene, tmp_path):
    """Not even in its own directory: files are opened to be read."""
    trace = tmp_path / "trace"
    daemon = start(scene, "env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f", "-o", trace, "-e",
                   "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,link,symlink,truncate")
    scene.until(WEB, used=600, state="warning")
    scene.load.connect(300, HERE, 8080)
    scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "critical")])
    children = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii").split()
    os.kill(int(children[0]), 15)
    assert daemon.wait() == 0
    text = trace.read_text()
    assert "O_RDONLY" in text
    assert not [line for line in text.splitlines() if re.search(r"O_CREAT|O_WRONLY|O_RDWR|^\d+ +(?!open)\w+\(", line)]
