# SPDX-License-Identifier: BSD-2-Clause
"""What operators are told, and what they are spared: scripted loads, and exactly the notifications that must follow."""

import threading
import time

import pytest
from harness import PATIENCE, Cell, Namespace, equals, eventually, program
from scene import INFORM_V3, TRAP_V2C, connect_pool

HERE, THERE = "127.0.0.1", "127.0.0.1"
WEB = connect_pool(HERE, THERE, 8080)
ANY = "tcp any new destination"


class Level:
    """Keeps a pool at a given number of connections."""

    def __init__(self, scene, host=THERE, port=8080, name=WEB):
        self._scene, self._host, self._port, self.name = scene, host, port, name
        self._groups = []
        scene.load.listen(host, port)

    def set(self, wanted):
        """Opens or resets connections until there are `wanted`, without waiting for portwatchd."""
        while self._groups and self._held() > wanted:
            last = self._groups[-1]
            drop = min(last.made, self._held() - wanted)
            last.reset(drop)
            last.made -= drop
            if last.made == 0:
                self._groups.pop()
        if self._held() < wanted:
            self._groups.append(self._scene.load.connect(wanted - self._held(), self._host, self._port))

    def _held(self):
        return sum(group.made for group in self._groups)

    def reach(self, wanted, **columns):
        """As set(), then waits until a poll has seen it and the row has these values."""
        self.set(wanted)
        return self._scene.until(self.name, used=wanted, **columns)


# --- thresholds ------------------------------------------------------------------------------------------------------

# Ports in use of 100, the state that must follow, and whether it is a crossing.
SCRIPT = [
    (40, "normal"),
    (60, "warning"),
    (47, "warning"),     # inside the band of 45 to 50
    (55, "warning"),
    (45, "normal"),
    (49, "normal"),
    (85, "critical"),    # two levels at once: one notification
    (76, "critical"),
    (100, "exhausted"),
    (99, "exhausted"),   # exhausted is left at 98 percent
    (100, "exhausted"),
    (98, "critical"),
    (74, "warning"),
    (20, "normal"),
]


def changes(script):
    """The crossings of a script: wherever two states in a row differ."""
    states = ["normal"] + [state for _, state in script]
    return [(WEB, old, new) for old, new in zip(states, states[1:]) if old != new]


def test_scripted_load_gives_exactly_its_notifications(make_scene):
    """60 of 100 ports alarm although that is below min-used: the floor follows the thresholds."""
    scene = make_scene(40000, 40099, snmpd=f"{TRAP_V2C}\n{INFORM_V3}\n")
    informed = scene.another_receiver("informed", "udp:127.0.0.1:1162")
    level = Level(scene)
    level.set(60)
    level.set(0)
    scene.start()
    for used, state in SCRIPT:
        if used >= 50 or scene.crossings():
            level.reach(used, state=state)
        else:
            level.set(used)
        scene.polls(2)
    expected = changes(SCRIPT)
    events = scene.expect(expected)
    assert scene.expect(expected, informed) == events
    for event in events:
        rising = event["notification"] == "pwPoolRising"
        order = ["normal", "warning", "critical", "exhausted"]
        assert rising == (order.index(event["pwEventState"]) > order.index(event["pwEventPreviousState"]))
    assert len({(event["pwEventId"], event["pwEventTime"]) for event in events}) == len(events)
    crossed = [(event["pwEventUsed"], event["pwEventFree"]) for event in events]
    assert crossed == [(60, 40), (45, 55), (85, 15), (100, 0), (98, 2), (74, 26), (20, 80)]


def test_churn_at_the_last_port_does_not_flap(make_scene):
    scene = make_scene(40000, 40099)
    level = Level(scene)
    scene.start()
    level.reach(100, state="exhausted")
    for _ in range(10):
        level.set(99)
        scene.polls(1)
        level.set(100)
        scene.polls(1)
    scene.expect([(WEB, "normal", "exhausted")])


def test_for_ignores_short_peaks(scene):
    level = Level(scene)
    scene.start("notify { for = 20 }", interval=0.1)
    level.reach(700, state="normal")
    level.reach(100, state="normal")
    scene.polls(25)
    assert scene.crossings() == []
    before = scene.manager.get("pwPolls")
    level.set(700)
    scene.until(WEB, 20, state="warning")
    assert scene.manager.get("pwPolls") - before >= 20
    scene.expect([(WEB, "normal", "warning")])


