# SPDX-License-Identifier: BSD-2-Clause
"""Who must act: a destination that does not answer (SYN_SENT), a program that leaks (CLOSE_WAIT), a remote side that does not close (FIN_WAIT2)."""

import json
import socket

import pytest
from harness import eventually, program

PORT = 80
SERVERS = {"closeWait": "127.0.0.2", "finWait": "127.0.0.4", "established": "127.0.0.5", "synSent": "127.0.0.9"}
COUNT = 300


def connect(address):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex((address, PORT))
    return client


def serve(address):
    server = socket.socket()
    server.bind((address, PORT))
    server.listen(COUNT)
    return server


def pools(ns):
    return {pool["remote"]: pool for pool in json.loads(ns.run(program("portwatch"), "--json", "--kind=connect").stdout)["pools"]}


@pytest.fixture(name="ns")
def fixture_ns(workshop):
    """300 connections to each of four destinations; packets to one of them are lost."""
    ns = workshop.namespace(ip_local_port_range="40000 40399")
    ns.run("nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o ip daddr 127.0.0.9 drop")
    kept = []
    with ns.entered():
        for state, address in SERVERS.items():
            server = serve(address) if state != "synSent" else None
            clients = [connect(address) for _ in range(COUNT)]
            accepted = [server.accept()[0] for _ in clients] if server else []
            for side in {"closeWait": accepted, "finWait": clients}.get(state, []):
                side.shutdown(socket.SHUT_WR)
            kept += [server, *clients, *accepted]
    yield ns
    for item in kept:
        if item is not None:
            item.close()


@pytest.mark.parametrize(("state", "address"), SERVERS.items())
def test_each_state_is_counted(ns, state, address):
    row = eventually(lambda: (rows := pools(ns)) and rows[address][state] == COUNT and rows[address], 10)
    assert row["used"] == COUNT and row["timeWait"] == 0
    assert {name: row[name] for name in SERVERS if name != state} == {name: 0 for name in SERVERS if name != state}
    letter = {"synSent": "S", "established": "E", "closeWait": "C", "finWait": "F"}[state]
    advice = " ".join(ns.run(program("portwatch"), "--explain", "--remote", address).stdout.split())
    told = {"synSent": "in SYN_SENT:", "closeWait": "in CLOSE_WAIT:", "finWait": "in FIN_WAIT or LAST_ACK:",
            "established": "further local address"}
    assert [name for name, text in told.items() if text in advice] == [state]
    table = ns.run(program("portwatch"), "--remote", address).stdout
    assert f" {letter}{COUNT} " in table


def test_listeners_inside_the_range_are_named(workshop):
    """A service on a port that connect() may take; once it is reserved nothing is said."""
    ns = workshop.namespace(ip_local_port_range="40000 40399")
    with ns.entered():
        service = socket.create_server(("127.0.0.1", 40123))
        server = serve("127.0.0.1")
        client = connect("127.0.0.1")
    with service, server, client:
        assert "not reserved (40123)" in " ".join(ns.run(program("portwatch"), "--explain").stdout.split())
        ns.sysctl("ipv4/ip_local_reserved_ports", "40123")
        assert "40123" not in ns.run(program("portwatch"), "--explain").stdout
