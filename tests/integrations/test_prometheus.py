# SPDX-License-Identifier: BSD-2-Clause
"""conf/integrations/prometheus with Debian's snmp_exporter and Prometheus: generated, checked, scraped, and an alert on a real load."""

import json
import os
import re
import runpy
import shutil
import subprocess
import urllib.parse

import pytest
import yaml
from harness import BUILD, SOURCE, Process, equals, eventually
from scene import connect_pool

FILES = SOURCE / "conf" / "integrations" / "prometheus"
TESTS = SOURCE / "tests" / "integrations"
POOL = connect_pool("127.0.0.1", "127.0.0.1", 8080)
EXPORTER, PROMETHEUS = "127.0.0.1:9116", "127.0.0.1:9090"
# snmp_exporter of the machine. Another one can be named, with the file that goes with its version.
PROGRAM = os.environ.get("PW_SNMP_EXPORTER", "/usr/bin/prometheus-snmp-exporter")
CONFIG = os.environ.get("PW_SNMP_EXPORTER_CONFIG", "snmp-0.22.yml")


def promtool(*arguments):
    result = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_generated_files_are_current(tmp_path, mib):
    """Debian's generator makes the shipped files of the MIB that was built; where lines are broken depends on the base OID."""
    subprocess.run([SOURCE / "scripts" / "snmp-exporter-config", BUILD / "mibs" / "PORTWATCH-MIB.txt", tmp_path], check=True, timeout=60)
    for name in ("snmp.yml", "snmp-0.22.yml"):
        assert yaml.safe_load(mib.rebased((FILES / name).read_text())) == yaml.safe_load((tmp_path / name).read_text())


def test_promtool(tmp_path):
    for name in ("prometheus.yml", "prometheus-scrape.yml", "portwatch.rules.yml", "portwatch-scrape.rules.yml"):
        shutil.copy(FILES / name, tmp_path)
    shutil.copy(TESTS / "prometheus-rules.yml", tmp_path)
    for name in ("prometheus.yml", "prometheus-scrape.yml"):
        promtool("check", "config", tmp_path / name)
    promtool("test", "rules", tmp_path / "prometheus-rules.yml")


def scaled(values, factor):
    """`20000-200x60` in another unit; what follows x counts samples."""
    return re.sub(r"(?<![x\d.])[+-]?\d+(?![\d.])", lambda number: f"{float(number[0]) / factor:{'+' if number[0][0] in '+-' else ''}.10g}", values)


def test_rules_for_scraping_do_the_same(tmp_path, mib):
    """portwatch-scrape.rules.yml is made of the other file, and passes the same tests when their series are those of portwatchd."""
    translation = runpy.run_path(str(SOURCE / "scripts" / "prometheus-rules"))["Translation"](mib)
    for name in ("portwatch.rules.yml", "grafana-dashboard.json"):
        shutil.copy(FILES / name, tmp_path)
    subprocess.run([SOURCE / "scripts" / "prometheus-rules", BUILD / "mibs" / "PORTWATCH-MIB.txt", tmp_path], check=True, timeout=60)
    assert (tmp_path / "portwatch-scrape.rules.yml").read_text() == (FILES / "portwatch-scrape.rules.yml").read_text()
    # all as text: 0x60 is sixty-one zeros
    tests = yaml.load((TESTS / "prometheus-rules.yml").read_text(), Loader=yaml.BaseLoader)
    tests["rule_files"] = ["portwatch-scrape.rules.yml"]
    for test in tests["tests"]:
        for series in test["input_series"]:
            name, brace, labels = series["series"].partition("{")
            metric, factor = translation.metric(name) if name.startswith("pw") else (name, 1)
            series.update(series=metric + brace + translation.text(labels), values=scaled(series["values"], factor))
        for alert in (alert for case in test.get("alert_rule_test", []) for alert in case["exp_alerts"]):
            alert["exp_labels"] = {translation.text(name): value for name, value in alert["exp_labels"].items()}
            alert["exp_annotations"] = {name: translation.text(text) for name, text in alert["exp_annotations"].items()}
        for case in test.get("promql_expr_test", []):
            case["expr"] = translation.text(case["expr"])
            for sample in case["exp_samples"]:
                sample.update(labels=translation.text(sample["labels"]), value=float(sample["value"]))
    (tmp_path / "scrape.yml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", tmp_path / "scrape.yml")


def fetch(ns, url):
    """The body of an HTTP answer from inside the namespace; an error is an AssertionError."""
    result = ns.run("curl", "--silent", "--show-error", "--fail-with-body", url, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def parse(text):
    """{metric: {frozenset of labels: value}} of the exposition format."""
    found = {}
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.M):
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)
        found.setdefault(name, {})[tuple(sorted(pairs))] = float(value)
    return found


def start_exporter(scene, config):
    file = scene.workshop.directory / "snmp.yml"
    file.write_text(config)
    arguments = [PROGRAM, f"--config.file={file}", f"--web.listen-address={EXPORTER}"]
    scene.workshop.keep(Process(scene.ns, arguments, scene.workshop.directory / "exporter.log"))


