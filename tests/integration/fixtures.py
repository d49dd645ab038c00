# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the integration tests. Run these by scripts/test, or by hand:

    PW_BUILDDIR=/path/to/build /usr/bin/python3 -m pytest [-n 4] tests/integration
"""

import fcntl
import functools
import os

import pytest
from harness import Workshop
from scene import Scene
from snmp import Mib


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; left out of the run with sanitizers")
    config.addinivalue_line("markers", "alone: reads what the whole host does, or how long something takes; nothing runs beside it")


def pytest_runtest_logreport(report):
    """Failed tests by name, a line each in the file that PW_FAILED names: scripts/test runs these again."""
    if report.failed and "PW_FAILED" in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
        with open(os.environ["PW_FAILED"], "a", encoding="utf-8") as names:
            names.write(report.nodeid + "\n")


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(reason="needs root: it makes network namespaces"))


@pytest.fixture(autouse=True, name="turn")
def fixture_turn(request, tmp_path_factory):
    """Of the tests that run at a time: each shares the host with the others, or has it alone. Who waits to be alone keeps the door."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    alone = request.node.get_closest_marker("alone") is not None
    with open(base.parent / "door", "wb") as door, open(base.parent / "host", "wb") as host:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(host, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield


@pytest.fixture(scope="session", name="mib")
def fixture_mib():
    """PORTWATCH-MIB as it was built."""
    return Mib()


@pytest.fixture(name="workshop")
def fixture_workshop():
    """Parts made here end with the test."""
    with Workshop() as workshop:
        yield workshop


@pytest.fixture(name="make_scene")
def fixture_make_scene(workshop, mib):
    """Makes a Scene with settings of the test's own."""
    return functools.partial(Scene, workshop, mib)


@pytest.fixture(name="scene")
def fixture_scene(make_scene):
    """A host with 1000 ephemeral ports; portwatchd is not started yet."""
    return make_scene()