def test_renotify_repeats_active_alarms(scene):
    level = Level(scene)
    scene.start("notify { renotify = 1 }")
    level.reach(600, state="warning")
    eventually(lambda: len(scene.crossings()) >= 4, 15)
    assert set(scene.crossings()[1:]) == {(WEB, "warning", "warning")}
    level.reach(100, state="normal")
    eventually(lambda: scene.crossings()[-1] == (WEB, "warning", "normal"))
    told = len(scene.crossings())
    scene.polls(10)
    assert len(scene.crossings()) == told


def test_free_below(scene):
    level = Level(scene)
    scene.start(f'pool "few left" {{ remote = {{ "{THERE}" }}  port = {{ 8080 }}  free-below = 700 }}')
    level.reach(280, state="normal", freeThreshold=700)
    level.reach(350, state="warning", stateReason="freeThreshold")
    level.reach(150, state="normal")
    rising, _ = scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "normal")])
    assert (rising["pwEventReason"], rising["pwEventThreshold"], rising["pwEventLabel"]) == ("freeThreshold", 700, "few left")


def test_fast_free_below_warns_before_the_knee(scene):
    """connect() tries the 500 ports of one parity first: with 420 connections 80 of them are left."""
    level = Level(scene)
    scene.start(f'pool "gateway" {{ remote = {{ "{THERE}" }}  fast-free-below = 100 }}')
    level.reach(395, state="normal")
    level.reach(420, state="warning", stateReason="fastFreeThreshold", free=580, fastFree=80)
    level.reach(380, state="normal")
    rising, _ = scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "normal")])
    assert (rising["pwEventReason"], rising["pwEventThreshold"]) == ("fastFreeThreshold", 100)


def test_capacity_is_the_budget_of_a_nat_gateway(scene):
    """A gateway that grants 64 ports for each destination: they run out while the kernel has 936 left."""
    level = Level(scene)
    scene.start(f'pool "cloud nat" {{ kind = connect  remote = {{ "127.0.0.0/8" }}  capacity = 64 }}')
    level.reach(31, state="normal", capacity=64, free=33, utilization=48)
    level.reach(40, state="warning", capacity=64, free=24, utilization=62)
    level.reach(64, state="exhausted", free=0, utilization=100)
    scene.expect([(WEB, "normal", "warning"), (WEB, "warning", "exhausted")])


def test_a_proxys_list_of_source_ports(scene):
    """It lies outside of the range, and serves each destination anew; the pools of the range do not see it."""
    scene.load.listen(THERE, 8080)
    scene.load.listen("127.0.0.2", 8080)
    scene.start('pool "proxy" { remote = { "127.0.0.0/8" }  port = { 8080 }  ports = { "50000-50099" } }')
    first = scene.load.connect(60, THERE, 8080, source=HERE, method="list", low=50000, high=50099)
    scene.until(WEB, state="warning", capacity=100, used=60, free=40, blocked=0, utilization=60)
    scene.load.connect(30, "127.0.0.2", 8080, source=HERE, method="list", low=50000, high=50099)
    scene.until(connect_pool(HERE, "127.0.0.2", 8080), state="normal", capacity=100, used=30, free=70)
    scene.load.connect(40, THERE, 8080, source=HERE, method="list", low=50000, high=50099)
    scene.until(WEB, state="exhausted", free=0, utilization=100)
    assert scene.load.connect(1, THERE, 8080, exact=False, source=HERE, method="list", low=50000, high=50099).made == 0
    first.reset(60)
    scene.until(WEB, state="normal", used=40, free=60)


def test_a_slice_of_the_range(scene):
    """The kernel chooses the ports of a service from 40000 to 40099; what blocks one of them is missing there."""
    scene.load.listen(THERE, 8080)
    scene.load.hold(1, HERE, port=40050)
    scene.start('pool "slice" { remote = { "127.0.0.0/8" }  port = { 8080 }  ports = { "40000-40099" } }')
    scene.load.connect(60, THERE, 8080, source=HERE, low=40000, high=40099)
    scene.until(WEB, state="warning", capacity=100, used=60, blocked=1, free=39)
    assert scene.load.connect(100, THERE, 8080, exact=False, source=HERE, low=40000, high=40099).made == 39
    scene.until(WEB, state="exhausted", used=99, free=0)


