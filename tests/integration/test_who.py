# SPDX-License-Identifier: BSD-2-Clause
"""portwatch --who: who holds a port; and what the daemon's log says of services inside the range."""

import re
import subprocess

import pytest
from harness import eventually, program

SERVICE = 40500


@pytest.fixture(name="host")
def small_host(workshop):
    """1000 ephemeral ports, and a process with sockets."""
    ns = workshop.namespace(ip_local_port_range="40000 40999")
    return ns, workshop.load(ns)


def who(ns, port, *prefix):
    """(lines of sockets by columns, the text below)."""
    printed = ns.run(*prefix, program("portwatch"), "--who", port).stdout.splitlines()
    heads = [at for at, line in enumerate(printed) if line.startswith("PROTO ")]
    if not heads:
        return [], " ".join(printed)
    rows = [re.split(" +", line, maxsplit=4) for line in printed[1:] if line.startswith(("tcp ", "udp "))]
    return rows, " ".join(printed[1 + len(rows):])


def test_a_service_in_the_range(host):
    """Its listener, what it has not accepted, and the advice."""
    ns, load = host
    load.listen("127.0.0.1", SERVICE)
    client = load.connect(1, "127.0.0.1", SERVICE)
    [port] = client.ports()
    rows, text = who(ns, SERVICE)
    process = f"python3 (pid {load.pid})"
    assert [row[:4] for row in rows] == [["tcp", "LISTEN", f"127.0.0.1:{SERVICE}", "-"],
                                         ["tcp", "ESTABLISHED", f"127.0.0.1:{SERVICE}", f"127.0.0.1:{port}"]]
    assert rows[0][4].endswith(process) and rows[1][4] == "nobody yet: not accepted"
    assert "A service listens on port 40500 inside of the ephemeral range 40000-40999, and it is not reserved" in text
    ns.sysctl("ipv4/ip_local_reserved_ports", SERVICE)
    assert "is reserved" in who(ns, SERVICE)[1]


def test_a_connect_took_the_port(host):
    """The service is away, and a client has its port: in which state, towards whom."""
    ns, load = host
    listener = load.listen("127.0.0.2", 80)
    client = load.connect(1, "127.0.0.2", 80, source="127.0.0.1")
    [port] = client.ports()
    rows, text = who(ns, port)
    assert [row[:4] for row in rows] == [["tcp", "ESTABLISHED", f"127.0.0.1:{port}", "127.0.0.2:80"]]
    assert rows[0][4].endswith(f"(pid {load.pid})")
    assert f"Nobody listens on port {port}." in text and "EADDRINUSE" in text
    client.finish(listener)
    rows = eventually(lambda: [row for row in who(ns, port)[0] if row[1] == "TIME_WAIT"])
    assert re.fullmatch(r"nobody, for another (\d|[1-5]\d|60) s", rows[0][4])


def test_udp_ipv6_and_bound_sockets(host):
    """All that can hold a port is shown, whatever its protocol and family."""
    ns, load = host
    load.hold(1, "::1", protocol="udp", port=SERVICE)
    load.hold(1, "127.0.0.1", protocol="udp", port=SERVICE)
    load.hold(1, "127.0.0.3", port=SERVICE)
    rows, text = who(ns, SERVICE)
    assert sorted(row[:3] for row in rows) == [["tcp", "bound", f"127.0.0.3:{SERVICE}"], ["udp", "bound", f"127.0.0.1:{SERVICE}"],
                                               ["udp", "bound", f"[::1]:{SERVICE}"]]
    assert "inside of the ephemeral range" in text


def test_nobody(host):
    """No socket has it, inside or outside of the range."""
    ns, _ = host
    rows, text = who(ns, 40001)
    assert not rows and "Nobody holds port 40001." in text and "may be given to anybody" in text
    assert "outside of the ephemeral range" in who(ns, 22)[1]


def test_without_privilege(host):
    """Everything but the processes of others, and it says so."""
    ns, load = host
    load.listen("127.0.0.1", SERVICE)
    rows, text = who(ns, SERVICE, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    assert rows[0][1] == "LISTEN" and "pid" not in rows[0][4] and rows[0][4] != ""
    assert "Processes of other users are shown to root only." in text


@pytest.mark.parametrize("wrong", ["0", "65536", "http", ""])
def test_no_port(host, wrong):
    """A mistake says what was expected."""
    ns, _ = host
    done = ns.run(program("portwatch"), "--who", wrong, check=False)
    assert done.returncode == 2 and "expected 1 to 65535" in done.stderr


def test_excludes_other_views(host):
    """It is a view of its own."""
    ns, _ = host
    for other in ("--watch", "--explain", "--json"):
        with pytest.raises(subprocess.CalledProcessError) as failure:
            ns.run(program("portwatch"), "--who", "80", other)
        assert failure.value.returncode == 2 and "excludes other views" in failure.value.stderr


@pytest.mark.parametrize("backend", ["bpf", "netlink"])
def test_the_log_names_services_inside_the_range(scene, backend):
    """Once, with those that are not reserved."""
    scene.ns.sysctl("ipv4/ip_local_reserved_ports", 40700)
    for port in (80, SERVICE, 40700, 40900):
        scene.load.listen("127.0.0.1", port)
    scene.load.connect(100, "127.0.0.1", 80)
    scene.start(f"backend = {backend}\n")
    line = eventually(lambda: re.search("notice: services listen on .*", scene.daemon.log()))[0]
    assert "services listen on 2 ports of the ephemeral range 40000-40999 (40500, 40900)" in line
    scene.load.listen("127.0.0.1", 40901)
    scene.polls(3)
    assert scene.daemon.log().count("services listen on") == 1
