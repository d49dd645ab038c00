# SPDX-License-Identifier: BSD-2-Clause
"""The agent without a master (-L): access control, receivers, the system group, what it keeps. The walks are in test_agent_walk."""

import os
import pathlib
import re
import resource
import socket
import subprocess
import time

import pytest
from agent import Stage
from harness import PATIENCE, equals, eventually, program
from scene import INFORM_V3, TRAP_V2C, TRAP_V3
from snmp import V3_ENGINE, V3_PASSWORD, V3_USER, Manager, parse_varbinds
from test_agent_notify import DATAGRAM, V3_PORT, Counter, ber_oid, datagram

SYSTEM = "1.3.6.1.2.1.1"
USER = f"createUser {V3_USER} SHA {V3_PASSWORD} AES {V3_PASSWORD}\nrouser {V3_USER} authpriv\n"
V3 = ("-v3", "-u", V3_USER, "-a", "SHA", "-A", V3_PASSWORD, "-x", "AES", "-X", V3_PASSWORD)

# A leak sanitizer can't work in a process that is traced.
STRACE = ("env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f")


@pytest.fixture(name="stage")
def fixture_stage(workshop, mib):
    return Stage(workshop, mib)


def version(stage, *options):
    """pwVersion as asked with these options of a client; None without an answer."""
    arguments = ["snmpget", *options, "-t", "1", "-r", "0", "-On", "-OU", "udp:127.0.0.1:161", stage.mib.oid["pwVersion"] + ".0"]
    result = stage.ns.run(*arguments, check=False)
    return parse_varbinds(result.stdout)[0][1] if result.returncode == 0 else None


def refused(stage, include, *more):
    """The error with which the agent does not start."""
    file = stage.directory / "include.conf"
    if include is not None:
        file.write_text(include)
    options = ["-L", "-i", file] if include is not None else ["-L"]
    result = stage.ns.run(program("tests/integration/agent_driver"), *options, *(more or ["udp:127.0.0.1:161"]), check=False)
    assert result.returncode == 1
    return result.stderr


def test_access_by_community(stage):
    """The words of snmpd.conf decide who may read what."""
    agent = stage.standalone(f"rocommunity inside 127.0.0.1 {stage.mib.oid['pwAgent']}\nrocommunity elsewhere 192.0.2.1")
    assert version(stage, "-v2c", "-c", "inside")
    assert version(stage, "-v1", "-c", "inside")
    assert version(stage, "-v2c", "-c", "elsewhere") is None
    assert version(stage, "-v2c", "-c", "public") is None
    agent.ask("rows 3")
    manager = Manager(stage.ns, stage.mib)
    assert "No more variables" in manager.raw("snmpgetnext", stage.mib.oid["pwPoolTable"], options=("-v2c", "-c", "inside"))
    agent.end()


def test_access_by_user(stage):
    """SNMPv3: only with privacy, only with the right passwords."""
    agent = stage.standalone(USER)
    assert version(stage, *V3, "-l", "authPriv")
    assert version(stage, *V3, "-l", "authNoPriv") is None
    assert version(stage, *V3[:-1], "another-password", "-l", "authPriv") is None
    agent.ask("rows 40")
    walked = parse_varbinds(Manager(stage.ns, stage.mib).raw("snmpbulkwalk", stage.mib.oid["pwPoolName"], options=(*V3, "-l", "authPriv")))
    assert len(walked) == 40
    agent.end()


def test_without_include_this_host_may_read(stage):
    agent = stage.driver("-L", address="udp:161,udp6:161")
    stage.ns.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    assert version(stage, "-v2c", "-c", "public")
    assert stage.ns.run("snmpget", "-v2c", "-cpublic", "-On", "udp6:[::1]:161", stage.mib.oid["pwVersion"] + ".0").returncode == 0
    other = stage.ns.run("snmpget", "-v2c", "-cpublic", "-t1", "-r0", "--clientaddr=192.0.2.1", "udp:192.0.2.1:161",
                         stage.mib.oid["pwVersion"] + ".0", check=False)
    assert other.returncode != 0
    assert "no access control is configured" in agent.log()
    agent.end()