def scrape(ns, auth="public_v2"):
    return parse(fetch(ns, f"http://{EXPORTER}/snmp?target=127.0.0.1&module=portwatch&auth={auth}"))


class Watch:
    """snmp_exporter and Prometheus beside the scene, with the shipped files: only intervals and addresses are other ones."""

    def __init__(self, scene):
        self.ns, directory = scene.ns, scene.workshop.directory
        start_exporter(scene, scene.mib.rebased((FILES / CONFIG).read_text()))
        config = yaml.safe_load((FILES / "prometheus.yml").read_text())
        config["global"] = {"evaluation_interval": "1s"}
        job, = config["scrape_configs"]
        assert job["relabel_configs"][-1]["replacement"] == EXPORTER
        job.update(scrape_interval="1s", scrape_timeout="1s", static_configs=[{"targets": ["127.0.0.1"]}])
        shutil.copy(FILES / "portwatch.rules.yml", directory)
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        scene.workshop.keep(Process(self.ns, ["/usr/bin/prometheus", f"--config.file={directory}/prometheus.yml",
                                              f"--storage.tsdb.path={directory}/tsdb", f"--web.listen-address={PROMETHEUS}"],
                                    directory / "prometheus.log"))

    def scrape(self):
        return scrape(self.ns)

    def query(self, expression):
        """[({label: text}, value)] of an instant query."""
        answer = json.loads(fetch(self.ns, f"http://{PROMETHEUS}/api/v1/query?query={urllib.parse.quote(expression)}"))
        return [(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]

    def firing(self):
        """{alert name: [labels]}."""
        found = {}
        for alert in json.loads(fetch(self.ns, f"http://{PROMETHEUS}/api/v1/alerts"))["data"]["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found


@pytest.fixture(name="watch")
def fixture_watch(scene):
    watch = Watch(scene)
    eventually(lambda: watch.query("up"), 20)
    return watch


def by_name(found, metric):
    return {dict(labels)["pwPoolName"]: value for labels, value in found[metric].items()}


def same(scene, watch):
    """A scrape that says of these pools what SNMP says, in every column; asserts that it does. Other pools change with each request."""
    found, rows = watch.scrape(), scene.manager.pools()
    for name in (POOL, "tcp [::1] -> [::1]:8081", "udp 127.0.0.1 bind"):
        for column in ("Capacity", "Used", "TimeWait", "Blocked", "Free", "FastFree", "Utilization", "Reusable", "WarningThreshold"):
            assert by_name(found, f"pwPool{column}")[name] == rows[name][f"pwPool{column}"], column
        state = {word: number for number, word in scene.mib.enum["pwPoolState"].items()}[rows[name]["pwPoolState"]]
        assert by_name(found, "pwPoolState")[name] == state
    return found


def test_scrape_equals_snmp(scene, watch):
    """Every exported number of a pool and of a namespace is what a manager reads; IPv6 and bind pools among them."""
    scene.load.listen("127.0.0.1", 8080)
    scene.load.listen("::1", 8081)
    scene.load.connect(300, "127.0.0.1", 8080)
    scene.load.connect(200, "::1", 8081)
    scene.load.hold(100, "127.0.0.1", protocol="udp")
    scene.start('pool "front" { remote = { "127.0.0.1" } }')
    scene.until(POOL, used=300)
    found = eventually(lambda: same(scene, watch), 20)
    labels = next(dict(labels) for labels in found["pwPoolFree"] if ("pwPoolName", POOL) in labels)
    assert labels["pwPoolLabel"] == "front"
    assert (labels["pwPoolLocalAddress"], labels["pwPoolRemoteAddress"], labels["pwPoolRemotePort"]) == ("127.0.0.1", "127.0.0.1", "8080")
    assert list(found["pwNsLow"].values()) == [40000]
    assert found["pwStartTime"] and found["pwVersion"]


def test_snmpv3(make_scene, mib):
    """The credentials of generator.yml are those of snmp/snmpd-access.conf; before 0.23 they stand in the module."""
    snmpd = mib.rebased((FILES.parent / "snmp" / "snmpd-access.conf").read_text())
    scene = make_scene(snmpd=re.sub(r"^(trap|rocommunity).*$", "", snmpd, flags=re.M))
    scene.start()
    config = yaml.safe_load(mib.rebased((FILES / CONFIG).read_text()))
    if "modules" not in config:
        watcher = yaml.safe_load((FILES / "generator.yml").read_text())["auths"]["watcher_v3"]
        config["portwatch"].update(version=watcher.pop("version"), auth=watcher)
    start_exporter(scene, yaml.safe_dump(config))
    assert eventually(lambda: scrape(scene.ns, "watcher_v3"), 20)["pwPolls"]


def test_alert_fires_and_recovers(scene, watch):
    scene.load.listen("127.0.0.1", 8080)
    group = scene.load.connect(600, "127.0.0.1", 8080)
    scene.start()
    warning = eventually(lambda: watch.firing().get("PortwatchPoolWarning"), 20)
    assert [labels["pwPoolName"] for labels in warning] == [POOL]
    more = scene.load.connect(400, "127.0.0.1", 8080)
    eventually(lambda: watch.firing().get("PortwatchPoolExhausted"), 20)
    assert "PortwatchPoolWarning" not in watch.firing()
    more.reset()
    group.reset(500)
    equals(watch.firing, {}, 20)
    recorded = eventually(lambda: watch.query("portwatch:pwPoolFree:predict1h"), 90)
    assert POOL in {labels["pwPoolName"] for labels, _ in recorded}


def test_agent_that_is_missing(scene, watch):
    """snmpd without portwatchd: the scrape succeeds, and the rule's expression names the host."""
    rules = yaml.safe_load((FILES / "portwatch.rules.yml").read_text())
    missing, = (rule["expr"] for group in rules["groups"] for rule in group["rules"] if rule.get("alert") == "PortwatchAgentMissing")
    eventually(lambda: watch.query('up{job="portwatch"} == 1'), 20)
    assert [labels["instance"] for labels, _ in eventually(lambda: watch.query(missing))] == ["127.0.0.1"]
    scene.start()
    equals(lambda: watch.query(missing), [], 20)


def test_node_exporter(scene, tmp_path):
    """What the shipped unit runs each minute, read by Debian's node_exporter: the numbers that SNMP has."""
    unit = (SOURCE / "conf" / "systemd" / "portwatch-metrics.service").read_text()
    scene.load.listen("127.0.0.1", 8080)
    scene.load.connect(300, "127.0.0.1", 8080)
    scene.start()
    scene.until(POOL, used=300)
    script, file = re.search(r"^ExecStart=/bin/sh -c '(.*)' (\S+\.prom)$", unit, re.M).groups()
    target = tmp_path / file.rpartition("/")[2]
    environment = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    scene.ns.run("/bin/sh", "-c", script, target, env=environment)
    scene.workshop.keep(Process(scene.ns, ["/usr/bin/prometheus-node-exporter", f"--collector.textfile.directory={tmp_path}",
                                           "--collector.disable-defaults", "--collector.textfile", "--web.listen-address=127.0.0.1:9100"],
                                scene.workshop.directory / "node_exporter.log"))
    found = eventually(lambda: parse(fetch(scene.ns, "http://127.0.0.1:9100/metrics")), 20)
    free = {dict(labels)["pool"]: value for labels, value in found["portwatch_pool_free_ports"].items()}
    row = scene.manager.pools()[POOL]
    assert free[POOL] == row["pwPoolFree"]
    assert found["node_textfile_scrape_error"][()] == 0


def test_scrape_of_the_daemon_itself(scene):
    """The endpoint without snmpd and snmp_exporter between: Prometheus has the numbers of SNMP, each metric of the rules is there, and they alert."""
    scene.load.listen("127.0.0.1", 8080)
    scene.load.connect(600, "127.0.0.1", 8080)
    scene.start('metrics { listen = "127.0.0.1:9982" }')
    scene.until(POOL, used=600)
    directory = scene.workshop.directory
    config = yaml.safe_load((FILES / "prometheus-scrape.yml").read_text())
    config["global"] = {"evaluation_interval": "1s"}
    job, = config["scrape_configs"]
    job.update(scrape_interval="1s", scrape_timeout="1s", static_configs=[{"targets": ["127.0.0.1:9982"]}])
    shutil.copy(FILES / "portwatch-scrape.rules.yml", directory)
    (directory / "direct.yml").write_text(yaml.safe_dump(config))
    scene.workshop.keep(Process(scene.ns, ["/usr/bin/prometheus", f"--config.file={directory}/direct.yml", f"--storage.tsdb.path={directory}/tsdb",
                                           f"--web.listen-address={PROMETHEUS}"], directory / "direct.log"))

    def query(expression):
        answer = json.loads(fetch(scene.ns, f"http://{PROMETHEUS}/api/v1/query?query={urllib.parse.quote(expression)}"))
        return [(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]

    eventually(lambda: query("up == 1"), 20)
    (_, used), = eventually(lambda: query(f'portwatch_pool_used_ports{{pool="{POOL}"}}'), 20)
    (labels, _), = query(f'portwatch_pool_info{{pool="{POOL}"}}')
    assert used == 600 and labels["remote"] == "127.0.0.1"
    polls = query("portwatch_polls_total")[0][1]
    eventually(lambda: query("portwatch_polls_total")[0][1] > polls, 20)
    rules = yaml.safe_load((FILES / "portwatch-scrape.rules.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for metric in re.findall(r"(?<![\w:])portwatch_\w+", rule["expr"]):
            assert query(metric), metric
    (labels, _), = eventually(lambda: query('ALERTS{alertname="PortwatchPoolWarning",alertstate="firing"}'), 20)
    assert labels["pool"] == POOL
    (_, worst), = eventually(lambda: query("instance:portwatch_utilization_percent:max"), 20)
    assert worst == pytest.approx(60)