def test_labels_add_up_their_pools(scene):
    """One backend with two addresses: what is left to it, in a table and on the command's screen."""
    near, far = Level(scene), Level(scene, "127.0.0.2", name="")
    scene.start('pool "backend" { kind = connect  remote = { "127.0.0.0/8" }  port = { 8080 } }\npool "idle" { kind = snat }\n')
    near.set(300)
    far.set(600)
    eventually(lambda: scene.manager.pool(connect_pool(HERE, "127.0.0.2", 8080))["pwPoolUsed"] == 600 or None)
    rows = eventually(lambda: scene.manager.table("pwLabelTable"))
    assert list(rows) == ["1", "2"] or list(rows) == [(1,), (2,)]
    first, second = rows.values()
    assert first == {"pwLabelName": "backend", "pwLabelPools": 2, "pwLabelCapacity": 2000, "pwLabelUsed": 900,
                     "pwLabelFree": 1100, "pwLabelWorstUtilization": 60, "pwLabelFailures": 0}
    assert (second["pwLabelName"], second["pwLabelPools"], second["pwLabelFree"]) == ("idle", 0, 0)


@pytest.mark.parametrize("backend", ["bpf", "netlink"])
def test_what_blocks_the_range_is_an_alarm_without_a_pool(scene, backend):
    """Listeners leave nothing for a new destination, and no pool of connect() shows it."""
    scene.start(f"backend = {backend}\n")
    bound = scene.load.hold(450, HERE, method="listen")
    scene.polls(3)
    assert ANY not in scene.manager.pools() and not scene.crossings()
    more = [scene.load.hold(450, HERE, method="listen")]
    scene.until(ANY, state="critical", capacity=1000, used=0, blocked=900, free=100, utilization=90)
    more.append(scene.load.hold(100, HERE, method="listen"))
    scene.until(ANY, state="exhausted", blocked=1000, free=0)
    [event, _] = scene.expect([(ANY, "normal", "critical"), (ANY, "critical", "exhausted")])
    assert event["pwEventText"] == "900 ports are blocked by listeners and bound sockets"
    assert scene.manager.pool(ANY)["pwPoolOwner"] != ""
    assert scene.load.connect(1, "127.0.0.9", 80, exact=False).errname == "EADDRNOTAVAIL"
    check = scene.ns.run(program("portwatch"), "--check", "--no-daemon", f"--backend={backend}", check=False)
    assert check.returncode == 2 and check.stdout.startswith(f"PORTWATCH CRITICAL - {ANY} at 100%, 0 of 1000 ports free")
    for group in (*more, bound):
        group.close()
    eventually(lambda: scene.crossings()[-1][2] == "normal")  # perhaps in steps: these are several groups
    assert {crossing[0] for crossing in scene.crossings()} == {ANY}


def test_one_cause_of_blocked_ports_is_one_alarm(scene):
    """Destinations that share what is blocked are not told beside it, nor it beside them."""
    scene.start()
    for address in ("127.0.0.2", "127.0.0.3"):
        Level(scene, address, name="").set(70)
    scene.load.hold(500, HERE)
    scene.until(ANY, state="warning")
    scene.polls(3)
    assert len(scene.crossings()) == 1


# --- sections --------------------------------------------------------------------------------------------------------


def test_ignore_hides_rows_and_alarms(scene):
    hidden, shown = Level(scene, "127.0.0.2", name=""), Level(scene)
    scene.start('ignore { remote = { "127.0.0.2" } }')
    hidden.set(700)
    shown.reach(600, state="warning")
    scene.expect([(WEB, "normal", "warning")])
    assert connect_pool(HERE, "127.0.0.2", 8080) not in scene.manager.pools()


def test_ports_of_ignored_pools_still_block(scene):
    """An ignored destination's sockets hold their ports for bind() on that address all the same."""
    Level(scene, "127.0.0.2", name="").set(300)
    scene.load.hold(100, HERE)
    scene.start('ignore { remote = { "127.0.0.2" } }')
    scene.until(f"tcp {HERE} bind", used=400, free=600)


