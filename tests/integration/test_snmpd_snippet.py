# SPDX-License-Identifier: BSD-2-Clause
"""conf/snmpd.conf.d/portwatch.conf beside Debian's own snmpd.conf: an unprivileged portwatchd serves through it, others don't."""

import grp
import os
import pathlib
import re
import stat

import pytest
from agent import Driver
from harness import SOURCE, Process, eventually
from snmp import Manager, environment

DEBIAN = pathlib.Path("/etc/snmp/snmpd.conf")
SNIPPET = SOURCE / "conf" / "snmpd.conf.d" / "portwatch.conf"
# A group that every Debian has, in the place of the group portwatch, and a user that is in no group.
GROUP = grp.getgrnam("nogroup")


def unprivileged(group):
    return ("setpriv", "--reuid=65533", f"--regid={group}", "--clear-groups", "--bounding-set=-all", "--no-new-privs", "--")


class System:
    """snmpd with Debian's configuration, the snippet included where Debian includes it, its files in a directory of the test."""

    def __init__(self, workshop, mib, snippet):
        self.workshop, self.mib = workshop, mib
        self.directory = workshop.directory
        self.ns = workshop.namespace()
        os.chmod(self.directory, 0o755)
        self.socket = self.directory / "agentx" / "master"
        included = self.directory / "snmpd.conf.d"
        included.mkdir()
        (included / "portwatch.conf").write_text(re.sub(r"\bportwatch$", GROUP.gr_name, snippet, flags=re.M))
        config = DEBIAN.read_text().replace("/etc/snmp/snmpd.conf.d", str(included))
        file = self.directory / "snmpd.conf"
        file.write_text(f"{config}\nagentXSocket {self.socket}\n")
        state = self.directory / "state"
        state.mkdir()
        self.snmpd = workshop.keep(Process(self.ns, ["/usr/sbin/snmpd", "-f", "-C", "-c", file, "-Lo", "-u", "Debian-snmp", "-g",
                                                     "Debian-snmp", "-I", "-smux,mteTrigger,mteTriggerConf"],
                                           self.directory / "snmpd.log", env=environment(state)))
        self.manager = Manager(self.ns, mib)
        eventually(self.socket.exists)

    def agent(self, group):
        driver = Driver(self.ns, self.directory, self.socket, name=f"agent-{group}", wrapper=unprivileged(group))
        return self.workshop.keep(driver).started()

    def visible(self):
        return bool(self.manager.walk_oids(self.mib.oid["portwatchMIB"]))


@pytest.fixture(name="snippet")
def fixture_snippet(mib):
    """The snippet with the OID that was configured."""
    return re.sub(r"(?<=included )\.[\d.]+", "." + mib.oid["portwatchMIB"], SNIPPET.read_text())


def test_unprivileged_agent_serves(workshop, mib, snippet):
    system = System(workshop, mib, snippet)
    eventually(lambda: stat.S_IMODE(system.socket.stat().st_mode) == 0o660 and system.socket.stat().st_gid == GROUP.gr_gid)
    agent = system.agent(GROUP.gr_gid).connected()
    agent.ask("rows 20")
    eventually(system.visible)
    assert system.manager.get("pwPoolsListed") == 20
    assert "Uid:\t65533" in pathlib.Path(f"/proc/{agent.pid}/status").read_text()
    assert re.search(r"^CapEff:\s+0+$", pathlib.Path(f"/proc/{agent.pid}/status").read_text(), re.M)
    agent.end()


def test_another_group_is_kept_out(workshop, mib, snippet):
    system = System(workshop, mib, snippet)
    eventually(lambda: stat.S_IMODE(system.socket.stat().st_mode) == 0o660)
    agent = system.agent(65532)
    eventually(lambda: "Permission denied" in agent.log())
    assert not agent.stats()["connected"]
    agent.end()


def test_every_line_is_needed(workshop, mib, snippet):
    """Without the view Debian's community sees nothing of it."""
    system = System(workshop, mib, re.sub(r"^view .*$", "", snippet, flags=re.M))
    agent = system.agent(GROUP.gr_gid).connected()
    agent.ask("rows 20")
    agent.until(connected=True)
    assert system.manager.walk_oids("1.3.6.1.2.1.1") and not system.visible()
    agent.end()
