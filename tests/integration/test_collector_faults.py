# SPDX-License-Identifier: BSD-2-Clause
"""portwatchd itself while the kernel fails it: errors are counted and told, the last good numbers are served with their age, alarms are not lost."""

import errno
import itertools
import os
import resource
import signal

import pytest
from agent import LONG
from faults import FaultyDaemon, start_faulty
from harness import Daemon, equals, eventually
from scene import UNCOUNTED, connect_index, connect_pool, ipv4
from snmp import COMMUNITY, parse_varbinds

HERE = "127.0.0.1"
WEB = connect_pool(HERE, HERE, 8080)
INTERVAL = 0.1
FAILING, WARNING = 2, 2  # pwNsStatus, pwPoolState
TOLD = ("pwCollectorFailed", "pwCollectorRecovered")


@pytest.fixture(name="scene")
def fixture_scene(make_scene):
    scene = make_scene()
    scene.connect()
    return scene


def told(scene):
    """The notifications about the collector."""
    return [event for event in scene.notifications() if event["notification"] in TOLD]


def ends_well(daemon):
    """It ends when it is told to, and no sanitizer has anything to say."""
    assert daemon.stop() == 0
    assert "Sanitizer" not in daemon.log()


def aged(scene):
    """Waits until the numbers are so old that no poll can have succeeded meanwhile."""
    eventually(lambda: scene.manager.get("pwPollAge") > 4000 * INTERVAL)


def lasts(scene, daemon):
    """Waits for a few polls that fail, of which nothing is told yet; then it has been so for a minute, by the clock that the daemon sees."""
    errors = scene.manager.get("pwPollErrors")
    number = len(told(scene))
    eventually(lambda: scene.manager.get("pwPollErrors") >= errors + 5)
    assert len(told(scene)) == number
    daemon.faults.set(boot_s=daemon.faults.get("boot_s") + 60)


class Trouble:
    """Lets polls fail, again and again, and looks at what is said and served meanwhile."""

    def __init__(self, scene):
        self.scene, self.daemon = scene, start_faulty(scene, interval=INTERVAL)
        self.used, self.errors = 600, 0
        scene.until(WEB, used=600, state="warning")
        index = connect_index(ipv4(HERE), ipv4(HERE), 8080)
        names = {"pwPollErrors": 0, "pwPollAge": 0, "pwNsStatus": 1, "pwPoolUsed": index, "pwPoolState": index}
        self.oids = [f"{scene.mib.oid[name]}.{instance}" for name, instance in names.items()]

    def served(self):
        """Waits for some failed polls: the numbers of the last good one are served, and grow old."""
        errors, age, *rest = (value for _, value in self.scene.manager.get_oids(*self.oids))
        assert errors >= self.errors + 3 and age > 4000 * INTERVAL, (errors, age)
        assert rest == [FAILING, self.used, WARNING]
        self.errors = errors
        return True

    def fails(self, **faults):
        """From here on each poll fails; connections more meanwhile are not seen. Then all is well again. Returns what was said."""
        scene, number = self.scene, len(told(self.scene))
        self.daemon.faults.set(**faults)
        lasts(scene, self.daemon)
        eventually(lambda: len(told(scene)) == number + 1)
        failed = told(scene)[-1]
        assert failed["notification"] == "pwCollectorFailed" and failed["pwEventText"]
        added = scene.load.connect(5, HERE, 8080)
        eventually(self.served)
        self.daemon.faults.clear()
        eventually(lambda: len(told(scene)) == number + 2)
        assert told(scene)[-1]["notification"] == "pwCollectorRecovered"
        self.used += added.made
        return failed["pwEventText"]


ALWAYS = {"receives": -1}