def test_system_group(stage):
    """What every manager asks first, with the texts of the include file."""
    agent = stage.standalone("rocommunity public\nsysContact ops@example.net\nsysLocation rack 7\nsysName edge-1")
    manager = Manager(stage.ns, stage.mib)
    walked = dict(manager.walk_oids(SYSTEM))
    assert walked[SYSTEM + ".2.0"] == stage.mib.oid["portwatchMIB"]
    assert (walked[SYSTEM + ".4.0"], walked[SYSTEM + ".5.0"], walked[SYSTEM + ".6.0"]) == (b"ops@example.net", b"edge-1", b"rack 7")
    assert walked[SYSTEM + ".1.0"].startswith(b"portwatchd on Linux") and walked[SYSTEM + ".7.0"] == 72
    assert len(walked) == 7
    first = walked[SYSTEM + ".3.0"]
    eventually(lambda: first < manager.get_oids(SYSTEM + ".3.0")[0][1] < first + 1000)
    assert manager.next_oid(SYSTEM + ".7.0")[0] == stage.mib.oid["pwVersion"] + ".0"
    agent.end()


def test_getbulk_sees_one_poll(stage, mib):
    """A GETBULK takes many calls of the library; all are answered from the same poll."""
    agent = stage.standalone("rocommunity public")
    agent.ask("churn 15 1")
    manager = Manager(stage.ns, mib)
    counts = set()
    for _ in range(200):
        found = parse_varbinds(manager.raw("snmpbulkget", "-Cn1", "-Cr10", mib.oid["pwPoolsListed"], mib.oid["pwTopCapacity"]))
        listed, ranks = found[0][1], [value for _, value in found[1:]]
        assert len(ranks) == 10 and sum(capacity > 0 for capacity in ranks) == min(listed, 7)
        counts.add(listed)
    assert len(counts) > 5
    agent.end()


def test_receivers(stage, mib):
    """v2c traps, v3 traps and v3 informs to the receivers of the include file."""
    informed = stage.receiver(f"udp:127.0.0.1:{V3_PORT}", "informed")
    agent = stage.standalone(f"rocommunity public\n{TRAP_V2C}\n{INFORM_V3}")
    agent.ask("rise 3")
    agent.ask("collector failed")
    agent.until(owed=0, acknowledged=4)
    for receiver in (stage.trapd, informed):
        equals(lambda: sorted(event["pwEventId"] for event in receiver.notifications(mib)), [1, 2, 3, 4])
        for event in receiver.notifications(mib):
            assert [name for name in event if name.startswith("pwEvent")] == mib.carries[event["notification"]]
    agent.end()


def test_longest_notification_fits_into_a_datagram(stage):
    agent = stage.standalone(f"{USER}{TRAP_V3} udp:127.0.0.1:{V3_PORT}")
    size = len(datagram(stage, V3_PORT, lambda: agent.ask("longest 255")))
    assert 1100 < size <= DATAGRAM


@pytest.mark.slow
def test_burst_is_paced(workshop, mib):
    """A flood goes out at a pace that a receiver can follow: none is lost, though nobody acknowledges."""
    stage = Stage(workshop, mib, receiver=False)
    counter = workshop.keep(Counter(stage, 3000))
    agent = stage.standalone(f"rocommunity public\n{TRAP_V2C}")
    agent.ask("rate 0")
    agent.ask("rise 3000")
    assert counter.result() == {"total": 3000, "distinct": 3000}
    agent.end()


def test_keeps_nothing_unless_told(stage, tmp_path):
    """No file is written anywhere, and a user works all the same."""
    trace = tmp_path / "trace"
    agent = stage.driver("-L", "-i", _write(stage, USER), address="udp:127.0.0.1:161",
                         wrapper=(*STRACE, "-e", "trace=open,openat,creat,mkdir,mkdirat,rename,unlink", "-o", trace))
    assert version(stage, *V3, "-l", "authPriv")
    agent.end()
    agent.stop()
    written = [line for line in trace.read_text().splitlines()
               if re.search(r"O_CREAT|O_WRONLY|O_RDWR|mkdir|rename|unlink", line) and "ENOENT" not in line and "/dev/" not in line]
    assert not written, written


