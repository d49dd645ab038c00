# SPDX-License-Identifier: BSD-2-Clause
"""What a poll is to others on the machine, how long their connect() and their softirqs take meanwhile; and what their network namespaces
are to a poll."""

import contextlib
import os

from harness import Namespace
from lab import SERVER_PORT, Meter, Population, to_one

CONNECT_PORT = 20500
METER_CPU, OTHER_CPU = 0, 1
EACH = 2000  # connections of a container


def beside(bench, meter, others):
    """The samples of a meter on one processor, in turns with each of the others at work, and on the other processor where there is one."""
    samples, ms = {}, bench.scale.rush_ms
    working = {name: other for name, other in others.items() if other}
    if os.cpu_count() > 1:
        os.sched_setaffinity(meter.pid, {METER_CPU})
        for other, _ in working.values():
            os.sched_setaffinity(other.pid, {OTHER_CPU})
    with bench.lab.population(*to_one(bench.lab, bench.scale.large)):
        for other, command in working.values():
            if command == "rush":
                other.ask("update")  # what only a first poll does is no part of it
        for _ in range(2 * bench.scale.rounds + 1):
            for name in others:
                other, command = others[name] or (None, None)
                if other:
                    other.tell(f"{command} {2 * ms}".strip())
                times = meter.ask(f"{ms}")
                if other:
                    other.answer()
                for what in ("p50_ns", "p99_ns", "max_ns"):
                    samples.setdefault(f"{name}_{what}", []).append(times[what])
    for other, _ in working.values():
        os.sched_setaffinity(other.pid, range(os.cpu_count()))
    return samples, times


def pollers(bench):
    return {"netlink": (bench.poll, "rush"), **({"bpf": (bench.walks["bpf"], "rush")} if bench.walks else {})}


def connects(bench):
    """The times of a connect() on one processor, while the other one polls without a pause, or rests."""
    samples, _ = beside(bench, bench.lab.instrument("connect", CONNECT_PORT), {"idle": None, **pollers(bench)})
    bench.note("connect", total=bench.scale.large, samples=samples)


def steered(ns):
    """The other processor takes in what the namespace sends to itself. False where the kernel cannot, or there is none."""
    queue = "/sys/class/net/lo/queues/rx-0/rps_cpus"
    command = f"mount -t sysfs sysfs /sys && echo {1 << OTHER_CPU:x} > {queue}"
    return os.cpu_count() > 1 and ns.run("unshare", "-m", "sh", "-c", command, check=False).returncode == 0


def softirqs(bench):
    """How long the softirq of a packet waits on a processor that rests, that computes, and that polls without a pause."""
    lab = bench.lab
    with contextlib.closing(Namespace()) as ns, contextlib.ExitStack() as stack:
        if not steered(ns):
            print("no figures of softirqs: they take a second processor and CONFIG_RPS", flush=True)
            return
        meters = [Meter(ns, "softirq", [argument], lab.directory) for argument in (CONNECT_PORT, "spin")]
        for meter in meters:
            stack.callback(meter.stop)
        samples, last = beside(bench, meters[0], {"idle": None, "busy": (meters[1], ""), **pollers(bench)})
        if last["cpu"] != OTHER_CPU:
            raise RuntimeError(f"datagrams were taken in by processor {last['cpu']}, not by {OTHER_CPU}")
    bench.note("softirq", total=bench.scale.large, samples=samples)


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
