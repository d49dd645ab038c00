# SPDX-License-Identifier: BSD-2-Clause
"""Other network namespaces: they come and go while portwatchd polls, have rows in every table, and are not kept alive.

Netlink finds those of the cell and enters them; BPF reads all of this machine from the outside, those of other tests among them."""

import json
import socket

import pytest

from faults import FaultyDaemon
from harness import Cell, Namespace, eventually, program
from scene import Scene
from systemd import Systemd

LOW, HIGH, USED, PORT = 40000, 40009, 6, 8080
STOP_SECONDS = 2
WATCHED = [f"n{number:02}" for number in range(50)]
NETLINK, BPF = "backend = netlink\n", "backend = bpf\n"
LOADS_ONLY = ("setpriv", "--bounding-set", "-all,+bpf,+perfmon")


class Tenant:
    """A network namespace of the cell with connections in it, and one end of a veth pair whose other end is in the scene."""

    def __init__(self, scene, name):
        self.name, self.ns = name, Namespace.of(scene.daemon.named(name))
        self.ns.run("ip", "link", "set", "lo", "up")
        self.ns.set_range(LOW, HIGH)
        with self.ns.entered():
            self.sockets = [socket.create_server(("127.0.0.1", PORT))]
            self.sockets += [socket.create_connection(("127.0.0.1", PORT)) for _ in range(USED)]

    def leave(self):
        """Nothing of the test is in the namespace any more."""
        for sock in self.sockets:
            sock.close()
        self.ns.close()


def pool_of(name):
    return f"tcp 127.0.0.1 -> 127.0.0.1:{PORT}@{name}"


@pytest.fixture
def scene(workshop, mib):
    return Scene(workshop, mib)


def start(scene, config, **options):
    scene.daemon = scene.workshop.keep(Cell(scene.ns, scene.workshop.directory, scene.master.socket, config, interval=0.1, **options))
    scene.manager.ready()


def add(scene, names):
    """Makes namespaces, each with a veth whose peer is in the scene: it is there as long as the namespace is."""
    batch = scene.workshop.directory / "batch"
    batch.write_text("".join(f"netns add {name}\nlink add v-{name} type veth peer name v0 netns {name}\n" for name in names))
    scene.daemon.run(scene.ns, "ip", "-batch", batch)


def delete(scene, names):
    batch = scene.workshop.directory / "batch"
    batch.write_text("".join(f"netns delete {name}\n" for name in names))
    scene.daemon.run(scene.ns, "ip", "-batch", batch)


def alive(scene):
    """Namespaces that the kernel still has: those whose veth is there."""
    links = json.loads(scene.ns.run("ip", "-json", "link", "show", "type", "veth").stdout)
    return sorted(link["ifname"].removeprefix("v-") for link in links)


def namespaces(scene):
    """{name: index} of pwNamespaceTable; a row that went away during the walk has no name any more."""
    return {row["pwNsName"]: int(index) for index, row in scene.manager.table("pwNamespaceTable").items() if "pwNsName" in row}


def watches(scene, names):
    def probe():
        found = namespaces(scene)
        assert sorted(found) == ["", *sorted(names)]
        return found

    return eventually(probe, 20)


def child_of(scene):
    """A process of the cell in a network namespace of its own: (its pid there, the inode of the namespace)."""
    made = scene.daemon.run(scene.ns, "unshare", "--net", "sh", "-c", "sleep 600 >/dev/null 2>&1 & readlink /proc/self/ns/net; echo $!")
    link, pid = made.stdout.split()
    return pid, link.replace(":[", "-").rstrip("]")


def test_a_namespace_made_anew_is_another_one(scene):
    """Between two polls, under the same name (and often the same inode): its alarm ends, and is told to have ended."""
    start(scene, 'namespaces { names = { "blue" } }')
    add(scene, ["blue"])
    tenant = Tenant(scene, "blue")
    scene.expect([(pool_of("blue"), "normal", "warning")])
    with scene.daemon.paused():
        tenant.leave()
        delete(scene, ["blue"])
        scene.daemon.run(scene.ns, "ip", "netns", "add", "blue")
    scene.expect([(pool_of("blue"), "normal", "warning"), (pool_of("blue"), "warning", "normal")])
    assert scene.manager.get("pwActiveAlarms") == 0
    watches(scene, ["blue"])


