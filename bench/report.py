# SPDX-License-Identifier: BSD-2-Clause
"""Tables and plots from the numbers of bench/run."""

import os
import pathlib
import platform
import subprocess

from figures import SECTIONS, cases, count, markdown, median, milliseconds, ratio, ratio_text, walked
from targets import BPF_TARGETS, TARGETS, targets_table

TITLES = {
    "floor": "floor",
    "poll": "portwatch, netlink",
    "bpf": "portwatch, BPF",
    "ss": "`ss -Htan`",
    "pipeline": "`ss \\| awk \\| sort \\| uniq -c`",
    "netstat": "`netstat -tan`",
    "proc": "/proc/net/tcp",
    "snmpd": "tcpConnectionTable",
    "ss_udp": "`ss -Huan`",
    "proc_udp": "/proc/net/udp",
}
PLOT_TITLES = {**TITLES, "snmpd": "tcpConnectionTable (snmpd)", "ss": "ss -Htan", "pipeline": "ss | awk | sort | uniq -c", "netstat": "netstat -tan"}


def machine():
    """What the numbers depend on."""
    model = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"kernel": platform.release(), "cpu": model, "cpus": os.cpu_count()}


# --- tables -----------------------------------------------------------------------------------------------------------


def cost_table(results, label):
    """A line for each population: CPU time of every instrument in ms, and how it compares."""
    names = [name for name in TITLES if any(name in r["samples"] for r in results)]
    peers = [name for name in names if name not in ("floor", "poll", "bpf")]
    header = ["sockets", *(TITLES[name] for name in names), "netlink / floor", *(f"netlink / {TITLES[p]}" for p in peers)]
    rows = []
    for result in results:
        times = [milliseconds(median(result, name)) if name in result["samples"] else "" for name in names]
        ratios = [ratio_text(ratio(result, "poll", name)) if name in result["samples"] else "" for name in ("floor", *peers)]
        rows.append([label(result), *times, *ratios])
    return markdown(header, rows)


# What by BPF is compared with: the title, and the two samples.
BPF_RATIOS = (
    ("programs / floor", "bpf-programs", "unbound"),
    ("whole poll / floor", "bpf", "unbound"),
    ("whole poll / `ss`", "bpf", "peer"),
    ("with all owners: programs / floor", "bpf-owned-programs", "unbound"),
    ("whole poll / floor", "bpf-owned", "unbound"),
    ("the same / `ss`", "bpf-owned", "peer"),
    ("by helper: programs / floor", "bpf-helper-programs", "unbound"),
)


def bpf_table(results):
    rows = []
    for result in walked(results):
        label = next(label for _, case, label in SECTIONS if case == result["case"])
        ratios = [ratio_text(ratio(result, name, other)) if result["samples"][other] else "" for _, name, other in BPF_RATIOS]
        rows.append([f"{result['case']}, {label(result)}", milliseconds(median(result, "unbound")),
                     milliseconds(median(result, "bpf")), *ratios, f"{median(result, 'longest'):.0f}",
                     f"{max(result['samples']['longest']):.0f}"])
    return markdown(["population", "floor without bound ports, ms", "whole poll, ms", *(title for title, _, _ in BPF_RATIOS),
                     "longest run of a round, us", "of all, us"], rows)


def containers_table(results):
    rows = [[count(r["count"]), milliseconds(median(r, "poll")), milliseconds(median(r, "bpf")), milliseconds(median(r, "bpf_programs")),
             ratio_text(ratio(r, "bpf", "poll"))] for r in cases(results, "containers") if "bpf" in r["samples"]]
    return markdown(["network namespaces", "whole poll by netlink, ms", "by BPF, ms", "its programs, ms", "BPF / netlink"], rows)


def beside_table(results, case, rest):
    """Times of something that others do meanwhile, against those beside what `rest` stands for."""
    rows = []
    for result in cases(results, case):
        for how in ("idle", "busy", "netlink", "bpf"):
            if f"{how}_p50_ns" in result["samples"]:
                rows.append([how, *(f"{median(result, f'{how}_{what}_ns') / 1000:.1f}" for what in ("p50", "p99", "max")),
                             *(ratio_text(ratio(result, f"{how}_{what}_ns", f"{rest}_{what}_ns")) for what in ("p50", "p99"))])
    return markdown(["meanwhile", "p50, us", "p99", "longest", f"p50 / {rest}", f"p99 / {rest}"], rows)