def test_labels_and_thresholds_of_the_first_matching_section(scene):
    gateway, other = Level(scene, "127.0.0.2", name=connect_pool(HERE, "127.0.0.2", 8080)), Level(scene)
    scene.start('pool "payment gateway" { remote = { "127.0.0.2" }  warning { rise = 30  fall = 25 } }\n'
                'pool "everything" { kind = connect }\n'
                'pool "never reached" { port = { 8080 }  warning { rise = 1  fall = 0 } }')
    gateway.reach(350, state="warning", label="payment gateway", warningThreshold=30, criticalThreshold=80)
    other.reach(350, state="normal", label="everything", warningThreshold=50)
    event, = scene.expect([(connect_pool(HERE, "127.0.0.2", 8080), "normal", "warning")])
    assert (event["pwEventLabel"], event["pwEventThreshold"]) == ("payment gateway", 30)


def test_a_section_that_names_one_pool_always_has_its_row(scene):
    scene.start('pool "spare" { kind = connect  protocol = tcp  local = { "127.0.0.1" }  remote = { "127.0.0.9" }  port = { 443 } }')
    scene.until(connect_pool(HERE, "127.0.0.9", 443), used=0, free=1000, utilization=0, state="normal", label="spare")


# --- what alarms unasked ---------------------------------------------------------------------------------------------


def fill_range(scene, backends, each):
    """`each` connections to every backend, from ports of its own: together they use backends * each ports of one address."""
    scene.load.listen("0.0.0.0", 8080)
    for backend in range(backends):
        low = 40000 + backend * each
        scene.load.connect(each, f"127.0.1.{backend + 1}", 8080, low=low, high=low + each - 1)


def test_healthy_proxy_raises_nothing(scene):
    """Every port of the address is in use, but connect() shares ports between destinations: nothing is short."""
    fill_range(scene, 50, 20)
    scene.load.connect(80, "127.0.1.99", 8080)
    scene.start()
    scene.until(f"tcp {HERE} bind", used=1000, free=0, utilization=100, state="normal", warningThreshold=0)
    scene.polls(5)
    assert scene.notifications() == []
    assert scene.manager.get("pwActiveAlarms") == 0
    assert scene.manager.get("pwWorstPoolName") == connect_pool(HERE, "127.0.1.99", 8080)


def test_clients_that_bind_raise_an_alarm(scene):
    """The same proxy with clients that take their port by bind(): those do run out, and are told about."""
    fill_range(scene, 30, 20)
    scene.load.hold(300, HERE)
    scene.start()
    name = f"tcp {HERE} bind"
    scene.until(name, used=900, free=100, state="critical", warningThreshold=50, criticalThreshold=80)
    scene.expect([(name, "normal", "critical")])


def test_sockets_behind_a_listener_make_no_pool(make_scene):
    """A server whose port lies inside the range: its accepted sockets are inbound."""
    scene = make_scene(40000, 40999)
    scene.load.listen("127.0.0.1", 40500)
    scene.ns.set_range(50000, 50999)
    scene.load.connect(700, "127.0.0.1", 40500)
    scene.ns.set_range(40000, 40999)
    scene.start()
    scene.polls(3)
    assert scene.notifications() == []
    assert all(row["pwPoolUsed"] <= 1 for row in scene.manager.pools().values())
    namespace, = scene.manager.table("pwNamespaceTable").values()
    assert namespace["pwNsBlocked"] == 1


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_linger_and_leave(scene):
    level = Level(scene)
    scene.start("linger = 2")
    level.reach(100)
    level.reach(0, free=1000)
    eventually(lambda: WEB not in scene.manager.pools(), 8)


def test_most_utilized_pools_are_listed(scene):
    for host in range(1, 11):
        Level(scene, f"127.0.2.{host}", name="").set(100 + host)
    scene.start('max-rows = 5\nignore { kind = bind }')
    best = {connect_pool(HERE, f"127.0.2.{host}", 8080) for host in range(6, 11)}
    equals(lambda: set(scene.manager.pools()), best)
    assert scene.manager.get("pwPoolsOmitted") == 5
    assert scene.manager.get("pwPoolsListed") == 5