def test_fifty_namespaces_come_and_go(scene):
    start(scene, NETLINK + "namespaces { all = true }\ntop = 50")
    add(scene, WATCHED)
    tenants = {name: Tenant(scene, name) for name in WATCHED}
    index = watches(scene, WATCHED)
    assert index[""] == 1
    eventually(lambda: scene.manager.get("pwActiveAlarms") == len(WATCHED), 20)
    expected = sorted(map(pool_of, WATCHED))
    rows = scene.manager.pools()
    assert sorted(name for name, row in rows.items() if row["pwPoolState"] == "warning") == expected
    assert all(rows[name]["pwPoolUsed"] == USED for name in expected)
    assert sorted(row["pwAlarmPoolName"] for row in scene.manager.table("pwAlarmTable").values()) == expected
    assert sorted(row["pwTopName"] for row in scene.manager.table("pwTopTable").values()) == expected
    for row in scene.manager.table("pwNamespaceTable").values():
        if row["pwNsName"]:
            assert (row["pwNsLow"], row["pwNsHigh"], row["pwNsStatus"]) == (LOW, HIGH, "ok")

    gone, stay = WATCHED[::2], WATCHED[1::2]
    for name in gone:
        tenants[name].leave()
    delete(scene, gone)
    eventually(lambda: alive(scene) == stay, 20)
    kept = watches(scene, stay)
    assert kept == {name: index[name] for name in kept}
    eventually(lambda: scene.manager.get("pwActiveAlarms") == len(stay), 20)
    assert sorted(name for name in scene.manager.pools() if "@" in name and name.startswith("tcp 127.0.0.1 ->")) == \
        sorted(map(pool_of, stay))

    # the same names again are other namespaces, and no number is used twice
    add(scene, gone)
    again = watches(scene, WATCHED)
    assert all(again[name] == index[name] for name in stay)
    assert not {again[name] for name in gone} & set(index.values())
    for name in stay:
        tenants[name].leave()


def test_churn_during_polls_frees_every_namespace(scene):
    start(scene, NETLINK + "namespaces { all = true }")
    for turn in range(5):
        names = [f"t{turn}-{number}" for number in range(10)]
        polls = scene.manager.get("pwPolls")
        add(scene, names)
        if turn % 2:  # others live and die between two polls
            eventually(lambda before=polls: scene.manager.get("pwPolls") > before)
        delete(scene, names)
    eventually(lambda: not alive(scene), 20)
    watches(scene, [])
    assert scene.daemon.running


class FaultyCell(Cell, FaultyDaemon):
    """A Cell whose system calls fail on command."""


def watch_slowly(scene, **options):
    """portwatchd and twenty namespaces, each of whose settings takes a tenth of a second to read."""
    scene.daemon = scene.workshop.keep(
        FaultyCell(scene.ns, scene.workshop.directory, scene.master.socket, "namespaces { all = true }", **options))
    scene.manager.ready()
    add(scene, WATCHED[:20])
    watches(scene, WATCHED[:20])
    scene.daemon.faults.set(setting_ms=100)


def test_ends_in_the_middle_of_a_poll(scene):
    """A poll of twenty namespaces takes many seconds here; SIGTERM does not wait for it."""
    watch_slowly(scene)
    eventually(lambda: scene.manager.get("pwPollAge") > 1000, 20)
    assert scene.daemon.stop(STOP_SECONDS) == 0


def test_a_long_poll_is_a_sign_of_life(scene):
    """systemd hears of a poll of twenty namespaces while it goes on."""
    systemd = Systemd(scene.workshop.directory / "notify")
    watch_slowly(scene, interval=4, wrapper=systemd.starts(watchdog_s=2))
    # the one after that began a moment ago, and takes 4 s
    polls = scene.manager.get("pwPolls")
    eventually(lambda: scene.manager.get("pwPolls") >= polls + 2, 40)
    eventually(lambda: scene.manager.get("pwPollAge") > 1000, 20)
    polls, signs = scene.manager.get("pwPolls"), systemd.hear().count("WATCHDOG=1")
    eventually(lambda: systemd.hear().count("WATCHDOG=1") >= signs + 2)
    assert scene.manager.get("pwPolls") == polls
    assert scene.daemon.stop(STOP_SECONDS) == 0


