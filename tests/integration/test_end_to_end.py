# SPDX-License-Identifier: BSD-2-Clause
"""From the kernel's sockets to a walked table and a received notification: what an operator relies on."""

import json
import os
import pathlib
import signal
import socket
import threading

import pytest
from harness import equals, eventually, program
from scene import INFORM_V3, TRAP_V2C, TRAP_V3, connect_index, connect_pool, ipv4
from snmp import V3_USER

HERE, THERE = "127.0.0.1", "127.0.0.1"
WEB = connect_pool(HERE, THERE, 8080)


def counts(row):
    """The numbers of ports in a row, by the column name without pwPool."""
    names = ("Capacity", "Used", "TimeWait", "Blocked", "Reusable", "Free", "Utilization")
    return {name: row[f"pwPool{name}"] for name in names}


def assert_identity(row):
    """used + blocked + free - reusable = capacity (on ranges of even width)."""
    n = counts(row)
    assert n["Used"] + n["Blocked"] + n["Free"] - n["Reusable"] == n["Capacity"], n


def test_only_the_collector_gives_way(scene):
    """SNMP is answered while a poll runs: the thread that polls may be interrupted at any time, the other one is as any."""
    scene.start()
    collector = scene.daemon.pid
    equals(lambda: os.sched_getscheduler(collector), os.SCHED_BATCH)
    agents = {int(task.name) for task in pathlib.Path(f"/proc/{collector}/task").iterdir()} - {collector}
    assert agents and {os.sched_getscheduler(thread) for thread in agents} == {os.SCHED_OTHER}


# --- connect pools ---------------------------------------------------------------------------------------------------


def test_600_of_1000_ports(scene):
    scene.load.listen(THERE, 8080)
    scene.start()
    scene.load.connect(600, THERE, 8080)
    row = scene.until(WEB, used=600, state="warning")
    assert counts(row) == {"Capacity": 1000, "Used": 600, "TimeWait": 0, "Blocked": 0, "Reusable": 0, "Free": 400,
                           "Utilization": 60}
    assert row["pwPoolStateReason"] == "utilization"
    assert (row["pwPoolLocalText"], row["pwPoolRemoteText"], row["pwPoolPort"]) == (HERE, THERE, 8080)
    assert (row["pwPoolWarningThreshold"], row["pwPoolCriticalThreshold"]) == (50, 80)
    assert row["pwPoolFastFree"] == 0, "connect() fills the ports of the low end's parity first"
    assert row["pwPoolPeak"] == 600

    event, = scene.expect([(WEB, "normal", "warning")])
    assert event["notification"] == "pwPoolRising"
    said = {name: event[f"pwEvent{name}"] for name in ("Capacity", "Used", "TimeWait", "Free", "Utilization", "Threshold", "Port")}
    assert said == {"Capacity": 1000, "Used": 600, "TimeWait": 0, "Free": 400, "Utilization": 60, "Threshold": 50, "Port": 8080}
    assert (event["pwEventKind"], event["pwEventProtocol"], event["pwEventReason"]) == ("connect", "tcp", "utilization")


def test_row_is_found_by_an_index_computed_elsewhere(scene, mib):
    scene.load.listen(THERE, 8080)
    scene.load.connect(600, THERE, 8080)
    scene.start()
    scene.until(WEB, used=600)
    index = connect_index(ipv4(HERE), ipv4(THERE), 8080)
    wanted = {"pwPoolUsed": 600, "pwPoolFree": 400, "pwPoolUtilization": 60, "pwPoolState": 2}
    answers = scene.manager.get_oids(*(f"{mib.oid[name]}.{index}" for name in wanted))
    assert [value for _, value in answers] == list(wanted.values())
    event, = scene.notifications()
    row_oid = event["pwEventPool"]
    assert row_oid.endswith("." + index) and scene.manager.get_oids(row_oid)[0][1] is not None