def test_alarm_and_top_tables(scene, mib):
    gateway, web = Level(scene, "127.0.0.2", name=connect_pool(HERE, "127.0.0.2", 8080)), Level(scene)
    scene.start("top = 3")
    web.reach(600, state="warning")
    gateway.reach(850, state="critical")
    events = scene.expect([(WEB, "normal", "warning"), (connect_pool(HERE, "127.0.0.2", 8080), "normal", "critical")])
    alarms = scene.manager.table("pwAlarmTable").values()
    listed = {row["pwAlarmPoolName"]: row for row in alarms}
    assert {name: row["pwAlarmSeverity"] for name, row in listed.items()} == {event["pwEventPoolName"]: event["pwEventState"]
                                                                              for event in events}
    assert {row["pwAlarmEventId"] for row in alarms} == {event["pwEventId"] for event in events}
    for event in events:
        row = listed[event["pwEventPoolName"]]
        assert row["pwAlarmPool"] == event["pwEventPool"]
        assert mib.split(row["pwAlarmPool"])[0] in mib.columns("pwPoolTable")
    top = scene.manager.table("pwTopTable")
    assert [top[str(rank)]["pwTopName"] for rank in (1, 2)] == [connect_pool(HERE, "127.0.0.2", 8080), WEB]
    assert sorted(top) == ["1", "2", "3"]
    assert scene.manager.get("pwActiveAlarms") == 2
    assert scene.manager.get("pwWorstPoolName") == connect_pool(HERE, "127.0.0.2", 8080)
    assert scene.manager.get("pwWorstUtilization") == 85
    web.reach(10, state="normal")
    equals(lambda: scene.manager.get("pwActiveAlarms"), 1)


# --- a restart that remembers ----------------------------------------------------------------------------------------


def remembering(scene):
    return f'state-file = "{scene.workshop.directory}/state"\n'


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_fall_during_a_restart_is_told(scene, how):
    """What ended meanwhile falls, what goes on is not told again, what is new rises, and event ids go on."""
    ended, goes_on, new = (Level(scene, port=port, name=connect_pool(HERE, THERE, port)) for port in (8080, 8081, 8082))
    scene.start(remembering(scene))
    ended.reach(900, state="critical")
    goes_on.reach(600, state="warning")
    told = scene.expect([(ended.name, "normal", "critical"), (goes_on.name, "normal", "warning")])
    alarm = {row["pwAlarmPoolName"]: index for index, row in scene.manager.table("pwAlarmTable").items()}[goes_on.name]
    scene.polls(3)  # the file follows within a second
    eventually(lambda: goes_on.name in held(scene) and ended.name in held(scene) or None)
    if how == "kill":
        scene.daemon.kill()
    else:
        scene.daemon.stop()
    ended.set(100)
    new.set(700)
    scene.start(remembering(scene))
    assert "alarms and event ids of before the restart go on" in scene.daemon.log()
    events = scene.expect([(ended.name, "normal", "critical"), (goes_on.name, "normal", "warning"),
                           (new.name, "normal", "warning"), (ended.name, "critical", "normal")])
    ids = [int(event["pwEventId"]) for event in events]
    assert min(ids[2:]) > max(ids[:2])
    row = scene.manager.table("pwAlarmTable")[alarm]
    assert (row["pwAlarmPoolName"], row["pwAlarmEventId"]) == (goes_on.name, told[1]["pwEventId"])
    assert scene.manager.pool(ended.name)["pwPoolPeak"] == 900


def held(scene):
    """The pools that the state file says were told."""
    try:
        lines = (scene.workshop.directory / "state").read_text().splitlines()
    except FileNotFoundError:
        return []
    fields = [line.split() for line in lines if line.startswith(("pool ", "told "))]
    return [connect_pool(HERE, THERE, int(field[4])) for field in fields if field[11] != "1"]


