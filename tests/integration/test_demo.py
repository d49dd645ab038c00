# SPDX-License-Identifier: BSD-2-Clause
"""scripts/demo shows what it promises, and leaves nothing behind, however it ends."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from harness import BUILD, PATIENCE, SOURCE, eventually

DEMO = SOURCE / "scripts" / "demo"


def start_demo(directory, path=os.environ["PATH"]):
    """The demo with the programs of this build; all that it writes goes below `directory`, and to its output."""
    environment = {**os.environ, "PW_BUILDDIR": str(BUILD), "TMPDIR": str(directory), "PATH": path}
    with open(directory / "output", "wb") as output:
        return subprocess.Popen([DEMO], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                start_new_session=True)


def said(directory):
    return (directory / "output").read_text(errors="replace")


def processes_of(directory):
    """Command lines of all processes that name the directory."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found


def assert_nothing_left(directory):
    assert [path.name for path in directory.iterdir()] == ["output"]
    eventually(lambda: not processes_of(directory), 5)


def test_demo_shows_table_and_notifications(workshop):
    began = time.monotonic()
    demo = start_demo(workshop.directory)
    status = demo.wait(120 * PATIENCE)
    output = said(workshop.directory)
    assert status == 0, output
    assert time.monotonic() - began < 60 * PATIENCE
    assert "tcp 192.0.2.10 -> 203.0.113.7:443" in output
    assert re.search(r"pwPoolName +tcp 192\.0\.2\.10 -> 203\.0\.113\.7:443 ", output)
    assert re.search(r"pwPoolUsed +600 ports ", output) and re.search(r"pwPoolFree +400 ports ", output)
    rising, falling = output.index("pwPoolRising"), output.index("pwPoolFalling")
    assert rising < falling
    assert_nothing_left(workshop.directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["portwatchd start", "600 connections"])
def test_interrupted_demo_leaves_nothing(workshop, moment, number):
    demo = start_demo(workshop.directory)
    eventually(lambda: moment in said(workshop.directory) or demo.poll() is not None, 30)
    assert demo.poll() is None, said(workshop.directory)
    os.killpg(demo.pid, number)
    assert demo.wait(10 * PATIENCE) > 128
    assert_nothing_left(workshop.directory)


def test_demo_interrupted_before_its_child_leads_a_group(workshop, tmp_path):
    slow = tmp_path / "setsid"
    slow.write_text("#!/bin/sh\necho child $$\nread -r never <>" + str(tmp_path / "fifo") + "\n")
    slow.chmod(0o755)
    os.mkfifo(tmp_path / "fifo")
    demo = start_demo(workshop.directory, f"{tmp_path}:{os.environ['PATH']}")
    child = eventually(lambda: re.search(r"^child (\d+)$", said(workshop.directory), re.M) or demo.poll(), 30)[1]
    os.kill(demo.pid, signal.SIGTERM)
    assert demo.wait(10 * PATIENCE) == 128 + signal.SIGTERM
    assert not pathlib.Path("/proc", child).exists()
    assert_nothing_left(workshop.directory)
