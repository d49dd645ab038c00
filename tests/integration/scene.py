# SPDX-License-Identifier: BSD-2-Clause
"""A host as an operator has it: connections, portwatchd, snmpd beside it, and a receiver of notifications."""

import contextlib
import pathlib
import time

from harness import PATIENCE, Daemon, equals, eventually
from snmp import V3_ENGINE, V3_PASSWORD, V3_USER, Manager, Master, Trapd

ACCESS = f"-v 3 -u {V3_USER} -l authPriv -a SHA -A {V3_PASSWORD} -x AES -X {V3_PASSWORD}"
UNCOUNTED = "connect-failures = false\nevents = off\n"
TRAP_V2C = "trap2sink 127.0.0.1:162 public"
INFORM_V3 = f"trapsess -Ci {ACCESS} udp:127.0.0.1:1162"
TRAP_V3 = f"trapsess {ACCESS} -e {V3_ENGINE} "


def connect_pool(local, remote, port):
    """The name of a connect pool; IPv6 addresses come in brackets."""
    bracket = "[{}]".format if ":" in local else "{}".format
    return f"tcp {bracket(local)} -> {bracket(remote)}:{port}"


def connect_index(local, remote, port, ns=1):
    """The index of a connect pool's row as RFC 4001 makes it: kind, protocol, then type, length and bytes of each address."""

    def side(address):
        kind, packed = address
        return [kind, len(packed), *packed]

    return ".".join(str(part) for part in [ns, 1, 6, *side(local), *side(remote), port])


def ipv4(text):
    """The InetAddressType and bytes of an IPv4 address."""
    return 1, bytes(int(part) for part in text.split("."))


class Scene:
    """portwatchd in a namespace with a small ephemeral port range, snmpd on its well-known port, snmptrapd, and a load generator."""

    def __init__(self, workshop, mib, low=40000, high=40999, snmpd=TRAP_V2C, **sysctls):
        self.workshop, self.mib = workshop, mib
        self.ns = workshop.namespace(ip_local_port_range=f"{low} {high}", **sysctls)
        self.trapd = workshop.keep(Trapd(self.ns, workshop.directory))
        self._snmpd = snmpd
        self.master = None
        self.restart_master()
        self.manager = Manager(self.ns, mib)
        self.daemon = None
        self.load = workshop.load(self.ns, during=self._between_polls)

    def start(self, config="", failures=False, **options):
        """Starts portwatchd and waits until snmpd serves its first poll. Failing connects, and thresholds that ring, are those of the
        whole host, other tests among it, so they count only where a test is about them."""
        return self.keep(Daemon, config if failures else UNCOUNTED + config, **options)

    def keep(self, kind, config, **options):
        """Starts a Daemon of this kind, and waits until snmpd serves its first poll."""
        self.daemon = self.workshop.keep(kind(self.ns, self.workshop.directory, self.master.socket, extra=config, **options))
        self.manager.ready()
        return self.daemon

    def connect(self, count=600):
        """Connections to one destination, port 8080 of 127.0.0.1: 600 of 1000 ports are a warning. Returns the clients."""
        self.load.listen("127.0.0.1", 8080)
        return self.load.connect(count, "127.0.0.1", 8080)

    def _between_polls(self):
        """A load that grows while it is polled would cross a threshold at any number, and two thresholds one after the other."""
        return self.daemon.paused() if self.daemon and self.daemon.running else contextlib.nullcontext()

    def restart_master(self):
        """Another snmpd in the place of one that has ended."""
        self.master = self.workshop.keep(Master(self.ns, self.workshop.directory, self._snmpd))
        return self.master

    def another_receiver(self, name, listen, config=""):
        """A further snmptrapd."""
        return self.workshop.keep(Trapd(self.ns, self.workshop.directory, listen, name, config))

    def polls(self, count=2):
        """Waits for that many further polls: what happened before has been seen then."""
        target = self.manager.get("pwPolls") + count
        eventually(lambda: (self.manager.get("pwPolls") or 0) >= target, 20 + count / 10)

    def until(self, name, deadline=10, **columns):
        """Waits until the pool's row has these values (column names without pwPool, first letter small); returns the row."""

        def probe():
            row = self.manager.pool(name)
            found = {column: row.get(f"pwPool{column[0].upper()}{column[1:]}") for column in columns}
            assert found == columns, f"{name}: {found}, expected {columns}; the row is {row}"
            return row

        return eventually(probe, deadline)

    def notifications(self, receiver=None):
        return (receiver or self.trapd).notifications(self.mib)

    def crossings(self, receiver=None):
        """(pool name, previous state, new state) of every rising and falling notification so far."""
        return [(event["pwEventPoolName"], event["pwEventPreviousState"], event["pwEventState"])
                for event in self.notifications(receiver) if event["notification"] in ("pwPoolRising", "pwPoolFalling")]

    def expect(self, crossings, receiver=None, settle=3):
        """Waits for exactly these crossings, and for some more polls that none follows; returns the notifications."""
        equals(lambda: self.crossings(receiver), crossings)
        self.polls(settle)
        assert self.crossings(receiver) == crossings
        return self.notifications(receiver)


def resident_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))


class Undisturbed:
    """Polls came at their time, and memory stayed flat, while something else happened."""

    def __init__(self, scene, interval, grown_kib=16 * 1024):
        self.scene, self.interval, self.grown = scene, interval, grown_kib

    def __enter__(self):
        self.polls, self.begun = self.scene.manager.get("pwPolls"), time.monotonic()
        self.memory = resident_kib(self.scene.daemon.pid)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            wanted = (time.monotonic() - self.begun) / self.interval
            polled = self.scene.manager.get("pwPolls") - self.polls
            assert polled >= wanted * 0.8 / PATIENCE - 2, f"{polled} polls, expected {wanted:.0f}"
            grown = resident_kib(self.scene.daemon.pid) - self.memory
            assert grown < self.grown, f"{grown} KiB more"
            assert self.scene.manager.get("pwPollErrors") == 0
