# SPDX-License-Identifier: BSD-2-Clause
"""Notifications on their way through a real master to real receivers."""

import json
import socket
import subprocess
import time

import pytest
from agent import LONG, Stage
from harness import PYTHON, Process, equals, eventually
from scene import INFORM_V3, TRAP_V2C, TRAP_V3
from snmp import SNMP_TRAP_OID

# The UDP payload of an Ethernet frame.
DATAGRAM = 1472
V3_PORT = 1162


@pytest.fixture(name="stage")
def fixture_stage(workshop, mib):
    return Stage(workshop, mib)


def datagram(stage, port, post, deadline=10):
    """The next UDP datagram that arrives at a port after post()."""
    with stage.ns.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", port))
        receiver.settimeout(deadline)
        post()
        return receiver.recv(65535)


def test_every_notification_with_all_its_objects(stage, mib):
    """v2c trap and v3 inform: five kinds, the objects of each in the MIB's order, with the values of the event."""
    informed = stage.receiver(f"udp:127.0.0.1:{V3_PORT}", "informed")
    stage.start_master(f"{TRAP_V2C}\n{INFORM_V3}")
    agent = stage.driver().connected()
    for command in ("rows 20", "rise 1", "collector failed", "collector recovered", "connects 7"):
        agent.ask(command)
        agent.until(owed=0)
    agent.ask("fall 1")
    agent.until(owed=0, acknowledged=5)
    names = ["pwPoolRising", "pwCollectorFailed", "pwCollectorRecovered", "pwConnectFailing", "pwPoolFalling"]
    for receiver in (stage.trapd, informed):
        equals(lambda: [event["notification"] for event in receiver.notifications(mib)], names)
        for event in receiver.notifications(mib):
            carried = [name for name in event if name.startswith("pwEvent")]
            assert carried == mib.carries[event["notification"]]
    rising, failed, _, failing, falling = stage.received()
    assert {name: rising[name] for name in rising if name.startswith("pwEvent")} | {"pwEventTime": None, "pwEventPool": None} == {
        "pwEventId": 1, "pwEventTime": None, "pwEventPoolName": "tcp 10.0.0.0 -> 10.16.0.0:1", "pwEventLabel": "label 0",
        "pwEventKind": "connect", "pwEventProtocol": "tcp", "pwEventLocalText": "10.0.0.0", "pwEventRemoteText": "10.16.0.0",
        "pwEventPort": 1, "pwEventCapacity": 28232, "pwEventUsed": 0, "pwEventTimeWait": 0, "pwEventFree": 28232,
        "pwEventUtilization": 0, "pwEventState": "warning", "pwEventPreviousState": "normal", "pwEventThreshold": 50,
        "pwEventReason": "utilization", "pwEventTimeToExhaustion": 2**32 - 1, "pwEventOwner": "unit0.service (uid 33)",
        "pwEventPool": None, "pwEventText": ""}
    assert (falling["pwEventState"], falling["pwEventPreviousState"], falling["pwEventThreshold"]) == ("normal", "warning", 45)
    assert failed["pwEventText"] == "netlink: Permission denied"
    assert (failing["pwEventFailures"], failing["pwEventText"]) == (7, "curl?(pid 1) für ?")


def test_the_row_pointer_leads_to_the_pool(stage, mib):
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("rows 20")
    agent.ask("rise 20")
    events = eventually(lambda: len(stage.received()) == 20 and stage.received())
    for event in events:
        (oid, value), = stage.manager.get_oids(event["pwEventPool"])
        assert mib.split(oid)[0] == "pwPoolName" and value.decode() == event["pwEventPoolName"]
    agent.ask("rows 20")
    ids = {event["pwEventPoolName"]: event["pwEventId"] for event in events}
    alarms = stage.manager.table("pwAlarmTable")
    assert alarms and all(row["pwAlarmEventId"] == ids[row["pwAlarmPoolName"]] for row in alarms.values())


def test_uptime_is_the_masters(stage):
    """sysUpTime.0 of a notification is that of the master, also after it began anew."""
    stage.start_master("trap2sink 127.0.0.1:162 public")
    agent = stage.driver().connected()
    stage.kill_master()
    agent.until(connected=False)
    stage.start_master("trap2sink 127.0.0.1:162 public")
    agent.connected()
    agent.ask("rise 1")
    eventually(stage.received)
    uptime = next(int(line.split("(")[1].split(")")[0]) for line in stage.trapd.log().splitlines()
                  if line.startswith(".1.3.6.1.2.1.1.3.0"))
    (_, master), = stage.manager.get_oids("1.3.6.1.2.1.1.3.0")
    assert 0 <= uptime <= master


@pytest.mark.parametrize("namespace", [0, 15, 255])
def test_longest_notification_fits_into_a_datagram(stage, namespace):
    """An IPv6 rising notification with the longest texts, over SNMPv3 with authentication and privacy."""
    stage.start_master(f"{TRAP_V3} udp:127.0.0.1:{V3_PORT}")
    agent = stage.driver().connected()
    size = len(datagram(stage, V3_PORT, lambda: agent.ask(f"longest {namespace}")))
    print(f"{size} octets of UDP payload")
    assert 1100 < size <= DATAGRAM