# What is done, and what must be said about it.
FAILURES = [
    ({"receive": errno.EIO, **ALWAYS}, "Input/output error"),
    ({"receive": errno.ENOBUFS, **ALWAYS}, "No buffer space"),
    ({"receive": errno.EINTR, **ALWAYS}, "Interrupted system call"),
    ({"datagram": "cut", **ALWAYS}, "truncated message"),
    ({"datagram": "done_with_error", **ALWAYS}, "Input/output error"),
    ({"netlink": errno.EMFILE}, "Too many open files"),
    ({"proc_net": errno.EACCES}, "/proc/net/sockstat: Permission denied"),
    ({"setting_text": 2}, "ip_local_port_range"),
]
MORE_FAILURES = [
    ({"receive": errno.ENOMEM, **ALWAYS}, "Cannot allocate memory"),
    ({"receive": errno.EAGAIN, **ALWAYS}, "no answer from the kernel"),
    ({"datagram": "no_length", **ALWAYS}, "truncated message"),
    ({"datagram": "huge_length", **ALWAYS}, "truncated message"),
    ({"datagram": "random", **ALWAYS}, "truncated message"),
    ({"datagram": "empty", **ALWAYS}, "empty datagram"),
    ({"datagram": "interrupted", **ALWAYS}, "changed during the dump"),
    ({"datagram": "overrun", **ALWAYS}, "messages were lost"),
    ({"netlink": errno.ENOBUFS}, "No buffer space"),
    ({"proc_net": errno.EMFILE}, "/proc/net/sockstat: Too many open files"),
    ({"setting": errno.EIO}, "Input/output error"),
    *(({"setting_text": number}, "ip_local_port_range") for number in (1, 3, 4, 5, 6)),
]
if LONG:
    FAILURES += MORE_FAILURES


def test_failing_polls(scene):
    """Every way in which a poll can fail: counted, told once when it lasts and once when it is over, and nothing else changes."""
    trouble = Trouble(scene)
    for faults, text in FAILURES:
        said = trouble.fails(**faults)
        assert text in said, f"{faults}: {said}"
    scene.until(WEB, used=trouble.used, state="warning")
    assert scene.crossings() == [(WEB, "normal", "warning")]
    assert trouble.daemon.log().count("poll failed") == len(FAILURES)
    ends_well(trouble.daemon)


def test_an_alarm_during_a_failure_is_told_after_it(scene):
    daemon = start_faulty(scene, interval=INTERVAL)
    scene.until(WEB, state="warning")
    daemon.faults.set(receive=errno.EIO, **ALWAYS)
    lasts(scene, daemon)
    eventually(lambda: told(scene))
    scene.load.connect(300, HERE, 8080)
    aged(scene)
    assert scene.crossings() == [(WEB, "normal", "warning")]
    daemon.faults.clear()
    scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "critical")])


# A few in a row, and the dump is done again, or goes on.
PASSING = [{"receive": errno.ENOBUFS, "receives": 3}, {"receive": errno.EINTR, "receives": 50}, {"datagram": "interrupted", "receives": 3},
           {"datagram": "cut", "receives": 3}, {"datagram": "overrun", "receives": 3}]


def test_what_passes_costs_no_poll(scene):
    daemon = start_faulty(scene, interval=INTERVAL)
    scene.until(WEB, used=600)
    for faults in PASSING:
        daemon.faults.set(**faults)
        eventually(lambda: daemon.faults.get("receives") == 0)
    scene.polls(2)
    assert scene.manager.get("pwPollErrors") == 0 and scene.until(WEB, used=600)
    assert "poll failed" not in daemon.log()


@pytest.mark.parametrize("error", [errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EPERM])
def test_without_inet_diag_proc_is_read(scene, error):
    """No module, no address family, no permission: the same numbers come from /proc/net, and from the kernel once it answers again."""
    daemon = start_faulty(scene, "probe = off", interval=INTERVAL)
    scene.until(WEB, used=600, free=400, state="warning")
    daemon.faults.set(netlink=error)
    eventually(lambda: "no inet_diag for TCP" in daemon.log() and "no inet_diag for UDP" in daemon.log())
    scene.load.connect(250, HERE, 8080)
    scene.until(WEB, used=850, free=150, state="critical")
    assert scene.manager.get("pwPollErrors") == 0
    daemon.faults.clear()
    eventually(lambda: "inet_diag for TCP is back" in daemon.log())
    scene.load.connect(150, HERE, 8080)
    scene.until(WEB, used=1000, free=0, state="exhausted")
    assert daemon.log().count("no inet_diag for TCP") == 1


