# SPDX-License-Identifier: BSD-2-Clause
"""The daemon: what its polls cost, its memory and its start; and SNMP: what polls do to the answers, bulk walks, notifications."""

import contextlib
import os
import pathlib
import signal
import socket
import statistics
import struct
import time

from harness import Cell, Daemon, Process, eventually, program
from lab import Usage, pairs, to_many, to_one
from snmp import COMMUNITY, MODULES, Manager, Master, Mib

PEER = "udp:127.0.0.1:161"
NEVER = 3600  # seconds between polls: none but the first
CONTINUOUS = 0.01
PAUSED = 0.05
TRAP_PORT = 1162
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
TCP_CONNECTION_TABLE = "1.3.6.1.2.1.6.19"
TCP_MODULES = "tcpConnectionTable"
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
IDLE_NAMESPACES = 50


class Agent(contextlib.ExitStack):
    """snmpd and portwatchd in the host namespace."""

    def __init__(self, lab, interval, extra="", snmpd="", program_of=Daemon):
        super().__init__()
        self.lab = lab
        directory = lab.directory / f"agent-{time.monotonic_ns()}"
        directory.mkdir()
        self.master = Master(lab.host, directory, snmpd, modules=f"{MODULES},{TCP_MODULES}")
        self.callback(self.master.stop)
        self.daemon = program_of(lab.host, directory, self.master.socket, extra, interval)
        self.callback(self.daemon.stop)
        self.mib = Mib()
        self.manager = Manager(lab.host, self.mib)
        eventually(lambda: (self.get("pwPolls") or 0) > 0, 30)

    def get(self, name):
        return self.manager.get(name)


def ask(lab, *arguments):
    """One run of bench/manager: {name: number}."""
    return pairs(lab.host.run(program("bench/manager"), PEER, COMMUNITY, *arguments, timeout=600).stdout)


def task_file(pid, task, name):
    return pathlib.Path(f"/proc/{pid}/task/{task}/{name}").read_text()


def threads_cpu_us(pid):
    """Microseconds of CPU of the collector (the main thread) and of the agent (the other one), by schedstat's nanoseconds."""
    cpu = {"collector": 0, "agent": 0}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        role = "collector" if int(task.name) == pid else "agent"
        cpu[role] += int(task_file(pid, task.name, "schedstat").split()[0]) / 1000
    return cpu


class TcpWalker:
    """snmpd without any subagent, whose tcpConnectionTable is walked."""

    def __init__(self, lab):
        self.lab = lab
        self.master = None

    def __enter__(self):
        directory = self.lab.directory / "tcp-walker"
        directory.mkdir(exist_ok=True)
        self.master = Master(self.lab.host, directory, modules=f"{MODULES},{TCP_MODULES}")
        manager = Manager(self.lab.host, Mib())
        eventually(lambda: manager.get_oids(SYS_UPTIME), 30)

    def __exit__(self, *unused):
        self.master.stop()

    def walk_cpu_us(self):
        """CPU time of snmpd for one bulk walk; that of the manager comes on top in real life."""
        before = sum(threads_cpu_us(self.master.pid).values())
        ask(self.lab, "walk", 50, TCP_CONNECTION_TABLE)
        return round(sum(threads_cpu_us(self.master.pid).values()) - before)


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


# --- the daemon's poll and memory ---------------------------------------------------------------------------------------


def settle(agent, polls):
    """Waits for a number of further polls."""
    start = agent.get("pwPolls")
    eventually(lambda: agent.get("pwPolls") >= start + polls, 120, interval=0.2)


def polls_cpu_us(agent, polls):
    """CPU time of a poll, by thread, over a number of polls."""
    before, start = threads_cpu_us(agent.daemon.inner), agent.get("pwPolls")
    settle(agent, polls)
    after, end = threads_cpu_us(agent.daemon.inner), agent.get("pwPolls")
    return {role: (after[role] - before[role]) / (end - start) for role in after}


