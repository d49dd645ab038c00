# SPDX-License-Identifier: BSD-2-Clause
"""What lies under conf/integrations says the same as PORTWATCH-MIB. No program of an operator is needed here: scripts/test-integrations
is the test with them.
"""

import json
import re
import subprocess

import librenms
import pytest
import yaml
from harness import BUILD, SOURCE
from snmp import DEFAULT_BASE

DIRECTORY = SOURCE / "conf" / "integrations"
TEXTS = sorted(path for path in DIRECTORY.rglob("*") if path.is_file() and path.suffix != ".png")
PROMETHEUS = DIRECTORY / "prometheus"


def ids(path):
    return str(path.relative_to(DIRECTORY))


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=ids)
def test_objects_exist(mib, path):
    """Each name that looks like one of the MIB is one of the MIB, and each numeric OID is below a node of it."""
    text = mib.rebased(path.read_text())
    unknown = {name for name in re.findall(r"(?<![A-Za-z])pw[A-Z]\w*", text) if name.rpartition(":")[2] not in mib.oid}
    assert not unknown
    base = mib.oid["portwatchMIB"]
    for oid in re.findall(rf"(?<![\d.])\.?({re.escape(base)}(?:\.\d+)*)", text):
        name, rest = mib.split(oid)
        assert name in ("portwatchMIB", "pwNotifications", "pwObjects") and not rest or name in mib.oid and (
            not rest or mib.access.get(name)), f"{oid}: nothing of the MIB"


def test_installed(mib):
    """`make install` takes every file, and only these."""
    listed = re.search(r"^INTEGRATION_FILES = (.*?[^\\])\n", (SOURCE / "Makefile.am").read_text(), re.S | re.M)[1]
    assert sorted(listed.replace("\\\n", " ").split()) == sorted(str(path.relative_to(DIRECTORY)) for path in DIRECTORY.rglob("*")
                                                                 if path.is_file())


# --- Prometheus ------------------------------------------------------------------------------------------------------

TYPES = {"Gauge32": "gauge", "Integer32": "gauge", "INTEGER": "gauge", "Unsigned32": "gauge", "Counter32": "counter",
         "Counter64": "counter", "SnmpAdminString": "DisplayString", "DateAndTime": "DateAndTime"}
# What a unit of the MIB is called in Grafana.
UNITS = {"percent": "percent", "seconds": "s", "milliseconds": "ms", "microseconds": "µs", "ports": "none", "sockets": "none",
         "pools": "none", "alarms": "none", "ports per minute": "none", "failures": "cps"}
METRIC = re.compile(r"\b(?:portwatch:)?pw[A-Z]\w*(?::\w+)?")


def module(name):
    """The module of a configuration of snmp_exporter, before or after the credentials got a section of their own."""
    config = yaml.safe_load((PROMETHEUS / name).read_text())
    return config.get("modules", config)["portwatch"]


@pytest.fixture(scope="module", name="metrics")
def fixture_metrics():
    return {metric["name"]: metric for metric in module("snmp.yml")["metrics"]}


def rules():
    return [rule for group in yaml.safe_load((PROMETHEUS / "portwatch.rules.yml").read_text())["groups"] for rule in group["rules"]]


def test_both_forms_of_snmp_yml_say_the_same():
    assert module("snmp.yml") == module("snmp-0.22.yml")
    assert set(yaml.safe_load((PROMETHEUS / "snmp.yml").read_text())["auths"]) == {"public_v2", "watcher_v3"}


def test_snmp_yml_is_what_the_mib_says(mib, metrics):
    """Every readable object of the walked tables is there or ignored in generator.yml, with the MIB's OID, type and words.

    Where this fails: scripts/snmp-exporter-config makes the files again.
    """
    ignored = yaml.safe_load((PROMETHEUS / "generator.yml").read_text())["modules"]["portwatch"]["overrides"]
    walked = [mib.oid[name] + "." for name in ("pwAgent", "pwNamespaceTable", "pwPoolTable", "pwLabelTable")]
    readable = {name for name, access in mib.access.items() if access == "read-only" and mib.oid[name].startswith(tuple(walked))}
    assert set(metrics) == readable - set(ignored)
    assert [oid + "." for oid in module("snmp.yml")["walk"]] == [name.replace(mib.oid["portwatchMIB"], DEFAULT_BASE) for name in walked]
    for name, metric in metrics.items():
        assert mib.rebased(metric["oid"]) == mib.oid[name]
        assert metric["type"] == (TYPES["INTEGER"] if mib.enum[name] else TYPES[mib.syntax[name]]), name
        assert metric.get("enum_values", {}) == mib.enum[name], name


