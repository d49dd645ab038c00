# SPDX-License-Identifier: BSD-2-Clause
"""The wall clock jumps, and the host is suspended: intervals, ages and forecasts go on as if nothing had happened.

The clocks are those that the daemon sees (faults.py); the machine's own are left alone."""

import signal
import socket
import time

import pytest
from faults import FaultyDaemon, start_faulty
from harness import PATIENCE, eventually
from scene import connect_pool
from snmp import Manager
from test_agent_standalone import getbulk

HERE = "127.0.0.1"
WEB = connect_pool(HERE, HERE, 8080)
INTERVAL = 0.1
DAY, HOUR = 86400, 3600
NOT_IN_SIGHT = 2**32 - 1


@pytest.fixture(name="scene")
def fixture_scene(make_scene):
    scene = make_scene()
    scene.connect()
    return scene


def year(octets):
    """Of a DateAndTime."""
    return int.from_bytes(octets[:2], "big")


def calm(scene):
    """Nothing grows, nothing is late, nothing is told."""
    row = scene.until(WEB, used=600, state="warning", growth=0, timeToExhaustion=NOT_IN_SIGHT)
    assert eventually(lambda: scene.manager.get("pwPollAge") < 1000 * PATIENCE)
    assert scene.crossings() == [(WEB, "normal", "warning")]
    assert scene.manager.get("pwPollErrors") == 0
    return row


def pace(scene, seconds=1.0):
    """Polls in a second, by the clock of the test."""
    begun, polls = time.monotonic(), scene.manager.get("pwPolls")
    time.sleep(seconds)
    return (scene.manager.get("pwPolls") - polls) / (time.monotonic() - begun)


def test_wall_clock_jumps(scene):
    """Ten years back, ten years ahead, a second to and fro: only what shows the time of day follows."""
    daemon = start_faulty(scene, interval=INTERVAL)
    calm(scene)
    for jump in (-10 * 365 * DAY, 10 * 365 * DAY, -1, 1, 0):
        daemon.faults.set(wall_s=jump)
        scene.polls(2)
        assert calm(scene)["pwPoolStateAge"] < 60 * PATIENCE
    now = time.gmtime().tm_year
    daemon.faults.set(wall_s=-10 * 365 * DAY)
    scene.polls(1)
    assert pace(scene) < 1.5 / INTERVAL
    scene.load.connect(300, HERE, 8080)
    eventually(lambda: len(scene.crossings()) == 2)
    first, second = scene.notifications()
    assert (year(first["pwEventTime"]), year(second["pwEventTime"])) in ((now, now - 10), (now - 1, now - 11))
    assert second["pwEventId"] == first["pwEventId"] + 1
    assert f"{time.gmtime().tm_year - 10}-" in daemon.log()


def test_wall_clock_jumps_at_the_end(scene):
    """The time for the last good-bye is not measured by a clock that can be set."""
    daemon = start_faulty(scene, interval=INTERVAL)
    daemon.faults.set(wall_s=-10 * 365 * DAY)
    scene.master.signal(signal.SIGSTOP)  # only the time limit ends it
    scene.load.connect(300, HERE, 8080)
    eventually(lambda: "critical, was warning" in daemon.log())
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 2 * PATIENCE


def test_suspend(scene):
    """An hour's sleep: CLOCK_BOOTTIME has gone on. The numbers are an hour old until the next poll, and the master is not given up."""
    daemon = start_faulty(scene, interval=INTERVAL)
    calm(scene)
    daemon.faults.set(boot_s=HOUR)
    scene.polls(2)
    row = calm(scene)
    assert HOUR <= row["pwPoolStateAge"] < HOUR + 60 * PATIENCE
    assert pace(scene) < 1.5 / INTERVAL
    scene.load.connect(300, HERE, 8080)
    eventually(lambda: scene.crossings() == [(WEB, "normal", "warning"), (WEB, "warning", "critical")])
    assert "lost the AgentX master" not in daemon.log()


def test_time_runs_out_for_silent_clients(workshop, mib):
    """Stand-alone: a connection without a request for 30 s ends, one that was answered goes on for 10 minutes."""
    ns = workshop.namespace()
    include = workshop.directory / "snmp.conf"
    include.write_text("rocommunity public\n")
    daemon = workshop.keep(FaultyDaemon(ns, workshop.directory, "/nonexistent", extra=f'snmp {{ include = "{include}" }}\n', interval=INTERVAL,
                                        arguments=("-L", "tcp:161,udp:161")))
    manager = Manager(ns, mib)
    manager.ready()

    def connection():
        with ns.entered():
            client = socket.socket()
            client.settimeout(20 * PATIENCE)
            client.connect(("127.0.0.1", 161))
            return client

    silent, answered = connection(), connection()
    get = getbulk(mib.oid["pwVersion"], 1)
    answered.sendall(get)
    assert answered.recv(4096) and manager.get("pwPolls")  # the time of the answer is noted
    daemon.faults.set(boot_s=60)
    assert silent.recv(1) == b""
    answered.sendall(get)
    assert answered.recv(4096) and manager.get("pwPolls")  # the time of the answer is noted
    daemon.faults.set(boot_s=HOUR)
    assert answered.recv(1) == b""
    assert manager.get("pwPollErrors") == 0