@pytest.mark.parametrize("damage", ["cut", "changed", "directory"])
def test_broken_state_file_is_ignored(scene, damage):
    """The daemon says so, begins anew, and writes a whole one."""
    level = Level(scene)
    scene.start(remembering(scene))
    level.reach(600, state="warning")
    scene.expect([(WEB, "normal", "warning")])
    scene.daemon.stop()
    file = scene.workshop.directory / "state"
    text = file.read_bytes()
    if damage == "directory":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(text[:-100] if damage == "cut" else text.replace(b" 900 ", b" 901 ").replace(b"=", b"=x", 1))
    scene.start(remembering(scene))
    assert "the state of before the restart is ignored" in scene.daemon.log()
    scene.expect([(WEB, "normal", "warning")] * 2)
    if damage == "directory":
        eventually(lambda: "a restart will not know what was notified" in scene.daemon.log() or None)
    else:
        eventually(lambda: WEB in held(scene) or None)


# --- restarts and failures -------------------------------------------------------------------------------------------


def test_restart_notifies_active_conditions_again(scene):
    level = Level(scene)
    daemon = scene.start()
    level.reach(600, state="warning")
    scene.expect([(WEB, "normal", "warning")])
    assert daemon.stop() == 0
    scene.start()
    first, second = scene.expect([(WEB, "normal", "warning")] * 2)
    assert (first["pwEventId"], first["pwEventTime"]) != (second["pwEventId"], second["pwEventTime"])


def test_alarm_while_the_master_is_away_is_told_later(scene):
    level = Level(scene)
    daemon = scene.start()
    level.reach(100)
    scene.master.kill()
    level.set(600)
    eventually(lambda: f"{WEB}: warning, was normal" in daemon.log())
    scene.restart_master()
    scene.manager.ready()
    event, = scene.expect([(WEB, "normal", "warning")])
    assert event["pwEventUsed"] == 600


def test_collector_failure_and_recovery_are_told(scene):
    level = Level(scene)
    daemon = scene.start("backend = netlink\n")  # by BPF a poll needs no descriptor
    level.reach(600, state="warning")
    scene.expect([(WEB, "normal", "warning")])
    before = daemon.limit_descriptors(8)
    eventually(lambda: scene.notifications()[-1]["notification"] == "pwCollectorFailed", 40)
    assert scene.notifications()[-1]["pwEventText"]
    scene.until(WEB, used=600, state="warning")
    assert scene.manager.get("pwPollErrors") > 0
    age = scene.manager.get("pwPollAge")
    eventually(lambda: scene.manager.get("pwPollAge") > age)
    daemon.limit_descriptors(before)
    eventually(lambda: scene.notifications()[-1]["notification"] == "pwCollectorRecovered", 20)
    eventually(lambda: scene.manager.get("pwPollAge") < 2000)
    assert scene.crossings() == [(WEB, "normal", "warning")]
    names = [event["notification"] for event in scene.notifications()]
    assert names == ["pwPoolRising", "pwCollectorFailed", "pwCollectorRecovered"]


# --- many ------------------------------------------------------------------------------------------------------------


def spread(scene, first, hosts, each, port=8080):
    """`each` connections to every one of many destinations, from a process of their own."""
    scene.workshop.load(scene.ns).ask("spread", first=first, hosts=hosts, port=port, count=each)


@pytest.mark.slow
def test_alarms_without_a_row_are_notified(scene):
    for port in (8080, 8081, 8082):
        scene.load.listen(THERE, port)
        scene.load.connect(600, THERE, port)
    scene.start("max-alarms = 1\nmax-rows = 0\n")
    scene.expect([(connect_pool(HERE, THERE, port), "normal", "warning") for port in (8080, 8081, 8082)])
    assert scene.manager.get("pwActiveAlarms") == 3 and len(scene.manager.table("pwAlarmTable")) == 1
    assert "2 of 3 active alarms have no row" in scene.daemon.log()