@contextlib.contextmanager
def suspended(process):
    """The process does nothing for the duration."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


def backends(bench):
    return ("netlink", "bpf") if bench.walks else ("netlink",)


def whole_poll(bench, backend):
    """The daemon's poll, with everything that belongs to it, by its own counters and by the kernel's, and the floor in turns."""
    large, many = bench.scale.large, bench.scale.many
    for destinations, parts in ((1, to_one(bench.lab, large)), (many, to_many(bench.lab, large, many // 10, 10))):
        samples = {}
        with bench.lab.population(*parts), Agent(bench.lab, PAUSED, f"probe = off\nbackend = {backend}\n") as agent:
            settle(agent, 3)
            for _ in range(bench.scale.rounds):
                cpu = polls_cpu_us(agent, 6)
                sample = {**cpu, "duration": agent.get("pwPollDuration")}
                with suspended(agent.daemon):
                    sample["floor"] = bench.floor.ask("6 1")["cpu_us"] / 6
                for name, value in sample.items():
                    samples.setdefault(name, []).append(value)
        bench.note("daemon", backend=backend, total=large, destinations=destinations, samples=samples)


def memory(bench):
    lab, large, many = bench.lab, bench.scale.large, bench.scale.many
    cases = ((1000, to_one(lab, 1000)), (large // 2, to_one(lab, large // 2)), (large, to_one(lab, large)),
             (large, to_many(lab, large, 100)), (large, to_many(lab, large, many // 10, 10)),
             (large, to_many(lab, large, large // 10, 10)))
    for total, parts in cases:
        with lab.population(*parts):
            for backend in backends(bench):
                with Agent(lab, 0.5, f"backend = {backend}\n") as agent:
                    settle(agent, 4)
                    bench.note("memory", backend=backend, total=total, pools=agent.get("pwPoolsSeen"),
                               rss_kib=resident_kib(agent.daemon.pid))


def first_snapshot(bench, backend, directory):
    """The Usage of the daemon from its start until it tells systemd that it is ready: its first snapshot is there by then."""
    directory.mkdir()
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ready:
        ready.bind(str(directory / "notify"))
        ready.settimeout(60)
        config = directory / "portwatchd.conf"
        config.write_text(f"backend = {backend}\nagentx {{ socket = {directory}/agentx }}\n")
        start = time.monotonic()
        daemon = Process(bench.lab.host, [program("portwatchd"), "-f", "-c", config], directory / "log",
                         env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")})
        while b"READY=1" not in ready.recv(4096):
            pass
        wall = time.monotonic() - start
        cpu = sum(threads_cpu_us(daemon.pid).values())
        daemon.stop()
    return Usage(cpu, round(wall * 1e6))


def starts(bench):
    """How soon after its start the daemon has numbers, on a host with few sockets and on one with many."""
    for total in (1000, bench.scale.large):
        samples = {}
        with bench.lab.population(*to_one(bench.lab, total)):
            for turn in range(bench.scale.rounds):
                for backend in backends(bench):
                    usage = first_snapshot(bench, backend, bench.lab.directory / f"start-{backend}-{total}-{turn}")
                    samples.setdefault(backend, []).append(usage.cpu_us)
                    samples.setdefault(f"{backend}_wall", []).append(usage.wall_us)
        bench.note("first_snapshot", total=total, samples=samples)


def daemon(bench):
    for backend in backends(bench):
        whole_poll(bench, backend)
    memory(bench)
    starts(bench)


def idle_namespaces(bench):
    """What network namespaces in which nothing happens add to a poll, and to the memory."""
    count = IDLE_NAMESPACES
    with Agent(bench.lab, 0.1, "namespaces { all = true }\n", program_of=Cell) as agent:
        def batch(verb):
            file = agent.lab.directory / "batch"
            file.write_text("".join(f"netns {verb} idle{number}\n" for number in range(count)))
            agent.daemon.run(bench.lab.host, "ip", "-batch", file)
            settle(agent, 3)

        samples, rss = {"without": [], "with": []}, []
        for _ in range(bench.scale.rounds):
            samples["without"].append(polls_cpu_us(agent, 20)["collector"])
            rss.append(resident_kib(agent.daemon.inner))
            batch("add")
            samples["with"].append(polls_cpu_us(agent, 20)["collector"])
            more = resident_kib(agent.daemon.inner) - rss[0]
            batch("delete")
    bench.note("namespaces", count=count, rss_kib=round(more / count), samples=samples)


# --- answers --------------------------------------------------------------------------------------------------------


def latencies(bench):
    """GET and GETNEXT of a row's free ports, of a daemon that rests and of one that polls all the time."""
    with bench.lab.population(*to_one(bench.lab, bench.scale.large)):
        for state, interval in (("idle", NEVER), ("polling", CONTINUOUS)):
            with Agent(bench.lab, interval) as agent:
                oid, _ = agent.manager.next_oid(agent.mib.oid["pwPoolFree"])
                for what, command, name in (("GET", "get", oid), ("GETNEXT", "next", agent.mib.oid["pwPoolFree"])):
                    answer = ask(bench.lab, command, name, bench.scale.requests, 1000)
                    bench.note("latency", what=what, state=state, **answer)


