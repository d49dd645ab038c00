# SPDX-License-Identifier: BSD-2-Clause
"""What is required of portwatch, by netlink and by BPF, and what was measured of it."""

from figures import SECTIONS, cases, count, markdown, median, ratio, walked


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


TARGETS = (destination_targets, loopback_targets, inbound_targets, small_targets, growth_targets, udp_targets, latency_targets,
           start_targets, memory_targets)


# --- what is required of BPF ------------------------------------------------------------------------------------------

LARGE = 500000  # sockets from which on the first number of LARGE_LIMIT holds
LARGE_LIMIT = (0.15, 0.35, 0.06)
# By the case and the destinations (or the share outside): the programs and the whole poll / the floor, the whole poll / ss.
BPF_LIMITS = {
    ("destinations", 1): (0.15, 0.25, 0.06),
    ("destinations", 100): (0.15, 0.25, 0.06),
    ("destinations", 100000): (0.22, 0.35, 0.06),
    ("inbound", 90): (0.42, None, None),
    ("time_wait", None): (0.60, None, None),
}
BPF_PARTS = (("bpf-programs", "unbound", "programs / floor"), ("bpf", "unbound", "whole poll / floor"),
             ("bpf", "peer", "whole poll / `ss`"))
HELPER_LIMIT = 0.35
LONGEST_RUN_US = 500
RSS_MORE_KIB = 4096
START_MS = 300
BESIDE_LIMIT = 1.1


def population_name(result):
    return f"{result['case']}, {next(label for _, case, label in SECTIONS if case == result['case'])(result)}"


def bpf_limits(result):
    if result["case"] == "destinations" and result["total"] >= LARGE:
        return LARGE_LIMIT
    return BPF_LIMITS.get((result["case"], result.get("destinations", result.get("percent"))), (None, None, None))


def bpf_ratio_targets(results):
    for result in walked(results):
        for limit, (name, other, text) in zip(bpf_limits(result), BPF_PARTS):
            if limit is not None and result["samples"][other]:
                yield f"{population_name(result)}: {text}", limit, ratio(result, name, other)
    for result in walked(results):
        if result["case"] == "destinations":
            yield f"{population_name(result)}: programs by helper / floor", HELPER_LIMIT, ratio(result, "bpf-helper-programs", "unbound")


def longest_run_targets(results):
    """Runs are timed by the clock: what the machine itself is kept from doing by its host is in the longest of all."""
    found = list(walked(results))
    if found:
        yield "longest run of a round, median of the worst population, us", LONGEST_RUN_US, max(median(r, "longest") for r in found)
        yield "longest run of all populations and rounds, us", LONGEST_RUN_US, max(max(r["samples"]["longest"]) for r in found)


def containers_targets(results):
    for result in cases(results, "containers", count=50):
        if "bpf" in result["samples"]:
            yield "50 network namespaces: whole poll, BPF / netlink", 0.05, ratio(result, "bpf", "poll")


def beside_targets(results):
    """Both ways are shown: the limit is that of BPF."""
    for case, what, rest in (("connect", "connect()", "idle"), ("softirq", "softirq of a packet", "busy")):
        for result in cases(results, case):
            for how in ("bpf", "netlink"):
                if f"{how}_p99_ns" in result["samples"]:
                    limit = BESIDE_LIMIT if (case, how) == ("connect", "bpf") else None
                    yield f"{what}, p99 while polling by {how} / {rest}", limit, ratio(result, f"{how}_p99_ns", f"{rest}_p99_ns")


def resident_targets(results):
    for bpf in cases(results, "memory", backend="bpf"):
        netlink = single(results, "memory", backend="netlink", total=bpf["total"], pools=bpf["pools"])
        if netlink:
            yield (f"daemon's RSS, {count(bpf['total'])} sockets in {count(bpf['pools'])} pools: BPF - netlink, KiB", RSS_MORE_KIB,
                   bpf["rss_kib"] - netlink["rss_kib"])


def first_snapshot_targets(results):
    for result in cases(results, "first_snapshot"):
        for how, limit in (("bpf", START_MS), ("netlink", None)):
            if f"{how}_wall" in result["samples"]:
                yield f"start to the first snapshot by {how}, {count(result['total'])} sockets, ms", limit, median(result, f"{how}_wall") / 1000


BPF_TARGETS = (bpf_ratio_targets, longest_run_targets, containers_targets, beside_targets, resident_targets, first_snapshot_targets)


# --- tables of both ---------------------------------------------------------------------------------------------------


def judgement(limit, value):
    if limit is None:
        return ""
    return "yes" if value <= limit else "NO"


def targets_table(results, targets):
    """What has no limit is there to be compared with what is above it."""
    rows = [[text, "" if limit is None else f"{limit:g}", f"{value:.3g}" if value < 1000 else count(round(value)), judgement(limit, value)]
            for target in targets for text, limit, value in target(results)]
    return markdown(["what", "at most", "measured", "met"], rows)
