# SPDX-License-Identifier: BSD-2-Clause
"""Reading PORTWATCH-MIB through a real master, and from the stand-alone agent: order, GET, GETNEXT and GETBULK, strange requests, changing tables."""

import bisect
import os
import random
import time

import pytest
from agent import Stage
from harness import PATIENCE, Workshop, eventually
from pysnmp.hlapi import (CommunityData, ContextData, ObjectIdentity, ObjectType, SnmpEngine, UdpTransportTarget, bulkCmd,
                          nextCmd)
from pysnmp.proto.rfc1905 import EndOfMibView
from snmp import COMMUNITY, EXCEPTIONS, parse_varbinds

ROWS = 60
GROUPS = ["pwAgent", "pwNamespaceTable", "pwPoolTable", "pwTopTable", "pwAlarmTable"]
# Values that differ from one request to the next.
CHANGING = ("pwPollAge", "pwPoolPeakAge", "pwPoolStateAge", "pwAlarmsLastChange")
MAX_SUBID = 2**32 - 1


ACCESS = "rwcommunity private"


@pytest.fixture(scope="module", name="stage", params=["beside snmpd", "stand-alone"])
def fixture_stage(mib, request):
    with Workshop() as workshop:
        stage = Stage(workshop, mib, receiver=False)
        if request.param == "stand-alone":
            stage.agent = stage.standalone(f"rocommunity public\n{ACCESS}")
        else:
            stage.start_master(ACCESS)
            stage.agent = stage.driver()
        stage.agent.ask(f"rows {ROWS}")
        stage.served()
        yield stage


@pytest.fixture(name="manager")
def fixture_manager(stage):
    stage.agent.ask(f"rows {ROWS}")
    return stage.manager


def numbers(oid):
    return tuple(int(part) for part in oid.split("."))


def dotted(parts):
    return ".".join(str(part) for part in parts)


def steady(manager, varbinds):
    """The varbinds without those whose values change by themselves."""
    return [(oid, value) for oid, value in varbinds if not (manager.mib.split(oid)[0] or "").startswith(CHANGING)]


def everything(manager, **options):
    return manager.walk_oids(manager.mib.oid["portwatchMIB"], **options)


def raw_values(manager, tool, *oids):
    """[(oid, text of the value)]: exceptions stay as they are."""
    lines = manager.raw(tool, *oids).splitlines()
    return [tuple(line.lstrip(".").split(" = ", 1)) for line in lines if " = " in line]


# --- order, GET, GETNEXT ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_order(manager, mib, group):
    """A walk is strictly increasing, stays in its group, and shows every readable column of every row."""
    oids = [oid for oid, _ in manager.walk_oids(mib.oid[group])]
    assert oids and [numbers(oid) for oid in oids] == sorted({numbers(oid) for oid in oids})
    assert all(oid.startswith(mib.oid[group] + ".") for oid in oids)
    seen = {}
    for oid in oids:
        name, index = mib.split(oid)
        seen.setdefault(index, set()).add(name)
    below = mib.oid[group] + (".1." if group.endswith("Table") else ".")
    readable = {name for name, access in mib.access.items() if access == "read-only" and mib.oid[name].startswith(below)}
    assert all(columns == readable for columns in seen.values())


@pytest.mark.parametrize("group", GROUPS)
def test_get(manager, mib, group):
    """GET of what a walk showed returns the same."""
    walked = manager.walk_oids(mib.oid[group])
    fetched = []
    for start in range(0, len(walked), 50):
        fetched += manager.get_oids(*[oid for oid, _ in walked[start:start + 50]])
    assert [oid for oid, _ in fetched] == [oid for oid, _ in walked]
    assert steady(manager, fetched) == steady(manager, walked)


@pytest.mark.parametrize("group", GROUPS)
def test_getnext(manager, mib, group):
    """GETNEXT of each instance reaches the next one."""
    oids = [oid for oid, _ in manager.walk_oids(mib.oid[group])]
    for start in range(0, len(oids) - 1, 40):
        asked = oids[start:start + 40][:len(oids) - 1 - start]
        assert [oid for oid, _ in raw_values(manager, "snmpgetnext", *asked)] == oids[start + 1:start + 1 + len(asked)]