def test_another_port_is_another_pool(scene):
    for port in (8080, 8081):
        scene.load.listen(THERE, port)
    scene.start()
    scene.load.connect(600, THERE, 8080)
    scene.load.connect(200, THERE, 8081)
    second = scene.until(connect_pool(HERE, THERE, 8081), used=200, state="normal")
    assert counts(second)["Free"] == 800
    scene.until(WEB, used=600, free=400, state="warning")
    scene.expect([(WEB, "normal", "warning")])


def test_ipv6_and_mapped_clients(scene):
    scene.load.listen("::", 8080, v6only=False)
    scene.load.connect(70, THERE, 8080)
    scene.load.connect(80, "::ffff:127.0.0.1", 8080)
    scene.load.connect(90, "::1", 8080)
    scene.start()
    assert_identity(scene.until(WEB, used=150, free=850))
    assert_identity(scene.until(connect_pool("::1", "::1", 8080), used=90, free=910))
    assert not [name for name in scene.manager.pools() if "ffff" in name]


@pytest.mark.parametrize("reuse, reusable", [(0, 0), (2, 120)])
def test_time_wait_is_counted_apart(make_scene, reuse, reusable):
    """Under tcp_tw_reuse = 2 the TIME_WAIT of loopback is handed out again after a second, and counts as free."""
    scene = make_scene(tcp_tw_reuse=reuse)
    listener = scene.load.listen(THERE, 8080)
    clients = scene.load.connect(300, THERE, 8080)
    scene.start()
    clients.finish(listener, 120)
    row = scene.until(WEB, used=300, timeWait=120, reusable=reusable, free=700 + reusable)
    assert_identity(row)
    # the kernel agrees: exactly so many further connections succeed
    assert scene.load.connect(1000, THERE, 8080, exact=False).made == 700 + reusable