def test_signals_without_end(scene):
    """Thousands of signals, caught, stopping and reloading, while it polls: no poll is lost but those for which there was no time."""
    daemon = start_faulty(scene, interval=INTERVAL)
    for number in itertools.islice(itertools.cycle([signal.SIGUSR1] * 50 + [signal.SIGHUP]), 5000):
        daemon.signal(number)
    for _ in range(100):
        daemon.signal(signal.SIGSTOP)
        daemon.signal(signal.SIGCONT)
    scene.polls(3)
    scene.until(WEB, used=600)
    assert scene.manager.get("pwPollErrors") == 0 and scene.manager.get("pwConfigStatus") == "ok"
    assert scene.crossings() == [(WEB, "normal", "warning")]
    ends_well(daemon)


# --- the range -------------------------------------------------------------------------------------------------------


def test_any_range(scene, mib):
    """From all ports to a single one, and to none that is not reserved: the capacity follows, and nothing fails."""
    scene.start(interval=INTERVAL)

    def becomes(capacity):
        """The manager asks from a port outside of the range: there may be none inside."""
        options = ("-v2c", "-c", COMMUNITY, f"--clientaddr={HERE}:1000")
        eventually(lambda: parse_varbinds(scene.manager.raw("snmpget", f"{mib.oid['pwNsCapacity']}.1", options=options))[0][1] == capacity)

    for low, high in ((40000, 40000), (40001, 40001), (40000, 40001), (1024, 65535), (40000, 40999)):
        scene.ns.set_range(low, high)
        becomes(high - low + 1)
    scene.ns.sysctl("ipv4/ip_local_reserved_ports", "40000-40997,40999")
    becomes(1)
    scene.ns.sysctl("ipv4/ip_local_reserved_ports", "40000-40999")  # no client of ours gets a port now
    dumps = scene.daemon.log().count("dump: ")
    eventually(lambda: scene.daemon.log().count("dump: ") > dumps + 1)
    scene.ns.sysctl("ipv4/ip_local_reserved_ports", "")
    scene.until(WEB, used=600, free=400, capacity=1000, state="warning")
    assert scene.manager.get("pwPollErrors") == 0 and "poll failed" not in scene.daemon.log()


# --- the kernel's two answers ------------------------------------------------------------------------------------------


class Walking(FaultyDaemon):
    """One that reads sockets by BPF."""

    backend = "bpf"


def test_a_walk_that_deviates_from_a_dump(scene):
    """Its first numbers are there before the two are compared. Then netlink is believed, here one that leaves everything out: the log
    has the reason, and what had been told is taken back at once."""
    daemon = scene.keep(Walking, UNCOUNTED, interval=2, faults={"datagram": "done_early", "receives": -1})
    if "sockets are read by BPF" not in daemon.log():
        pytest.skip(f"no walk: {daemon.log()}")
    eventually(lambda: "sockets are read by netlink: it saw 600 TCP and " in daemon.log())
    scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "normal")])
    row = scene.manager.table("pwNamespaceTable")["1"]
    assert row["pwNsBasis"] in ("inferred", "probed") and row["pwNsBasisReason"].startswith("it saw 600 TCP and ")
    daemon.faults.clear()
    scene.until(WEB, used=600, free=400, state="warning")
    scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "normal"), (WEB, "normal", "warning")])
    ends_well(daemon)


def start_walking(scene, **options):
    """Starts one that walks, once its walks have been found to be right."""
    daemon = scene.keep(Walking, UNCOUNTED, **options)
    if "sockets are read by BPF" not in daemon.log():
        pytest.skip(f"no walk: {daemon.log()}")
    scene.until(WEB, used=600, free=400, state="warning", basis="read")
    scene.polls(2)  # the comparison comes after the first one
    return daemon