def _write(stage, text):
    file = stage.directory / "include.conf"
    file.write_text(text)
    return file


@pytest.mark.parametrize("engine", ["", f"exactEngineID {V3_ENGINE}\n"], ids=["random engine", "given engine"])
def test_keeps_engine_boots_where_told(stage, tmp_path, engine):
    """With a directory for it, snmpEngineBoots counts the starts, as RFC 3414 2.2 wants; the engine stays the same."""
    state = tmp_path / "state"
    state.mkdir()
    engines = set()
    for boots in (1, 2, 3):
        agent = stage.standalone(f"[snmp] persistentDir {state}\n{engine}{USER}")
        assert version(stage, *V3, "-l", "authPriv")
        agent.end()
        agent.stop()
        kept = (state / "portwatchd.conf").read_text()
        assert re.search(rf"^engineBoots {boots}$", kept, re.M)
        engines.add(re.search(r"^oldEngineID (\S+)$", kept, re.M)[1])
    assert len(engines) == 1 and (not engine or engines == {V3_ENGINE})
    assert set(os.listdir(state)) <= {"portwatchd.conf", "cert_indexes", "mib_indexes"}  # the last one: net-snmp 5.8


def test_mistakes(stage):
    """What can't work is said, with the line, and the agent does not start."""
    assert "include.conf: line 2: Error" in refused(stage, "rocommunity public\nrocommunity\n")
    assert "No such file" in refused(stage, None, "-i", "/nonexistent/include.conf", "udp:127.0.0.1:161")
    assert "can't listen" in refused(stage, None, "udp:192.0.2.77:161")
    assert "can't listen" in refused(stage, None, "no-such-host.invalid:161")


def test_unknown_words_are_only_warned_of(stage):
    agent = stage.standalone("rocommunity public\nnoSuchWord 1")
    assert "standalone.conf: line 2: Warning: Unknown token: noSuchWord" in agent.log()
    assert version(stage, "-v2c", "-c", "public")
    agent.end()


def test_port_in_use(stage):
    agent = stage.standalone("rocommunity public")
    assert "can't listen" in refused(stage, "rocommunity public\n")
    agent.end()


def test_nothing_of_the_system_is_read(stage, tmp_path):
    """Neither snmpd.conf, nor snmp.conf, nor MIB files: only the include file decides."""
    trace = tmp_path / "trace"
    agent = stage.driver("-L", "-i", _write(stage, "rocommunity public"), address="udp:127.0.0.1:161",
                         wrapper=(*STRACE, "-e", "trace=openat,open", "-o", trace))
    agent.end()
    agent.stop()
    read = re.findall(r'"([^"]+)"[^\n]* = \d+$', trace.read_text(), re.M)
    assert str(stage.directory / "include.conf") in read
    assert not [path for path in read if "snmp" in path and ".so" not in path and not path.startswith(str(stage.directory))]


def test_driver_lists_its_options():
    """The tests above rely on these options; a wrong one is an error."""
    assert subprocess.run([program("tests/integration/agent_driver"), "-x"], capture_output=True, timeout=10, check=False).returncode == 2


# --- clients that hold on ------------------------------------------------------------------------------------------------


def tcp_client(stage):
    """A connection to the agent's TCP address, which says nothing."""
    with stage.ns.entered():
        client = socket.socket()
        client.settimeout(5 * PATIENCE)
        client.connect(("127.0.0.1", 161))
        return client


def over_tcp(stage):
    """pwVersion over TCP."""
    return stage.ns.run("snmpget", "-v2c", "-cpublic", "-t2", "-r0", "-On", "tcp:127.0.0.1:161", stage.mib.oid["pwVersion"] + ".0",
                        check=False).returncode == 0


