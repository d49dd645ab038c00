# SPDX-License-Identifier: BSD-2-Clause
"""conf/integrations/librenms without LibreNMS, which Debian does not have: what its discovery makes of a real snmpd, read by net-snmp's tools
with LibreNMS' options, and what its trap handler makes of real notifications, in PHP.
"""

import os
import re

import librenms
import pytest
import yaml
from harness import BUILD, SOURCE, equals, eventually
from scene import TRAP_V2C, connect_pool
from snmp import NetSnmp, environment

POOL = connect_pool("127.0.0.1", "127.0.0.1", 8080)
MIBS = {"MIBS": "SNMPv2-MIB:PORTWATCH-MIB", "SNMPCONFPATH": "/nonexistent"}


@pytest.fixture(scope="module", name="mib_directory")
def fixture_mib_directory(tmp_path_factory):
    """The IETF's modules, which LibreNMS brings along, and PORTWATCH-MIB."""
    directory = tmp_path_factory.mktemp("mibs")
    for path in [*os.scandir(os.environ["PW_BASE_MIBS"]), *os.scandir(BUILD / "mibs")]:
        (directory / path.name).symlink_to(path.path)
    return directory


def discover(scene, mibs):
    """{sensor_class and index: sensor} as LibreNMS finds them."""
    discovery = yaml.safe_load(scene.mib.rebased(librenms.DISCOVERY.read_text()))
    entries = [entry for group in discovery["modules"]["sensors"].values() for entry in group["data"]]
    text = ""
    for table, flags in {(entry["oid"], entry.get("snmp_flags", "-OteQUSb")) for entry in entries}:
        text += scene.ns.run("snmpbulkwalk", "-v2c", "-c", "public", flags, "-M", mibs, "127.0.0.1", table, env={**os.environ, **MIBS}).stdout
    return {sensor["sensor_index"]: sensor for sensor in librenms.sensors(librenms.Walk.of_tool(text), discovery)}


def test_discovery_of_a_real_agent(scene, mib_directory):
    """Ranks, bind pools, namespaces and the agent become sensors; what is polled under their OIDs is what was discovered."""
    scene.load.listen("127.0.0.1", 8080)
    scene.load.connect(600, "127.0.0.1", 8080)
    scene.load.hold(100, "::1", protocol="udp")
    scene.start()
    scene.until(POOL, used=600, state="warning")
    scene.until("udp [::1] bind", used=100)
    found = discover(scene, mib_directory)
    assert (found["pwTopState.1"]["sensor_current"], found["pwTopUtilization.1"]["sensor_current"]) == (2, 60)
    binds = [sensor for sensor in found.values() if sensor["group"] == "Ephemeral ports, bind() by address"]
    assert {"udp [::1] bind", "tcp 127.0.0.1 bind"} <= {sensor["sensor_descr"] for sensor in binds}
    assert not [sensor for sensor in binds if "->" in sensor["sensor_descr"]]
    limits = {sensor["sensor_descr"]: (sensor["sensor_limit_warn"], sensor["sensor_limit"]) for sensor in binds
              if sensor["sensor_class"] == "percent"}
    assert limits["udp [::1] bind"] == (50, 80) and limits["tcp 127.0.0.1 bind"] == (None, None)
    assert {"pwNsStatus.1", "pwConfigStatus.0", "pwPollAge.0", "pwActiveAlarms.0", "pwTopState.10"} <= set(found)
    # The tools that ask draw ports themselves: free ports of UDP pools change by a few.
    steady = [sensor for sensor in found.values() if sensor["sensor_class"] in ("percent", "state")]
    for sensor in steady:
        (_, value), = scene.manager.get_oids(sensor["sensor_oid"])
        assert value == sensor["sensor_current"], sensor


class Receiver(NetSnmp):
    """snmptrapd as LibreNMS wants it: with the MIB, and with its handler."""

    def __init__(self, scene, mibs, source, output, extra=""):
        directory = scene.workshop.directory
        (directory / "receiver-state").mkdir()
        config = directory / "receiver.conf"
        handler = f"/usr/bin/php {SOURCE}/tests/integrations/librenms/handle.php {source} {output}"
        config.write_text(f"disableAuthorization yes\nauthCommunity log,execute,net public\ntraphandle default {handler}\n{extra}")
        super().__init__(scene.ns, ["/usr/sbin/snmptrapd", "-f", "-C", "-c", config, "-Lo", "-n", "-M", mibs, "-m", "SNMPv2-MIB:PORTWATCH-MIB",
                                    "udp:127.0.0.1:1162"], directory / "receiver.log",
                         env={**environment(directory / "receiver-state"), **MIBS})


@pytest.mark.parametrize("known", [True, False], ids=["with words", "with numbers"])
def test_handler_of_real_notifications(make_scene, mib_directory, known):
    """An event for each notification, with its color; also where snmptrapd prints enumerations as numbers."""
    scene = make_scene(snmpd=f"{TRAP_V2C}\ntrap2sink udp:127.0.0.1:1162 public\n")
    output = scene.workshop.directory / "events"
    extra = "" if known else "[snmp] printNumericEnums yes\n"
    scene.workshop.keep(Receiver(scene, mib_directory, librenms.FILES, output, extra))
    scene.load.listen("127.0.0.1", 8080)
    scene.start('pool "front" { remote = { "127.0.0.1" }  port = { 8080 } }')
    group = scene.load.connect(850, "127.0.0.1", 8080)
    scene.until(POOL, state="critical")
    group.reset()
    eventually(lambda: scene.crossings() and scene.crossings()[-1][2] == "normal")

    def line(event):
        goes = "rises" if event["notification"] == "pwPoolRising" else "falls"
        color = {"normal": "Ok", "warning": "Warning"}.get(event["pwEventState"], "Error")
        return (f"{color} {event['pwEventPoolName']} ({event['pwEventLabel']}) {goes} to {event['pwEventState']}, was "
                f"{event['pwEventPreviousState']}: {event['pwEventUtilization']} % used, {event['pwEventFree']} of {event['pwEventCapacity']} "
                f"ports free, {event['pwEventTimeWait']} in TIME_WAIT")

    def told():
        text = output.read_text() if output.exists() else ""
        return sorted(event for event in text.splitlines() if not re.match("no handler for SNMPv2-MIB", event))

    equals(told, sorted(line(event) for event in scene.notifications()), 20)