def test_rows_are_those_of_the_snapshot(manager, mib):
    """Kinds, families, zones and namespaces: as many rows as there are pools, each under an index made of what it is."""
    rows = manager.table("pwPoolTable")
    assert len(rows) == ROWS == manager.get("pwPoolsListed")
    assert len({row["pwPoolName"] for row in rows.values()}) == ROWS
    example = next(index for index, row in rows.items() if row["pwPoolName"] == "tcp 10.0.0.2 -> 10.16.0.2:3")
    assert example == "1.1.6.1.4.10.0.0.2.1.4.10.16.0.2.3"
    bind = next(index for index, row in rows.items() if row["pwPoolName"] == "tcp 10.0.0.10 bind")
    assert bind == "1.2.6.1.4.10.0.0.10.0.0.0"
    zoned = next((index, row) for index, row in rows.items() if "%" in row["pwPoolName"])
    assert numbers(zoned[0])[3:5] == (4, 20) and numbers(zoned[0])[21:25] == (0, 0, 0, 7)
    assert zoned[1]["pwPoolLocalText"].endswith("%eth0")


def test_counters_and_gauges(manager):
    """64-bit values are exact, and what does not fit into a gauge shows as its maximum (RFC 2578 7.1.7)."""
    assert manager.get("pwSocketsSeen") == MAX_SUBID
    assert manager.get("pwPolls") == manager.get("pwGeneration") + 2**40
    assert manager.table("pwNamespaceTable")["2"]["pwNsSnatFailures"] == 12_000_000_000_000


def test_neutral_values(manager):
    """Ranks without a pool exist all the same."""
    ranks = manager.table("pwTopTable")
    assert sorted(ranks, key=int) == [str(rank) for rank in range(1, 11)]
    empty = ranks["10"]
    assert (empty["pwTopName"], empty["pwTopUsed"], empty["pwTopState"], empty["pwTopTimeToExhaustion"]) == ("", 0, "normal", MAX_SUBID)
    first = next(row for row in manager.table("pwPoolTable").values() if row["pwPoolName"] == ranks["1"]["pwTopName"])
    assert first["pwPoolUsed"] == ranks["1"]["pwTopUsed"]


def test_alarm_rows_point_at_pools(manager, mib):
    """pwAlarmPool is the OID of the pool's name."""
    alarms = manager.table("pwAlarmTable")
    assert len(alarms) == ROWS // 10 == manager.get("pwActiveAlarms")
    for row in alarms.values():
        (oid, value), = manager.get_oids(row["pwAlarmPool"])
        assert mib.split(oid)[0] == "pwPoolName" and value.decode() == row["pwAlarmPoolName"]
        assert row["pwAlarmSeverity"] != "normal"


def test_dates_are_utc(manager):
    """DateAndTime with eleven octets, offset zero, and the time that it is."""
    octets = manager.get("pwStartTime")
    assert octets[8:] == b"+\0\0"
    year = int.from_bytes(octets[:2], "big")
    assert (year, *octets[2:5]) in {time.gmtime(time.time() - back)[:4] for back in (0, 3600)}


def test_last_change_is_in_the_masters_time(stage, manager):
    """pwAlarmsLastChange is a value of the sysUpTime that the master shows, not of our own."""
    stage.agent.ask("rows 10")
    (_, uptime), (_, changed) = manager.get_oids("1.3.6.1.2.1.1.3.0", manager.mib.oid["pwAlarmsLastChange"] + ".0")
    assert 0 <= uptime - changed < 500


# --- GETBULK -----------------------------------------------------------------------------------------------------------


def test_getbulk_repetitions(manager):
    """Any number of repetitions gives the same walk as GETNEXT."""
    expected = steady(manager, everything(manager, repetitions=0))
    for repetitions in (1, 2, 3, 7, 10, 33, 64, 99, 100):
        assert steady(manager, everything(manager, repetitions=repetitions)) == expected, f"{repetitions} repetitions"


def test_getbulk_every_repetition_count(manager, mib):
    """One GETBULK with 1 to 100 repetitions: as many instances, the right ones."""
    oids = [oid for oid, _ in everything(manager)]
    for repetitions in range(1, 101):
        found = raw_values(manager, "snmpbulkget", f"-Cr{repetitions}", mib.oid["portwatchMIB"])
        assert [oid for oid, _ in found] == oids[:len(found)]
        assert len(found) == repetitions


def test_getbulk_with_ten_thousand_repetitions(manager, mib):
    """The master cuts the answer; what comes is right."""
    columns = [mib.oid[name] for name in ("pwPoolName", "pwPoolUsed", "pwTopName")]
    output = manager.raw("snmpbulkget", "-Cr10000", *columns)
    found = parse_varbinds(output)
    names = [value for oid, value in found if mib.split(oid)[0] == "pwPoolName"]
    assert names[:3] == [value for _, value in manager.walk_oids(mib.oid["pwPoolName"])][:3]
    everything(manager)


