# SPDX-License-Identifier: BSD-2-Clause
"""What the master agent can do to the agent: be absent, die, hang, refuse, talk nonsense. Nothing is lost, and nothing blocks.

The short forms run with every test run; PW_LONG=1 runs the long ones: 100 restarts, hangs of 60 seconds.
"""

import os
import random
import signal
import socket
import struct
import time

import pytest
from agent import LONG, STOP_MS, AgentX, FalseMaster, Stage, encoded, fill_backlog
from harness import PATIENCE, eventually

RESTARTS = 100 if LONG else 5
HANG_SECONDS = 60 if LONG else 4
# Notifications that can be under way at a time.
WINDOW = 32
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs", "--")


@pytest.fixture(name="stage")
def fixture_stage(workshop, mib):
    return Stage(workshop, mib)


def prompt(agent):
    """The thread that posts and publishes never waits for the agent, whatever the master does to that."""
    begun = time.monotonic()
    agent.ask("rows 20")
    agent.stats()
    assert time.monotonic() - begun < 0.5 * PATIENCE


def wait_while_prompt(agent, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        prompt(agent)
        time.sleep(0.05)


# --- absent, killed --------------------------------------------------------------------------------------------------


def test_absent_at_start(stage):
    """Without a master the agent starts, says so once, and connects when there is one."""
    agent = stage.driver()
    agent.ask("rows 20")
    agent.ask("rise 3")
    wait_while_prompt(agent, 2)
    assert agent.stats() == {"connected": False, "acknowledged": 0, "suppressed": 0, "owed": 3, "in_flight": 0}
    assert agent.log().count("can't connect to the AgentX master agent") == 1
    stage.start_master()
    stage.served()
    stage.delivered([1, 2, 3])
    agent.end()


def test_absent_all_the_time(stage):
    agent = stage.driver()
    assert agent.end() < 500 * PATIENCE


def test_killed_and_restarted(stage):
    """SIGKILL and a new master, again and again: the table is back at once, what happened meanwhile is told, once."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("rows 20")
    descriptors, expected, back = agent.descriptors(), [], []
    for number in range(RESTARTS):
        stage.kill_master()
        agent.until(connected=False)
        agent.ask("rise 3" if number % 2 == 0 else "fall 3")
        expected += range(3 * number + 1, 3 * number + 4)
        stage.start_master()
        back.append(stage.served())
        agent.until(15, owed=0)
    stage.delivered(expected)
    print(f"{RESTARTS} restarts: the table is back after {max(back):.1f} s at the most, from the start of the new snmpd")
    assert max(back) < 5 * PATIENCE
    assert agent.descriptors() == descriptors
    agent.end()


def test_killed_with_notifications_under_way(stage):
    """A master that dies in the middle of a burst: all arrive; what was under way can come twice, unchanged."""
    stage.start_master()
    agent = stage.driver("-r", "0.1").connected()
    agent.ask("rate 0")
    count, deaths = 600, 4
    agent.ask(f"rise {count}")
    for number in range(1, deaths + 1):
        eventually(lambda part=number: agent.stats()["acknowledged"] >= part * count // (deaths + 2))
        stage.kill_master()
        agent.until(connected=False)
        stage.start_master()
        agent.connected()
    agent.until(30, owed=0)
    print(f"{count} notifications, {deaths} deaths: {stage.delivered(range(1, count + 1), twice=deaths * WINDOW)} came twice")
    agent.end()


def test_rise_and_fall_during_an_outage_is_not_told(stage):
    stage.start_master()
    agent = stage.driver().connected()
    stage.kill_master()
    agent.until(connected=False)
    agent.ask("rise 2")
    agent.ask("fall 2")
    agent.ask("collector failed")
    stage.start_master()
    agent.until(15, owed=0)
    stage.delivered([5])


# --- hung ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [False, True], ids=["backlog open", "backlog full"])
def test_hung(stage, full):
    """SIGSTOP and SIGCONT: nothing waits for the master, then it goes on where it was."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("rows 20")
    stage.served()
    stage.master.signal(signal.SIGSTOP)
    held = fill_backlog(stage.socket) if full else []
    agent.ask("rise 50")
    wait_while_prompt(agent, HANG_SECONDS)
    assert agent.stats()["in_flight"] <= WINDOW
    for client in held:
        client.close()
    stage.master.signal(signal.SIGCONT)
    took = stage.served()
    agent.until(15, owed=0)
    stage.delivered(range(1, 51), twice=WINDOW if LONG else 0)
    print(f"served {took:.1f} s after SIGCONT")
    assert took < 5 * PATIENCE
    agent.end()


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, True], ids=["backlog open", "backlog full"])
def test_hung_and_given_up(stage, full):
    """A master that stays silent is given up and tried again; when it wakes up, everything is told."""
    stage.start_master()
    agent = stage.driver("-p", "1", "-r", "0.2").connected()
    stage.master.signal(signal.SIGSTOP)
    agent.ask("rise 50")
    agent.until(20, connected=False)
    held = fill_backlog(stage.socket) if full else []
    wait_while_prompt(agent, HANG_SECONDS)
    assert ("its backlog of connections is full" in agent.log()) or not full
    for client in held:
        client.close()
    stage.master.signal(signal.SIGCONT)
    stage.served()
    agent.until(15, owed=0)
    print(f"{stage.delivered(range(1, 51), twice=WINDOW)} of 50 came twice")
    agent.end()


