# SPDX-License-Identifier: BSD-2-Clause
"""conf/integrations/nagios with Debian's Nagios 4: the shipped commands are run by it and tell of a real load."""

import re

import pytest
from harness import SOURCE, Process, equals, eventually, program
from scene import connect_pool

FILES = SOURCE / "conf" / "integrations" / "nagios"
POOL = connect_pool("127.0.0.1", "127.0.0.1", 8080)

MAIN = """
cfg_file={directory}/portwatch.cfg
cfg_file={directory}/objects.cfg
log_file={directory}/nagios.log
object_cache_file={directory}/objects.cache
precached_object_file={directory}/objects.precache
status_file={directory}/status.dat
state_retention_file={directory}/retention.dat
temp_file={directory}/nagios.tmp
temp_path={directory}
check_result_path={directory}/results
command_file={directory}/nagios.cmd
query_socket={directory}/nagios.qh
lock_file={directory}/nagios.pid
nagios_user=root
nagios_group=root
status_update_interval=1
check_result_reaper_frequency=1
interval_length=1
use_syslog=0
check_for_updates=0
"""

OBJECTS = """
define timeperiod {
    timeperiod_name always
    alias always
    monday 00:00-24:00
    tuesday 00:00-24:00
    wednesday 00:00-24:00
    thursday 00:00-24:00
    friday 00:00-24:00
    saturday 00:00-24:00
    sunday 00:00-24:00
}
define command {
    command_name check-host-alive
    command_line /bin/true
}
define contact {
    contact_name nobody
    host_notification_commands check-host-alive
    service_notification_commands check-host-alive
    host_notification_period always
    service_notification_period always
}
define host {
    contacts nobody
    host_name lb1
    address 127.0.0.1
    check_command check-host-alive
    max_check_attempts 1
    check_period always
    notifications_enabled 0
}
"""

SERVICE = """
define service {{
    host_name lb1
    contacts nobody
    service_description {name}
    check_command {command}
    max_check_attempts 1
    check_interval 1
    retry_interval 1
    check_period always
    notification_interval 0
    notification_period always
    notifications_enabled 0
}}
"""

SERVICES = {
    "all pools": "check_portwatch!50!80",
    "one destination": "check_portwatch!50!80!--remote 127.0.0.9 --port 8080",
    "by SNMP": "check_snmp_portwatch!public",
}
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class Nagios:
    """Nagios in the namespace of a scene."""

    def __init__(self, scene):
        self.directory = scene.workshop.directory / "nagios"
        (self.directory / "results").mkdir(parents=True)
        shipped = scene.mib.rebased((FILES / "portwatch.cfg").read_text())
        assert "/usr/bin/portwatch " in shipped
        (self.directory / "portwatch.cfg").write_text(shipped.replace("/usr/bin/portwatch", str(program("portwatch"))))
        services = "".join(SERVICE.format(name=name, command=command) for name, command in SERVICES.items())
        (self.directory / "objects.cfg").write_text(OBJECTS + services)
        self.main = self.directory / "nagios.cfg"
        self.main.write_text(MAIN.format(directory=self.directory))
        verified = scene.ns.run("nagios4", "-v", self.main, check=False)
        assert verified.returncode == 0 and "Total Errors:   0" in verified.stdout, verified.stdout
        self.process = scene.workshop.keep(Process(scene.ns, ["/usr/sbin/nagios4", self.main], self.directory / "output"))

    def services(self):
        """{description: (state, output)} of the services that have been checked."""
        status = self.directory / "status.dat"
        blocks = re.findall(r"^servicestatus \{(.*?)^\t\}", status.read_text() if status.exists() else "", re.S | re.M)
        found = [dict(re.findall(r"^\t(\w+)=(.*)$", block, re.M)) for block in blocks]
        return {service["service_description"]: (STATES[int(service["current_state"])], service["plugin_output"], service["performance_data"])
                for service in found if service["has_been_checked"] == "1"}

    def states(self):
        return {name: state for name, (state, _, _) in self.services().items()}


@pytest.fixture(name="nagios")
def fixture_nagios(scene):
    scene.load.listen("0.0.0.0", 8080)
    scene.start()
    return Nagios(scene)


def test_commands_follow_a_load(scene, nagios):
    equals(nagios.states, {"all pools": "OK", "one destination": "OK", "by SNMP": "OK"}, 30)
    group = scene.load.connect(600, "127.0.0.1", 8080)
    equals(nagios.states, {"all pools": "WARNING", "one destination": "OK", "by SNMP": "WARNING"}, 30)
    _, output, performance = nagios.services()["all pools"]
    assert output.startswith(f"PORTWATCH WARNING - {POOL} at 60%, 400 of 1000 ports free")
    assert "utilization=60%;50;80;0;100" in performance
    scene.load.connect(300, "127.0.0.1", 8080)
    equals(nagios.states, {"all pools": "CRITICAL", "one destination": "OK", "by SNMP": "CRITICAL"}, 30)
    group.reset()
    equals(nagios.states, {"all pools": "OK", "one destination": "OK", "by SNMP": "OK"}, 30)


def test_an_agent_that_is_missing_is_not_ok(scene, nagios):
    equals(lambda: nagios.states().get("by SNMP"), "OK", 30)
    scene.daemon.stop()
    eventually(lambda: nagios.states()["by SNMP"] != "OK", 30)


def test_nrpe_command_runs(scene, nagios):
    """The command of nrpe.cfg, as nrpe's shell runs it."""
    scene.load.connect(900, "127.0.0.1", 8080)
    command, = re.findall(r"^command\[check_portwatch\]=(.*)$", (FILES / "nrpe.cfg").read_text(), re.M)
    result = scene.ns.run("/bin/sh", "-c", command.replace("/usr/bin/portwatch", str(program("portwatch"))), check=False)
    assert result.returncode == 2 and result.stdout.startswith("PORTWATCH CRITICAL"), result.stdout
    assert nagios.process.running
