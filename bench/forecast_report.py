#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the tables of docs/forecast.md and the picture docs/forecast.svg anew, from bench/forecast.

  bench/forecast_report.py     (PW_BUILDDIR names the build, with bench/forecast in it; needs gnuplot)
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent.parent
FORECAST = pathlib.Path(os.environ.get("PW_BUILDDIR", SOURCE)) / "bench" / "forecast"
SERIES = SOURCE / "bench" / "series"

# What the picture shows: title and series, in reading order.
PANELS = [
    ("Simulated: leak of 1,000 ports a minute under a sawtooth of 60 s", "leak-saw-60"),
    ("Simulated: load rises for 3 min, then stays", "ramp-180"),
    ("Recorded: leak under churn", SERIES / "recorded-leak-churn.txt"),
    ("Recorded: batch of 4,000 connections each 100 s", SERIES / "recorded-batch-100.txt"),
]

PLOT = """
set terminal svg size 1100,760 font "sans,12" background "white" noenhanced
set output "{output}"
set multiplot layout 2,2
set xlabel "minutes"
set ylabel "free ports"
set y2label "growth, ports a minute"
set ytics nomirror
set y2tics
set style fill solid noborder
set y2range [{low}:{high}]
set key below horizontal
"""

PANEL = """
set title "{title}"
set yrange [0:{top}]
plot "{data}" using ($1/60):($5 == 1 ? {top} : 0) with fillsteps fillcolor "#f4c7c3" title "forecast warns", \\
     "{data}" using ($1/60):2 with lines linecolor "#1a56a0" linewidth 1.5 title "free ports", \\
     "{data}" using ($1/60):3 axes x1y2 with lines linecolor "#2e7d32" linewidth 1.5 title "growth"
"""


def run(*argv):
    return subprocess.run([str(arg) for arg in (FORECAST, *argv)], check=True, capture_output=True, text=True).stdout


def tables():
    """The text of each table, by the name of its marker."""
    recorded = sorted(SERIES.glob("*.txt"))
    return {"leaks": run("leaks"), "calm": run("calm"), "recorded": run("recorded", *recorded),
            "leaks-60": run("leaks", 60),
            "leaks-1": run("leaks", 1), "calm-1": run("calm", 1)}


def write_tables(document):
    """Replaces the rows below each "<!-- rows: NAME -->"."""
    text = document.read_text(encoding="utf-8")
    for name, rows in tables().items():
        head = f"<!-- rows: {name} -->\n"
        assert head in text, f"{document}: no {head}"
        header = r"((?:\|.*\n){2})"
        text = re.sub(re.escape(head) + header + r"(?:\|.*\n)*", lambda found, rows=rows, head=head: head + found[1] + rows, text)
    document.write_text(text, encoding="utf-8")


def write_plot(output):
    with tempfile.TemporaryDirectory() as directory:
        script = PLOT.format(output=output, low=-1000, high=4000)
        for number, (title, name) in enumerate(PANELS):
            data = pathlib.Path(directory) / f"{number}.dat"
            data.write_text(run("series", name), encoding="ascii")
            top = max(int(line.split()[1]) for line in data.read_text(encoding="ascii").splitlines())
            top += top // 20
            script += PANEL.format(title=title, data=data, top=top)
        subprocess.run(["gnuplot"], input=script, check=True, text=True)


if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    write_tables(SOURCE / "docs" / "forecast.md")
    write_plot(SOURCE / "docs" / "forecast.svg")
