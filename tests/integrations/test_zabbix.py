# SPDX-License-Identifier: BSD-2-Clause
"""conf/integrations/zabbix with Debian's Zabbix server, frontend and PostgreSQL: imported, discovered, measured, and alarms on a real load.

One Zabbix serves all tests of this file, in their order: setting it up takes longer than all of them.
"""

import re

import pytest
import yaml
from harness import SOURCE, Workshop, equals, eventually
from scene import Scene, connect_pool
from snmp import Mib, NetSnmp, environment
from zabbix_lab import Zabbix

FILES = SOURCE / "conf" / "integrations" / "zabbix"
TEMPLATE = "Portwatch by SNMP"
POOL = connect_pool("127.0.0.1", "127.0.0.1", 8080)
WARNING, CRITICAL, EXHAUSTED = (f"{POOL}: {text}" for text in (
    "runs out of ephemeral ports", "almost out of ephemeral ports", "no ephemeral port left"))
# The shipped intervals are for a production server.
MACROS = {"{$PW.INTERVAL}": "1s", "{$PW.TEXT.INTERVAL}": "1s", "{$PW.DISCOVERY.INTERVAL}": "2s", "{$PW.NODATA}": "30s"}


class Lab:
    """A host with portwatchd, snmpd and snmptrapd, and a Zabbix that watches it."""

    def __init__(self, workshop, mib):
        self.mib = mib
        self.scene = Scene(workshop, mib)
        self.zabbix = Zabbix(self.scene.ns, workshop)
        self._receive_notifications(workshop)
        self.host = None
        self.scene.load.listen("127.0.0.1", 8080)

    def _receive_notifications(self, workshop):
        """snmptrapd as Debian's service runs it, in the place of the scene's."""
        self.scene.trapd.stop()
        config, state = workshop.directory / "traphandle.conf", workshop.directory / "traphandle-state"
        config.write_text(f"authCommunity log,execute public\ntraphandle default {FILES / 'traphandle'} {self.zabbix.traps}\n")
        state.mkdir()
        workshop.keep(NetSnmp(self.scene.ns, ["/usr/sbin/snmptrapd", "-LOw", "-f", "-C", "-c", config, "udp:127.0.0.1:162"],
                              workshop.directory / "traphandle.log", env=environment(state)))

    def item(self, key):
        return self.zabbix.items(self.host)[key]

    def row(self, name=POOL):
        """{object: value} of a pool as Zabbix has it; None for what it has not read yet."""
        index = next(index for index, row in self.scene.manager.table("pwPoolTable").items() if row["pwPoolName"] == name)
        found = {}
        for key, item in self.zabbix.items(self.host).items():
            if key.endswith(f"[{index}]"):
                found[key.partition("[")[0]] = item["lastvalue"] if item["lastclock"] != "0" else None
        return found

    def pool_problems(self):
        return {name for name in self.zabbix.problems(self.host) if name.startswith(POOL)}


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with Workshop() as workshop:
        yield Lab(workshop, Mib())


def test_template_is_imported_without_a_warning(lab, mib):
    text = mib.rebased((FILES / "portwatch-6.0.yaml").read_text())
    assert lab.zabbix.import_template(text) is True
    template, = lab.zabbix.api("template.get", filter={"host": TEMPLATE}, selectItems=["key_"], selectDashboards=["name"],
                               selectDiscoveries=["key_"])
    expected, = yaml.safe_load(text)["zabbix_export"]["templates"]
    assert {item["key_"] for item in template["items"]} == {item["key"] for item in expected["items"]}
    assert {rule["key_"] for rule in template["discoveries"]} == {"pwPoolTable", "pwNamespaceTable", "pwLabelTable"}
    assert len(template["dashboards"]) == 1
    # a second time nothing is new: the identities are stable
    assert lab.zabbix.import_template(text) is True
    assert lab.zabbix.complaints() == []


def test_pools_are_discovered_by_name(lab):
    lab.scene.load.connect(300, "127.0.0.1", 8080)
    lab.scene.start('pool "front" { remote = { "127.0.0.1" } }')
    lab.scene.until(POOL, used=300)
    lab.host = lab.zabbix.add_host("lb1", TEMPLATE, MACROS)
    names = eventually(lambda: {item["name"] for item in lab.zabbix.items(lab.host).values() if item["name"].startswith(POOL)}, 60)
    assert f"{POOL}: used" in names and f"{POOL}: time to exhaustion" in names
    eventually(lambda: "Namespace of portwatchd: capacity" in {item["name"] for item in lab.zabbix.items(lab.host).values()}, 30)