def connect_table(results):
    return beside_table(results, "connect", "idle")


def softirq_table(results):
    return beside_table(results, "softirq", "busy")


def first_snapshot_table(results):
    rows = [[count(r["total"]), how, milliseconds(median(r, how)), milliseconds(median(r, f"{how}_wall"))]
            for r in cases(results, "first_snapshot") for how in ("netlink", "bpf") if how in r["samples"]]
    return markdown(["sockets", "backend", "CPU until the first snapshot, ms", "by the clock, ms"], rows)


def apart_table(results):
    """What a poll does when it meets a population for the first time, and never again while nothing changes."""
    rows = [[f"{result['case']} {count(result['total'])}", milliseconds(result["first"]["bound_us"]),
             count(result["first"]["probes"]), milliseconds(result["first"]["probe_us"])]
            for result in results if result.get("first", {}).get("bound_us")]
    return markdown(["population", "not-AUTO pass, ms", "probes in one poll", "their time, ms"], rows)


def memory_table(results):
    rows = [[r["backend"], count(r["total"]), count(r["pools"]), count(r["rss_kib"]), f"{(r['rss_kib'] - 16384) * 1024 / r['total']:.1f}"]
            for r in cases(results, "memory")]
    return markdown(["backend", "sockets", "pools", "daemon's RSS, KiB", "bytes a socket above 16 MiB"], rows)


def facts_table(results, case, columns):
    """A table of plain numbers that one experiment gave."""
    return markdown([title for _, title in columns],
                    [[count(r[key]) if isinstance(r[key], int) else r[key] for key, _ in columns] for r in cases(results, case)])


def daemon_table(results):
    rows = [[r["backend"], f"{count(r['total'])} to {count(r['destinations'])}",
             *(milliseconds(median(r, name)) for name in ("floor", "collector", "agent", "duration")),
             ratio_text(ratio(r, "collector", "floor"))] for r in cases(results, "daemon")]
    return markdown(["backend", "sockets", "floor", "collector thread, CPU a poll", "agent thread, CPU a poll", "pwPollDuration",
                     "collector / floor"], rows)


def start_table(results):
    rows = [[f"{count(r['total'])} to {count(r['destinations'])}",
             *(milliseconds(median(r, name)) for name in ("fresh", "portwatch", "fresh_wall", "portwatch_wall")),
             ratio_text(ratio(r, "portwatch", "fresh")), ratio_text(ratio(r, "portwatch_wall", "fresh_wall"))]
            for r in cases(results, "start")]
    return markdown(["sockets", "first poll, CPU", "portwatch, CPU", "first poll, by the clock", "portwatch, by the clock",
                     "ratio, CPU", "ratio, by the clock"], rows)


LATENCY = (("what", "request"), ("state", "daemon"), ("p50_us", "p50, us"), ("p99_us", "p99, us"), ("max_us", "max, us"))
WALKS = (("what", "table"), ("rows", "rows"), ("varbinds", "varbinds"), ("wall_ms", "time, ms"), ("us_per_varbind", "us a varbind"),
         ("agent_us_per_varbind", "CPU of the agent thread, us a varbind"))
NOTIFICATIONS = (("events", "notifications"), ("wall_ms", "time, ms"), ("per_second", "a second"))


# --- output -----------------------------------------------------------------------------------------------------------


# gnuplot's styles: each instrument keeps its colour in every plot; portwatch stands out, the floor is what it leans on.
STYLES = {
    "netstat": "lc rgb '#7f7f7f' pt 8 lw 2",
    "pipeline": "lc rgb '#1b9e77' pt 4 lw 2",
    "proc": "lc rgb '#b8860b' pt 6 lw 2",
    "ss": "lc rgb '#7570b3' pt 12 lw 2",
    "snmpd": "lc rgb '#e7298a' pt 2 lw 2",
    "poll": "lc rgb '#d62728' pt 7 lw 3",
    "bpf": "lc rgb '#1f77b4' pt 5 lw 3",
    "floor": "lc rgb '#000000' pt 1 lw 2 dt 2",
}


def point(result, xkey, instruments):
    """A line of gnuplot's data; "?" where an instrument was not used."""
    values = (str(median(result, i) / 1000) if i in result["samples"] else "?" for i in instruments)
    return " ".join([str(result[xkey]), *values])