@pytest.mark.parametrize("moment", ["connected", "backlog full", "opening", "sending"])
def test_stops_while_the_master_hangs(stage, moment):
    """SIGTERM ends the daemon in time, whatever the agent waits for."""
    stage.start_master()
    stage.listening()
    held = []
    if moment in ("connected", "sending"):
        agent = stage.driver().connected()
    stage.master.signal(signal.SIGSTOP)
    if moment == "backlog full":
        held = fill_backlog(stage.socket)
    if moment in ("opening", "backlog full"):
        agent = stage.driver()
        wait_while_prompt(agent, 0.5)
    if moment == "sending":
        agent.ask("rise 50")
        agent.until(in_flight=WINDOW)
    print(f"{moment}: {agent.end()} ms")
    for client in held:
        client.close()


# --- the socket ------------------------------------------------------------------------------------------------------


def test_socket_removed(stage):
    """The path goes away while the session lives: it lives on. A new master at the same path is found."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("rows 20")
    stage.socket.unlink()
    agent.ask("rise 1")
    agent.until(owed=0)
    stage.served()
    stage.kill_master()
    agent.until(connected=False)
    agent.ask("rise 2")
    stage.start_master()
    stage.served()
    stage.delivered([1, 3])
    agent.end()


@pytest.mark.parametrize("what, reason", [("file", "Connection refused"), ("directory", "Connection refused"),
                                          ("datagram socket", "Protocol wrong type for socket"), ("nothing", "No such file")])
def test_socket_replaced(stage, what, reason):
    """Something else lies where the socket should; it is said once, and the master that comes later is found."""
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if what == "file":
        stage.socket.write_text("")
    elif what == "directory":
        stage.socket.mkdir()
    elif what == "datagram socket":
        other.bind(str(stage.socket))
    agent = stage.driver("-r", "0.1")
    agent.ask("rise 1")
    eventually(lambda: reason in agent.log())
    wait_while_prompt(agent, 0.5)
    assert agent.log().count(reason) == 1
    if what == "directory":
        stage.socket.rmdir()
    else:
        stage.socket.unlink(missing_ok=True)
    stage.start_master()
    stage.served()
    stage.delivered([1])
    other.close()
    agent.end()


def test_permission(stage):
    """An unprivileged agent that may not connect says so, and connects once it may."""
    os.chmod(stage.directory, 0o755)
    stage.start_master()
    eventually(stage.socket.exists)
    os.chmod(stage.socket, 0o600)
    agent = stage.driver(wrapper=NOBODY)
    agent.ask("rise 1")
    eventually(lambda: "Permission denied" in agent.log())
    assert not agent.stats()["connected"]
    os.chmod(stage.socket, 0o666)
    stage.served()
    stage.delivered([1])
    agent.end()


@pytest.mark.parametrize("address", ["tcp:127.0.0.1:705", "tcp:localhost:705", "tcp:705", "tcp:[127.0.0.1]"])
def test_tcp(stage, address):
    """AgentX over TCP: a master that is absent, comes, dies, comes again."""
    agent = stage.driver(address=address)
    agent.ask("rows 20")
    eventually(lambda: "Connection refused" in agent.log())
    for expected in ([1], [1, 2]):
        stage.start_master(socket_path="tcp:127.0.0.1:705")
        stage.served()
        agent.ask("rise 1" if expected == [1] else "fall 1")
        stage.delivered(expected)
        stage.kill_master()
        agent.until(connected=False)
    agent.end()


def test_tcp_without_an_answer(stage):
    """Nobody answers at all: the attempt is bounded, and the agent ends in time."""
    stage.ns.run("ip", "link", "add", "here", "type", "veth", "peer", "name", "nowhere")
    stage.ns.run("ip", "addr", "add", "198.51.100.1/24", "dev", "here")
    for name in ("here", "nowhere"):
        stage.ns.run("ip", "link", "set", name, "up")
    agent = stage.driver(address="tcp:198.51.100.2:705")
    prompt(agent)
    assert agent.end() <= STOP_MS * PATIENCE


# --- nonsense --------------------------------------------------------------------------------------------------------

RANDOM = random.Random(20261123)


def header(kind=AgentX.RESPONSE, length=0, version=1, flags=AgentX.NETWORK_BYTE_ORDER):
    return struct.pack(">BBBxIIII", version, kind, flags, 7, 8, 9, length)


def send(octets):
    """Sends it, and waits for the agent to give up."""

    def behave(connection):
        connection.sendall(octets)
        while connection.recv(4096):
            pass

    return behave


def close_at_once(connection):
    connection.close()


def close_inside_of_answer(connection):
    """Answers half of a PDU."""
    session = AgentX(connection)
    _, repeated = session.receive()
    connection.sendall(session.response(repeated)[:21])


def random_octets(connection):
    connection.recv(4096)
    connection.sendall(RANDOM.randbytes(RANDOM.randrange(1, 5000)))


def opened(octets):
    """Opens the session as a master should, then sends nonsense in it."""

    def behave(connection):
        AgentX(connection).open_session()
        connection.sendall(octets)
        while connection.recv(4096):
            pass

    return behave


def random_requests(connection):
    """Requests with a right header and a payload of random octets: what the library's parser has to live with."""
    session = AgentX(connection).open_session()
    session.answer(session.receive()[1])
    for _ in range(300):
        payload = RANDOM.randbytes(4 * RANDOM.randrange(0, 40))
        connection.sendall(header(RANDOM.choice([5, 6, 7, 8, 9, 10, 11]), len(payload), flags=RANDOM.choice([0x10, 0x18])) + payload)


