# SPDX-License-Identifier: BSD-2-Clause
"""A few random schedules of kills, hangs, restarts and reloads (`make schedules` runs a thousand), and whether their judge would notice."""

import os
import subprocess
import sys

import pytest
from harness import BUILD, PATIENCE, PYTHON, SOURCE

SCHEDULES = SOURCE / "tests" / "schedules"
sys.path.append(str(SCHEDULES))

# pylint: disable=wrong-import-position
from judge import Manager, Told  # noqa: E402
from script import Window  # noqa: E402


def test_a_few_schedules():
    run = subprocess.run([PYTHON, SCHEDULES / "run", "--schedules", "6", "--jobs", "3"], capture_output=True, text=True, check=False,
                         timeout=400 * PATIENCE, env={**os.environ, "PW_SRCDIR": str(SOURCE), "PW_BUILDDIR": str(BUILD)})
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert "nothing was lost, and nothing was told that was not so" in run.stdout


RISE, FALL = Told(0, 1, 3, True, "7", "t1"), Told(0, 3, 1, False, "8", "t2")
UP_AND_DOWN = {0: [1, 2, 3, 2, 1], 1: [1]}

WRONG = {
    "a fall that nothing rose before": ("fall_after_rise", [FALL._replace(id="9")]),
    "a rise that is told twice, as if it were new": ("chained", [RISE, RISE._replace(id="8")]),
    "a repetition that is not the same": ("again_unchanged", [RISE, RISE._replace(state=2)]),
    "what comes from a state that was not told": ("chained", [RISE, FALL._replace(previous=2)]),
    "an older id": ("chained", [RISE, FALL._replace(id="6")]),
    "a state that the pool never had": ("nothing_of_nothing", [RISE._replace(state=4)]),
    "states in another order": ("nothing_of_nothing", [RISE, FALL, RISE._replace(id="9"), FALL._replace(id="10")]),
    "a pool that nothing happened to": ("nothing_of_nothing", [Told(1, 1, 2, True, "7", "t1")]),
    "a rise that is called a fall": ("chained", [RISE._replace(rising=False)]),
}


def judged(notifications, **window):
    manager = Manager(UP_AND_DOWN)
    manager.hear(Window([], UP_AND_DOWN, **window), notifications)
    return manager


@pytest.mark.parametrize("what", WRONG)
def test_the_judge_notices(what):
    rule, notifications = WRONG[what]
    assert any(text.startswith(rule) for text in judged(notifications).wrong)


def test_the_judge_has_nothing_to_say():
    """Of what is right, and of a repetition with the same id; after a crash, of a fall that nobody had heard the rise of."""
    manager = judged([RISE, RISE, FALL])
    assert manager.wrong == [] and manager.repetitions == 1 and manager.believed == {0: 1, 1: 1}
    assert judged([FALL], forgetful=True).wrong == []
    assert judged([Told(1, 1, 2, True, "7", "t1")], forgetful=True).wrong