def accessible(mib):
    """The columns of pwPoolTable that can be read: the index objects, which come first, cannot."""
    names = mib.columns("pwPoolTable")
    return names[names.index("pwPoolName"):]


def rows_config(rows):
    """Every pool of the population is a row."""
    return f"min-used = 2\nmax-rows = {rows + 1000}\n"


def walk(bench, agent, rows, what, *oids):
    """The median of a few bulk walks: the time depends on where the scheduler puts two processes that play ping-pong."""
    runs = []
    for _ in range(bench.scale.rounds):
        cpu = threads_cpu_us(agent.daemon.pid)["agent"]
        answer = ask(bench.lab, "walk", 50, *oids)
        answer["agent_us"] = threads_cpu_us(agent.daemon.pid)["agent"] - cpu
        runs.append(answer)
    wall = statistics.median(run["wall_us"] for run in runs)
    varbinds = runs[-1]["varbinds"]
    bench.note("walk", what=what, rows=rows, varbinds=varbinds, wall_ms=round(wall / 1000),
               us_per_varbind=f"{wall / varbinds:.1f}",
               agent_us_per_varbind=f"{statistics.median(run['agent_us'] for run in runs) / varbinds:.1f}")


def walks(bench):
    """Our table against snmpd's own tcpConnectionTable of the same number of rows: a socket a row."""
    for rows in bench.scale.rows:
        with bench.lab.population(*to_many(bench.lab, rows, rows)):
            with Agent(bench.lab, NEVER, rows_config(rows)) as agent:
                walk(bench, agent, rows, "tcpConnectionTable of snmpd", TCP_CONNECTION_TABLE)
                walk(bench, agent, rows, "tcpConnectionTable, its columns at once",
                     *(f"{TCP_CONNECTION_TABLE}.1.{column}" for column in (7, 8)))
        with bench.lab.population(*to_many(bench.lab, 2 * rows, rows)):
            with Agent(bench.lab, NEVER, rows_config(rows)) as agent:
                walk(bench, agent, rows, "pwPoolTable, whole", agent.mib.oid["pwPoolTable"])
                walk(bench, agent, rows, "pwPoolTable, its columns at once",
                     *(agent.mib.oid[name] for name in accessible(agent.mib)))
                walk(bench, agent, rows, "pwPoolTable, one column", agent.mib.oid["pwPoolFree"])


# --- notifications ----------------------------------------------------------------------------------------------------


class TrapCounter:
    """Tells when the notifications of pools arrived, by the kernel's time stamps: the buffer may wait to be read."""

    def __init__(self, ns):
        with ns.entered():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(("127.0.0.1", TRAP_PORT))

    def times(self, expected, deadline):
        """Seconds, one for each; fewer than expected when none comes for `deadline` seconds."""
        times = []
        self.socket.settimeout(deadline)
        with contextlib.suppress(TimeoutError):
            while len(times) < expected:
                data, ancillary, _, _ = self.socket.recvmsg(4096, 64)
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                if b"tcp " in data:
                    times.append(seconds + nanoseconds / 1e9)
        return times

    def close(self):
        self.socket.close()


def notifications(bench):
    """Many pools that all cross a threshold at once: how fast do the notifications leave snmpd?"""
    pools = 100 if bench.scale.quick else 1000
    config = "notify { max-per-minute = 0 }\npool \"all\" { kind = connect  free-below = 28220 }\n"
    with contextlib.closing(TrapCounter(bench.lab.host)) as counter:
        with bench.lab.population(*to_many(bench.lab, pools * 20, pools)):
            with Agent(bench.lab, 1, config, f"trap2sink 127.0.0.1:{TRAP_PORT} {COMMUNITY}"):
                times = counter.times(pools, 20)
    took = max(times) - min(times)
    bench.note("notifications", events=len(times), wall_ms=round(took * 1000), per_second=round(len(times) / took))


def run(bench):
    for experiment in (latencies, walks, notifications):
        experiment(bench)