def test_slow_namespaces_take_turns(scene):
    """Twenty namespaces that take half a second each: the host's own is read every other second all the same, and each of them has its turn."""
    watch_slowly(scene)
    eventually(lambda: "they take turns" in scene.daemon.log(), 40)
    polls = scene.manager.get("pwPolls")
    eventually(lambda: scene.manager.get("pwPolls") >= polls + 2, 40)
    assert scene.manager.get("pwPollDuration") < 6_000_000  # 10 s without a limit
    last = WATCHED[19]
    tenants = [Tenant(scene, name) for name in (WATCHED[0], WATCHED[10], last)]
    for tenant in tenants:
        scene.until(pool_of(tenant.name), 40, state="warning")
    scene.daemon.faults.clear()
    eventually(lambda: "read at each poll again" in scene.daemon.log(), 40)
    assert scene.manager.get("pwPollErrors") == 0


@pytest.mark.parametrize("backend", ["netlink", "auto"])
def test_a_namespace_with_too_many_sockets(scene, backend):
    """It is not read, and that is told; neither the host's own pools nor those of a small neighbour suffer, however many sockets they have."""
    start(scene, f'backend = {backend}\nnamespaces {{ names = {{ "large", "small" }}  max-sockets = 300 }}')
    add(scene, ["large", "small"])
    small = Tenant(scene, "small")
    scene.until(pool_of("small"), state="warning")
    large = Tenant(scene, "large")
    scene.until(pool_of("large"), state="warning")
    with large.ns.entered():
        crowd = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(300)]
        for number, sock in enumerate(crowd):
            sock.bind(("127.0.0.1", 20000 + number))
    eventually(lambda: "large: poll failed: it has 3" in scene.daemon.log())
    eventually(lambda: [event["pwEventText"][:5] for event in scene.notifications() if event["notification"] == "pwCollectorFailed"] == ["large"], 40)
    scene.load.listen("127.0.0.1", PORT)
    scene.load.connect(600, "127.0.0.1", PORT)
    scene.until(f"tcp 127.0.0.1 -> 127.0.0.1:{PORT}", used=600, state="warning")
    with small.ns.entered():
        small.sockets += [socket.create_connection(("127.0.0.1", PORT)) for _ in range(3)]
    scene.until(pool_of("small"), used=USED + 3, state="critical")
    assert scene.manager.pool(pool_of("large"))["pwPoolState"] == "warning"
    for sock in crowd:
        sock.close()
    eventually(lambda: "large: polls succeed again" in scene.daemon.log())
    eventually(lambda: "pwCollectorRecovered" in [event["notification"] for event in scene.notifications()])


def test_more_namespaces_than_descriptors(scene):
    """Those that were found first are watched, and the own one; the others are refused with one line, and follow when there is room."""
    start(scene, NETLINK + "namespaces { all = true }", wrapper=("prlimit", "--nofile=190:190"))
    fit = (190 - 128) // 5
    add(scene, WATCHED[:20])
    eventually(lambda: len(namespaces(scene)) == fit + 1)
    errors = scene.manager.get("pwPollErrors")
    eventually(lambda: scene.manager.get("pwPollErrors") > errors)
    scene.polls(5)
    assert scene.manager.get("pwPollAge") < 5000
    log = scene.daemon.log()
    assert log.count("descriptors (RLIMIT_NOFILE) are too few") == 1 and "poll failed" not in log
    delete(scene, WATCHED[:15])
    watches(scene, WATCHED[15:20])
    errors = scene.manager.get("pwPollErrors")
    scene.polls(5)
    assert scene.manager.get("pwPollErrors") == errors
    assert "all network namespaces are watched again" in scene.daemon.log()


def test_a_namespace_that_only_a_process_holds(scene):
    start(scene, NETLINK + "namespaces { all = true }\nmin-used = 1")
    add(scene, ["blue"])
    watches(scene, ["blue"])
    pid, name = child_of(scene)
    delete(scene, ["blue"])  # a namespace that has gone makes it look through the processes at once
    watches(scene, [name])
    scene.daemon.run(scene.ns, "sh", "-c", f"kill {pid}")
    watches(scene, [])


def test_without_the_privilege_only_the_own_one_is_watched_and_that_is_said_once(scene):
    start(scene, NETLINK + "namespaces { all = true }", wrapper=("setpriv", "--bounding-set", "-sys_admin"))
    add(scene, ["blue", "green"])
    scene.polls(5)
    assert namespaces(scene) == {"": 1}
    said = [line for line in scene.daemon.log().splitlines() if "only the own network namespace is watched" in line]
    assert len(said) == 1 and "CAP_SYS_ADMIN" in said[0]
    assert "poll failed" not in scene.daemon.log()