def test_rules_use_what_is_exported(metrics):
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        texts = [rule["expr"], *rule.get("annotations", {}).values()]
        used = {name for text in texts for name in METRIC.findall(text)} - {"pwPoolName", "pwPoolLabel", "pwNsName"}
        assert used <= set(metrics) | recorded, rule


def test_states_in_rules_are_the_words_of_their_alerts(mib):
    """`pwPoolState == 2` is the alert that ends in Warning, and so on; every state but normal has one."""
    found = {}
    for rule in rules():
        if match := re.fullmatch(r"(pw\w+) == (\d+)", rule["expr"]):
            word = mib.enum[match[1]][int(match[2])]
            assert rule["alert"].lower().endswith(word.lower()), rule
            found.setdefault(match[1], set()).add(word)
    assert found["pwPoolState"] == set(mib.enum["pwPoolState"].values()) - {"normal"}
    assert set(found) == {"pwPoolState", "pwNsStatus", "pwConfigStatus"}


def panels():
    return json.loads((PROMETHEUS / "grafana-dashboard.json").read_text())["panels"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_dashboard_panel(mib, metrics, panel):
    """Metrics that are exported or recorded, in the MIB's unit, with its words, from the data source that is chosen."""
    recorded = {rule["record"]: re.search(r"pw\w+", rule["record"])[0] for rule in rules() if rule.get("record", "").startswith("portwatch:")}
    settings = panel["fieldConfig"]["defaults"]
    assert panel["datasource"]["uid"] == "${datasource}"
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        name, = [name for name in METRIC.findall(re.sub(r"\{.*\}", "", target["expr"]))]
        assert name in metrics or name in recorded
        name = recorded.get(name, name)
        if mib.enum[name]:
            assert {int(value): mapped["text"] for value, mapped in settings["mappings"][0]["options"].items()} == mib.enum[name]
        elif not target["expr"].startswith("portwatch:pwPoolGrowth"):
            assert settings["unit"] == UNITS[mib.units[name]], name


def test_dashboard_is_whole():
    dashboard = json.loads((PROMETHEUS / "grafana-dashboard.json").read_text())
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(dashboard))) - {"__all", "__rate_interval"}
    assert variables == used
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in panels():
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_dashboard_of_the_fleet():
    """It reads what both files of rules record and nothing else, so that it need not know how the numbers came."""
    board = json.loads((PROMETHEUS / "grafana-fleet.json").read_text())
    recorded = [{rule["record"] for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"] for rule in group["rules"] if "record" in rule}
                for name in ("portwatch.rules.yml", "portwatch-scrape.rules.yml")]
    assert recorded[0] == recorded[1]
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in expressions:
        used = set(re.findall(r"(?<![\w:$])[a-zA-Z_:]\w*:[\w:]+|\bpw[A-Z]\w*|\bportwatch_\w+", re.sub(r'"[^"]*"', "", expression)))
        assert used <= recorded[0], expression
        assert used or expression.startswith(("ALERTS{", "count(up{"))
    hosts = {json.loads((PROMETHEUS / f"grafana-{name}.json").read_text())["uid"] for name in ("dashboard", "scrape")}
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert set(variables["host_dashboard"]["query"].split(",")) == hosts
    assert set(re.findall(r"\$\{?(\w+)\}?", json.dumps(board))) - {"__all", "__range", "__value"} == set(variables)
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert all(x + width <= 24 for x, _, width, _ in places) and len(set(places)) == len(places)


def test_dashboard_for_scraping_is_made_of_the_other(tmp_path, mib):
    for name in ("portwatch.rules.yml", "grafana-dashboard.json"):
        (tmp_path / name).write_text((PROMETHEUS / name).read_text())
    subprocess.run([SOURCE / "scripts" / "prometheus-rules", BUILD / "mibs" / "PORTWATCH-MIB.txt", tmp_path], check=True, timeout=60)
    for name in ("portwatch-scrape.rules.yml", "grafana-scrape.json"):
        assert (tmp_path / name).read_text() == (PROMETHEUS / name).read_text(), "scripts/prometheus-rules makes it again"


# --- snmptt, Nagios --------------------------------------------------------------------------------------------------


def test_snmptt_events(mib):
    """An EVENT for each notification, for the pools one a state; numbers and words of the states, and the varbinds' places."""
    text = mib.rebased((DIRECTORY / "snmp" / "snmptt.conf").read_text())
    events = re.findall(r'^EVENT (\w+) \.([\d.]+) "portwatch" (NORMAL|WARNING|CRITICAL)\nFORMAT (.*)\n(?:MATCH (.*)\n)?', text, re.M)
    assert len(events) == len(re.findall("^EVENT", text, re.M))
    assert {name for name, *_ in events} == {name for name in mib.carries if name in mib.oid and mib.syntax.get(name) is None
                                             and mib.oid[name].startswith(mib.oid["pwNotifications"] + ".")}
    states = {"pwPoolRising": set(), "pwPoolFalling": set()}
    for name, oid, severity, message, match in events:
        assert mib.oid[name] == oid
        used = {mib.carries[name][int(number) - 1] for number in re.findall(r"\$(\d+)", message)}
        if name in states:
            number, word = re.fullmatch(r"\$15: \^\((\d)\|(\w+)\.\*\)\$", match).groups()
            assert mib.enum["pwEventState"][int(number)] == word
            assert severity == {"normal": "NORMAL", "warning": "WARNING"}.get(word, "CRITICAL") and word in message
            states[name].add(word)
            assert {"pwEventPoolName", "pwEventLabel", "pwEventCapacity"} <= used <= {
                "pwEventPoolName", "pwEventLabel", "pwEventCapacity", "pwEventFree", "pwEventUtilization", "pwEventTimeWait"}
        else:
            beside = {"pwEventLocalText", "pwEventRemoteText", "pwEventPort", "pwEventPool"}  # the name says them
            if name.startswith("pwConntrack"):  # and here the text says the numbers
                beside |= set(mib.carries[name]) - {"pwEventText", "pwEventUtilization"}
            assert used == set(mib.carries[name]) - {"pwEventId", "pwEventTime"} - beside
    assert mib.carries["pwPoolRising"][14] == "pwEventState"
    assert states == {"pwPoolRising": {"warning", "critical", "exhausted"}, "pwPoolFalling": {"normal", "warning", "critical"}}


def test_nagios_asks_for_the_right_objects(mib):
    text = mib.rebased((DIRECTORY / "nagios" / "portwatch.cfg").read_text())
    asked = re.search(r"-o (\S+) -w (\S+) -c (\S+) -l", text)
    oids, warning, critical = (part.split(",") for part in asked.groups())
    assert [mib.split(oid.lstrip(".")) for oid in oids] == [("pwTopState", "1"), ("pwPollAge", "0"), ("pwConfigStatus", "0")]
    assert mib.enum["pwTopState"][int(warning[0]) + 1] == "warning" and mib.enum["pwTopState"][int(critical[0]) + 1] == "critical"
    assert mib.enum["pwConfigStatus"][int(warning[2]) + 1] == "reloadFailed" and mib.units["pwPollAge"] == "milliseconds"


# --- LibreNMS --------------------------------------------------------------------------------------------------------

# What a class of sensors counts, and by what the MIB's unit has to be divided for it.
CLASSES = {"percent": {"percent": 1}, "count": {"ports": 1, "alarms": 1}, "delay": {"milliseconds": 1000}}
RECORD_TYPES = {"Gauge32": "66", "Unsigned32": "66", "Integer32": "2", "Counter32": "65", "Counter64": "70", "SnmpAdminString": "4",
                "DateAndTime": "4x", "TimeStamp": "67", "RowPointer": "6", "InetPortNumber": "66"}


def discovery_entries():
    groups = yaml.safe_load(librenms.DISCOVERY.read_text())["modules"]["sensors"]
    return [(kind, entry) for kind, group in groups.items() for entry in group["data"]]


@pytest.mark.parametrize("kind, entry", discovery_entries(), ids=lambda part: part if isinstance(part, str) else part["index"].split(".")[0])
def test_librenms_sensor(mib, kind, entry):
    """Each sensor reads the column that it names, in the unit of its class, with the words of the MIB and the right severity."""
    name = entry.get("value", entry["oid"]).removeprefix(librenms.MODULE)
    assert mib.rebased(entry["num_oid"]) == f".{mib.oid[name]}." + "{{ $index }}"
    assert entry["index"].startswith(name + ".")
    table = entry["oid"].removeprefix(librenms.MODULE)
    assert table == name or name in mib.columns(table)
    if kind == "state":
        assert {state["value"]: state["descr"] for state in entry["states"]} == mib.enum[name]
        assert entry["state_name"] == name
        severity = {"normal": 0, "ok": 0, "warning": 1, "reloadFailed": 1, "critical": 2, "exhausted": 2, "failing": 2}
        assert all(state["generic"] == severity[state["descr"]] for state in entry["states"])
    else:
        assert entry.get("divisor", 1) == CLASSES[kind][mib.units[name]]


def test_librenms_record(mib):
    """The recorded walk has every readable object, with the type that the MIB gives it."""
    seen = set()
    for line in mib.rebased(librenms.RECORD.read_text()).splitlines():
        oid, kind, _ = line.split("|", 2)
        name, _ = mib.split(oid)
        if name:
            seen.add(name)
            assert kind == ("2" if mib.enum[name] else RECORD_TYPES[mib.syntax[name]]), line
    assert seen == {name for name, access in mib.access.items() if access == "read-only"}


def test_librenms_data_is_current(mib):
    """The expected sensors are those that the discovery file finds in the record."""
    assert mib.rebased(librenms.DATA.read_text()) == librenms.shipped(mib).replace(DEFAULT_BASE, mib.oid["portwatchMIB"])
    sensors = json.loads(librenms.DATA.read_text())["sensors"]["discovery"]["sensors"]
    assert len({(sensor["sensor_class"], sensor["sensor_type"], sensor["sensor_index"]) for sensor in sensors}) == len(sensors)
    assert max(len(sensor["sensor_index"]) for sensor in sensors) <= 128


def test_librenms_handles_every_notification(mib):
    notifications = {name for name, oid in mib.oid.items() if oid.startswith(mib.oid["pwNotifications"] + ".")}
    mapped = re.findall(r"'PORTWATCH-MIB::(\w+)' => \\LibreNMS\\Snmptrap\\Handlers\\PortwatchNotification::class",
                        (librenms.FILES / "snmptraps.php").read_text())
    handler = (librenms.FILES / "Handlers" / "PortwatchNotification.php").read_text()
    assert set(mapped) == notifications == set(re.findall(r"case '(pw\w+)':", handler))
    assert re.findall(r"^ +'(\w+)' => Severity", handler, re.M) == list(mib.enum["pwEventState"].values())


# --- Zabbix ----------------------------------------------------------------------------------------------------------

ZABBIX = DIRECTORY / "zabbix"
VERSIONS = ("6.0", "7.0")
# What a unit of the MIB is called in Zabbix, and by what a value is multiplied.
ZABBIX_UNITS = {"percent": ("%", None), "seconds": ("s", None), "milliseconds": ("s", "0.001"), "microseconds": ("s", "0.000001"),
                "ports per minute": ("!ports/min", None)}


def exported(version):
    return yaml.safe_load((ZABBIX / f"portwatch-{version}.yaml").read_text())["zabbix_export"]


def nodes(part):
    """Every mapping of a document."""
    if isinstance(part, dict):
        yield part
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from nodes(value)


def snmp_items(version):
    template, = exported(version)["templates"]
    found = template["items"] + [item for rule in template["discovery_rules"] for item in rule["item_prototypes"]]
    return {item["key"].partition("[")[0]: item for item in found if item["type"] == "SNMP_AGENT"}


def test_zabbix_templates_are_generated(mib, tmp_path):
    subprocess.run([SOURCE / "scripts" / "zabbix-templates", BUILD / "mibs" / "PORTWATCH-MIB.txt", tmp_path], check=True, timeout=60)
    for version in VERSIONS:
        assert mib.rebased((ZABBIX / f"portwatch-{version}.yaml").read_text()) == (tmp_path / f"portwatch-{version}.yaml").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_zabbix_items(mib, version):
    """Every object is an item of its name, OID and unit, with its words; but for those that are a macro or say nothing in Zabbix."""
    items, template = snmp_items(version), exported(version)["templates"][0]
    maps = {entry["name"]: {int(mapping["value"]): mapping["newvalue"] for mapping in entry["mappings"]} for entry in template["valuemaps"]}
    macros = {oid for rule in template["discovery_rules"] for oid in re.findall(r",([\d.]+)", rule["snmp_oid"])}
    macros = {mib.split(mib.rebased(oid))[0] for oid in macros}
    tables = tuple(mib.oid[name] + "." for name in ("pwAgent", "pwNamespaceTable", "pwPoolTable", "pwLabelTable"))
    readable = {name for name, access in mib.access.items() if access == "read-only" and mib.oid[name].startswith(tables)}
    assert set(items) | macros == readable - {"pwAlarmsLastChange", "pwGeneration", "pwStartTime"}
    for name, item in items.items():
        instance = "0" if mib.oid[name].startswith(tables[0]) else "{#SNMPINDEX}"
        assert mib.rebased(item["snmp_oid"]) == f"{mib.oid[name]}.{instance}"
        unit = mib.units.get(name)
        units, factor = ZABBIX_UNITS.get(unit, (f"!{unit}" if unit else None, None))
        assert item.get("units") == units, name
        steps = [step["parameters"] for step in item.get("preprocessing", []) if step["type"] == "MULTIPLIER"]
        assert steps == ([[factor]] if factor else []), name
        if mib.enum[name]:
            assert maps[item["valuemap"]["name"]] == mib.enum[name]


@pytest.mark.parametrize("version", VERSIONS)
def test_zabbix_template_is_consistent(version):
    """Identities are unique and of version 4, references lead somewhere, and macros are defined."""
    export = exported(version)
    template, = export["templates"]
    identities = [node["uuid"] for node in nodes(export) if "uuid" in node]
    assert len(set(identities)) == len(identities) > 50
    assert all(re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", identity) for identity in identities)
    keys = {node["key"] for node in nodes(template) if "key" in node and "name" in node}
    graphs = {node["name"] for node in nodes(export) if "graph_items" in node}
    for node in nodes(export):
        if node.get("host") == template["template"]:
            assert node["key"] in keys if "key" in node else node["name"] in graphs
        for expression in (node.get("expression", ""), node.get("recovery_expression", "")):
            for key in re.findall(rf"/{template['template']}/(.*?)(?=[,)](?![^\[]*\]))", expression):
                assert key in keys, expression
    assert {name["name"] for name in export["groups" if version == "6.0" else "template_groups"]} == {
        group["name"] for group in template["groups"]}
    used = set(re.findall(r"\{(\$[A-Z.]+)", yaml.safe_dump(export)))
    assert used - {name for macro in template["macros"] for name in re.findall(r"\$[A-Z._]+", macro["macro"])} <= {"$PW.POOL.NOT"}


@pytest.mark.parametrize("version", VERSIONS)
def test_zabbix_states(mib, version):
    """Each state but normal has a trigger, the worse the more severe."""
    triggers = [node for node in nodes(exported(version)) if "pwPoolState" in str(node.get("expression")) and "priority" in node]
    numbers = {int(re.search(r"pwPoolState\[\{#SNMPINDEX\}\]\)=(\d)", trigger["expression"])[1]): trigger["priority"] for trigger in triggers}
    assert set(numbers) == {number for number, word in mib.enum["pwPoolState"].items() if word != "normal"}
    assert [numbers[number] for number in sorted(numbers)] == ["WARNING", "HIGH", "DISASTER"]
