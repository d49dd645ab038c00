# SPDX-License-Identifier: BSD-2-Clause
"""The endpoint for Prometheus: what it says, and what its readers can't do to the daemon."""

import select
import socket
import time

import pytest
from harness import PATIENCE, eventually, receive
from scene import Undisturbed, connect_pool

HERE = "127.0.0.1"
WEB = connect_pool(HERE, HERE, 8080)
LISTEN = (HERE, 9982)
CONFIG = 'metrics { listen = "127.0.0.1:9982" }\n'
INTERVAL = 0.2
CONNECTIONS, LIFE_SECONDS = 32, 20


@pytest.fixture(name="scene")
def fixture_scene(make_scene):
    scene = make_scene()
    scene.connect()
    scene.start(CONFIG, interval=INTERVAL)
    return scene


def connect(scene, request=b"", address=LISTEN):
    with scene.ns.entered():
        client = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    client.settimeout(40 * PATIENCE)
    client.connect(address)
    client.sendall(request)
    return client


def get(path, method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode()


def read(client):
    """(status, headers, body) of the one answer on this connection."""
    head, _, body = receive(client).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body.decode()


def ask(scene, path, method="GET", address=LISTEN):
    return read(connect(scene, get(path, method), address))


def test_scrape(scene):
    """The numbers of the MIB, in the format that the header names; one look is shared by who comes within a second."""
    status, headers, body = ask(scene, "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n") and f'"{WEB}"' in body
    used, = [line for line in body.splitlines() if line.startswith("portwatch_pool_used_ports{") and WEB in line]
    assert used.rsplit(" ", 1)[1] == "600"
    polls, = [line for line in body.splitlines() if line.startswith("portwatch_polls_total ")]
    assert 0 < int(polls.split()[1]) <= scene.manager.get("pwPolls")
    status, _, text = ask(scene, "/health")
    assert status == 200 and text.startswith("the last poll was ")


def test_what_is_not_there(scene):
    for path, method, status in (("/", "GET", 404), ("/metrics/", "GET", 404), ("/metrics", "POST", 405), ("/metrics", "DELETE", 405),
                                 ("/health", "PUT", 405)):
        assert ask(scene, path, method)[0] == status, (path, method)


def test_off_by_default(make_scene):
    scene = make_scene()
    scene.start()
    with pytest.raises(ConnectionRefusedError):
        connect(scene)


def test_addresses(make_scene):
    """IPv6; an address in use and one that is none are said, and the daemon does not start."""
    scene = make_scene()
    daemon = scene.start('metrics { listen = "[::1]:9982" }\n')
    assert ask(scene, "/health", address=("::1", 9982))[0] == 200
    for listen, message in (("[::1]:9982", "can't listen at [::1]:9982"), ("localhost:1", "no address"), ("9982", "no address")):
        other = scene.workshop.directory / "other.conf"
        other.write_text(f'metrics {{ listen = "{listen}" }}\nagentx {{ socket = "/nonexistent" }}\n')
        result = scene.ns.run(daemon.command()[0], "-f", "-c", other, check=False)
        assert result.returncode == 1 and message in result.stderr, result.stderr


def test_a_thousand_readers(scene):
    """All at once: each gets the whole text."""
    ask(scene, "/metrics")
    with Undisturbed(scene, INTERVAL):
        clients = [connect(scene, get("/metrics")) for _ in range(1000)]
        for client in clients:
            status, _, body = read(client)
            assert status == 200 and body.endswith("# EOF\n")


def test_readers_that_hold_on(scene):
    """Twice as many connections as there may be, which say nothing, or half of a request, or read an octet a second: they end, and a scrape comes through."""
    begun = time.monotonic()
    with Undisturbed(scene, INTERVAL):
        held = [connect(scene, part) for part in (b"", b"GET /metr", get("/metrics")) for _ in range(2 * CONNECTIONS // 3)]
        slow = held[-2 * CONNECTIONS // 3:]
        done = []
        other = connect(scene, get("/metrics"))
        while not select.select([other], [], [], 1)[0]:
            assert time.monotonic() - begun < 4 * LIFE_SECONDS * PATIENCE
            for client in slow:
                client.settimeout(0.01)
                try:
                    done.append(client.recv(1))
                except OSError:
                    pass
        assert read(other)[0] == 200
        for client in held:
            client.close()
    eventually(lambda: ask(scene, "/health")[0] == 200)


def test_garbage(scene):
    """Octets that are no HTTP, endless headers, requests in a row, connections that end at any place."""
    cases = [b"\0" * 5000, b"\xff" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 100000, b"GET " + b"/" * 100000,
             get("/metrics") * 200, b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", b"\r\n" * 10000,
             b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"]
    with Undisturbed(scene, INTERVAL):
        for octets in cases * 5:
            client = connect(scene)
            client.settimeout(0.2)
            try:
                client.sendall(octets)
                client.recv(100)
            except OSError:
                pass
            client.close()
        assert ask(scene, "/metrics")[0] == 200
    assert scene.daemon.running
