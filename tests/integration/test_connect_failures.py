# SPDX-License-Identifier: BSD-2-Clause
"""Failing connects of the whole host: counted, notified with the names of the processes, or unavailable and why.

check_connect_events.c compares the counter itself with the kernel. Here others on the host may fail too: numbers are lower bounds.
"""

import time

import pytest
from harness import PATIENCE, eventually, program
from scene import TRAP_V2C

pytestmark = pytest.mark.alone

HERE, PORT = "127.0.0.1", 8080


def in_mounts(command):
    """Runs what follows in a mount namespace of its own that this command was run in."""
    return ["unshare", "--mount", "sh", "-e", "-c", f"{command}\nexec \"$@\"", "sh"]


WITH_TRACEFS = in_mounts("mount -t tracefs tracefs /sys/kernel/tracing")
WITHOUT_TRACEFS = in_mounts("for root in tracing debug; do mount -t tmpfs none /sys/kernel/$root || true; done")


@pytest.fixture(name="full")
def fixture_full(make_scene):
    """All of ten ports are taken."""
    scene = make_scene(40000, 40009, TRAP_V2C)
    scene.load.listen(HERE, PORT)
    scene.load.connect(10, HERE, PORT)
    return scene


# No BPF program may be loaded, as on a host whose kernel or lockdown refuses it.
WITHOUT_BPF = ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin", "--"]


@pytest.fixture(name="prefix", params=["bpf", "perf"])
def fixture_prefix(request):
    return WITH_TRACEFS + (WITHOUT_BPF if request.param == "perf" else [])


def start_counting(scene, prefix, **options):
    """Starts portwatchd with tracefs, and skips where it may not count there."""
    scene.start(failures=True, prefix=prefix, **options)
    if scene.manager.get("pwConnectFailuresStatus") != "counting":
        pytest.skip(f"the kernel or its container does not let root count: {scene.manager.get('pwConnectFailuresReason')}")


def fail(scene, times=1):
    for _ in range(times):
        assert scene.load.connect(1, HERE, PORT, exact=False).errname == "EADDRNOTAVAIL"


def failing(scene):
    return [event for event in scene.notifications() if event["notification"] == "pwConnectFailing"]


def test_failing_connects_are_counted_and_notified(full, prefix):
    start_counting(full, prefix)
    before = full.manager.get("pwConnectFailures")
    fail(full, 5)
    eventually(lambda: full.manager.get("pwConnectFailures") >= before + 5)
    name = f"python3 (pid {full.load.pid})"
    event = eventually(lambda: next((e for e in failing(full) if name in e["pwEventText"]), None))
    assert event["pwEventFailures"] >= 1
    log = full.daemon.log()
    assert "failing connects are counted" in log
    assert "connects fail for want of a port: " in log and name in log


def test_the_pool_that_fails_is_told(full, prefix):
    start_counting(full, prefix)
    fail(full, 5)
    name = f"tcp {HERE} -> {HERE}:{PORT}"
    row = eventually(lambda: (row := full.manager.pool(name))["pwPoolFailures"] == 5 and row)
    assert row["pwPoolFailureAge"] < 60
    assert full.manager.table("pwNamespaceTable")["1"]["pwNsFailures"] == 5
    event = eventually(lambda: next((e for e in failing(full) if e["pwEventPoolName"] == name), None))
    assert (event["pwEventLocalText"], event["pwEventRemoteText"], event["pwEventPort"]) == (HERE, HERE, PORT)
    assert event["pwEventPool"].endswith(".1.1.6.1.4.127.0.0.1.1.4.127.0.0.1.8080")


def test_portwatch_tells_them(full):
    """The screen has columns for them; the explanation, which looks at the sockets itself, asks portwatchd."""
    socket = full.workshop.directory / "portwatch.sock"
    start_counting(full, WITH_TRACEFS, config=f'control {{ socket = "{socket}" }}\n')
    fail(full, 3)
    eventually(lambda: full.manager.pool(f"tcp {HERE} -> {HERE}:{PORT}")["pwPoolFailures"] == 3)
    command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && mkdir /run/portwatch && mount --bind "$0" /run/portwatch && exec "$@"',
               full.workshop.directory, program("portwatch")]
    table = full.ns.run(*command).stdout.splitlines()
    header, = [line.split() for line in table if line.startswith("UTIL ")]
    row, = [line.split() for line in table if f"-> {HERE}:{PORT}" in line and not line.startswith("#")]
    assert row[header.index("FAILED")] == "3" and row[header.index("AGO")].endswith("s")
    text = " ".join(full.ns.run(*command, "--explain").stdout.split())
    assert "3 calls of connect() have failed for want of a port, the last " in text
    assert "have failed" not in full.ns.run(*command, "--explain", "--no-daemon").stdout