def test_5000_pools_crossing_at_once(make_scene):
    """The rate limit holds, the worst are named first, the tables tell all, and polls go on."""
    scene = make_scene(40000, 40009)
    scene.load.listen("0.0.0.0", 8080)
    for first, hosts, each in (("127.1.0.1", 2500, 5), ("127.1.10.1", 1250, 8), ("127.1.15.1", 1250, 10)):
        spread(scene, first, hosts, each)
    started = time.monotonic()
    daemon = scene.start("notify { max-per-minute = 30 }\nmax-rows = 10\nignore { kind = bind }", interval=1)
    equals(lambda: scene.manager.get("pwActiveAlarms"), 5000, 30)
    assert len(scene.manager.table("pwAlarmTable")) == 5000
    assert len(scene.manager.pools()) == 5000
    eventually(lambda: len(scene.crossings()) >= 30, 20)
    began, polls = time.monotonic(), scene.manager.get("pwPolls")
    scene.polls(5)
    passed = time.monotonic() - began
    assert daemon.running and scene.manager.get("pwPolls") - polls >= passed - 2, "a poll a second"
    assert scene.manager.get("pwPollErrors") == 0
    assert scene.manager.get("pwNotificationsSuppressed") > 0
    states = [state for _, _, state in scene.crossings()]
    assert len(states) <= 30 * (1 + (time.monotonic() - started) // 60) and set(states) == {"exhausted"}


class Neighbour:
    """A namespace of somebody else: 200 pools of two ports are full at one moment and empty at the next, 50 stay full."""

    def __init__(self, scene, name):
        scene.daemon.run(scene.ns, "ip", "netns", "add", name)
        self._ns = Namespace.of(scene.daemon.named(name))
        scene.workshop.callback(self._ns.close)
        self._ns.run("ip", "link", "set", "lo", "up")
        self._ns.set_range(40000, 40001)
        self._ns.run("sysctl", "-qw", "net.core.somaxconn=65535")  # nobody accepts
        self._load = scene.workshop.load(self._ns)
        self._load.listen("0.0.0.0", 8080)
        self._load.ask("spread", first="127.2.0.1", hosts=50, port=8080, count=2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flap)
        self.rounds = 0
        self._thread.start()

    def _flap(self):
        while not self._over.is_set():
            group = self._load.ask("spread", first="127.1.0.1", hosts=200, port=8080, count=2)["id"]
            self._over.wait(0.3)
            self._load.ask("reset", id=group)
            self._over.wait(0.3)
            self.rounds += 1

    def stop(self):
        self._over.set()
        self._thread.join()


@pytest.mark.alone
def test_a_neighbour_silences_nobody(scene):
    """However often the pools of another namespace cross thresholds: the host's own crossing is told at once, the log is bounded."""
    scene.daemon = scene.workshop.keep(
        Cell(scene.ns, scene.workshop.directory, scene.master.socket, "namespaces { all = true }", interval=0.2))
    scene.manager.ready()
    neighbour = Neighbour(scene, "noisy")
    try:
        eventually(lambda: (scene.manager.get("pwNotificationsSuppressed") or 0) >= 200, 30)
        scene.load.listen(THERE, 8080)
        scene.load.connect(900, THERE, 8080)
        told = time.monotonic()
        eventually(lambda: (WEB, "normal", "critical") in scene.crossings() or None, 5)
        assert time.monotonic() - told < 5 * PATIENCE
        event = next(event for event in scene.notifications() if event["pwEventPoolName"] == WEB)
        assert "more notifications wait for max-per-minute" in event["pwEventText"]
        assert event["pwEventText"].endswith("of the network namespace noisy")
        eventually(lambda: neighbour.rounds >= 20 or None, 60)
    finally:
        neighbour.stop()
    others = [name for name, _, _ in scene.crossings() if name != WEB]
    assert 15 <= len(others) <= 15 * 3, "half of the half that is not the host's own, each minute"
    lines = [line for line in scene.daemon.log().splitlines() if "@noisy" in line]
    assert 200 <= len(lines) <= 250 * 3


def resident_kib(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.mark.slow
def test_crawler_grows_neither_table_nor_memory(make_scene):
    """100,000 destinations with one port each."""
    scene = make_scene(32768, 60999)
    daemon = scene.start()
    before = resident_kib(daemon.pid)
    for part in range(6):
        # no listener holds more than 65535 connections that are not accepted
        scene.load.listen("0.0.0.0", 8080 + part)
        spread(scene, f"127.{part + 1}.0.1", 16667, 1, 8080 + part)
    eventually(lambda: scene.manager.get("pwPoolsSeen") >= 100000, 30)
    scene.polls(3)
    assert [name for name in scene.manager.pools() if " -> " in name] == []
    # 8 bytes a socket and 45 a destination, twice for a table that doubles when it is full
    assert resident_kib(daemon.pid) - before < 2 * 100000 * (8 + 45) // 1024 + 4096
