# SPDX-License-Identifier: BSD-2-Clause
"""The agent without a collector (agent_driver), real masters and false ones: for tests of the SNMP side alone."""

import contextlib
import json
import os
import pathlib
import shlex
import socket
import struct
import subprocess
import threading
import time

from harness import PATIENCE, Process, eventually, program
from snmp import Manager, Master, Trapd

# The long forms of the fault tests: PW_LONG=1.
LONG = os.environ.get("PW_LONG", "") not in ("", "0")
# PW_WRAPPER="valgrind -q --leak-check=full --error-exitcode=9" runs every agent in it (PW_PATIENCE=10 helps).
WRAPPER = shlex.split(os.environ.get("PW_WRAPPER", ""))

STOP_MS = 2000


class Driver(Process):
    """agent_driver: the real agent thread; snapshots and notifications are made by commands."""

    def __init__(self, ns, directory, address, *options, name="agent", wrapper=()):
        argv = [*wrapper, *WRAPPER, program("tests/integration/agent_driver"), "-d", *options, address]
        super().__init__(ns, argv, pathlib.Path(directory) / f"{name}.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         bufsize=1)

    def started(self):
        """Waits until the agent has started; returns the driver."""
        line = self.popen.stdout.readline()
        assert line == "started\n", self.log()
        return self

    def ask(self, command):
        """One command; returns its answer."""
        self.popen.stdin.write(command + "\n")
        answer = self.popen.stdout.readline().strip()
        assert answer and not answer.startswith("error"), f"{command}: {answer!r}: {self.log()}"
        return json.loads(answer) if answer.startswith("{") else answer

    def stats(self):
        return self.ask("stats")

    def until(self, deadline=10, **expected):
        """Waits until the statistics have these values."""

        def probe():
            stats = self.stats()
            found = {name: stats[name] for name in expected}
            assert found == expected, f"{found}, expected {expected}; the agent says:\n{self.log()[-2000:]}"
            return stats

        return eventually(probe, deadline)

    def connected(self, deadline=10):
        """Waits until a session with a master is open; returns the driver."""
        self.until(deadline, connected=True)
        return self

    def end(self, limit_ms=STOP_MS):
        """Ends the agent as SIGTERM ends the daemon; returns how many milliseconds it took. The thread must have ended by itself."""
        answer = self.ask(f"stop {limit_ms}")
        assert answer["stopped"] and answer["ms"] <= limit_ms * PATIENCE, answer
        return answer["ms"]

    def stop(self, deadline=5.0):
        """Ends the driver; whatever it was put through, it must end well, and with nothing that a sanitizer objects to."""
        self.popen.stdin.close()
        try:
            status = self.wait(deadline)
        except subprocess.TimeoutExpired:
            status = super().stop()
        self.popen.stdout.close()
        assert status == 0 and "Sanitizer" not in self.log(), f"exit status {status}:\n{self.log()[-8000:]}"
        return status

    def sanitized(self):
        """Whether a sanitizer or valgrind watches the process: both keep freed memory."""
        return WRAPPER or "san.so" in pathlib.Path(f"/proc/{self.pid}/maps").read_text()

    def resident_kib(self):
        """The memory that the process holds."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Stage:
    """A namespace with a place for a master, and a receiver of notifications."""

    def __init__(self, workshop, mib, receiver=True):
        self.workshop, self.mib = workshop, mib
        self.directory = workshop.directory
        self.ns = workshop.namespace()
        self.socket = self.directory / "agentx"
        self.manager = Manager(self.ns, mib)
        self.trapd = self.receiver() if receiver else None
        self.master = None

    def receiver(self, listen="udp:127.0.0.1:162", name="snmptrapd"):
        """A snmptrapd that listens already."""
        trapd = self.workshop.keep(Trapd(self.ns, self.directory, listen, name))
        eventually(lambda: "NET-SNMP version" in trapd.log())
        return trapd

    def start_master(self, config="trap2sink 127.0.0.1:162 public", socket_path=None):
        self.master = self.workshop.keep(Master(self.ns, self.directory, config, socket_path or self.socket))
        return self.master

    def listening(self):
        """Waits until the master takes connections."""

        def probe():
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(str(self.socket)) == 0

        eventually(probe)

    def kill_master(self):
        self.master.kill()

    def driver(self, *options, address=None, name="agent", wrapper=()):
        found = Driver(self.ns, self.directory, address or self.socket, *options, name=name, wrapper=wrapper)
        return self.workshop.keep(found).started()

    def standalone(self, include, name="standalone"):
        """The agent without a master, on the master's port."""
        file = self.directory / f"{name}.conf"
        file.write_text(include + "\n")
        return self.driver("-L", "-i", file, address="udp:127.0.0.1:161", name=name)

    def served(self, deadline=10):
        """Waits until the master answers for PORTWATCH-MIB; returns the seconds that it took."""
        begun = time.monotonic()
        eventually(lambda: self.manager.get("pwVersion"), deadline)
        return time.monotonic() - begun

    def received(self):
        """What the receiver has got: [{object name: value}], oldest first."""
        return self.trapd.notifications(self.mib)

    def received_ids(self):
        return [event["pwEventId"] for event in self.received()]

    def delivered(self, expected, twice=0, deadline=15):
        """Waits until the receiver has got these events; none more than once, but for up to `twice` that were under way when a
        connection ended: those come again with the same number and time. Returns how many came twice."""
        eventually(lambda: set(self.received_ids()) >= set(expected), deadline)
        received = self.received()
        assert {event["pwEventId"] for event in received} == set(expected)
        assert len({(event["pwEventId"], event["pwEventTime"]) for event in received}) == len(set(expected))
        again = len(received) - len(set(expected))
        assert again <= twice, self.received_ids()
        return again


def fill_backlog(path):
    """Connects until the listener takes no more, as other programs would that wait for the same master."""
    held = []
    with contextlib.suppress(BlockingIOError):
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            held.append(client)
            client.connect(str(path))
    return held


class FalseMaster:
    """Listens where the master should, and lets `behave(connection)` deal with one connection after the other."""

    def __init__(self, path, behave):
        self.connections = 0
        self._path = pathlib.Path(path)
        self._behave = behave
        self._current = None
        self._ended = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ended:
            try:
                connection, _ = self._listener.accept()
                with connection:
                    self.connections += 1
                    self._current = connection
                    self._behave(connection)
            except OSError:
                continue

    def stop(self):
        self._ended = True
        for end in (self._listener, self._current):
            with contextlib.suppress(OSError, AttributeError):
                end.shutdown(socket.SHUT_RDWR)
        self._thread.join(10 * PATIENCE)
        self._listener.close()
        self._path.unlink(missing_ok=True)


class AgentX:
    """As much of RFC 2741 as a master needs to open a session, and to answer or refuse what follows."""

    OPEN, CLOSE, REGISTER, UNREGISTER, GET, GETNEXT, GETBULK, TESTSET, COMMITSET, UNDOSET, CLEANUPSET, NOTIFY, PING = range(1, 14)
    RESPONSE = 18
    NOT_OPEN, UNSUPPORTED_CONTEXT, DUPLICATE_REGISTRATION, PARSE_ERROR, PROCESSING_ERROR = 257, 262, 263, 266, 268
    SESSION = 7
    HEADER = struct.Struct(">BBBxIIII")
    NON_DEFAULT_CONTEXT, NETWORK_BYTE_ORDER = 0x08, 0x10

    def __init__(self, connection):
        self._connection = connection
        self.payload = b""  # of the last PDU

    def _take(self, size):
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                raise ConnectionError("end of stream")
            data += part
        return data

    def receive(self):
        """The next PDU: (type, what an answer must repeat)."""
        header = self._take(self.HEADER.size)
        order = ">" if header[2] & self.NETWORK_BYTE_ORDER else "<"
        _, kind, _, session, transaction, packet, length = struct.unpack(f"{order}BBBxIIII", header)
        self.payload = self._take(length)
        return kind, (session, transaction, packet)

    def response(self, repeated, error=0):
        """The octets of a Response-PDU."""
        payload = struct.pack(">IHH", int(time.monotonic() * 100) % 2**32, error, 0)
        return self.HEADER.pack(1, self.RESPONSE, self.NETWORK_BYTE_ORDER, *repeated, len(payload)) + payload

    def answer(self, repeated, error=0):
        self._connection.sendall(self.response(repeated, error))

    def open_session(self):
        """Answers the Open-PDU; returns the AgentX, to go on with."""
        kind, (_, transaction, packet) = self.receive()
        assert kind == self.OPEN
        self.answer((self.SESSION, transaction, packet))
        return self

    def pdu(self, kind, payload=b"", flags=0, packet=9, session=SESSION):
        """The octets of any PDU."""
        return self.HEADER.pack(1, kind, flags | self.NETWORK_BYTE_ORDER, session, 8, packet, len(payload)) + payload

    def until_response(self):
        """Answers what the agent asks, until its next Response: (error, index, its variable bindings)."""
        while True:
            kind, repeated = self.receive()
            if kind == self.RESPONSE:
                _, error, index = struct.unpack(">IHH", self.payload[:8])
                return error, index, self.payload[8:]
            self.answer(repeated)

    def ask(self, *arguments, **options):
        """Sends a PDU; returns the Response to it."""
        self._connection.sendall(self.pdu(*arguments, **options))
        return self.until_response()


def encoded(oid, include=0):
    """An Object Identifier of RFC 2741 5.1, without a prefix."""
    return struct.pack(f">BBBB{len(oid)}I", len(oid), 0, include, 0, *oid)
