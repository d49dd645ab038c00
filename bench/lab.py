# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory of the benchmarks: two network namespaces, populations of sockets between them, and the instruments.

"host" is what is measured, "peer" is the rest of the world. Each has hash tables of its own, as large as those of the machine: a dump
walks the whole table, and what other namespaces have in it would be measured as well. Shared remains only the table of bound ports.
"""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time
import typing

from harness import Namespace, Process, program

LIMIT_S = 900  # a population ends by itself after this time, whatever became of the benchmark
SERVER_PORT = 20000  # servers on the peer, and on the loopback of the host: below the range
INBOUND_PORT = 21000  # servers on the host: below the range
PER_SOURCE = 12500  # sockets a source address: less than half of the range, where connect() is fast

HOST, PEER = "10.9.0.1", "10.9.0.2"
HOST_NET, PEER_NET = "10.32.0", "10.64.0"  # source addresses, and servers and their clients
HOST6, PEER6 = "fd09::1", "fd09::2"


def table_size(ns, name):
    """Buckets of the machine's table; a namespace that shares it shows the number as negative."""
    return abs(int(ns.sysctl(f"ipv4/{name}")))


class Lab(contextlib.ExitStack):
    """The two namespaces; takes everything down at its end, the last first."""

    def __init__(self):
        super().__init__()
        self.directory = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="portwatch-bench-")))
        seed = self._namespace()
        seed.sysctl("ipv4/tcp_child_ehash_entries", table_size(seed, "tcp_ehash_entries"))
        seed.sysctl("ipv4/udp_child_hash_entries", table_size(seed, "udp_hash_entries"))
        with seed.entered():  # a namespace gets its tables from the one that it is made in
            self.host, self.peer = self._namespace(), self._namespace()
        self._link()

    def _namespace(self):
        ns = Namespace(ip_local_port_range="32768 60999", tcp_syncookies=0, tcp_max_tw_buckets=2000000)
        self.callback(ns.close)
        ns.sysctl("core/somaxconn", 2000000)
        return ns

    def _link(self):
        peer_path = f"/proc/{os.getpid()}/fd/{self.peer.fd}"
        self.host.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", peer_path)
        for ns, own, other, own_net, other_net in ((self.host, HOST, PEER, HOST_NET, PEER_NET),
                                                   (self.peer, PEER, HOST, PEER_NET, HOST_NET)):
            ns.run("ip", "address", "add", f"{own}/30", "dev", "v0")
            ns.run("ip", "link", "set", "v0", "up")
            ns.run("ip", "route", "add", "local", f"{own_net}.0/16", "dev", "lo")
            ns.run("ip", "route", "add", f"{other_net}.0/16", "via", other)
        for ns, own in ((self.host, HOST6), (self.peer, PEER6)):
            ns.run("ip", "address", "add", f"{own}/64", "dev", "v0", "nodad")

    @contextlib.contextmanager
    def population(self, *parts):
        """Holds sockets: each part is (namespace, arguments of bench/population)."""
        with contextlib.ExitStack() as stack:
            for ns, arguments in parts:
                stack.enter_context(Population(ns, arguments, self.directory))
            yield

    def walks(self):
        """Whether this kernel lets portwatch read sockets by BPF; says why not."""
        result = subprocess.run([program("bench/poll"), "bpf"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            print(f"no figures of BPF: {result.stderr.strip()}", flush=True)
        return result.returncode == 0

    def instrument(self, name, *arguments):
        """A measuring program of this folder that runs in the host namespace until the lab ends."""
        meter = Meter(self.host, name, arguments, self.directory)
        self.callback(meter.stop)
        return meter


class Conversation(Process):
    """A program that is talked to in lines."""

    def __init__(self, ns, argv, log):
        super().__init__(ns, argv, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def hear(self):
        line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.argv[0]} ended: {self.log()}")
        return line.strip()

    def end(self):
        """Ends its input and waits until it has closed everything."""
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.wait(60)


class Population(Conversation):
    """One run of bench/population; ready when the context is entered."""

    def __init__(self, ns, arguments, directory):
        super().__init__(ns, [program("bench/population"), "-t", LIMIT_S, *arguments], directory / "population.log")

    def __enter__(self):
        self.hear()
        return self

    def __exit__(self, *unused):
        self.end()


def pairs(line):
    """{"name": value} of a line "name=value ...", the values as integers."""
    return {name: int(value) for name, value in (word.split("=") for word in line.split())}


class Meter(Conversation):
    """A program of this folder that answers each command with numbers."""

    def __init__(self, ns, name, arguments, directory):
        super().__init__(ns, [program(f"bench/{name}"), *arguments], directory / f"{name}.log")

    def tell(self, command):
        self.popen.stdin.write(command + "\n")

    def answer(self):
        return pairs(self.hear())

    def ask(self, command):
        self.tell(command)
        return self.answer()


class Usage(typing.NamedTuple):
    """What a piece of work took, in microseconds: user and system time, and time by the clock."""

    cpu_us: int
    wall_us: int


def command_usage(ns, command):
    """The Usage of a shell command and of all its children. Its output is thrown away."""
    start = time.monotonic()
    with ns.entered():
        # pylint: disable-next=consider-using-with
        child = subprocess.Popen(["sh", "-c", str(command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{command!r} ended with {child.returncode}")
    return Usage(round((usage.ru_utime + usage.ru_stime) * 1e6), round(wall * 1e6))


def sources(count, net=HOST_NET):
    """-s for that many sockets to one destination."""
    return ["-s", f"{net}.1+{max(1, -(-count // PER_SOURCE))}"]


def to_one(lab, count):
    """Clients of one server, from several source addresses."""
    return ((lab.peer, ["-l", SERVER_PORT]),
            (lab.host, ["-c", count, "-d", f"{PEER_NET}.1", "-p", SERVER_PORT, *sources(count)]))


def to_many(lab, count, hosts, ports=1):
    """Clients of hosts x ports servers, from one source address that the kernel chooses."""
    return ((lab.peer, ["-l", f"{SERVER_PORT}+{ports}"]),
            (lab.host, ["-c", count, "-d", f"{PEER_NET}.1+{hosts}", "-p", f"{SERVER_PORT}+{ports}"]))


def to_one_ipv6(lab, count):
    """At most half of the range to each port of one IPv6 server."""
    ports = max(1, -(-count // PER_SOURCE))
    return ((lab.peer, ["-6", "-l", f"{SERVER_PORT}+{ports}"]),
            (lab.host, ["-c", count, "-d", PEER6, "-p", f"{SERVER_PORT}+{ports}"]))


def loopback(lab, count):
    """Both ends on the host: half of the sockets are in the range, the servers' ends are not."""
    return ((lab.host, ["-l", SERVER_PORT]),
            (lab.host, ["-c", count // 2, "-d", "127.0.0.1", "-p", SERVER_PORT, *sources(count // 2, "127.0.1")]))


def with_inbound(lab, count, percent):
    """`percent` of the sockets are a server's ends, outside the range; the rest as to_one()."""
    inbound = count * percent // 100
    parts = list(to_one(lab, count - inbound)) if inbound < count else []
    if inbound:
        parts += [(lab.host, ["-l", INBOUND_PORT]),
                  (lab.peer, ["-c", inbound, "-d", f"{HOST_NET}.1", "-p", INBOUND_PORT, *sources(inbound, PEER_NET)])]
    return parts


def time_wait(lab, count):
    """Closed connections in TIME_WAIT: they last 60 s."""
    return ((lab.peer, ["-a", f"{SERVER_PORT}+2"]),
            (lab.host, ["-c", count, "-d", f"{PEER_NET}.1", "-p", f"{SERVER_PORT}+2", *sources(count), "-w"]))


def udp(lab, count):
    return ((lab.host, ["-u", count, *sources(count)]),)