def pysnmp_walk(stage, command, *arguments):
    """[(oid, value)] by a client that is not net-snmp."""
    found = []
    with stage.ns.entered():
        walk = command(SnmpEngine(), CommunityData(COMMUNITY), UdpTransportTarget(("127.0.0.1", 161), timeout=5), ContextData(),
                       *arguments, ObjectType(ObjectIdentity(stage.mib.oid["portwatchMIB"])), lexicographicMode=False,
                       lookupMib=False)
        for error, status, _, varbinds in walk:
            assert not error and not status, (error, status)
            found += [(str(oid), value) for oid, value in varbinds if not isinstance(value, EndOfMibView)]
    return found


def plain(value):
    """A pysnmp value as snmp.parse_value() gives it."""
    kind = type(value).__name__
    if kind == "ObjectIdentifier":
        return str(value)
    return bytes(value) if kind == "OctetString" else int(value)


@pytest.mark.parametrize("command, arguments", [(nextCmd, ()), (bulkCmd, (0, 1)), (bulkCmd, (0, 25)), (bulkCmd, (0, 100))])
def test_another_client_sees_the_same(stage, manager, command, arguments):
    walked = [(oid, plain(value)) for oid, value in pysnmp_walk(stage, command, *arguments)]
    assert steady(manager, walked) == steady(manager, everything(manager))


# --- strange requests --------------------------------------------------------------------------------------------------


def random_oid(rng, known, base):
    """An OID in, before or behind the subtree: known ones that were cut, lengthened or changed, and made-up ones."""
    parts = list(numbers(rng.choice(known)))
    kind = rng.randrange(6)
    if kind == 0:
        parts = parts[:rng.randrange(3, len(parts) + 1)]
    elif kind == 1:
        parts += [rng.choice([0, 1, 255, MAX_SUBID]) for _ in range(rng.randrange(1, 20))]
    elif kind == 2:
        parts[rng.randrange(len(base), len(parts))] = rng.choice([0, 1, 2, 4, 16, 20, 255, 65536, MAX_SUBID - 1, MAX_SUBID])
    elif kind == 3:
        at = rng.randrange(len(base), len(parts))
        parts = parts[:at] + parts[at + 1:]
    elif kind == 4:
        parts = list(base) + [rng.choice([0, 1, 2, 3, 4, 5, 6, 8, 33, MAX_SUBID]) for _ in range(rng.randrange(0, 60))]
    else:
        parts[-1] += rng.choice([-1, 1])
    return tuple(min(max(part, 0), MAX_SUBID) for part in parts[:128])


def exception_of(text):
    return next((name for name in EXCEPTIONS if text.startswith(name)), None)


def expected_exception(mib, parts, readable):
    """What RFC 3416 4.2.1 wants for a name that has no instance."""
    name, _ = mib.split(dotted(parts))
    return "No Such Instance" if name in readable else "No Such Object"


def test_any_oid(manager, mib):
    """GET and GETNEXT of 2,000 odd OIDs: judged by the whole walk, sorted."""
    seed = int(os.environ.get("PW_SEED", random.randrange(2**32)))
    print(f"PW_SEED={seed}")
    rng = random.Random(seed)
    walked = [numbers(oid) for oid, _ in everything(manager)]
    known = [dotted(oid) for oid in walked]
    present = set(walked)
    base = numbers(mib.oid["portwatchMIB"])
    readable = {name for name, access in mib.access.items() if access == "read-only"}
    for _ in range(100):
        asked = [random_oid(rng, known, base) for _ in range(20)]
        for parts, (oid, text) in zip(asked, raw_values(manager, "snmpget", *map(dotted, asked)), strict=True):
            assert numbers(oid) == parts
            if parts in present:
                assert exception_of(text) is None, oid
            elif parts[:len(base)] == base:
                assert exception_of(text) == expected_exception(mib, parts, readable), oid
        for parts, (oid, text) in zip(asked, raw_values(manager, "snmpgetnext", *map(dotted, asked)), strict=True):
            at = bisect.bisect_right(walked, parts)
            if at < len(walked) and parts >= base:
                assert numbers(oid) == walked[at], f"after {dotted(parts)}"
            elif at == len(walked):
                assert numbers(oid) not in present or exception_of(text), f"after {dotted(parts)}"


def test_walk_from_every_prefix(manager, mib):
    """A walk that starts at any prefix of a long OID ends, and finds what lies below."""
    walked = [numbers(oid) for oid, _ in everything(manager)]
    longest = max(walked, key=len)
    for length in range(len(numbers(mib.oid["portwatchMIB"])), len(longest) + 1):
        prefix = longest[:length]
        found = [numbers(oid) for oid, _ in manager.walk_oids(dotted(prefix))]
        assert found == [oid for oid in walked if oid[:length] == prefix] or found == [prefix]