def test_an_unprivileged_daemon_goes_on(full, prefix):
    """-u gives up root; the programs were loaded, or the tracepoint was looked up, before. A reload switches the counting off and on."""
    full.workshop.directory.chmod(0o755)
    full.master.socket.chmod(0o666)
    start_counting(full, prefix, arguments=["-u", "nobody"])
    before = full.manager.get("pwConnectFailures")
    fail(full, 3)
    counted = eventually(lambda: full.manager.get("pwConnectFailures") >= before + 3 and full.manager.get("pwConnectFailures"))
    full.daemon.configure("connect-failures = false")
    full.daemon.reload()
    eventually(lambda: full.manager.get("pwConnectFailuresStatus") == "unavailable")
    assert full.manager.get("pwConnectFailuresReason") == "connect-failures = false"
    off = full.manager.get("pwConnectFailures")
    assert off >= counted
    fail(full, 3)
    full.polls()
    assert full.manager.get("pwConnectFailures") == off
    full.daemon.configure("")
    full.daemon.reload()
    eventually(lambda: full.manager.get("pwConnectFailuresStatus") == "counting")
    fail(full, 2)
    eventually(lambda: full.manager.get("pwConnectFailures") >= off + 2)


def test_a_failure_is_told_within_a_second(make_scene):
    """Whatever the interval of the polls."""
    scene = make_scene(40000, 40009, TRAP_V2C)
    scene.load.listen(HERE, PORT)
    scene.load.connect(10, HERE, PORT)
    start_counting(scene, WITH_TRACEFS, interval=600)
    name = f"python3 (pid {scene.load.pid})"

    def polls():
        """Others on the host may ring for polls of their own."""
        return scene.manager.get("pwPolls") - scene.manager.get("pwRings")

    before = polls()
    fail(scene)
    started = time.monotonic()
    eventually(lambda: any(name in e["pwEventText"] for e in failing(scene)))
    assert time.monotonic() - started < 1 * PATIENCE
    for _ in range(50):
        fail(scene)
    assert polls() - before <= 2 + (time.monotonic() - started)


def test_a_burst_between_two_polls_is_seen(make_scene):
    """Full for a moment, long before the next poll: the pool has a row with its peak, and an alarm."""
    scene = make_scene(40000, 40999, TRAP_V2C)
    scene.load.listen(HERE, PORT)
    start_counting(scene, WITH_TRACEFS, interval=600)
    scene.load.connect(1000, HERE, PORT)
    fail(scene)
    name = f"tcp {HERE} -> {HERE}:{PORT}"
    event = eventually(lambda: next((e for e in scene.notifications() if e["notification"] == "pwPoolRising"), None))
    assert (event["pwEventPoolName"], event["pwEventState"], event["pwEventUsed"]) == (name, "exhausted", 1000)
    row = eventually(lambda: (row := scene.manager.pool(name))["pwPoolFailures"] == 1 and row)
    assert row["pwPoolPeak"] == 1000


def test_without_tracefs_and_bpf_it_says_so(full):
    full.start(failures=True, prefix=WITHOUT_TRACEFS + WITHOUT_BPF)
    fail(full, 3)
    full.polls()
    assert full.manager.get("pwConnectFailuresStatus") == "unavailable"
    assert full.manager.get("pwConnectFailures") == 0
    reason = full.manager.get("pwConnectFailuresReason")
    assert reason.startswith("tracefs is not mounted at /sys/kernel/tracing")
    assert full.daemon.log().count(f"failing connects are not counted: {reason}") == 1
    assert not failing(full)


def test_without_the_capability_it_says_so(full):
    full.start(failures=True, prefix=[*WITH_TRACEFS, "setpriv", "--bounding-set=-perfmon,-bpf,-sys_admin", "--inh-caps=-perfmon,-bpf,-sys_admin", "--"])
    assert full.manager.get("pwConnectFailuresStatus") == "unavailable"
    assert full.manager.get("pwConnectFailuresReason").startswith("perf_event_open: Permission denied (it needs root or CAP_PERFMON); BPF: ")