@pytest.mark.parametrize("backend", [NETLINK, BPF], ids=["netlink", "bpf"])
def test_a_name_without_a_namespace_is_none_yet(scene, backend):
    """ip-netns(8) makes the file first."""
    start(scene, backend + 'namespaces { names = { "half", "blue" } }')
    scene.daemon.run(scene.ns, "sh", "-c", ": >/run/netns/half")
    add(scene, ["blue"])
    watches(scene, ["blue"])
    scene.polls(3)
    assert scene.manager.get("pwPollErrors") == 0 and "poll failed" not in scene.daemon.log()
    scene.daemon.run(scene.ns, "rm", "/run/netns/half")
    add(scene, ["half"])
    watches(scene, ["blue", "half"])


def test_an_idle_namespace_costs_no_dump(scene):
    start(scene, NETLINK + "namespaces { all = true }")
    add(scene, ["idle", "busy"])
    tenant = Tenant(scene, "busy")
    watches(scene, ["busy", "idle"])
    scene.until(pool_of("busy"), state="warning")
    scene.polls(5)
    assert "busydump: " in scene.daemon.log()
    assert "idledump: " not in scene.daemon.log()
    tenant.leave()


@pytest.mark.alone
def test_all_are_read_from_the_outside(scene):
    """Without a privilege but to load the programs, which test_privileges.py sees given up: ranges, reserved ports, pools, numbers of sockets and names of interfaces of namespaces that nobody enters."""
    start(scene, BPF + "namespaces { all = true }\nmin-used = 1\nmax-rows = 10000\nprobe = off\nconnect-failures = false",
          wrapper=LOADS_ONLY)
    if "sockets are read by BPF" not in scene.daemon.log():
        pytest.skip(f"no walk: {scene.daemon.log()}")
    with open(f"/proc/{scene.daemon.inner}/status", encoding="ascii") as lines:
        assert {line.split()[1] for line in lines if line.startswith(("CapEff", "CapPrm"))} == {"000000c000000000"}
    add(scene, ["blue"])
    pid, unnamed = child_of(scene)
    settings = Namespace.of(scene.daemon.named("blue"))
    settings.sysctl("ipv4/ip_local_reserved_ports", "40003,40005-40006")
    settings.sysctl("ipv4/tcp_tw_reuse", "1")
    settings.close()
    tenant = Tenant(scene, "blue")
    with tenant.ns.entered():
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        bound.connect(("127.0.0.1", PORT))
    index = eventually(lambda: namespaces(scene).get("blue"))
    name = f"tcp 127.0.0.1%lo -> 127.0.0.1:{PORT}@blue"
    assert scene.until(name, capacity=HIGH - LOW + 1 - 3, used=USED + 1)
    row = scene.manager.table("pwNamespaceTable")[str(index)]
    assert (row["pwNsLow"], row["pwNsHigh"], row["pwNsStatus"], row["pwNsTimeWaitReuse"]) == (LOW, HIGH, "ok", "on")
    assert (row["pwNsTcpSockets"], row["pwNsBasis"]) == (2 * USED + 3, "read")  # a listener, and both ends of each connection
    eventually(lambda: unnamed in namespaces(scene))

    bound.close()
    tenant.leave()
    delete(scene, ["blue"])
    scene.daemon.run(scene.ns, "sh", "-c", f"kill {pid}")
    eventually(lambda: not {"blue", unnamed} & set(namespaces(scene)), 20)
    assert not alive(scene)
    add(scene, ["blue"])
    eventually(lambda: namespaces(scene).get("blue", 0) > index)
    assert "poll failed" not in scene.daemon.log()


@pytest.mark.alone
def test_portwatch_looks_into_the_namespaces_that_are_named(scene):
    start(scene, "namespaces { all = true }")
    add(scene, ["blue", "green", "red"])
    tenants = [Tenant(scene, name) for name in ("blue", "green")]

    def names(*filters):
        document = json.loads(scene.daemon.run(scene.ns, program("portwatch"), "--json", "--all", *filters).stdout)
        return ({row["name"] for row in document["namespaces"]},
                {pool["name"] for pool in document["pools"] if pool["kind"] == "connect"})

    assert names("--netns", "blue") == ({"blue"}, {pool_of("blue")})
    assert names("--netns", "red", "--netns", "green") == ({"green", "red"}, {pool_of("green")})
    found, pools = names("--netns", "*")
    assert {"", "blue", "green", "red"} <= found and {pool_of("blue"), pool_of("green")} <= pools
    for tenant in tenants:
        tenant.leave()