def test_getnext_after_every_prefix(stage, manager, mib):
    """Every prefix of every OID, and each with a sub-identifier of 2^32-1 behind it: the right successor."""
    stage.agent.ask("rows 6")
    eventually(lambda: manager.get("pwPoolsListed") == 6)
    walked = [numbers(oid) for oid, _ in everything(manager)]
    shortest = len(numbers(mib.oid["portwatchMIB"]))
    prefixes = {oid[:length] for oid in walked for length in range(shortest, len(oid))}
    asked = sorted(prefixes | {(*prefix[:127], MAX_SUBID) for prefix in prefixes})
    asked = [parts for parts in asked if parts < walked[-1]]
    for start in range(0, len(asked), 60):
        part = asked[start:start + 60]
        answers = raw_values(manager, "snmpgetnext", *map(dotted, part))
        assert [numbers(oid) for oid, _ in answers] == [walked[bisect.bisect_right(walked, parts)] for parts in part]
    print(f"{len(asked)} OIDs")


def test_nothing_can_be_written(manager, mib):
    """A SET is refused, whatever it is for, and changes nothing."""
    before = steady(manager, everything(manager))
    for name, kind, value in (("pwVersion", "s", "x"), ("pwPolls", "i", "1"), ("pwEventId", "u", "1"), ("pwPoolEntry", "i", "1")):
        for suffix in (".0", "", f".{MAX_SUBID}"):
            result = manager.ns.run("snmpset", "-v2c", "-c", "private", "-On", manager.peer, mib.oid[name] + suffix, kind, value,
                                    check=False)
            assert result.returncode != 0
            assert any(word in result.stderr for word in ("noAccess", "notWritable", "noCreation")), result.stderr
    assert steady(manager, everything(manager)) == before


def test_event_objects_are_for_notifications_only(manager, mib):
    assert manager.walk_oids(mib.oid["pwEvent"]) == []
    (_, text), = raw_values(manager, "snmpget", mib.oid["pwEventId"] + ".0")
    assert exception_of(text) == "No Such Object"


def test_before_the_first_poll(workshop, mib):
    """Without any poll the scalars have their neutral values and the tables are empty."""
    stage = Stage(workshop, mib, receiver=False)
    stage.start_master(config="")
    stage.driver()
    stage.served()
    assert stage.manager.get("pwPollAge") == MAX_SUBID
    assert stage.manager.get("pwPolls") == 0 and stage.manager.get("pwWorstPoolName") == ""
    for table in GROUPS[1:]:
        assert stage.manager.walk_oids(mib.oid[table]) == []


# --- changing tables -----------------------------------------------------------------------------------------------------


def test_one_request_sees_one_poll(stage, manager, mib):
    """All varbinds of a GET come from the same poll, from whichever tables they are."""
    stage.agent.ask("churn 300 1")
    names = ["pwGeneration.0", "pwPolls.0", "pwPoolsListed.0", "pwPoolsSeen.0", "pwActiveAlarms.0"]
    oids = [mib.oid[name.split(".")[0]] + ".0" for name in names] + [mib.oid["pwTopCapacity"] + f".{rank}" for rank in range(1, 8)]
    generations = set()
    for _ in range(200):
        values = [value for _, value in manager.get_oids(*oids)]
        generation, polls, listed, seen, alarms, *capacities = values
        generations.add(generation)
        assert polls == generation + 2**40 and seen == listed + 1 and alarms == (listed + 9) // 10
        assert sum(capacity > 0 for capacity in capacities) == min(listed, 7)
    assert len(generations) > 100


def test_walks_of_a_changing_table(stage, manager, mib):
    """The table changes with every millisecond: each walk ends, and is strictly increasing."""
    stage.agent.ask("churn 300 1")
    for repetitions in (0, 1, 10, 100):
        oids = [numbers(oid) for oid, _ in manager.walk_oids(mib.oid["pwPoolTable"], repetitions)]
        assert oids == sorted(set(oids)) and oids


@pytest.mark.slow
def test_ten_thousand_rows(stage, manager, mib):
    """The walk of 10,000 rows takes seconds; then a small table is served as before."""
    stage.agent.ask("rows 10000")
    begun = time.monotonic()
    names = manager.walk_oids(mib.oid["pwPoolName"], repetitions=50)
    took = time.monotonic() - begun
    print(f"one column of {len(names)} rows in {took:.1f} s")
    assert len({name for _, name in names}) == 10000 and took < 15 * PATIENCE
    stage.agent.ask(f"rows {ROWS}")
    eventually(lambda: manager.get("pwPoolsListed") == ROWS)
