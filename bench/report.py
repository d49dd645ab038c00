# SPDX-License-Identifier: BSD-2-Clause
"""Tables and plots from the numbers of bench/run."""

import os
import pathlib
import platform
import statistics
import subprocess

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


def median(result, name):
    return statistics.median(result["samples"][name])


def ratio(result, name, other):
    """Median of the ratios of the samples that were taken in the same round."""
    return statistics.median(a / b for a, b in zip(result["samples"][name], result["samples"][other]))


def cases(results, case, **facts):
    return [r for r in results if r["case"] == case and all(r.get(name) == value for name, value in facts.items())]


def milliseconds(microseconds):
    value = microseconds / 1000
    return f"{value:.3f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def ratio_text(value):
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def markdown(header, rows):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "".join("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(line, widths)) + " |\n" for line in lines)


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


def count(number):
    return f"{number:,}"


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


def walked(results):
    """The populations that were read by BPF; what `ss` takes for one is called "peer" there."""
    for result in results:
        samples = result.get("samples", {})
        if "bpf-programs" in samples and any(case == result["case"] for _, case, _ in SECTIONS):
            yield {**result, "samples": {**samples, "peer": samples.get("ss_udp", samples.get("ss", []))}}


def bpf_table(results):
    rows = []
    for result in walked(results):
        label = next(label for _, case, label in SECTIONS if case == result["case"])
        ratios = [ratio_text(ratio(result, name, other)) if result["samples"][other] else "" for _, name, other in BPF_RATIOS]
        rows.append([f"{result['case']}, {label(result)}", milliseconds(median(result, "unbound")),
                     milliseconds(median(result, "bpf")), *ratios, f"{median(result, 'longest'):.0f}"])
    return markdown(["population", "floor without bound ports, ms", "whole poll, ms", *(title for title, _, _ in BPF_RATIOS),
                     "longest run, us"], rows)


def containers_table(results):
    rows = [[count(r["count"]), milliseconds(median(r, "poll")), milliseconds(median(r, "bpf")), milliseconds(median(r, "bpf_programs")),
             ratio_text(ratio(r, "bpf", "poll"))] for r in cases(results, "containers") if "bpf" in r["samples"]]
    return markdown(["network namespaces", "whole poll by netlink, ms", "by BPF, ms", "its programs, ms", "BPF / netlink"], rows)


def connect_table(results):
    rows = []
    for result in cases(results, "connect"):
        for how in ("idle", "netlink", "bpf"):
            if f"{how}_p50_ns" in result["samples"]:
                rows.append([how, *(f"{median(result, f'{how}_{what}_ns') / 1000:.1f}" for what in ("p50", "p99", "max")),
                             *(ratio_text(ratio(result, f"{how}_{what}_ns", f"idle_{what}_ns")) for what in ("p50", "p99"))])
    return markdown(["while polling", "connect(), p50, us", "p99", "longest", "p50 / idle", "p99 / idle"], rows)


def first_snapshot_table(results):
    rows = [[count(r["total"]), how, milliseconds(median(r, how)), milliseconds(median(r, f"{how}_wall"))]
            for r in cases(results, "first_snapshot") for how in ("netlink", "bpf") if how in r["samples"]]
    return markdown(["sockets", "backend", "CPU until the first snapshot, ms", "by the clock, ms"], rows)


SECTIONS = (
    ("In the range, to one destination from several source addresses", "size", lambda r: count(r["total"])),
    ("By the number of destinations", "destinations", lambda r: f"{count(r['total'])} to {count(r['destinations'])}"),
    ("IPv6", "ipv6", lambda r: count(r["total"])),
    ("Both ends on the host: half of the sockets in the range", "loopback", lambda r: count(r["total"])),
    ("A share outside the range (a server's inbound connections)", "inbound",
     lambda r: f"{count(r['total'])}, {r['percent']} % outside"),
    ("TIME_WAIT", "time_wait", lambda r: count(r["total"])),
    ("UDP", "udp", lambda r: count(r["total"])),
    ("UDP, /proc/net/udp read once", "udp_proc", lambda r: count(r["total"])),
)


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


# --- targets ----------------------------------------------------------------------------------------------------------


def single(results, case, **facts):
    found = cases(results, case, **facts)
    return found[0] if found else None


def largest(results, case):
    return max(cases(results, case), key=lambda r: r["total"], default=None)


def per_socket(result):
    return median(result, "poll") / result["total"]


def destination_targets(results):
    for result in cases(results, "destinations"):
        text = f"by netlink, {count(result['total'])} sockets to {count(result['destinations'])} destinations: poll / floor"
        yield text, 1.10, ratio(result, "poll", "floor")


def loopback_targets(results):
    for result in cases(results, "loopback"):
        yield "loopback: poll / `ss -Htan`", 0.40, ratio(result, "poll", "ss")
        yield "loopback: poll / ss pipeline", 0.25, ratio(result, "poll", "pipeline")


def inbound_targets(results):
    inside, outside = single(results, "inbound", percent=0), single(results, "inbound", percent=90)
    if inside and outside:
        yield "90 % outside the range: poll / poll of the same number inside", 0.40, median(outside, "poll") / median(inside, "poll")


def small_targets(results):
    for result in cases(results, "small"):
        yield "quiet host: us of CPU a poll", 100, median(result, "quiet")
        yield "300 sockets: poll / floor", 3, ratio(result, "poll", "floor")


def growth_targets(results):
    base, top = single(results, "size", total=50000), largest(results, "size")
    if base and top:
        yield f"cost a socket at {count(top['total'])} / at 50,000", 1.3, per_socket(top) / per_socket(base)


def udp_targets(results):
    for result in cases(results, "udp_proc"):
        text = f"UDP, {count(result['total'])} sockets: poll / /proc/net/udp"
        yield text, 0.01, ratio(result, "poll", "proc_udp")


def latency_targets(results):
    for what in ("GET", "GETNEXT"):
        idle, busy = (single(results, "latency", what=what, state=state) for state in ("idle", "polling"))
        if idle and busy:
            yield f"{what} during polls: p50 / idle", 1.2, busy["p50_us"] / idle["p50_us"]
            yield f"{what} during polls: p99 - idle, ms", 5, (busy["p99_us"] - idle["p99_us"]) / 1000


def start_targets(results):
    for result in cases(results, "start"):
        text = f"portwatch from start to output, {count(result['total'])} sockets to {count(result['destinations'])}: / first poll"
        yield text, 1.2, ratio(result, "portwatch", "fresh")


def memory_targets(results):
    for result in cases(results, "memory"):
        limit = 16 * 1024 + 8 * result["total"] / 1024 + (4096 if result["backend"] == "bpf" else 0)
        text = (f"RSS with {count(result['total'])} sockets in {count(result['pools'])} pools, {result['backend']} / "
                "(16 MiB, by BPF 4 more, + 8 bytes a socket)")
        yield text, 1, result["rss_kib"] / limit


# Of BPF, by the case and the destinations (or the share outside): the programs and the whole poll / the floor, the whole poll / ss.
BPF_LIMITS = {
    ("destinations", 1): (0.15, 0.25, 0.06),
    ("destinations", 100): (0.15, 0.25, 0.06),
    ("destinations", 100000): (0.22, 0.35, 0.06),
    ("inbound", 90): (0.42, None, None),
    ("time_wait", None): (0.60, None, None),
}
HELPER_LIMIT = 0.35
LONGEST_RUN_US = 500


def bpf_targets(results):
    for result in walked(results):
        limits = BPF_LIMITS.get((result["case"], result.get("destinations", result.get("percent"))))
        if limits is None:
            continue
        label = f"by BPF, {result['case']}, " + next(label for _, case, label in SECTIONS if case == result["case"])(result)
        names = ("bpf-programs", "unbound", "programs / floor"), ("bpf", "unbound", "whole poll / floor"), ("bpf", "peer", "whole poll / ss")
        for limit, (name, other, text) in zip(limits, names):
            if limit is not None and result["samples"][other]:
                yield f"{label}: {text}", limit, ratio(result, name, other)
        if result["case"] == "destinations":
            yield f"{label}: programs by helper / floor", HELPER_LIMIT, ratio(result, "bpf-helper-programs", "unbound")
        yield f"{label}: longest run, us", LONGEST_RUN_US, median(result, "longest")


def neighbour_targets(results):
    for result in cases(results, "containers"):
        if "bpf" in result["samples"] and result["count"] == 50:
            yield "50 network namespaces: whole poll, BPF / netlink", 0.05, ratio(result, "bpf", "poll")
    for result in cases(results, "connect"):
        if "bpf_p99_ns" in result["samples"]:
            yield "connect() while polling by BPF: p99 / idle", 1.1, ratio(result, "bpf_p99_ns", "idle_p99_ns")
    for result in cases(results, "first_snapshot"):
        if "bpf_wall" in result["samples"]:
            yield f"start to the first snapshot by BPF, {count(result['total'])} sockets, ms", 300, median(result, "bpf_wall") / 1000


TARGETS = (destination_targets, loopback_targets, inbound_targets, small_targets, growth_targets, udp_targets, latency_targets,
           start_targets, memory_targets, bpf_targets, neighbour_targets)


def targets_table(results):
    rows = [[text, f"{limit:g}", f"{value:.3g}", "yes" if value <= limit else "NO"]
            for target in TARGETS for text, limit, value in target(results)]
    return markdown(["target", "at most", "measured", "met"], rows)


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
             "ratios within a round.\n", "### Targets\n", targets_table(results)]
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
                               ("A connect() while others poll", "connect", connect_table)):
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
