# SPDX-License-Identifier: BSD-2-Clause
"""Many hosts at once: simulated agents (tests/fleet/simulator) behind the real snmp_exporter and Prometheus.

PW_FLEET=1000 says how many agents there are, PW_FLEET_INTERVAL how often each is scraped, in seconds. The figures are printed with -s
and stand in docs/fleet.md.
"""

import json
import os
import shutil
import sys
import time
import urllib.parse

import pytest
import yaml
from harness import SOURCE, Process, eventually

from test_prometheus import CONFIG, EXPORTER, FILES, PROGRAM, PROMETHEUS, fetch

SIMULATOR = SOURCE / "tests" / "fleet" / "simulator"
AGENTS = int(os.environ.get("PW_FLEET", "100"))
INTERVAL = int(os.environ.get("PW_FLEET_INTERVAL", "5"))
PORT, CONTROL = 1161, 1162
ADDRESSES = [f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(AGENTS)]


def recorded_walk(scene):
    """The walk of a real agent with some dozen pools."""
    scene.load.listen("127.0.0.1", 8080)
    for number in range(2, 22):
        scene.load.connect(70 + number, f"127.0.0.{number}", scene.load.listen(f"127.0.0.{number}", 8000 + number) and 8000 + number)
    scene.start()
    eventually(lambda: scene.manager.get("pwPoolsListed") >= 20, 30)
    path = scene.workshop.directory / "walk.json"
    scene.ns.run(SIMULATOR, "record", "127.0.0.1:161", "public", path)
    return path


class Fleet:
    """Simulator, snmp_exporter and Prometheus in the scene's namespace."""

    def __init__(self, scene, walk):
        self.ns, keep, directory = scene.ns, scene.workshop.keep, scene.workshop.directory
        self.simulator = keep(Process(self.ns, [sys.executable, SIMULATOR, "serve", walk, "--port", str(PORT), "--control", str(CONTROL)],
                                      directory / "simulator.log"))
        (directory / "snmp.yml").write_text(scene.mib.rebased((FILES / CONFIG).read_text()))
        self.exporter = keep(Process(self.ns, [PROGRAM, f"--config.file={directory}/snmp.yml", f"--web.listen-address={EXPORTER}"],
                                     directory / "exporter.log"))
        config = yaml.safe_load((FILES / "prometheus.yml").read_text())
        job, = config["scrape_configs"]
        config["global"] = {"evaluation_interval": f"{INTERVAL}s"}
        job.update(scrape_interval=f"{INTERVAL}s", scrape_timeout=f"{INTERVAL}s",
                   static_configs=[{"targets": [f"{address}:{PORT}" for address in ADDRESSES]}])
        shutil.copy(FILES / "portwatch.rules.yml", directory)
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.prometheus = keep(Process(
            self.ns, ["/usr/bin/prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb",
                      f"--web.listen-address={PROMETHEUS}"], directory / "prometheus.log"))

    def query(self, expression):
        answer = json.loads(fetch(self.ns, f"http://{PROMETHEUS}/api/v1/query?query={urllib.parse.quote(expression)}"))
        return [(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]

    def number(self, expression):
        found = self.query(expression)
        return found[0][1] if found else 0.0

    def exhausted(self):
        return {metric["instance"] for metric, _ in self.query('ALERTS{alertname="PortwatchPoolExhausted",alertstate="firing"}')}

    def cross(self, address, seconds):
        """One datagram to the simulator, from inside the namespace."""
        code = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'cross {address} {seconds}', ('127.0.0.1', {CONTROL}))"
        self.ns.run(sys.executable, "-c", code)


def usage(process):
    """(CPU seconds, resident MiB) of a process."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(name="fleet")
def fixture_fleet(scene):
    walk = recorded_walk(scene)
    return Fleet(scene, walk)


def test_a_crossing_on_one_of_many_is_alerted(fleet):
    """Within two scrape intervals and two evaluations, and no scrape is missed."""
    eventually(lambda: fleet.number('count(up{job="portwatch"} == 1)') == AGENTS, 60 + 3 * INTERVAL)
    assert not fleet.exhausted()
    began, before = time.monotonic(), [usage(each)[0] for each in (fleet.prometheus, fleet.exporter)]
    delays = []
    for address in ADDRESSES[7::max(AGENTS // 3, 1)]:
        crossed = time.monotonic()
        fleet.cross(address, 1000)
        eventually(lambda address=address: f"{address}:{PORT}" in fleet.exhausted(), 4 * INTERVAL + 10)
        delays.append(time.monotonic() - crossed)
    took = time.monotonic() - began
    eventually(lambda: fleet.number('min(sum_over_time(up{job="portwatch"}[%ds]))' % (10 * INTERVAL)) >= 2, 10 * INTERVAL)
    assert fleet.number('count(up{job="portwatch"} == 0) or vector(0)') == 0
    assert fleet.number('min(min_over_time(up{job="portwatch"}[%ds]))' % max(int(took), INTERVAL)) == 1
    assert max(delays) <= 4 * INTERVAL + 2
    shares = [(usage(each)[0] - cpu) / (time.monotonic() - began) for each, cpu in zip((fleet.prometheus, fleet.exporter), before)]
    print(json.dumps({
        "agents": AGENTS, "interval_s": INTERVAL,
        "series": fleet.number('count({job="portwatch"})'), "series_an_agent": fleet.number('max(scrape_samples_scraped)'),
        "scrape_s_median": fleet.number('quantile(0.5, scrape_duration_seconds)'), "scrape_s_max": fleet.number('max(scrape_duration_seconds)'),
        "crossing_to_alert_s": [round(delay, 1) for delay in delays],
        "prometheus_cpu": round(shares[0], 3), "exporter_cpu": round(shares[1], 3),
        "prometheus_mib": round(usage(fleet.prometheus)[1]), "exporter_mib": round(usage(fleet.exporter)[1])}))
