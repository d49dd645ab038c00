# SPDX-License-Identifier: BSD-2-Clause
"""Many hosts at once in Zabbix: simulated agents (tests/fleet/simulator), the shipped template, and the dashboard of a fleet.

PW_ZABBIX_HOSTS=200 says how many hosts there are, PW_ZABBIX_INTERVAL how often each item is read, in seconds. The figures are printed
with -s and stand in docs/fleet.md.
"""

import json
import os
import sys
import time

import pytest
from harness import SOURCE, Process, Workshop, eventually
from scene import Scene
from snmp import Mib

from test_fleet import CONTROL, PORT, SIMULATOR, controller, record, usage
from test_zabbix import FILES, TEMPLATE
from zabbix_lab import Zabbix

HOSTS = int(os.environ.get("PW_ZABBIX_HOSTS", "20"))
INTERVAL = int(os.environ.get("PW_ZABBIX_INTERVAL", "10"))
ADDRESSES = [f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(HOSTS)]
CROSSINGS = 5
# The destinations that matter: two of the agents' two dozen pools.
POOLS = r"-> 127\.0\.0\.[23]:"
SERVER = "StartPollers=8\nCacheSize=128M\nHistoryCacheSize=32M\nTrendCacheSize=32M\nValueCacheSize=32M\nStartDBSyncers=2\n"


class Lab:
    """Simulated agents and a Zabbix that has each as a host of a group."""

    def __init__(self, workshop):
        scene = Scene(workshop, Mib())
        self.ns = scene.ns
        recorded = record(scene)
        self.simulator = workshop.keep(Process(self.ns, [sys.executable, str(SIMULATOR), "serve", str(recorded), "--port", str(PORT),
                                                         "--control", str(CONTROL)], workshop.directory / "simulator.log"))
        self.control = controller(self.ns)
        self.zabbix = Zabbix(self.ns, workshop, SERVER)
        assert self.zabbix.import_template(scene.mib.rebased((FILES / "portwatch-6.0.yaml").read_text())) is True
        for macro, value in {"{$PW.INTERVAL}": f"{INTERVAL}s", "{$PW.DISCOVERY.INTERVAL}": "1m", "{$PW.POOL.MATCHES}": POOLS}.items():
            found, = self.zabbix.api("usermacro.get", filter={"macro": macro})
            self.zabbix.api("usermacro.update", hostmacroid=found["hostmacroid"], value=value)
        self.group = self.zabbix.api("hostgroup.create", name="Load balancers")["groupids"][0]
        self.hosts = self._add_hosts()

    def _add_hosts(self):
        template, = self.zabbix.api("template.get", filter={"host": TEMPLATE})
        interface = {"type": 2, "main": 1, "useip": 1, "dns": "", "port": str(PORT), "details": {"version": 2, "bulk": 1, "community": "public"}}
        hosts = [{"host": f"lb-{address}", "interfaces": [interface | {"ip": address}], "groups": [{"groupid": self.group}],
                  "templates": [{"templateid": template["templateid"]}]} for address in ADDRESSES]
        made = []
        # a request of PHP has to end within a minute
        for place in range(0, HOSTS, 20):
            made += self.zabbix.api("host.create", **{str(number): host for number, host in enumerate(hosts[place:place + 20])})["hostids"]
        return dict(zip(ADDRESSES, made))

    def hold(self, address, share):
        self.control.send(f"hold {address} 0 {share} 1000".encode())

    def count(self, **what):
        return int(self.zabbix.api("item.get", hostids=list(self.hosts.values()), countOutput=True, monitored=True, **what))

    def exhausted(self):
        shown = self.zabbix.api("trigger.get", groupids=self.group, only_true=True, filter={"value": 1, "priority": 5}, selectHosts=["hostid"], output=[])
        return {trigger["hosts"][0]["hostid"] for trigger in shown}

    def late(self):
        """How many of one number of each host are older than three intervals."""
        found = self.zabbix.api("item.get", hostids=list(self.hosts.values()), filter={"key_": "pwPollDuration"}, output=["lastclock"])
        return sum(time.time() - int(item["lastclock"]) > 3 * INTERVAL for item in found)


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with Workshop() as workshop:
        yield Lab(workshop)


def test_pools_of_all_hosts_are_discovered(lab):
    """Two pools of each, by the macro; the rest of the two dozen is left out."""
    began = time.monotonic()
    eventually(lambda: lab.count(search={"key_": "pwPoolState["}) == 2 * HOSTS, 120 + HOSTS, 1)
    eventually(lambda: lab.late() == 0, 60 + 6 * INTERVAL, 1)
    print(json.dumps({"hosts": HOSTS, "discovered_s": round(time.monotonic() - began), "items": lab.count()}))
    errors = lab.zabbix.api("item.get", hostids=list(lab.hosts.values()), filter={"state": 1}, output=["key_", "error"])
    assert errors == []


def test_a_crossing_on_one_of_many_is_a_problem(lab):
    """Within two intervals, of the right host, and no host is late meanwhile."""
    assert not lab.exhausted()
    busy = {"server": lab.zabbix.server, "database": lab.zabbix.database}
    began, before = time.monotonic(), {name: tree_cpu(process) for name, process in busy.items()}
    delays = []
    for address in ADDRESSES[3::max(HOSTS // CROSSINGS, 1)][:CROSSINGS]:
        crossed = time.monotonic()
        lab.hold(address, 1)
        eventually(lambda address=address: lab.hosts[address] in lab.exhausted(), 4 * INTERVAL + 10, 0.2)
        delays.append(time.monotonic() - crossed)
        assert lab.late() == 0
    took = time.monotonic() - began
    assert max(delays) <= 2 * INTERVAL, delays
    assert len(lab.exhausted()) == len(delays)
    print(json.dumps({"interval_s": INTERVAL, "crossing_to_problem_s": [round(delay, 1) for delay in delays],
                      "cores": {name: round((tree_cpu(process) - before[name]) / took, 3) for name, process in busy.items()},
                      "simulator_cpu_s": usage(lab.simulator)[0]}))


def test_dashboard_of_the_fleet(lab):
    """The shipped request makes the dashboard; its columns are items that each host has, and the problems have the tag that it asks for."""
    request = json.loads((SOURCE / "conf" / "integrations" / "zabbix" / "fleet-dashboard-6.0.json").read_text())
    made = lab.zabbix.api(request["method"], **request["params"])["dashboardids"]
    (dashboard,) = lab.zabbix.api("dashboard.get", dashboardids=made, selectPages="extend")
    top, problems = dashboard["pages"][0]["widgets"]
    fields = {field["name"]: field["value"] for field in top["fields"]}
    for name in (value for field, value in fields.items() if field.startswith("columns.item.")):
        assert lab.count(filter={"name": name}) == HOSTS, name
    fields = {field["name"]: field["value"] for field in problems["fields"]}
    tag = {"tag": fields["tags.tag.0"], "operator": fields["tags.operator.0"], "value": fields["tags.value.0"]}
    assert len(lab.zabbix.api("problem.get", groupids=lab.group, tags=[tag])) >= len(lab.exhausted()) > 0
    assert lab.zabbix.complaints() == []


def tree_cpu(process):
    """CPU seconds of a process and of its children."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        children = file.read().split()

    def seconds(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
        except FileNotFoundError:
            return 0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    return sum(map(seconds, [process.pid, *children]))
