# SPDX-License-Identifier: BSD-2-Clause
"""What tables and limits have in common: looking into the results of bench/run, and writing numbers."""

import statistics


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


def count(number):
    return f"{number:,}"


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


def walked(results):
    """The populations that were read by BPF; what `ss` takes for one is called "peer" there."""
    for result in results:
        samples = result.get("samples", {})
        if "bpf-programs" in samples and any(case == result["case"] for _, case, _ in SECTIONS):
            yield {**result, "samples": {**samples, "peer": samples.get("ss_udp", samples.get("ss", []))}}
