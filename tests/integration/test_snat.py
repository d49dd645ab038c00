# SPDX-License-Identifier: BSD-2-Clause
"""Source ports of a NAT gateway: nftables snat and masquerade between network namespaces, and what portwatch says of them."""

import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

import pytest

from harness import PATIENCE, Daemon, equals, eventually, program
from scene import Scene

GATEWAY, SERVER, WEB = "198.51.100.1", "198.51.100.9", 80
GATEWAY6, SERVER6 = "2001:db8::1", "2001:db8::9"
LOW, SIZE = 20000, 100
RULES = """
table inet portwatch {{
	chain post {{
		type nat hook postrouting priority 100;
		{}
	}}
}}
"""


def link(left, left_name, left_addresses, right, right_name, right_addresses):
    left.run("ip", "link", "add", left_name, "type", "veth", "peer", "name", right_name,
             "netns", f"/proc/{os.getpid()}/fd/{right.fd}")
    for ns, name, addresses in ((left, left_name, left_addresses), (right, right_name, right_addresses)):
        for address in addresses:
            ns.run("ip", "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        ns.run("ip", "link", "set", name, "up")


class Network:
    """A client behind a gateway, and a server; the gateway is the namespace of the scene, or one of its own."""

    def __init__(self, workshop, gateway, rule):
        self.gateway, self.client, self.server = gateway, workshop.namespace(), workshop.namespace()
        self.sockets = []
        workshop.callback(self.close)
        link(gateway, "in", ["10.1.0.1/24", "fd01::1/64"], self.client, "eth0", ["10.1.0.2/24", "fd01::2/64"])
        link(gateway, "out", [f"{GATEWAY}/24", f"{GATEWAY6}/64"], self.server, "eth0", [f"{SERVER}/24", f"{SERVER6}/64"])
        gateway.sysctl("ipv4/ip_forward", 1)
        gateway.sysctl("ipv6/conf/all/forwarding", 1)
        self.client.run("ip", "route", "add", "default", "via", "10.1.0.1")
        self.client.run("ip", "-6", "route", "add", "default", "via", "fd01::1")
        self.rules(workshop, rule)
        with self.server.entered():
            self.sockets += [socket.create_server((SERVER, WEB), backlog=4096),
                             socket.create_server((SERVER6, WEB), family=socket.AF_INET6, backlog=4096)]

    def rules(self, workshop, rule):
        file = workshop.directory / "nat.nft"
        file.write_text(RULES.format(rule))
        self.gateway.run("nft", "-f", file)

    def close(self):
        for sock in self.sockets:
            sock.close()

    def connect(self, count, remote=SERVER, source=None):
        """`count` connections from the client (or from another namespace), all of which must succeed."""
        made = []
        with (source or self.client).entered():
            for _ in range(count):
                made.append(socket.create_connection((remote, WEB), timeout=20))
        self.sockets += made
        return made

    def send(self, count, port=53):
        """UDP to as many answers as packets: one socket, and so one port, each."""
        with self.client.entered():
            made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
            for sock in made:
                sock.connect((SERVER, port))
                sock.send(b"?")
        self.sockets += made

    def begin(self):
        """A connection whose first packet is dropped: it goes on trying."""
        with self.client.entered():
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((SERVER, WEB))
        self.sockets.append(sock)


def pool(remote=SERVER, local=GATEWAY, protocol="tcp", port=WEB, suffix=""):
    bracket = "[{}]".format if ":" in local else "{}".format
    return f"snat {protocol} {bracket(local)} -> {bracket(remote)}:{port}{suffix}"


SNAT = f'oifname "out" meta nfproto ipv4 meta l4proto tcp snat ip to {GATEWAY}:{LOW}-{LOW + SIZE - 1}'
WATCH = f'snat {{ addresses = "{GATEWAY}:{LOW}-{LOW + SIZE - 1}"  interval = 1 }}\nmin-used = 1\nlinger = 0\n'
MAXIMUM = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max")
MASQUERADE = 'oifname "out" masquerade'


DROP = ("setpriv", "--bounding-set", "-net_admin")


class Unprivileged(Daemon):
    """portwatchd without CAP_NET_ADMIN."""

    def command(self):
        return [*DROP, *super().command()]


@pytest.fixture
def scene(workshop, mib):
    return Scene(workshop, mib)


def ns_row(scene, index="1"):
    return scene.manager.table("pwNamespaceTable")[index]


def test_a_pool_fills_until_packets_are_lost(workshop, scene):
    network = Network(workshop, scene.ns, SNAT)
    scene.start(WATCH)
    network.connect(60)
    row = scene.until(pool(), used=60, free=SIZE - 60, capacity=SIZE, utilization=60, state="normal", blocked=0, owner="client 10.1.0.2",
                      warningThreshold=70, criticalThreshold=85)
    assert (row["pwPoolLocalText"], row["pwPoolRemoteText"], row["pwPoolPort"]) == (GATEWAY, SERVER, WEB)
    assert row["pwPoolFastFree"] == SIZE - 60
    assert (ns_row(scene)["pwNsSnatStatus"], ns_row(scene)["pwNsSnatReason"]) == ("counting", "")
    network.connect(15)
    scene.until(pool(), used=75, state="warning")
    network.connect(SIZE - 75)  # so small a pool is searched to its end
    scene.until(pool(), used=SIZE, free=0, state="exhausted")
    assert ns_row(scene)["pwNsSnatFailures"] == 0
    network.begin()
    eventually(lambda: ns_row(scene)["pwNsSnatFailures"] > 0)
    crossings = scene.crossings()
    assert crossings[0] == (pool(), "normal", "warning") and crossings[-1][2] == "exhausted"
    alarm = next(iter(scene.manager.table("pwAlarmTable").values()))
    assert (alarm["pwAlarmPoolName"], alarm["pwAlarmSeverity"]) == (pool(), "exhausted")
    document = json.loads(scene.ns.run(program("portwatch"), "--json", "--config", scene.daemon.config, "--kind", "snat").stdout)
    shown = {entry["name"]: entry for entry in document["pools"]}[pool()]
    assert (shown["kind"], shown["used"], shown["free"], shown["state"]) == ("snat", SIZE, 0, "exhausted")
    assert shown["owner"] == "client 10.1.0.2"
    assert document["namespaces"][0]["snatStatus"] == "counting"


def test_masquerade_of_tcp_udp_and_ipv6(workshop, scene):
    network = Network(workshop, scene.ns, MASQUERADE)
    scene.start('snat { addresses = { "0.0.0.0/0", "::/0" }  interval = 1 }\nmin-used = 1')
    network.connect(20)
    network.connect(7, SERVER6)
    network.send(9)
    scene.until(pool(), used=20, capacity=64512, free=64492)
    scene.until(pool(SERVER6, GATEWAY6), used=7, capacity=64512)
    scene.until(pool(protocol="udp", port=53), used=9, capacity=64512)
    # inbound connections are tracked as well, and draw from no pool
    assert {name for name in scene.manager.pools() if name.startswith("snat")} == \
        {pool(), pool(SERVER6, GATEWAY6), pool(protocol="udp", port=53)}


def test_closed_connections_and_those_of_the_gateway_itself_count(workshop, scene):
    network = Network(workshop, scene.ns, SNAT)
    scene.ns.set_range(LOW, LOW + SIZE - 1)
    scene.start(WATCH)
    made = network.connect(10)
    network.connect(5, source=scene.ns)
    scene.until(pool(), used=15, timeWait=0)
    for sock in made[:4]:
        sock.close()
    with network.server.entered():
        ends = [network.sockets[0].accept()[0] for _ in range(15)]
    network.sockets += ends
    for end in ends:  # the server's side follows where the client has closed
        end.settimeout(0.1)
        try:
            if end.recv(1) == b"":
                end.close()
        except TimeoutError:
            pass
    scene.until(pool(), used=15, timeWait=4)


def test_a_pool_ends_with_its_configuration(workshop, scene):
    network = Network(workshop, scene.ns, SNAT)
    scene.start(WATCH)
    network.connect(80)
    scene.until(pool(), state="warning")
    scene.daemon.configure("min-used = 1")
    scene.daemon.reload()
    equals(lambda: pool() in scene.manager.pools(), False)
    scene.expect([(pool(), "normal", "warning"), (pool(), "warning", "normal")])
    assert ns_row(scene)["pwNsSnatStatus"] == "off"
    # and another one takes effect at once, whatever the interval is
    scene.daemon.configure(f'snat {{ addresses = "{GATEWAY}"  interval = 3600 }}\nmin-used = 1')
    scene.daemon.reload()
    scene.until(pool(), used=80, capacity=64512, state="normal")


def test_lost_packets_make_it_look_at_once(workshop, scene):
    network = Network(workshop, scene.ns, SNAT)
    scene.start(WATCH.replace("interval = 1 ", "interval = 3600 "))
    network.connect(40)
    scene.polls(3)
    assert pool() not in scene.manager.pools()  # the first look was before these
    network.connect(SIZE - 40)
    network.begin()
    scene.until(pool(), used=SIZE, state="exhausted")


def told(scene, name):
    """The notifications of this kind so far."""
    return [event for event in scene.notifications() if event["notification"] == name]


def test_no_port_left_is_told(workshop, scene):
    """Where a pool is full, lost packets are a want of ports, and the pool is named."""
    network = Network(workshop, scene.ns, SNAT)
    scene.start(WATCH)
    network.connect(SIZE)
    scene.until(pool(), used=SIZE)
    network.begin()
    event = eventually(lambda: told(scene, "pwSnatFailing"))[0]
    assert pool() in event["pwEventText"] and "100 %" in event["pwEventText"]
    assert event["pwEventFailures"] >= 1
    row = ns_row(scene)
    assert row["pwNsSnatFailures"] >= 1 and row["pwNsSnatRaces"] == 0
    assert not told(scene, "pwSnatRacing")
    assert "translated connections lose their first packet" in scene.daemon.log()


# Sends datagrams from one port after the other, each as soon as its twin is as far: two processes share the pages of a file.
RACER = """
import mmap, os, socket, sys
path, me, rounds, server = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
cpus = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpus[me % len(cpus)]})
with open(path, "r+b") as file:
    turns = memoryview(mmap.mmap(file.fileno(), 8192)).cast("Q")
mine, other = 512 * me, 512 * (1 - me)
for turn in range(1, rounds + 1):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 2000 + turn))
        sock.connect((server, 53))
        send = sock.send
        turns[mine] = turn
        spins = 0
        while turns[other] < turn:
            spins += 1
            if spins % 100000 == 0:
                os.sched_yield()
        send(b"?")
"""


def race(workshop, clients, rounds):
    """Both clients send from the same ports at the same moments, a bounded number of times."""
    meeting = workshop.directory / "meeting"
    meeting.write_bytes(bytes(8192))
    racers = []
    for number, client in enumerate(clients):
        with client.entered():
            racers.append(subprocess.Popen([sys.executable, "-c", RACER, meeting, str(number), str(rounds), SERVER]))
    for racer in racers:
        assert racer.wait(120 * PATIENCE) == 0


def test_a_race_is_no_want_of_ports(workshop, scene):
    """Two clients behind one address use the same port at once: the second entry clashes with the first, while all other ports are free."""
    network = Network(workshop, scene.ns, MASQUERADE)
    other = workshop.namespace()
    link(scene.ns, "in2", ["10.2.0.1/24"], other, "eth0", ["10.2.0.2/24"])
    other.run("ip", "route", "add", "default", "via", "10.2.0.1")
    scene.start(f'snat {{ addresses = "{GATEWAY}"  interval = 1 }}')
    for _ in range(20):
        race(workshop, (network.client, other), 500)
        scene.polls()
        if ns_row(scene)["pwNsSnatFailures"]:
            break
    else:
        pytest.skip("no packet lost a race on this machine")
    event = eventually(lambda: told(scene, "pwSnatRacing"))[0]
    assert "random-fully" in event["pwEventText"]
    eventually(lambda: ns_row(scene)["pwNsSnatRaces"] == ns_row(scene)["pwNsSnatFailures"])
    assert not told(scene, "pwSnatFailing")


def test_a_full_table_is_told(workshop, scene):
    """The connection tracking table has thresholds of its own, also where no translated address is watched."""
    network = Network(workshop, scene.ns, MASQUERADE)
    maximum = int(MAXIMUM.read_text(encoding="ascii"))
    entries = maximum // 100 + 200
    if not 0 < entries < 60000:
        pytest.skip(f"one percent of this machine's table is too much: {maximum} entries")
    scene.start("conntrack {\n\twarning { rise = 1  fall = 0 }\n\tcritical { rise = 0 }\n}")
    assert ns_row(scene)["pwNsConntrackState"] == "normal"
    with network.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for port in range(1000, 1000 + entries):
            sock.sendto(b"?", (SERVER, port))
    event = eventually(lambda: told(scene, "pwConntrackRising"))[0]
    assert (event["pwEventState"], event["pwEventPreviousState"], event["pwEventThreshold"]) == ("warning", "normal", 1)
    assert event["pwEventUsed"] >= maximum // 100 and event["pwEventCapacity"] == maximum
    assert f"of {maximum} entries" in event["pwEventText"]
    assert ns_row(scene)["pwNsConntrackState"] == "warning"


def flush_connections(ns):
    """Empties the connection tracking table: IPCTNL_MSG_CT_DELETE without attributes."""
    request = struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 1, 0, 0, 0, 0)
    with ns.entered(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock:
        sock.send(request)
        assert struct.unpack_from("=i", sock.recv(4096), 16)[0] == 0


@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "ended"])
def test_a_full_table_over_a_restart(workshop, scene, goes_on):
    """What goes on is not told again; what ended while nobody looked falls."""
    network = Network(workshop, scene.ns, MASQUERADE)
    maximum = int(MAXIMUM.read_text(encoding="ascii"))
    settings = f'state-file = "{workshop.directory}/state"\nconntrack {{ warning {{ rise = 1  fall = 0 }}  critical {{ rise = 0 }} }}\n'
    scene.start(settings)
    with network.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for port in range(1000, 1000 + maximum // 100 + 200):
            sock.sendto(b"?", (SERVER, port))
    eventually(lambda: len(told(scene, "pwConntrackRising")) == 1)
    # that the master has it is written down at the end of the next poll
    eventually(lambda: re.search(r"^told = 136 .* 2 \d+ 2$", (workshop.directory / "state").read_text(), re.M))
    scene.daemon.kill()
    if not goes_on:
        flush_connections(scene.ns)
    scene.start(settings)
    if goes_on:
        scene.polls(3)
        assert not told(scene, "pwConntrackFalling") and len(told(scene, "pwConntrackRising")) == 1
        assert ns_row(scene)["pwNsConntrackState"] == "warning"
    else:
        event = eventually(lambda: told(scene, "pwConntrackFalling"))[0]
        assert (event["pwEventState"], event["pwEventPreviousState"]) == ("normal", "warning")
        assert len(told(scene, "pwConntrackRising")) == 1


def test_the_size_of_the_table(workshop, scene):
    network = Network(workshop, scene.ns, MASQUERADE)
    scene.start()
    network.connect(50)  # and what managers ask is tracked as well
    eventually(lambda: 50 <= ns_row(scene)["pwNsConntrackEntries"] < 300)
    assert ns_row(scene)["pwNsConntrackMaximum"] == int(MAXIMUM.read_text(encoding="ascii"))
    assert ns_row(scene)["pwNsConntrackState"] == "normal"
    document = json.loads(scene.ns.run(program("portwatch"), "--json").stdout)
    assert 50 <= document["namespaces"][0]["conntrackEntries"] < 300


def test_without_the_privilege_the_reason_is_said(workshop, scene):
    network = Network(workshop, scene.ns, SNAT)
    network.connect(30)
    scene.daemon = workshop.keep(Unprivileged(scene.ns, workshop.directory, scene.master.socket, extra=WATCH))
    scene.manager.ready()
    row = ns_row(scene)
    assert row["pwNsSnatStatus"] == "unavailable" and "CAP_NET_ADMIN" in row["pwNsSnatReason"]
    scene.polls(5)
    log = scene.daemon.log()
    assert log.count("translated ports are not watched") == 1 and "poll failed" not in log
    table = scene.ns.run(*DROP, program("portwatch"), "--kind", "snat").stdout
    assert "No SNAT pools: " in table and "CAP_NET_ADMIN" in table
    assert "CAP_NET_ADMIN" not in scene.ns.run(*DROP, program("portwatch"), "--probe=off").stdout


def test_another_namespace(workshop, scene):
    inside = workshop.namespace()
    network = Network(workshop, inside, SNAT)
    network.connect(30)
    path = f"/proc/{os.getpid()}/fd/{inside.fd}"
    document = json.loads(scene.ns.run(program("portwatch"), "--json", "--all", "--netns", path).stdout)
    shown = {entry["name"]: entry for entry in document["pools"]}[pool(suffix=f"@{path}")]
    assert (shown["used"], shown["capacity"]) == (30, 64512)