def strange_ranges(base):
    """SearchRanges (RFC 2741 5.2): without an end, with an end before the start, with too long and too large names."""
    names = [(), base, base[:3], (*base, 2**32 - 1), (*base, 1, 3, 1, 8, *(128 - len(base) - 4) * (255,)), 128 * (2**32 - 1,), (0,)]
    return [encoded(start, include) + encoded(end) for start in names for end in names for include in (0, 1)]


def strange_requests(mib):
    """Well-formed requests that no sane master makes; whatever is answered, an answer there must be. Notes the number that were."""
    base = tuple(int(part) for part in mib.oid["portwatchMIB"].split("."))
    ranges = strange_ranges(base)
    value = struct.pack(">HH", 2, 0) + encoded((*base, 1, 1, 1, 0)) + struct.pack(">I", 1)
    get, getnext, getbulk, testset, undo, cleanup = 5, 6, 7, 8, 10, 11
    requests = [(kind, part) for kind in (get, getnext) for part in ranges]
    requests += [(getbulk, struct.pack(">HH", first, 10000) + b"".join(ranges[:count])) for first in (0, 1, 65535) for count in (1, 3)]
    requests += [(get, b"".join(ranges)), (getnext, b"".join(ranges)), (testset, value), (undo, b""), (testset, 3 * value)]

    answered = []

    def behave(connection):
        session = AgentX(connection).open_session()
        session.answer(session.receive()[1])
        connection.settimeout(5 * PATIENCE)
        for kind, payload in requests:
            connection.sendall(header(kind, len(payload)) + payload)
            while session.receive()[0] != AgentX.RESPONSE:
                pass
        connection.sendall(header(cleanup, 0))
        answered.append(len(requests))

    return behave, answered


def test_strange_requests(stage, mib):
    """Ranges that end before they begin, 10,000 repetitions, names of 128 sub-identifiers of 2^32-1, sets without a commit."""
    behave, answered = strange_requests(mib)
    false = FalseMaster(stage.socket, behave)
    agent = stage.driver("-r", "0.1")
    agent.ask("rows 100")
    eventually(lambda: answered, 20)
    print(f"{answered[0]} requests")
    prompt(agent)
    false.stop()
    stage.start_master()
    stage.served()
    agent.ask("rise 1")
    stage.delivered([1])
    agent.end()


def closes_session(connection):
    """A Close-PDU (RFC 2741 6.2.2), and then silence."""
    AgentX(connection).open_session()
    connection.sendall(header(2, 4) + b"\0\0\0\x05")
    while connection.recv(4096):
        pass