def expected_value(mib, name, value):
    """What Zabbix stores for what snmpget says."""
    factor = {"milliseconds": 0.001, "microseconds": 0.000001}.get(mib.units.get(name), 1)
    if isinstance(value, int):
        return pytest.approx(value * factor)
    return {word: number for number, word in mib.enum[name].items()}.get(value, value)


def test_values_are_those_of_snmp(lab, mib):
    """Every column of a pool and of a namespace that stands still, and the scalars."""
    moving = {"pwPoolPeakAge", "pwPoolStateAge", "pwPoolAllocLatency", "pwPoolGrowth", "pwPoolTimeToExhaustion", "pwNsUdpSockets",
              "pwNsTcpSockets", "pwNsTcpTimeWait", "pwPoolUsed"}

    def same():
        row, found = lab.scene.manager.pool(POOL), lab.row()
        assert set(found) == set(row) - {"pwPoolName", "pwPoolLocalText", "pwPoolRemoteText", "pwPoolPort"}
        assert None not in found.values(), found
        for name, value in found.items():
            if name not in moving - {"pwPoolUsed"}:
                number = value if mib.syntax[name] == "SnmpAdminString" else float(value)
                assert number == expected_value(mib, name, row[name]), name
        return row["pwPoolUsed"] == 300

    eventually(same, 60)
    for name in ("pwPollInterval", "pwVersion", "pwConfigStatus", "pwPoolsListed", "pwWorstUtilization", "pwWorstPoolName"):
        value = lab.item(name)["lastvalue"]
        number = value if mib.syntax[name] == "SnmpAdminString" else float(value)
        assert number == expected_value(mib, name, lab.scene.manager.get(name)), name
    assert float(lab.item("pwNsCapacity[1]")["lastvalue"]) == 1000
    assert 0 < float(lab.item("pwPollAge")["lastvalue"]) < 60


def test_every_item_is_supported(lab):
    def errors():
        return {key: item["error"] for key, item in lab.zabbix.items(lab.host).items() if item["state"] != "0"}

    equals(errors, {}, 30)
    rules = lab.zabbix.api("discoveryrule.get", hostids=lab.host, output=["key_", "state", "error"])
    assert {rule["key_"]: rule["error"] for rule in rules} == {"pwPoolTable": "", "pwNamespaceTable": "", "pwLabelTable": ""}


def test_triggers_fire_and_recover(lab):
    """Each state hides the one below it, and all are gone when the connections are."""
    equals(lab.pool_problems, set(), 30)
    more = lab.scene.load.connect(300, "127.0.0.1", 8080)
    equals(lab.pool_problems, {WARNING}, 40)
    third = lab.scene.load.connect(250, "127.0.0.1", 8080)
    equals(lab.pool_problems, {CRITICAL}, 40)
    fourth = lab.scene.load.connect(150, "127.0.0.1", 8080)
    equals(lab.pool_problems, {EXHAUSTED}, 40)
    for group in (fourth, third, more):
        group.reset()
    equals(lab.pool_problems, set(), 40)


def test_macro_with_context_warns_for_one_pool(lab):
    macro = lab.zabbix.api("usermacro.create", hostid=lab.host, macro=f'{{$PW.WARN:"{POOL}"}}', value="20")
    equals(lab.pool_problems, {WARNING}, 40)
    lab.zabbix.api("usermacro.update", hostmacroid=macro["hostmacroids"][0], value="101")
    equals(lab.pool_problems, set(), 40)


def test_notifications_arrive_in_the_trap_item(lab):
    """Both that the load above caused; the text names the pool."""
    key = f'snmptrap["{lab.mib.oid["pwNotifications"]}.[123]"]'
    found = eventually(lambda: lab.zabbix.api("history.get", itemids=lab.item(key)["itemid"], history=2), 30)
    texts = [entry["value"] for entry in found]
    for name in ("pwPoolRising", "pwPoolFalling"):
        assert any(re.search(rf"\s\.{re.escape(lab.mib.oid[name])}$", text, re.M) and POOL in text for text in texts), texts


def test_standstill_is_noticed(lab):
    """portwatchd ends: its objects are gone."""
    lab.scene.daemon.stop()
    eventually(lambda: "portwatchd does not answer" in lab.zabbix.problems(lab.host), 90)
