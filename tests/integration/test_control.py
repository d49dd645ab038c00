# SPDX-License-Identifier: BSD-2-Clause
"""The socket of portwatchd: what it says, to whom, and what its readers can't do to the daemon."""

import json
import os
import select
import socket
import stat
import time

import jsonschema
import pytest
from harness import PATIENCE, SOURCE, eventually
from scene import TRAP_V2C, Undisturbed, connect_pool

HERE = "127.0.0.1"
WEB = connect_pool(HERE, HERE, 8080)
INTERVAL = 0.2
CONNECTIONS, SILENT_SECONDS = 256, 1


@pytest.fixture(name="scene")
def fixture_scene(make_scene):
    scene = make_scene()
    scene.load.listen(HERE, 8080)
    scene.clients = scene.load.connect(600, HERE, 8080)
    scene.start(config(scene), interval=INTERVAL)
    return scene


def path(scene):
    return scene.workshop.directory / "portwatch.sock"


def config(scene):
    return f'control {{ socket = "{path(scene)}" }}\n'


def connect(scene):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(40 * PATIENCE)
    client.connect(str(path(scene)))
    return client


def read(client):
    """Everything that is written there."""
    with client:
        data = b""
        while part := client.recv(65536):
            data += part
    return data


def document(scene):
    return json.loads(read(connect(scene)))


def pool(text, name=WEB):
    found, = [row for row in text["pools"] if row["name"] == name]
    return found


def test_document(scene):
    """The latest poll, by the schema, with the alarm, and the event that was notified."""
    scene.until(WEB, used=600, state="warning")
    eventually(lambda: document(scene)["alarms"][0]["eventId"] != 0)
    text = document(scene)
    jsonschema.validate(text, json.loads((SOURCE / "docs" / "portwatch.schema.json").read_text()))
    assert abs(time.time() - float(time.mktime(time.strptime(text["time"][:19] + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone)) < 30
    row = pool(text)
    assert (row["used"], row["free"], row["state"], row["doubt"]) == (600, 400, "warning", 0)
    alarm, = text["alarms"]
    assert alarm["poolName"] == WEB and alarm["severity"] == "warning" and alarm["utilization"] == 60
    event, = text["events"]
    assert (event["type"], event["poolName"], event["state"], event["previousState"]) == ("poolRising", WEB, "warning", "normal")
    assert event["id"] == alarm["eventId"] and event["time"] == alarm["since"]
    assert text["polls"] >= 1 and text["pollErrors"] == 0 and text["pollInterval"] == 1000 * INTERVAL
    scene.clients.reset()
    eventually(lambda: pool(document(scene))["state"] == "normal", 90)
    text = document(scene)
    assert [event["type"] for event in text["events"]] == ["poolRising", "poolFalling"] and text["alarms"] == []


def test_who_may_read(make_scene):
    """Group and owner of the daemon, and nobody else, whatever its umask."""
    scene = make_scene(snmpd=f"{TRAP_V2C}\nagentXPerms 0666 0755\n")
    os.chmod(scene.workshop.directory, 0o755)
    place = scene.workshop.directory / "run"
    place.mkdir()
    os.chown(place, 65534, 65534)
    where = place / "portwatch.sock"
    daemon = scene.workshop.daemon(scene.ns, scene.master.socket, extra=f'control {{ socket = "{where}" }}\n', interval=INTERVAL,
                                   prefix=("sh", "-c", 'umask 0077; exec "$0" "$@"', "setpriv", "--reuid=65534", "--regid=65534",
                                           "--clear-groups", "--bounding-set=-all", "--no-new-privs", "--"))
    scene.manager.ready()
    status = os.stat(where)
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o660, 65534, 65534)
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(where)!r}); print(len(s.recv(9)))"
    for group, answer in ((65534, "9"), (65533, "")):
        result = scene.ns.run("setpriv", "--reuid=65533", f"--regid={group}", "--clear-groups", "--", "/usr/bin/python3", "-c", script,
                              check=False)
        assert result.stdout.strip() == answer and ("Permission denied" in result.stderr) == (group == 65533), result.stderr
    assert daemon.stop() == 0
    assert not where.exists()


def test_start_and_end(scene):
    """A socket that was left behind is taken over, that of a living daemon is not; the daemon runs without; "" is off."""
    scene.daemon.kill()
    assert path(scene).exists()
    scene.start(config(scene), interval=INTERVAL)
    assert pool(document(scene))["used"] == 600
    for number, setting, says in ((1, path(scene), f"control: {path(scene)}: another process listens there"),
                                  (2, "/nonexistent/socket", "control: /nonexistent/socket: No such file"), (3, "", "polling every")):
        other = scene.workshop.directory / str(number)
        other.mkdir()
        extra = f'connect-failures = false\ncontrol {{ socket = "{setting}" }}\n'
        second = scene.workshop.keep(type(scene.daemon)(scene.ns, other, "/nonexistent/master", extra=extra))
        eventually(lambda daemon=second, text=says: text in daemon.log() and "/nonexistent/master" in daemon.log())
        assert ("control: " in second.log()) == (setting != "")
        assert second.stop() == 0
    assert pool(document(scene))["used"] == 600
    assert scene.daemon.stop() == 0 and not path(scene).exists()


def test_a_thousand_readers(scene):
    """All at once: each gets the whole document."""
    document(scene)
    with Undisturbed(scene, INTERVAL):
        for client in [connect(scene) for _ in range(1000)]:
            assert pool(json.loads(read(client)))["used"] == 600


@pytest.fixture(name="large")
def fixture_large(make_scene):
    """A document that does not fit into what the kernel keeps for a reader."""
    scene = make_scene()
    scene.load.listen(HERE, 8080)
    scene.load.connect(600, HERE, 8080)
    for last in range(2, 202):
        scene.load.listen(f"127.0.0.{last}", 81)
        scene.load.connect(1, f"127.0.0.{last}", 81)
    scene.start("min-used = 1\n" + config(scene), interval=INTERVAL)
    assert len(read(connect(scene))) > 100000
    return scene


def test_readers_that_hold_on(large):
    """Three times as many as there may be, which read nothing, or a little now and then: they end, and another one is served."""
    with Undisturbed(large, INTERVAL):
        held = [connect(large) for _ in range(3 * CONNECTIONS)]
        begun = time.monotonic()
        other = connect(large)
        while not select.select([other], [], [], 0.2)[0]:
            assert time.monotonic() - begun < 10 * SILENT_SECONDS * PATIENCE
            for client in held[::2]:
                client.recv(1)
        assert pool(json.loads(read(other)))["used"] == 600
        for client in held:
            client.close()
    assert pool(document(large))["used"] == 600


def test_garbage(large):
    """What readers say is read by nobody; they come and go at any moment."""
    with Undisturbed(large, INTERVAL):
        for octets in (b"", b"\0" * 5000, b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"{" * 300000) * 40:
            client = connect(large)
            client.settimeout(0.05)
            try:
                client.sendall(octets)
                client.recv(100)
            except OSError:
                pass
            client.close()
        assert pool(document(large))["used"] == 600
    assert large.daemon.running