def test_reserved_ports_shrink_the_capacity(scene):
    scene.load.listen(THERE, 8080)
    ports = scene.load.connect(450, THERE, 8080).ports()
    scene.start()
    scene.until(WEB, capacity=1000, used=450, utilization=45, state="normal")
    scene.ns.sysctl("ipv4/ip_local_reserved_ports", "40900-40999,50000")
    used = sum(port < 40900 for port in ports)
    scene.until(WEB, capacity=900, used=used, free=900 - used, utilization=100 * used // 900)
    namespace, = scene.manager.table("pwNamespaceTable").values()
    assert (namespace["pwNsLow"], namespace["pwNsHigh"], namespace["pwNsReserved"], namespace["pwNsCapacity"]) == (
        40000, 40999, 100, 900)


def test_range_can_change_while_running(scene):
    scene.load.listen(THERE, 8080)
    scene.load.connect(300, THERE, 8080)
    scene.start()
    scene.until(WEB, capacity=1000, used=300)
    scene.ns.set_range(40000, 41999)
    scene.until(WEB, capacity=2000, used=300, free=1700)


@pytest.mark.slow
def test_full_default_range(make_scene):
    scene = make_scene(32768, 60999)
    scene.load.listen(THERE, 8080)
    scene.start()
    clients = [scene.load, scene.workshop.load(scene.ns)]
    for client in clients:
        client.send("connect", host=THERE, port=8080, count=14116)
    assert sum(client.receive()["made"] for client in clients) == 28232
    row = scene.until(WEB, 30, used=28232, state="exhausted")
    assert counts(row) == {"Capacity": 28232, "Used": 28232, "TimeWait": 0, "Blocked": 0, "Reusable": 0, "Free": 0,
                           "Utilization": 100}
    eventually(lambda: scene.crossings()[-1][2] == "exhausted")
    assert scene.notifications()[-1]["pwEventFree"] == 0


# --- bind pools ------------------------------------------------------------------------------------------------------


def test_tcp_bind_pool_and_the_ports_it_blocks(scene):
    scene.load.listen(THERE, 8080)
    scene.load.hold(300, HERE)
    scene.load.connect(100, THERE, 8080)
    scene.start()
    scene.until(f"tcp {HERE} bind", used=400, free=600, port=0, remoteText="")
    row = scene.until(WEB, used=100, blocked=300, free=600)
    assert_identity(row)
    assert scene.load.connect(1000, THERE, 8080, exact=False).made == 600


def test_udp_pools(scene):
    scene.load.hold(350, HERE, protocol="udp")
    scene.start()
    row = scene.until(f"udp {HERE} bind", used=350 + shared_udp_ports(scene))
    assert counts(row)["Free"] == 1000 - row["pwPoolUsed"]
    scene.load.connect(200, HERE, 9, method="udp")
    scene.until("udp 0.0.0.0 bind", state="warning")
    name, previous, new = eventually(scene.crossings)[-1]
    assert (name.split()[0], previous, new) == ("udp", "normal", "warning")


def shared_udp_ports(scene):
    """UDP ports in the range on wildcard addresses: they belong to every pool of the family."""
    table = scene.ns.run("ss", "-Huan").stdout.splitlines()
    local = [line.split()[3].rpartition(":") for line in table]
    return sum(40000 <= int(port) <= 40999 and host in ("0.0.0.0", "*") for host, _, port in local)


# --- the tables by other clients -------------------------------------------------------------------------------------


def populate(scene):
    """A few rows in every table."""
    scene.load.listen("::", 8080, v6only=False)
    scene.load.connect(600, THERE, 8080)
    scene.load.connect(200, "::1", 8080)
    scene.load.connect(850, "127.0.0.2", 8080)
    scene.load.hold(70, "127.0.0.3", protocol="udp")


def test_every_object_answers_get_and_getnext_in_order(scene, mib):
    populate(scene)
    scene.start()
    scene.expect([(connect_pool(HERE, "127.0.0.2", 8080), "normal", "critical"), (WEB, "normal", "warning")])
    walk = [oid for oid, _ in scene.manager.walk_oids(mib.oid["portwatchMIB"])]
    keys = [[int(part) for part in oid.split(".")] for oid in walk]
    assert keys == sorted(keys) and len(set(walk)) == len(walk)
    names = {mib.split(oid)[0] for oid in walk}
    for table in ("pwNamespaceTable", "pwPoolTable", "pwTopTable", "pwAlarmTable"):
        assert names & set(mib.columns(table)), f"{table} is empty"
    assert [oid for oid, _ in scene.manager.walk_oids(mib.oid["portwatchMIB"], repetitions=0)] == walk
    for some in chunks(walk, 20):
        answers = scene.manager.get_oids(*some)
        assert [oid for oid, value in answers if value is not None] == some
        nexts = scene.manager.raw("snmpgetnext", *some)
        successors = [line.split(" = ")[0].lstrip(".") for line in nexts.splitlines() if line.startswith(".1.")]
        follow = walk[walk.index(some[0]) + 1:][:len(some)]
        assert successors[:len(follow)] == follow


def chunks(items, size):
    return [items[start:start + size] for start in range(0, len(items), size)]


MOVING = ("Age", "Poll", "Time", "Generation", "Growth", "Latency", "Seen", "Sent")
UDP_BIND_POOL = ["2", "17"]  # kind and protocol: the SNMP clients of the test draw from these pools themselves


def stable(varbinds, mib):
    """Without what changes from poll to poll."""

    def is_stable(oid):
        name, index = mib.split(oid)
        return not any(word in (name or "") for word in MOVING) and index.split(".")[1:3] != UDP_BIND_POOL

    return {oid: value for oid, value in varbinds if is_stable(oid)}


def pysnmp_bulk(ns, oid, repetitions):
    """[oid] of everything below an OID, by a client that shares no code with net-snmp."""
    hlapi = pytest.importorskip("pysnmp.hlapi")
    engine = hlapi.SnmpEngine()
    target = hlapi.UdpTransportTarget(("127.0.0.1", 161), timeout=2, retries=2)
    found = []
    with ns.entered():
        answers = hlapi.bulkCmd(engine, hlapi.CommunityData("public", mpModel=1), target, hlapi.ContextData(), 0, repetitions,
                                hlapi.ObjectType(hlapi.ObjectIdentity(oid)), lexicographicMode=False, lookupMib=False)
        for failure, status, _, varbinds in answers:
            assert not failure and not status, (failure, status)
            found += [(str(name), value) for name, value in varbinds]
    return found


def native(value):
    """A pysnmp value as parse_value() gives it."""
    kind = type(value).__name__
    if kind == "ObjectIdentifier":
        return str(value)
    return bytes(value) if kind == "OctetString" else int(value)


def test_pysnmp_sees_the_same_rows(scene, mib):
    populate(scene)
    scene.start()
    for pool in (WEB, connect_pool(HERE, "127.0.0.2", 8080)):
        scene.until(pool, basis="read")
    scene.polls(2)
    ours = stable(scene.manager.walk_oids(mib.oid["pwPoolTable"]), mib)
    theirs = stable([(oid, native(value)) for oid, value in pysnmp_bulk(scene.ns, mib.oid["pwPoolTable"], 20)], mib)
    assert theirs == ours


def test_getbulk_with_any_number_of_repetitions(scene, mib):
    populate(scene)
    scene.start()
    scene.until(WEB, state="warning")
    scene.polls(2)
    expected = [oid for oid, _ in scene.manager.walk_oids(mib.oid["pwPoolTable"])]
    for repetitions in range(1, 101):
        found = [oid for oid, _ in scene.manager.walk_oids(mib.oid["pwPoolTable"], repetitions)]
        assert found == expected, f"with {repetitions} repetitions"


# --- notifications ---------------------------------------------------------------------------------------------------


class Tap:
    """A UDP socket in the namespace that keeps the datagrams it receives."""

    def __init__(self, ns, host, port):
        with ns.entered():
            self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind((host, port))
        self.datagrams = []
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            try:
                self.datagrams.append(self._socket.recv(65535))
            except OSError:
                return

    def stop(self):
        self._socket.close()


LONG_LOCAL, LONG_REMOTE = "2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
LONG_LABEL = "payment gateway of the second data centre, through the old link"


def test_ipv6_notification_over_v3_fits_one_datagram(make_scene):
    scene = make_scene(snmpd=f"{TRAP_V2C}\n{TRAP_V3} udp6:[::1]:1163\n")
    tap = scene.workshop.keep(Tap(scene.ns, "::1", 1163))
    for address in (LONG_LOCAL, LONG_REMOTE):
        scene.ns.run("ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
    scene.load.listen(LONG_REMOTE, 65535)
    scene.start(f'pool "{LONG_LABEL}" {{ remote = {{ "{LONG_REMOTE}" }}  port = {{ 65535 }} }}')
    before = len(tap.datagrams)
    scene.load.connect(900, LONG_REMOTE, 65535, source=LONG_LOCAL)
    event, = scene.expect([(connect_pool(LONG_LOCAL, LONG_REMOTE, 65535), "normal", "critical")])
    assert event["pwEventLabel"] == LONG_LABEL
    datagrams = eventually(lambda: tap.datagrams[before:])
    assert max(map(len, datagrams)) <= 1472
    assert max(map(len, datagrams)) > 500, "this was no notification with all its objects"


def test_notification_reaches_v3_receivers(make_scene):
    scene = make_scene(snmpd=f"{TRAP_V2C}\n{INFORM_V3}\n")
    informed = scene.another_receiver("informed", "udp:127.0.0.1:1162")
    scene.load.listen(THERE, 8080)
    scene.start()
    clients = scene.load.connect(600, THERE, 8080)
    scene.until(WEB, state="warning")
    clients.reset(300)
    expected = [(WEB, "normal", "warning"), (WEB, "warning", "normal")]
    assert scene.expect(expected) == scene.expect(expected, informed)
    assert f"INFORM, SNMP v3, user {V3_USER}" in informed.log()


# --- the configuration file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line, text", [
    (1, "poll-interval = fast"),
    (1, "pol-interval = 3"),
    (1, "poll-interval = -1"),
    (2, "\nwarning { rise = 110 }"),
    (1, "warning { rise = 50  fall = 60 }"),
    (2, "warning { rise = 90  fall = 85 }\ncritical { rise = 80  fall = 75 }"),
    (3, 'pool "x" {\n port = { 443 }\n remote = { "10.0.0.1/8" }\n}'),
    (2, 'pool "x" {\n port = { 70000 }\n}'),
    (2, 'pool "x" {\n kind = listen\n}'),
    (1, 'ignore { remote = { "300.1.2.3" } }'),
    (1, "warning { rise = 50"),
    (1, "probe = maybe"),
    (1, "min-used = many"),
])
def test_mistakes_are_told_with_their_place(scene, line, text):
    file = scene.workshop.directory / "bad.conf"
    file.write_text(text + "\n")
    result = scene.ns.run(program("portwatchd"), "-t", "-c", file, check=False)
    assert result.returncode == 1
    said = (result.stderr + result.stdout).strip()
    assert any(message.startswith(f"{file}:{line}: ") for message in said.splitlines()), said


