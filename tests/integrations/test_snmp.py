# SPDX-License-Identifier: BSD-2-Clause
"""conf/integrations/snmp with Debian's snmpd, snmptrapd and snmptt: who may read, who is told, and what is made of a notification."""

import re
import shlex

import pytest
from harness import SOURCE, equals, eventually
from scene import TRAP_V2C, connect_pool
from snmp import Manager, NetSnmp, environment

FILES = SOURCE / "conf" / "integrations" / "snmp"
POOL = connect_pool("127.0.0.1", "127.0.0.1", 8080)
ENGINE = "0x80001f8803736e6d7064"  # the one of the sender in snmptrapd.conf
WATCHER = ("-v3", "-u", "watcher", "-l", "authPriv", "-a", "SHA", "-A", "a-long-password", "-x", "AES", "-X", "another-password")


def access(mib, *informs):
    """snmpd-access.conf with the addresses of the namespace, and with the informs that it only proposes."""
    text = mib.rebased((FILES / "snmpd-access.conf").read_text())
    for line in informs:
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    return text.replace("receiver.example.net", "udp:127.0.0.1:1162").replace("192.0.2.0/24", "127.0.0.0/8")


class Receiver(NetSnmp):
    """snmptrapd with the shipped configuration and nothing else, but for another traphandle and `extra` lines."""

    def __init__(self, scene, handler, extra=""):
        shipped = scene.mib.rebased((FILES / "snmptrapd.conf").read_text())
        config, count = re.subn(r"^traphandle (\S+) \S+/portwatch-trap$", rf"traphandle \1 {handler}", shipped, flags=re.M)
        assert count == 1
        directory = scene.workshop.directory
        (directory / "receiver-state").mkdir()
        (directory / "receiver.conf").write_text(f"{config}{extra}\n")
        super().__init__(scene.ns, ["/usr/sbin/snmptrapd", "-f", "-C", "-c", directory / "receiver.conf", "-Lo", "-n", "udp:127.0.0.1:1162"],
                         directory / "receiver.log", env=environment(directory / "receiver-state"))


@pytest.fixture(name="script")
def fixture_script(workshop, mib):
    """portwatch-trap as it is installed."""
    script = workshop.directory / "portwatch-trap"
    script.write_text(mib.rebased((FILES / "portwatch-trap").read_text()))
    script.chmod(0o755)
    return script


def manager(scene):
    return Manager(scene.ns, scene.mib)


def sees(scene, *options):
    """Which of portwatch, the system group and the rest an SNMP user can read."""
    oids = {"portwatch": scene.mib.oid["portwatchMIB"], "system": "1.3.6.1.2.1.1", "rest": "1.3.6.1.6.3"}
    output = {name: manager(scene).raw("snmpbulkwalk", oid, options=options, check=False) for name, oid in oids.items()}
    return {name for name, text in output.items() if f".{oids[name]}." in text and "=" in text and "No Such" not in text}


def test_access(make_scene, mib):
    """The v3 user and the community see portwatch and the system group, nothing else; without the password there is no answer."""
    scene = make_scene(snmpd=access(mib))
    scene.start()
    eventually(lambda: "portwatch" in sees(scene, *WATCHER))
    assert sees(scene, *WATCHER) == {"portwatch", "system"}
    assert sees(scene, "-v2c", "-c", "secret") == {"portwatch", "system"}
    assert sees(scene, "-v2c", "-c", "wrong") == set()
    assert sees(scene, *["a-wrong-password" if option == "a-long-password" else option for option in WATCHER]) == set()
    assert sees(scene, "-v3", "-u", "watcher", "-l", "noAuthNoPriv") == set()


INFORMS = ("informsink receiver.example.net public",
           'trapsess -Ci -v 3 -e 0x80001f8803706f727477 -u watcher -l authPriv -a SHA -A "a-long-password" -x AES -X "another-password" '
           "receiver.example.net")


def told(scene):
    """What the traphandle wrote, a line each."""
    file = scene.workshop.directory / "told"
    return file.read_text().splitlines() if file.exists() else []


def load_and_release(scene):
    """Loads a pool step by step and releases it; returns the notifications that the scene's own receiver got."""
    scene.load.listen("127.0.0.1", 8080)
    scene.start('pool "front" { remote = { "127.0.0.1" }  port = { 8080 } }')
    group = scene.load.connect(600, "127.0.0.1", 8080)
    scene.until(POOL, state="warning")
    more = scene.load.connect(400, "127.0.0.1", 8080)
    scene.until(POOL, state="exhausted")
    more.reset()
    scene.until(POOL, state="warning")
    group.reset()
    scene.until(POOL, state="normal")
    eventually(lambda: scene.crossings() and scene.crossings()[-1][2] == "normal")
    events = scene.notifications()
    assert {"warning", "exhausted", "normal"} <= {event["pwEventState"] for event in events}
    return events


