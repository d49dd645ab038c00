# SPDX-License-Identifier: BSD-2-Clause
"""A master that sends what no subagent should have to see: each request gets the answer of RFC 2741, and nothing of it reaches libnetsnmp."""

import queue
import random
import struct
import time

import pytest
from agent import LONG, AgentX, FalseMaster, Stage, encoded
from harness import PATIENCE, eventually

NOT_WRITABLE, COMMIT_FAILED, UNDO_FAILED = 17, 14, 15
NUL_CONTEXT = struct.pack(">I", 5) + b"\0root\0\0\0"
CONTEXT = struct.pack(">I", 4) + b"blue"
RANDOM = random.Random(20261124)


@pytest.fixture(name="stage")
def fixture_stage(workshop, mib):
    return Stage(workshop, mib, receiver=False)


class Script:
    """A master that opens a session, takes the registration, and does what `play(session, connection)` says, once; then it closes."""

    def __init__(self, stage, play):
        self._play, self._outcome, self._done = play, queue.Queue(), False
        self.master = FalseMaster(stage.socket, self._behave)
        self.agent = stage.driver("-r", "0.1")
        self.agent.ask("rows 20")
        self.outcome = self._outcome.get(timeout=60 * PATIENCE)

    def _behave(self, connection):
        session = AgentX(connection).open_session()
        if self._done:  # the connections after it are those of a good master
            while True:
                session.answer(session.receive()[1])
        session.answer(session.receive()[1])
        connection.settimeout(5 * PATIENCE)
        self._done = True
        try:
            self._outcome.put(self._play(session, connection))
        except (AssertionError, OSError, struct.error) as error:
            self._outcome.put(error)

    def end(self, reconnects=True):
        """The agent has another session afterwards, and ends well."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if reconnects:
            eventually(lambda: self.master.connections >= 2)
            self.agent.connected()
        self.agent.end()
        self.agent.stop()
        self.master.stop()


def base(mib):
    return tuple(int(part) for part in mib.oid["portwatchMIB"].split("."))


def everything(mib):
    return encoded(base(mib)) + encoded(())


def test_answers(stage, mib):
    """What is asked, and the error that it gets."""
    version = encoded((*base(mib), 1, 1, 1, 0))
    value = struct.pack(">HH", 2, 0) + version + struct.pack(">I", 1)
    get = version + encoded(())
    ax = AgentX
    cases = [
        (0, (ax.GET, get), {}),
        (0, (ax.GETNEXT, everything(mib)), {}),
        (0, (ax.GETBULK, struct.pack(">HH", 0, 10) + everything(mib)), {}),
        (NOT_WRITABLE, (ax.TESTSET, value), {}),
        (NOT_WRITABLE, (ax.TESTSET, 3 * value), {}),
        (COMMIT_FAILED, (ax.COMMITSET,), {}),
        (UNDO_FAILED, (ax.UNDOSET,), {}),
        *[(ax.UNSUPPORTED_CONTEXT, (kind, context + part), {"flags": ax.NON_DEFAULT_CONTEXT})
          for kind, part in ((ax.GET, get), (ax.GETNEXT, get), (ax.GETBULK, b""), (ax.TESTSET, value)) for context in (CONTEXT, NUL_CONTEXT, b"")],
        *[(ax.NOT_OPEN, (kind, get), {"session": 8}) for kind in (ax.GET, ax.GETNEXT, ax.TESTSET, ax.COMMITSET)],
        (ax.PARSE_ERROR, (ax.GET, version), {}),
        (ax.PARSE_ERROR, (ax.GETNEXT, b"\xff\xff\xff\xff"), {}),
        (ax.PARSE_ERROR, (ax.GETBULK,), {}),
    ]

    def play(session, _):
        for expected, arguments, options in cases:
            error, index, varbinds = session.ask(*arguments, **options)
            assert (error, index) == (expected, int(expected == NOT_WRITABLE)), (arguments, options, error, index)
            assert bool(varbinds) == (expected == 0)
        return len(cases)

    script = Script(stage, play)
    assert script.outcome == len(cases), script.outcome
    script.end()


def test_a_request_of_a_megabyte(stage):
    """The longest request that is taken is answered; where the answer would be longer than that, it is an error."""
    count = (1 << 20) // 16

    def play(session, _):
        error, _, varbinds = session.ask(AgentX.GET, 2 * encoded(()) * count)  # null names: none is ours
        return error, len(varbinds), session.ask(AgentX.GETNEXT, 2 * encoded(()) * count)

    script = Script(stage, play)
    assert script.outcome == (0, 8 * count, (5, 0, b"")), script.outcome[:2]
    script.end()


def test_parts_of_a_set_and_the_end(stage, mib):
    """What the library keeps of a SET is freed by the end of the connection: there is no SET that it could keep anything of."""
    value = struct.pack(">HH", 2, 0) + encoded((*base(mib), 1, 1, 1, 0)) + struct.pack(">I", 1)
    parts = [(AgentX.TESTSET, value), (AgentX.COMMITSET, b""), (AgentX.UNDOSET, b""), (AgentX.CLEANUPSET, b"")]
    ends = [[part] for part in parts] + [[parts[0], part] for part in parts] + [parts]

    def behave(connection):
        session = AgentX(connection).open_session()
        for kind, payload in ends[master.connections % len(ends)]:
            connection.sendall(session.pdu(kind, payload) + session.pdu(kind, NUL_CONTEXT + payload, flags=AgentX.NON_DEFAULT_CONTEXT))

    master = FalseMaster(stage.socket, behave)
    agent = stage.driver("-r", "0.1")
    agent.ask("rise 5")
    eventually(lambda: master.connections > (10 if LONG else 2) * len(ends), 60)
    assert agent.descriptors() < 40
    agent.end()
    agent.stop()
    master.stop()


def test_pdus_that_a_master_does_not_send(stage, mib):
    """Open, Register, Notify, Ping and the others of a subagent are no requests: no answer, and the session goes on."""

    def play(session, connection):
        for kind in (AgentX.OPEN, AgentX.REGISTER, AgentX.UNREGISTER, AgentX.NOTIFY, AgentX.PING, 14, 15, 16, 17, AgentX.CLEANUPSET):
            connection.sendall(session.pdu(kind, b"\0\0\0\0") + session.pdu(kind, NUL_CONTEXT, flags=AgentX.NON_DEFAULT_CONTEXT))
        return session.ask(AgentX.GETNEXT, everything(mib))[0]

    script = Script(stage, play)
    assert script.outcome == 0, script.outcome
    script.end()


def test_responses_that_nobody_asked_for(stage, mib):
    """20,000 of them, for any packet, with any error, in any session, of any length: dropped. What was really asked counts once."""

    def play(session, connection):
        for number in range(20000):
            packet = RANDOM.choice([number, RANDOM.randrange(2**32)])
            payload = RANDOM.randbytes(4 * RANDOM.randrange(0, 30))
            connection.sendall(session.pdu(AgentX.RESPONSE, payload, packet=packet, session=RANDOM.choice([0, 8, 2**32 - 1])))
        return session.ask(AgentX.GETNEXT, everything(mib))[0]

    script = Script(stage, play)
    assert script.outcome == 0, script.outcome
    script.agent.ask("rise 3")
    script.agent.until(acknowledged=3, owed=0)
    script.end()


def test_one_octet_at_a_time(stage, mib):
    """Requests come in single octets, and slowly: they are answered when they are whole, and nobody waits for that."""

    def behave(connection):
        session = AgentX(connection).open_session()
        session.answer(session.receive()[1])
        for _ in range(3):
            for octet in session.pdu(AgentX.GETNEXT, everything(mib)):
                connection.sendall(bytes([octet]))
                time.sleep(0.02)
            answers.append(session.until_response()[0])
        while True:
            session.answer(session.receive()[1])

    answers = []
    master = FalseMaster(stage.socket, behave)
    agent = stage.driver("-r", "0.1").connected()
    while len(answers) < 3:
        begun = time.monotonic()
        agent.ask("rows 3")
        agent.stats()
        assert time.monotonic() - begun < 0.5 * PATIENCE
        time.sleep(0.05)
    assert answers == [0, 0, 0] and master.connections == 1
    agent.end()
    agent.stop()
    master.stop()


def test_a_master_that_never_reads(stage, mib):
    """Requests without end, of which no answer is taken: the connection ends, and the agent's end does not wait for it."""

    def behave(connection):
        session = AgentX(connection).open_session()
        request = session.pdu(AgentX.GETNEXT, everything(mib))
        while True:
            connection.sendall(1000 * request)

    master = FalseMaster(stage.socket, behave)
    agent = stage.driver("-r", "0.1")
    agent.ask("rows 100")
    eventually(lambda: master.connections >= 2, 30)
    assert "it does not take what is sent to it" in agent.log()
    assert agent.sanitized() or agent.resident_kib() < 64 * 1024
    assert agent.end() < 2000 * PATIENCE
    agent.stop()
    master.stop()