def test_good_configuration_is_silent(scene):
    file = scene.workshop.directory / "good.conf"
    file.write_text('poll-interval = 2\npool "gateway" { kind = connect  remote = { "10.0.0.0/24" }  warning { rise = 30 } }\n')
    result = scene.ns.run(program("portwatchd"), "-t", "-c", file)
    assert (result.returncode, result.stderr) == (0, "")


def test_reload(scene):
    scene.load.listen(THERE, 8080)
    scene.start()
    scene.load.connect(400, THERE, 8080)
    scene.until(WEB, used=400, state="normal", warningThreshold=50)
    scene.daemon.configure("warning { rise = 30  fall = 20 }")
    scene.daemon.reload()
    scene.until(WEB, state="warning", warningThreshold=30)
    scene.expect([(WEB, "normal", "warning")])
    scene.daemon.configure("warning { rise = 10  fall = 20 }")
    scene.daemon.reload()
    equals(lambda: scene.manager.get("pwConfigStatus"), "reloadFailed")
    assert f"{scene.daemon.config}:" in scene.daemon.log()
    scene.until(WEB, state="warning", warningThreshold=30)
    scene.daemon.configure("warning { rise = 60  fall = 50 }")
    scene.daemon.reload()
    equals(lambda: scene.manager.get("pwConfigStatus"), "ok")
    scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "normal")])