NONSENSE = {
    "closes at once": close_at_once,
    "closes inside of a PDU": close_inside_of_answer,
    "random octets": random_octets,
    "another version": send(header(version=2)),
    "unknown type": send(header(kind=77)),
    "endless PDU": send(header(length=2**31)),
    "length that overflows": send(header(length=2**32 - 20)),
    "odd length": send(header(length=3)),
    "HTTP": send(b"HTTP/1.0 400 Bad Request\r\n\r\n"),
    "nonsense in a session": opened(b"\xff" * 100),
    "overflow in a session": opened(header(length=2**32 - 20)),
    "half a PDU in a session": opened(header(length=100) + b"\0" * 50),
    "random requests": random_requests,
    "closes the session": closes_session,
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense(stage, name):
    """A master that talks nonsense is left, again and again, without growing; the real one is found afterwards."""
    false = FalseMaster(stage.socket, NONSENSE[name])
    agent = stage.driver("-r", "0.1", "-p", "1")
    agent.ask("rows 20")
    agent.ask("rise 3")
    stuck = name == "half a PDU in a session"  # only time can tell
    eventually(lambda: false.connections >= (1 if stuck else 3), 20)
    before = agent.resident_kib(), agent.descriptors()
    wait_while_prompt(agent, 1)
    eventually(lambda: false.connections >= (2 if stuck else 10), 20)
    assert agent.sanitized() or agent.resident_kib() < before[0] + 1024
    assert agent.descriptors() <= before[1] + 1
    assert len(agent.log().splitlines()) < 30 + 4 * false.connections
    false.stop()
    stage.start_master()
    stage.served()
    agent.until(15, owed=0)
    stage.delivered([1, 2, 3], twice=3)
    agent.end()


def test_never_answers(stage):
    """A listener that accepts and says nothing: each attempt is given up, and the agent ends in time."""
    false = FalseMaster(stage.socket, lambda connection: connection.recv(4096) and connection.recv(4096))
    agent = stage.driver()
    eventually(lambda: false.connections >= 1)
    wait_while_prompt(agent, 0.5)
    assert agent.end() <= STOP_MS * PATIENCE
    false.stop()


# --- refusals --------------------------------------------------------------------------------------------------------


def refusing(refused, error, times):
    """A master that refuses PDUs of a type so many times, and takes them afterwards. Records what it took."""
    taken = []
    left = [times]

    def behave(connection):
        session = AgentX(connection).open_session()
        while True:
            kind, repeated = session.receive()
            refuse = kind == refused and left[0] > 0
            left[0] -= refuse
            session.answer(repeated, error if refuse else 0)
            if not refuse:
                taken.append(kind)

    return behave, taken


def test_refused_notification(stage):
    """A notification that the master refuses stays owed, and is tried again, not at once."""
    behave, taken = refusing(AgentX.NOTIFY, AgentX.PROCESSING_ERROR, 1)
    false = FalseMaster(stage.socket, behave)
    agent = stage.driver().connected()
    agent.ask("rise 1")
    eventually(lambda: "refuses notification" in agent.log())
    agent.until(acknowledged=0, owed=1, in_flight=0)
    agent.until(15, acknowledged=1, owed=0)
    assert taken.count(AgentX.NOTIFY) == 1 and false.connections == 1
    agent.end()
    false.stop()


def test_forgotten_session(stage):
    """A master that no longer knows the session gets a new one."""
    behave, _ = refusing(AgentX.PING, AgentX.NOT_OPEN, 1)
    false = FalseMaster(stage.socket, behave)
    agent = stage.driver("-p", "1", "-r", "0.1").connected()
    eventually(lambda: "it forgot the session" in agent.log())
    agent.connected()
    assert false.connections == 2
    agent.end()
    false.stop()


def test_two_agents(stage):
    """The second agent on a master is told that there is one, says so once, and serves when the first has gone. Both notify."""
    stage.start_master()
    first = stage.driver(name="first").connected()
    first.ask("rows 5")
    stage.served()
    second = stage.driver(name="second").connected()
    second.ask("rows 9")
    eventually(lambda: "another subagent serves it" in second.log())
    second.ask("rise 1")
    second.until(owed=0)
    assert stage.manager.get("pwPoolsListed") == 5
    first.end()
    eventually(lambda: stage.manager.get("pwPoolsListed") == 9, 15)
    assert second.log().count("another subagent serves it") == 1
    assert "registered with the master agent at last" in second.log()
    assert "lost the AgentX master" not in second.log()
    stage.delivered([1])
    second.end()


# --- the end ---------------------------------------------------------------------------------------------------------


def test_last_notifications_leave(stage):
    """What was posted just before the end still goes out."""
    stage.start_master()
    agent = stage.driver().connected()
    agent.ask("rise 20")
    agent.end()
    stage.delivered(range(1, 21))


def test_addresses_that_are_none(stage):
    for address in ("", "portwatch", "udp:127.0.0.1:705", "tcp:", "tcp:host:port", "tcp:host:0", "/" + 120 * "x"):
        result = stage.ns.run(os.path.join(os.environ.get("PW_BUILDDIR", "."), "tests/integration/agent_driver"), address, check=False)
        assert result.returncode == 1 and result.stderr, address