def line(event):
    """What the traphandle makes of an event."""
    goes = "rises" if event["notification"] == "pwPoolRising" else "falls"
    return (f"{event['pwEventPoolName']} ({event['pwEventLabel']}) {goes} to {event['pwEventState']}, was {event['pwEventPreviousState']}: "
            f"{event['pwEventUtilization']} % used, {event['pwEventFree']} of {event['pwEventCapacity']} ports free, "
            f"{event['pwEventTimeWait']} in TIME_WAIT")


def test_traps_and_informs_reach_the_traphandle(make_scene, mib, script):
    """Each event comes four times, as v2c and v3, as trap and as inform; each is one line."""
    scene = make_scene(snmpd=f"{access(mib, *INFORMS)}\n{TRAP_V2C}\nexactEngineID {ENGINE}\n")
    handler = f"{script} tee -a {scene.workshop.directory}/told"
    scene.workshop.keep(Receiver(scene, handler, "exactEngineID 0x80001f8803706f727477"))
    expected = sorted([line(event) for event in load_and_release(scene)] * 4)
    equals(lambda: sorted(re.sub(r"^.*?: (?=tcp )", "", text) for text in told(scene)), expected, 20)


def test_traphandle_leaves_others_alone(scene, script):
    """Notifications of another MIB make no line; those of the collector do."""
    def handle(oid, *varbinds):
        lines = ["lb1", "UDP: [127.0.0.1]:1->[127.0.0.1]:162", f"iso.3.6.1.6.3.1.1.4.1.0 {oid}", *varbinds]
        text = "\n".join(lines)
        return scene.ns.run("/bin/sh", "-c", f"printf '%s\\n' {shlex.quote(text)} | {script} cat").stdout

    mib = scene.mib
    error = f'.{mib.oid["pwEventText"]}.0 "out of \\"memory\\""'
    assert handle(".1.3.6.1.6.3.1.1.5.1", error) == ""
    assert handle("." + mib.oid["pwCollectorFailed"], error) == 'lb1: the collector fails: out of "memory"\n'
    assert handle("." + mib.oid["pwCollectorRecovered"], error).startswith("lb1: the collector works again")
    failing = f'.{mib.oid["pwEventFailures"]}.0 7'
    pool = f'.{mib.oid["pwEventPoolName"]}.0 "tcp 10.0.0.1 -> 10.0.0.9:443"'
    assert handle("." + mib.oid["pwConnectFailing"], pool, failing, error) == \
        'lb1: 7 calls of connect() failed for want of a port, mostly of tcp 10.0.0.1 -> 10.0.0.9:443: out of "memory"\n'


SNMPTT = """
[General]
mode = standalone
multiple_event = 1
dns_enable = 0
strip_domain = 0
net_snmp_perl_enable = 0
translate_integers = 0
translate_oids = 0
[Logging]
log_enable = 1
log_file = {directory}/snmptt.log
syslog_enable = 0
unknown_trap_log_enable = 0
statistics_interval = 0
[SQL]
[Exec]
exec_enable = 0
[Debugging]
DEBUGGING = 0
[TrapFiles]
snmptt_conf_files = <<END
{directory}/snmptt.conf
END
"""


def test_snmptt(make_scene, mib):
    scene = make_scene(snmpd=f"{TRAP_V2C}\ntrap2sink udp:127.0.0.1:1162 public\n")
    directory = scene.workshop.directory
    (directory / "snmptt.conf").write_text(mib.rebased((FILES / "snmptt.conf").read_text()))
    (directory / "snmptt.ini").write_text(SNMPTT.format(directory=directory))
    scene.workshop.keep(Receiver(scene, f"/usr/sbin/snmptt --ini={directory}/snmptt.ini"))
    log = directory / "snmptt.log"

    def told_by_snmptt():
        """(severity, text) of the log's lines."""
        text = log.read_text() if log.exists() else ""
        return re.findall(r'^.* \.[\d.]+ (\w+) "portwatch" \S+ - (.*)$', text, re.M)

    def expected(event):
        """The severity, and how the text begins."""
        better = event["notification"] == "pwPoolFalling"
        state = event["pwEventState"]
        words = {"normal": "normal again", "warning": "better, warning still", "critical": "better, critical still"} if better else {}
        severity = {"normal": "NORMAL", "warning": "WARNING"}.get(state, "CRITICAL")
        # snmptt leaves out what a shell could take for a redirection
        return severity, f"{POOL.replace('>', '')} front: {words.get(state, state)}, "

    wanted = sorted(expected(event) for event in load_and_release(scene))
    found = eventually(lambda: len(told_by_snmptt()) >= len(wanted) and sorted(told_by_snmptt()), 20)
    assert len(found) == len(wanted)
    for (severity, text), (wanted_severity, beginning) in zip(found, wanted):
        assert severity == wanted_severity and text.startswith(beginning), found