def detached(directory):
    """The process that has left its starter; it is the only one whose arguments name the directory's socket."""
    found = [int(entry.parent.name) for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline")
             if entry.exists() and f"{directory}/agentx".encode() in entry.read_bytes().split(b"\0")]
    assert len(found) == 1, found
    return found[0]


def test_detached_daemon_reloads_a_file_beside_its_starter(scene):
    """It changes to the root directory: a path that is relative to the directory of the start must go on to work."""
    directory = scene.workshop.directory
    file = directory / "relative.conf"
    file.write_text("poll-interval = 0.2\n")
    start = [program("portwatchd"), "-c", file.name, "-x", directory / "agentx"]
    scene.ns.run(*start, cwd=directory)
    pid = detached(directory)
    try:
        scene.manager.ready()
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        file.write_text("poll-interval = 0.25\n")
        os.kill(pid, signal.SIGHUP)
        equals(lambda: scene.manager.get("pwPollInterval"), 250)
        assert scene.manager.get("pwConfigStatus") == "ok"
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pathlib.Path(f"/proc/{pid}").exists())


# --- the program portwatch -------------------------------------------------------------------------------------------


def camel(column):
    """pwPoolTimeWait -> timeWait"""
    name = column.removeprefix("pwPool")
    return name[0].lower() + name[1:]


def test_portwatch_shows_the_same_numbers(scene):
    populate(scene)
    scene.start()
    scene.until(WEB, used=600, state="warning")
    document = json.loads(scene.ns.run(program("portwatch"), "--json", "--all").stdout)
    shown = {pool["name"]: pool for pool in document["pools"]}
    compared = ("Capacity", "Used", "TimeWait", "Blocked", "Free", "FastFree", "Utilization", "Reusable")
    for name, row in scene.manager.pools().items():
        assert name in shown
        if name.startswith("udp "):  # the SNMP clients of the test draw from these themselves
            continue
        for column in compared:
            assert shown[name][camel("pwPool" + column)] == row["pwPool" + column], f"{name}: {column}"