@pytest.fixture(name="many_descriptors")
def fixture_many_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_silent_connections(stage, many_descriptors):
    """One client opens 2,000 connections and says nothing in them: 64 are held at a time, and all others are served."""
    agent = stage.driver("-L", address="tcp:161,udp:161", wrapper=("prlimit", f"--nofile={many_descriptors[0]}", "--"))
    before = agent.descriptors()
    held = []
    for number in range(2000):
        held.append(tcp_client(stage))
        if number % 500 == 499:
            assert over_tcp(stage) and version(stage, "-v2c", "-c", "public")
    eventually(lambda: agent.descriptors() <= before + 66)
    assert "connections of SNMP clients are refused or ended" in agent.log()
    assert agent.log().count("there are too many of them") == 1
    assert held[0].recv(1) == b""
    for client in held:
        client.close()
    eventually(lambda: agent.descriptors() == before)
    assert over_tcp(stage)
    agent.end()


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_connections_and_few_descriptors(stage):
    """Descriptors are kept back for those who need them more; where none is left at all, the loop still waits."""
    agent = stage.driver("-L", address="tcp:161,udp:161")
    used = agent.descriptors()
    stage.ns.run("prlimit", f"--pid={agent.pid}", f"--nofile={used + 40}:")
    held = [tcp_client(stage) for _ in range(40)]
    assert agent.descriptors() <= used + 9
    assert version(stage, "-v2c", "-c", "public")
    stage.ns.run("prlimit", f"--pid={agent.pid}", f"--nofile={used}:")
    held += [tcp_client(stage) for _ in range(10)]
    begun, ticks = time.monotonic(), cpu_ticks(agent.pid)
    eventually(lambda: time.monotonic() - begun > 1)
    assert cpu_ticks(agent.pid) - ticks < 30
    for client in held:
        client.close()
    stage.ns.run("prlimit", f"--pid={agent.pid}", "--nofile=1024:")
    assert over_tcp(stage) and version(stage, "-v2c", "-c", "public")
    agent.end()


def tlv(tag, content):
    return bytes([tag, len(content)]) + content


def getbulk(oid, repetitions=100):
    """A GETBULK of SNMPv2c in octets; nothing of it is longer than 127."""
    varbind = tlv(0x30, tlv(6, ber_oid(oid)) + tlv(5, b""))
    pdu = tlv(0xa5, tlv(2, b"\1") + tlv(2, b"\0") + tlv(2, bytes([repetitions])) + tlv(0x30, varbind))
    return tlv(0x30, tlv(2, b"\1") + tlv(4, b"public") + pdu)


def test_a_client_that_never_reads(stage):
    """Requests without end, of which no answer is taken: the connection ends, and others are served meanwhile."""
    agent = stage.driver("-L", address="tcp:161,udp:161")
    agent.ask("rows 200")
    request = getbulk("1.3.6.1.4.1")
    client = tcp_client(stage)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20 * PATIENCE)
    with pytest.raises(OSError):
        for _ in range(100000):
            client.sendall(request)
    client.close()
    assert version(stage, "-v2c", "-c", "public") and over_tcp(stage)
    agent.end()


# --- descriptors that do not fit into an fd_set --------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["beside a master", "stand-alone"])
def test_descriptors_beyond_1024(stage, role, many_descriptors):
    """With 1,100 descriptors in use before it, every socket of the agent is beyond FD_SETSIZE: requests, connections and notifications work."""
    hold = "import os, sys\nfor number in range(1100): os.set_inheritable(os.dup(0), True)\nos.execvp(sys.argv[1], sys.argv[1:])"
    wrapper = ("python3", "-c", hold)
    assert many_descriptors
    if role == "stand-alone":
        agent = stage.driver("-L", address="tcp:161,udp:161", wrapper=wrapper)
        assert over_tcp(stage) and version(stage, "-v2c", "-c", "public")
    else:
        stage.start_master()
        agent = stage.driver(wrapper=wrapper).connected()
        stage.served()
        stage.kill_master()
        agent.until(connected=False)
        stage.start_master()
        stage.served()
        agent.ask("rise 3")
        stage.delivered([1, 2, 3])
    assert max(int(fd) for fd in os.listdir(f"/proc/{agent.pid}/fd")) > 1100
    agent.end()