def test_walks_that_are_refused(scene):
    """Twice is no matter. Three times in a row, and sockets are read by netlink, which the log has with the reason: nothing is told of
    that, and the numbers are those of now."""
    daemon = start_walking(scene, interval=INTERVAL)
    for errors in (2, 4):
        daemon.faults.set(walk=errno.EIO, walks=2)
        eventually(lambda: daemon.faults.get("walks") == 0)
        scene.polls(2)
        assert scene.manager.get("pwPollErrors") == errors
    scene.load.connect(5, HERE, 8080)
    scene.until(WEB, used=605, basis="read")
    daemon.faults.set(walk=errno.EIO, walks=-1)
    assert scene.manager.table("pwNamespaceTable")["1"]["pwNsBasisReason"] == ""
    eventually(lambda: "sockets are read by netlink: BPF: list_namespaces: Input/output error" in daemon.log())
    scene.polls(2)
    assert scene.manager.table("pwNamespaceTable")["1"]["pwNsBasisReason"] == "BPF: list_namespaces: Input/output error"
    scene.load.connect(5, HERE, 8080)
    row = scene.until(WEB, used=610, free=390, state="warning")
    assert row["pwPoolBasis"] in ("inferred", "probed")
    assert scene.manager.get("pwPollErrors") == 7
    assert scene.crossings() == [(WEB, "normal", "warning")]
    ends_well(daemon)


# --- descriptors and memory --------------------------------------------------------------------------------------------


def test_without_descriptors_while_the_master_comes_anew(scene):
    """Neither a poll nor a connection can be made; when there are descriptors again, both are."""
    daemon = scene.start("backend = netlink\n", interval=INTERVAL)
    scene.expect([(WEB, "normal", "warning")])
    before = daemon.limit_descriptors(8)
    scene.master.kill()
    eventually(lambda: "poll failed" in daemon.log() and "Too many open files" in daemon.log())
    scene.restart_master()
    eventually(lambda: daemon.log().count("AgentX master agent") >= 2)
    assert daemon.running
    daemon.limit_descriptors(before)
    scene.manager.ready()
    scene.until(WEB, used=600, state="warning")
    assert [event["notification"] for event in told(scene)] in ([], list(TOLD), list(TOLD[1:]))
    assert scene.crossings() == [(WEB, "normal", "warning")]
    ends_well(daemon)


class Limited(Daemon):
    """portwatchd that may have so many descriptors."""

    def __init__(self, scene, limit):
        self.limit = limit
        super().__init__(scene.ns, scene.workshop.directory / str(limit), scene.master.socket,
                         "backend = netlink\nconnect-failures = false\n", interval=INTERVAL)

    def command(self):
        return ["prlimit", f"--nofile={self.limit}", *super().command()]

    def outcome(self):
        """Waits until it has ended or serves: "ends" or "serves"."""
        eventually(lambda: not self.running or "connected to the AgentX master" in self.log())
        if self.running:
            assert self.stop() == 0
            return "serves"
        assert self.popen.returncode in (1, 127) and self.log(), f"with {self.limit}: {self.popen.returncode}: {self.log()}"
        return "ends"


def test_start_with_few_descriptors(scene):
    """With too few it says so and ends; with one more it runs. No number makes it crash."""
    outcomes = []
    for limit in range(3, 49, 3):
        (scene.workshop.directory / str(limit)).mkdir()
        outcomes.append(scene.workshop.keep(Limited(scene, limit)).outcome())
    assert outcomes == sorted(outcomes) and set(outcomes) == {"ends", "serves"}


