# SPDX-License-Identifier: BSD-2-Clause
"""Many hosts at once: simulated agents (tests/fleet/simulator) before the real snmp_exporter and Prometheus, by SNMP and scraped directly.

PW_FLEET=1000 says how many agents there are, PW_FLEET_INTERVAL how often each is scraped, in seconds. The figures are printed with -s
and stand in docs/fleet.md.
"""

import json
import os
import re
import shutil
import socket
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
PORT, HTTP, CONTROL = 1161, 9982, 1162
ADDRESSES = [f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(AGENTS)]
# How many hosts run out of ports, and how many scrapes in a row must have come from every host.
CROSSINGS, SCRAPES = 10, 4


def record(scene):
    """What a real agent with some dozen pools says, by SNMP and at its endpoint."""
    scene.load.listen("127.0.0.1", 8080)
    for number in range(2, 22):
        scene.load.connect(70 + number, f"127.0.0.{number}", scene.load.listen(f"127.0.0.{number}", 8000 + number) and 8000 + number)
    scene.start(f'metrics {{ listen = "127.0.0.1:{HTTP}" }}\npool "shop" {{ remote = "127.0.0.2" }}\npool "bank" {{ remote = "127.0.0.3" }}')
    eventually(lambda: scene.manager.get("pwPoolsListed") >= 20, 30)
    path = scene.workshop.directory / "recorded.json"
    scene.ns.run(SIMULATOR, "record", "127.0.0.1:161", "public", f"http://127.0.0.1:{HTTP}/metrics", path)
    scene.daemon.stop()
    return path


def controller(ns):
    """A socket that speaks to the simulator, in the namespace whatever becomes of the caller."""
    with ns.entered():
        control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    control.connect(("127.0.0.1", CONTROL))
    return control