def plot(output, name, title, xlabel, results, xkey, instruments, options):
    """An SVG by gnuplot: CPU time of the instruments against a property of the population."""
    if len(results) < 2:
        return
    instruments = [i for i in instruments if any(i in result["samples"] for result in results)]
    data = "\n".join(point(result, xkey, instruments) for result in results)
    curves = ", ".join(f"$data using 1:{column} with linespoints {STYLES[i]} title '{PLOT_TITLES[i]}'"
                       for column, i in enumerate(instruments, start=2))
    script = (f"set terminal svg size 860,500 dynamic font 'sans-serif,14' background rgb 'white'\nset output '{output / name}'\n"
              f"set title \"{title}\"\nset xlabel '{xlabel}'\nset ylabel 'CPU time of one look, ms'\nset datafile missing '?'\n"
              f"set key outside right center\nset grid\n{options}\n$data << END\n{data}\nEND\nplot {curves}\n")
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def plots(results, output):
    sizes = sorted(cases(results, "size"), key=lambda r: r["total"])
    plot(output, "sockets.svg", "One look at the sockets of a host, all of them in the ephemeral range", "sockets", sizes, "total",
         ("netstat", "snmpd", "pipeline", "ss", "proc", "poll", "floor", "bpf"),
         "set logscale xy\nset format x '%.0s%c'\nset format y '%.0f'\nset xrange [800:*]")
    inbound = sorted(cases(results, "inbound"), key=lambda r: r["percent"])
    total = inbound[0]["total"] if inbound else 0
    plot(output, "outside.svg", f"{total:,} sockets, a share of them inbound connections outside the ephemeral range",
         "sockets outside the range, %", inbound, "percent", ("ss", "poll", "floor", "bpf"), "set yrange [0:*]\nset xrange [0:100]")


def text(data):
    results = data["results"]
    machine_line = ", ".join(str(value) for value in data["machine"].values())
    parts = [f"Machine (kernel, CPU, number of CPUs): {machine_line}.\n\nMilliseconds of CPU time, medians; ratios are medians of "
             "ratios within a round.\n", "### Required and measured, by netlink\n", targets_table(results, TARGETS),
             "### Required and measured, by BPF\n", targets_table(results, BPF_TARGETS)]
    for title, case, label in SECTIONS:
        if cases(results, case):
            parts += [f"### {title}\n", cost_table(cases(results, case), label)]
    if any(walked(results)):
        parts += ["### By BPF\n", bpf_table(results)]
    for result in cases(results, "small"):
        parts += ["### A small host\n", f"Pre-check of a quiet host: {median(result, 'quiet'):.0f} us. Poll of {result['total']} "
                  f"sockets: {median(result, 'poll'):.0f} us, floor {median(result, 'floor'):.0f} us.\n"]
    for result in cases(results, "namespaces"):
        each = (ratio(result, "with", "without") - 1) / result["count"]
        parts += ["### Other network namespaces\n", f"{result['count']} namespaces in which nothing happens: each adds {each:.2f} of a poll "
                  f"without any ({median(result, 'without'):.0f} us), and {result['rss_kib']} KiB of memory.\n"]
    parts += ["### Not-AUTO pass and probes\n", apart_table(results)]
    for title, case, table in (("The daemon's poll", "daemon", daemon_table), ("portwatch, from start to output", "start", start_table),
                               ("The daemon, from its start to the first snapshot", "first_snapshot", first_snapshot_table),
                               ("Many network namespaces", "containers", containers_table),
                               ("A connect() while the other processor polls", "connect", connect_table),
                               ("A packet's softirq on the processor that polls", "softirq", softirq_table)):
        if cases(results, case):
            parts += [f"### {title}\n", table(results)]
    for title, case, columns in (("Latency through snmpd", "latency", LATENCY),
                                 ("Bulk walks through snmpd", "walk", WALKS), ("Notifications", "notifications", NOTIFICATIONS)):
        if cases(results, case):
            parts += [f"### {title}\n", facts_table(results, case, columns)]
    if cases(results, "memory"):
        parts += ["### Memory\n", memory_table(results)]
    return "\n".join(parts)


def write(data, output):
    (output / "performance.md").write_text(text(data))
    plots(data["results"], output)
    print(text(data))