def test_longest_notification_keeps_what_matters(stage):
    """With a namespace of 15 characters all of it is there. With one of 255 characters the owner is cut to make the rest fit."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("longest 15")
    agent.until(owed=0)
    agent.ask("longest 255")
    agent.until(owed=0)
    whole, cut = eventually(lambda: len(stage.received()) == 2 and stage.received())
    assert (whole["pwEventOwner"], whole["pwEventLabel"]) == ("O" * 127, "L" * 63)
    assert whole["pwEventPoolName"].endswith(":65520@" + 15 * "n")
    assert len(cut["pwEventOwner"]) < 127 and cut["pwEventLabel"] == "L" * 63 and len(cut["pwEventPoolName"]) == 255
    assert list(cut) == list(whole)


def test_special_characters_stay_text(stage):
    """What is no UTF-8 and control characters never reach a receiver."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("connects 1")
    assert eventually(stage.received)[0]["pwEventText"] == "curl?(pid 1) für ?"


def test_rate_limit(stage):
    """With a limit of 5 a minute, 5 go out; the others stay owed and are counted as suppressed."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("rate 5")
    agent.ask("rise 12")
    agent.until(acknowledged=5, owed=7, suppressed=7)
    agent.ask("rows 5")
    assert stage.manager.get("pwNotificationsSent") == 5 and stage.manager.get("pwNotificationsSuppressed") == 7
    agent.ask("rate 0")
    agent.ask("rise 13")
    agent.until(owed=0)
    equals(lambda: len({event["pwEventPoolName"] for event in stage.received()}), 13)


# Counts the notifications that arrive at a UDP port: datagrams, and distinct event numbers in them (the value of pwEventId.0).
COUNTER = """
import json, re, socket, sys
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 162))
marker = bytes.fromhex(sys.argv[1])
seen, total = set(), 0
print("ready", flush=True)
receiver.settimeout(float(sys.argv[3]))
try:
    while len(seen) < int(sys.argv[2]):
        message = receiver.recv(65535)
        at = message.find(marker)
        if at >= 0:
            at += len(marker)
            total += 1
            seen.add(int.from_bytes(message[at + 2:at + 2 + message[at + 1]], "big"))
except TimeoutError:
    pass
print(json.dumps({"total": total, "distinct": len(seen)}), flush=True)
"""


def ber_oid(oid):
    """The contents octets of an OID."""
    parts = [int(part) for part in oid.split(".")]
    found = [40 * parts[0] + parts[1]]
    for part in parts[2:]:
        septets = [part & 127]
        while part := part >> 7:
            septets.insert(0, 128 | part & 127)
        found += septets
    return bytes(found)


class Counter(Process):
    """A receiver that only counts, and does so faster than snmptrapd."""

    def __init__(self, stage, expected, silence=10):
        marker = ber_oid(stage.mib.oid["pwEventId"] + ".0").hex()
        super().__init__(stage.ns, [PYTHON, "-c", COUNTER, marker, expected, silence], stage.directory / "counter.log",
                         stdout=subprocess.PIPE, text=True)
        assert self.popen.stdout.readline() == "ready\n", self.log()

    def result(self):
        with self.popen.stdout as output:
            return json.loads(output.readline())


@pytest.mark.slow
def test_burst(workshop, mib):
    """A flood at once: nothing dead-locks, the master answers meanwhile, and every one arrives, once."""
    count = 20000 if LONG else 5000
    stage = Stage(workshop, mib, receiver=False)
    stage.start_master()
    counter = workshop.keep(Counter(stage, count))
    agent = stage.driver().connected()
    agent.ask("rows 100")
    agent.ask("rate 0")
    begun = time.monotonic()
    agent.ask(f"rise {count}")
    answers = []
    while agent.stats()["owed"] > 0:
        asked = time.monotonic()
        assert stage.manager.get("pwPoolsListed") == 100
        answers.append(time.monotonic() - asked)
        assert agent.stats()["in_flight"] <= 32
    print(f"{count} notifications in {time.monotonic() - begun:.1f} s; slowest of {len(answers)} GETs {max(answers):.3f} s")
    assert counter.result() == {"total": count, "distinct": count}
    assert agent.stats()["acknowledged"] == count
    agent.end()


def test_silent_inform_receiver(stage):
    """An SNMPv3 inform to a silent receiver blocks snmpd for seconds at each notification: the session outlives it, and nothing is sent
    twice."""
    stage.start_master(f"{TRAP_V2C}\n{INFORM_V3.replace('-Ci', '-Ci -t 1 -r 1')}")
    agent = stage.driver("-p", "1").connected()
    agent.ask("rise 4")
    agent.until(60, owed=0, acknowledged=4)
    assert sorted(stage.received_ids()) == [1, 2, 3, 4]
    assert "lost the AgentX master" not in agent.log()


def test_trap_oid_is_second(stage, mib):
    """sysUpTime.0 and snmpTrapOID.0 come first, as RFC 3416 4.2.6 wants."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("rise 1")
    eventually(stage.received)
    lines = stage.trapd.log().split("NOTIFICATION")[-1].splitlines()[1:3]
    assert lines[0].startswith(".1.3.6.1.2.1.1.3.0 = ")
    assert lines[1].startswith(f".{SNMP_TRAP_OID} = OID: .{mib.oid['pwPoolRising']}")