class Fleet:
    """Simulator and Prometheus in the scene's namespace; by SNMP, snmp_exporter is between them."""

    def __init__(self, scene, way, relabel=()):
        recorded = record(scene)
        self.ns, self.keep, self.directory = scene.ns, scene.workshop.keep, scene.workshop.directory
        simulator = self.start("simulator", sys.executable, SIMULATOR, "serve", recorded, "--port", PORT, "--http", HTTP, "--control", CONTROL)
        eventually(lambda: "ready" in simulator.log(), 20)
        self.control = controller(self.ns)
        self.processes, port, name = {"simulator": simulator}, HTTP, "prometheus-scrape.yml"
        if way == "snmp":
            port, name = PORT, "prometheus.yml"
            (self.directory / "snmp.yml").write_text(scene.mib.rebased((FILES / CONFIG).read_text()))
            self.processes["snmp_exporter"] = self.start(
                "exporter", PROGRAM, f"--config.file={self.directory}/snmp.yml", f"--web.listen-address={EXPORTER}")
        config = yaml.safe_load((FILES / name).read_text())
        job, = config["scrape_configs"]
        config["global"] = {"evaluation_interval": f"{max(INTERVAL // 4, 1)}s"}
        self.targets = {f"{address}:{port}": address for address in ADDRESSES}
        job.update(scrape_interval=f"{INTERVAL}s", scrape_timeout=f"{INTERVAL}s", static_configs=[{"targets": list(self.targets)}])
        job.setdefault("relabel_configs", []).extend(relabel)
        for rules in config["rule_files"]:
            shutil.copy(FILES / rules, self.directory)
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.processes["prometheus"] = self.start(
            "prometheus", "/usr/bin/prometheus", f"--config.file={self.directory}/prometheus.yml",
            f"--storage.tsdb.path={self.directory}/tsdb", f"--web.listen-address={PROMETHEUS}")

    def start(self, name, *argv):
        return self.keep(Process(self.ns, list(map(str, argv)), self.directory / f"{name}.log"))

    def query(self, expression):
        answer = json.loads(fetch(self.ns, f"http://{PROMETHEUS}/api/v1/query?query={urllib.parse.quote(expression)}"))
        return [(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]

    def number(self, expression):
        found = self.query(expression)
        return found[0][1] if found else 0.0

    def exhausted(self):
        return {metric["instance"] for metric, _ in self.query('ALERTS{alertname="PortwatchPoolExhausted",alertstate="firing"}')}

    def failing(self):
        """{target: error} of the scrapes that failed last."""
        targets = json.loads(fetch(self.ns, f"http://{PROMETHEUS}/api/v1/targets"))["data"]["activeTargets"]
        return {target["labels"]["instance"]: target["lastError"] for target in targets if target["lastError"]}

    def hold(self, address, pool, share, seconds):
        self.control.send(f"hold {address} {pool} {share} {seconds}".encode())

    def own(self, metric):
        """{label: number} of one of Prometheus' own metrics; of a file of rules the label is the group."""
        numbers = re.findall(rf"^{metric}(?:{{.*?([\w-]*)\"}})? (\S+)$", fetch(self.ns, f"http://{PROMETHEUS}/metrics"), re.M)
        return {label: round(float(number), 3) for label, number in numbers}

    def usage(self):
        return {name: usage(process) for name, process in self.processes.items()}


def usage(process):
    """(CPU seconds, resident MiB) of a process."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(name="fleet", params=["snmp", "scrape"])
def fixture_fleet(scene, request):
    return Fleet(scene, request.param)


def delays_of_crossings(fleet):
    """Seconds from the crossing to the alert, of hosts that cross one after the other within one interval."""
    crossed, delays, chosen = {}, [], list(fleet.targets)[7::max(AGENTS // CROSSINGS, 1)][:CROSSINGS]
    deadline = time.monotonic() + 4 * INTERVAL + 30
    while len(delays) < len(chosen):
        now = time.monotonic()
        assert now < deadline, f"no alert of {set(crossed)} after {delays}"
        if len(crossed) + len(delays) < len(chosen) and (not crossed or now >= max(crossed.values()) + INTERVAL / CROSSINGS):
            target = chosen[len(crossed) + len(delays)]
            fleet.hold(fleet.targets[target], 0, 1, 1000)
            crossed[target] = time.monotonic()
        for target in fleet.exhausted() & set(crossed):
            delays.append(time.monotonic() - crossed.pop(target))
        # a look takes what a query takes; more looks would be a load of their own
        time.sleep(0.1)
    assert fleet.exhausted() == set(chosen), fleet.failing()
    return delays


def test_a_crossing_on_one_of_many_is_alerted(fleet, request):
    """Within two scrape intervals, on the host that it is, and no scrape is missed."""
    def all_up():
        up = fleet.number('count(up{job="portwatch"} == 1)')
        assert up == AGENTS, (up, list(fleet.failing().items())[:4])
        return True

    eventually(all_up, 60 + 3 * INTERVAL, 1)
    assert not fleet.exhausted()
    began, before = time.monotonic(), fleet.usage()
    delays = delays_of_crossings(fleet)
    assert max(delays) <= 2 * INTERVAL, delays
    window = f"{int((SCRAPES + 0.5) * INTERVAL)}s"
    eventually(lambda: time.monotonic() - began > (SCRAPES + 1) * INTERVAL, (SCRAPES + 3) * INTERVAL)
    took, after = time.monotonic() - began, fleet.usage()
    assert fleet.number(f'min(min_over_time(up{{job="portwatch"}}[{window}]))') == 1
    assert fleet.number(f'min(count_over_time(up{{job="portwatch"}}[{window}]))') >= SCRAPES
    assert fleet.number(f'count(count_over_time(up{{job="portwatch"}}[{window}]))') == AGENTS
    assert {metric["instance"] for metric, _ in fleet.query("topk(%d, instance:portwatch_utilization_percent:max)" % CROSSINGS)} == fleet.exhausted()
    print(json.dumps({
        "way": request.node.callspec.params["fleet"], "agents": AGENTS, "interval_s": INTERVAL,
        "samples_a_scrape": fleet.number("max(scrape_samples_scraped)"), "series": fleet.own("prometheus_tsdb_head_series")[""],
        "scrape_s_median": fleet.number("quantile(0.5, scrape_duration_seconds)"), "scrape_s_max": fleet.number("max(scrape_duration_seconds)"),
        "rules_s": fleet.own("prometheus_rule_group_last_duration_seconds"),
        "crossing_to_alert_s": sorted(round(delay, 1) for delay in delays),
        "cores": {name: round((after[name][0] - before[name][0]) / took, 3) for name in after},
        "mib": {name: round(after[name][1]) for name in after}}))