def address_space(daemon):
    """Octets of address space that the process has."""
    with open(f"/proc/{daemon.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_without_address_space(scene):
    """RLIMIT_AS just above what it has, then 48,000 destinations: the polls fail and are told. With more memory they succeed."""
    # another thread's arena has address space in reserve; and what is large is to be asked of the kernel, not found among what was freed
    daemon = scene.start("backend = netlink", interval=0.2, prefix=["env", "MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=16384"])
    scene.until(WEB, state="warning")
    unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_AS)
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (address_space(daemon) + (256 << 10), unlimited[1]))
    for part in range(3):
        scene.load.listen("0.0.0.0", 9000 + part)
        scene.workshop.load(scene.ns).ask("spread", first=f"127.{part + 1}.0.1", hosts=16000, port=9000 + part, count=1)
    eventually(lambda: [event["notification"] for event in told(scene)][-1:] == ["pwCollectorFailed"], 40)
    assert "out of memory" in told(scene)[-1]["pwEventText"]
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, unlimited)
    eventually(lambda: scene.manager.get("pwPoolsSeen") > 48000, 20)
    assert scene.until(WEB, used=600)["pwPoolState"] == "warning"
    # a poll may have succeeded between two that failed, while there were fewer destinations
    eventually(lambda: [event["notification"] for event in told(scene)][-1] == TOLD[-1], 20)
    names = [event["notification"] for event in told(scene)]
    assert names == list(TOLD) * (len(names) // 2)
    ends_well(daemon)


FEW = 60  # allocations that polls and one reload make within a second or two


def allocation_failed(daemon, number):
    """Whether it has come to that. For a late one there are reloads until then: polls allocate next to nothing."""
    if daemon.faults.get("memory_at") <= 0:
        return True
    if number > FEW:
        daemon.reload()
    return False


def test_each_allocation_fails_once(scene):
    """One allocation after the other, of the polls, of a reload and of a new session: the work at hand is lost, and nothing else."""
    daemon = start_faulty(scene, interval=INTERVAL)
    scene.until(WEB, state="warning")
    for number in range(1, 400 if LONG else 26, 1 if LONG else 3):
        daemon.faults.set(memory_at=number)
        if number % 3 == 0:
            daemon.reload()
        if number % 32 == 1:
            scene.master.kill()
            scene.restart_master()
        eventually(lambda late=number: allocation_failed(daemon, late))
    failed = daemon.faults.get("memory_failed")
    print(f"{failed} allocations failed")
    assert failed >= 9
    daemon.faults.clear()
    daemon.reload()
    scene.manager.ready()
    scene.load.connect(300, HERE, 8080)
    scene.until(WEB, used=900, state="critical")
    eventually(lambda: scene.crossings()[-1] == (WEB, "warning", "critical"))
    assert set(scene.crossings()) == {(WEB, "normal", "warning"), (WEB, "warning", "critical")}
    assert scene.manager.get("pwConfigStatus") == "ok"
    ends_well(daemon)


@pytest.mark.parametrize("one_in", [2, 10])
def test_memory_is_short(scene, one_in):
    """A part of all allocations fails while connections, the configuration and the master change: afterwards all is as it should be."""
    daemon = start_faulty(scene, interval=INTERVAL)
    scene.until(WEB, state="warning")
    daemon.faults.set(memory_one_in=one_in)
    for turn in range(40 if LONG else 2):
        group = scene.load.connect(250, HERE, 8080)
        scene.master.kill()
        daemon.reload()
        scene.restart_master()
        eventually(lambda before=daemon.faults.get("memory_failed"): daemon.faults.get("memory_failed") > before)
        group.reset()
        if turn % 2:
            scene.manager.raw("snmpbulkwalk", scene.mib.oid["portwatchMIB"], check=False)
    print(f"{daemon.faults.get('memory_failed')} allocations failed")
    daemon.faults.clear()
    daemon.reload()
    scene.manager.ready()
    scene.load.connect(400, HERE, 8080)
    scene.until(WEB, used=1000, free=0, state="exhausted")
    eventually(lambda: scene.crossings()[-1][2] == "exhausted")
    equals(lambda: scene.manager.get("pwConfigStatus"), "ok")
    assert "out of memory" in daemon.log()
    ends_well(daemon)


def test_start_without_memory(scene):
    """An allocation of the start fails: it says so and ends, or does without what it is for."""
    for number in range(1, 200 if LONG else 40, 1 if LONG else 5):
        directory = scene.workshop.directory / str(number)
        directory.mkdir()
        daemon = FaultyDaemon(scene.ns, directory, scene.master.socket, faults={"memory_at": number}, interval=INTERVAL)
        scene.workshop.keep(daemon)
        eventually(lambda: not daemon.running or "connected to the AgentX master" in daemon.log())
        if daemon.running:
            ends_well(daemon)
        else:
            assert daemon.popen.returncode == 1 and "memory" in daemon.log(), f"{number}: {daemon.log()}"
            assert "Sanitizer" not in daemon.log()
