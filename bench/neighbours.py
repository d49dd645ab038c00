# SPDX-License-Identifier: BSD-2-Clause
"""What a poll is to others on the machine: how long their connect() takes meanwhile; and what their network namespaces are to a poll."""

import contextlib
import os

from harness import Namespace
from lab import SERVER_PORT, Population, to_one

CONNECT_PORT = 20500
EACH = 2000  # connections of a container


def connects(bench):
    """The times of a connect() on one processor, while the other one polls without a pause, or rests."""
    samples = {}
    lab, ms = bench.lab, bench.scale.rush_ms
    connect = lab.instrument("connect", CONNECT_PORT)
    pollers = {"idle": None, "netlink": bench.poll, **({"bpf": bench.walks["bpf"]} if bench.walks else {})}
    if os.cpu_count() > 1:
        os.sched_setaffinity(connect.pid, {0})
        for poller in filter(None, pollers.values()):
            os.sched_setaffinity(poller.pid, {1})
    with lab.population(*to_one(lab, bench.scale.large)):
        for _ in range(3 * bench.scale.rounds):
            for name, poller in pollers.items():
                if poller:
                    poller.ask("update")  # what only a first poll does is no part of it
                    poller.tell(f"rush {2 * ms}")
                times = connect.ask(f"{ms}")
                if poller:
                    poller.answer()
                for what in ("p50_ns", "p99_ns", "max_ns"):
                    samples.setdefault(f"{name}_{what}", []).append(times[what])
    bench.note("connect", total=bench.scale.large, samples=samples)
    for poller in filter(None, pollers.values()):
        os.sched_setaffinity(poller.pid, range(os.cpu_count()))


@contextlib.contextmanager
def container(lab):
    """A network namespace with connections over its loopback: one end of each is in the range."""
    with contextlib.closing(Namespace(ip_local_port_range="32768 60999")) as ns:
        with Population(ns, ["-l", SERVER_PORT], lab.directory), \
                Population(ns, ["-c", EACH, "-d", "127.0.0.1", "-p", SERVER_PORT], lab.directory):
            yield


def containers(bench):
    """A poll of all network namespaces of the machine, by netlink and by BPF, with some that have connections."""
    lab = bench.lab
    hows = {"poll": "all", **({"bpf": "bpf-all"} if bench.walks else {})}
    with contextlib.ExitStack() as stack:
        there = 0
        for number in bench.scale.namespaces:
            for _ in range(number - there):
                stack.enter_context(container(lab))
            there = number
            samples = {}
            # new ones: a poll by netlink looks for namespaces every 30 s
            meters = {name: lab.instrument("poll", how) for name, how in hows.items()}
            for meter in meters.values():
                meter.ask("update 2")
            for _ in range(bench.scale.rounds):
                for name, meter in meters.items():
                    answer = meter.ask("update 3")
                    samples.setdefault(name, []).append(answer["cpu_us"] / 3)
                    samples.setdefault(f"{name}_programs", []).append(answer["walk_us"] / 3)
            bench.note("containers", count=number, each=EACH, samples=samples)
