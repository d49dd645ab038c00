# SPDX-License-Identifier: BSD-2-Clause
"""The socket of portwatchd: what it says, to whom, and what its readers can't do to the daemon."""

import json
import os
import re
import select
import socket
import stat
import time

import jsonschema
import pytest
from harness import PATIENCE, SOURCE, Process, eventually, program, receive
from scene import TRAP_V2C, Undisturbed, connect_pool

HERE = "127.0.0.1"
WEB = connect_pool(HERE, HERE, 8080)
INTERVAL = 0.2
CONNECTIONS, SILENT_SECONDS = 256, 1


@pytest.fixture(name="scene")
def fixture_scene(make_scene):
    scene = make_scene()
    scene.clients = scene.connect()
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


def document(scene):
    return json.loads(receive(connect(scene)))


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


NOBODY, STRANGER = 65534, 65533


@pytest.fixture(name="confined")
def fixture_confined(make_scene):
    """A daemon of a user of its own, with a strict umask; its socket stands where portwatch looks for it, in confined.run()."""
    scene = make_scene(snmpd=f"{TRAP_V2C}\nagentXPerms 0666 0755\n")
    os.chmod(scene.workshop.directory, 0o755)
    scene.clients = scene.connect()
    place = scene.workshop.directory / "run"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    scene.socket = place / "portwatch.sock"
    capabilities = "-all,+bpf,+perfmon"
    scene.daemon = scene.workshop.daemon(
        scene.ns, scene.master.socket, extra=f'connect-failures = false\ncontrol {{ socket = "{scene.socket}" }}\n', interval=INTERVAL,
        prefix=("sh", "-c", 'umask 0077; exec "$0" "$@"', "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                f"--bounding-set={capabilities}", f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", "--no-new-privs", "--"))
    scene.manager.ready()
    scene.until(WEB, used=600, state="warning")

    def run(*argv, group=NOBODY):
        """As a user without privilege."""
        script = 'mount -t tmpfs none /run && mkdir /run/portwatch && mount --bind "$0" /run/portwatch && exec "$@"'
        return scene.ns.run("unshare", "-m", "sh", "-c", script, place, "setpriv", f"--reuid={STRANGER}", f"--regid={group}",
                            "--clear-groups", "--bounding-set=-all", "--no-new-privs", "--", *argv, check=False)

    scene.run = run
    return scene


def test_who_may_read(confined):
    """Group and owner of the daemon, and nobody else, whatever its umask."""
    status = os.stat(confined.socket)
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o660, NOBODY, NOBODY)
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(confined.socket)!r}); print(len(s.recv(9)))"
    for group, answer in ((NOBODY, "9"), (STRANGER, "")):
        result = confined.run("/usr/bin/python3", "-c", script, group=group)
        assert result.stdout.strip() == answer and ("Permission denied" in result.stderr) == (group == STRANGER), result.stderr
    assert confined.daemon.stop() == 0
    assert not confined.socket.exists()


def test_portwatch_reads_it(confined):
    """By itself where it may: then a user without privilege has the numbers, states and history of the daemon; else it looks and says so."""
    confined.load.hold(50, HERE)
    confined.until(WEB, blocked=50, free=350, basis="read")
    portwatch = program("portwatch")
    lines = confined.run(portwatch).stdout.splitlines()
    assert re.match(r"# from portwatchd, \d\.\d s ago; ", lines[0]), lines
    assert any(WEB in line and " 350 " in line for line in lines)
    row = pool(json.loads(confined.run(portwatch, "--json").stdout))
    assert 1 <= len(row["history"]) <= 30 and row["history"][-1] == row["utilization"] == 65
    assert (row["basis"], row["free"], row["peak"], row["state"]) == ("read", 350, 600, "warning")
    check = confined.run(portwatch, "--check")
    assert check.returncode == 1 and f"WARNING - {WEB} at 65%, 350 of 1000 ports free" in check.stdout
    assert confined.run(portwatch, "--check", "--remote", "192.0.2.0/24").returncode == 0
    assert "\nportwatch_polls_total " in confined.run(portwatch, "--openmetrics").stdout
    for options, group in (((), STRANGER), (("--no-daemon",), NOBODY), (("--all",), NOBODY)):
        result = confined.run(portwatch, *options, group=group)
        assert result.returncode == 0 and re.match(r"# own look, not from portwatchd[ ;]", result.stdout), result.stdout
        assert ("would tell more: /run/portwatch/portwatch.sock: Permission denied" in result.stdout) == (group == STRANGER)
    denied = confined.run(portwatch, "--alarms", group=STRANGER)
    assert denied.returncode == 1 and "Permission denied" in denied.stderr


def test_what_else_it_tells(confined):
    """Explanation, thresholds of the command line and a namespace by its name, with numbers that this user could not find out."""
    confined.load.hold(50, HERE)
    confined.until(WEB, blocked=50, free=350, basis="read")
    portwatch = program("portwatch")
    text = confined.run(portwatch, "--explain").stdout
    assert re.match(r"From portwatchd, \d\.\d s ago:\n" + re.escape(WEB) + " is at 65 %", text), text
    assert "50 ports of the range (5 %) are closed to every connect(): 50 by sockets that took their port by bind()" in " ".join(text.split())
    # nothing that it lists
    text = confined.run(portwatch, "--explain", "--remote", "192.0.2.1").stdout
    assert text.startswith("Own look, not from portwatchd (it lists no such pool):\n")
    for options, status in ((("-w", "65"), 1), (("-w", "66"), 0), (("-w", "40", "-c", "60"), 2), (("--free-below", "351"), 1)):
        check = confined.run(portwatch, "--check", *options)
        assert check.returncode == status and "350 of 1000 ports free" in check.stdout, check.stdout
    # 1 % of these 1,000 ports are fewer than min-used
    assert confined.run(portwatch, "--check", "-w", "1").returncode == 1
    other = confined.run(portwatch, "--netns", "nowhere")
    assert other.returncode == 1 and "nowhere" in other.stderr


def test_namespace_of_the_daemon(scene):
    """A user who may not enter it sees a namespace that the daemon watches."""
    name = f"portwatch-test-{os.getpid()}"
    scene.ns.run("ip", "netns", "add", name)
    try:
        scene.daemon.stop()
        scene.start(config(scene) + f'namespaces {{ names = "{name}" }}\n', interval=INTERVAL)
        assert any(ns["name"] == name for ns in document(scene)["namespaces"])
        os.chmod(path(scene), 0o666)
        os.chmod(scene.workshop.directory, 0o755)
        result = scene.ns.run("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "--bounding-set=-all", program("portwatch"),
                              "--socket", path(scene), "--netns", name, "--json")
        told = json.loads(result.stdout)
        assert [ns["name"] for ns in told["namespaces"]] == [name] and told["pools"] == []
        result = scene.ns.run(program("portwatch"), "--socket", path(scene), "--netns", "nowhere", check=False)
        assert result.returncode == 1 and "it does not watch a namespace nowhere" in result.stderr
    finally:
        scene.ns.run("ip", "netns", "delete", name)


def test_alarms_and_events(confined):
    """What is wrong now, and what happened, with times; filters work."""
    portwatch = program("portwatch")
    alarms = confined.run(portwatch, "--alarms").stdout
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d warning 60% " + re.escape(WEB) + r", 400 of 1000 ports free, owner .*\n", alarms)
    confined.clients.reset()
    eventually(lambda: confined.run(portwatch, "--alarms").stdout == "# No alarm is active.\n", 90)
    events = confined.run(portwatch, "--events").stdout.splitlines()
    assert [WEB in line for line in events] == [True, True] and "warning, was normal" in events[0] and "normal, was warning" in events[1]
    assert confined.run(portwatch, "--events", "--state", "normal").stdout.splitlines() == events[1:]
    assert confined.run(portwatch, "--events", "--remote", "192.0.2.1").stdout == "# No event passes the filters.\n"


def test_events_survive_a_restart(scene):
    """Those that the log told before the daemon was killed come first; a file that was cut is ignored, and written again."""
    kept = scene.workshop.directory / "state.events"
    settings = config(scene) + f'state-file = "{kept.with_suffix("")}"\n'
    scene.daemon.stop()
    scene.start(settings, interval=INTERVAL)

    def on_disk():
        """Nothing before the first, nor of the file that is cut below."""
        try:
            return json.loads(kept.read_text())["events"]
        except (FileNotFoundError, json.JSONDecodeError):
            return []

    eventually(lambda: on_disk() and on_disk() == document(scene)["events"])
    before = document(scene)["events"]
    scene.daemon.kill()
    scene.clients.reset()
    scene.start(settings, interval=INTERVAL)
    after = eventually(lambda: (lambda events: events if len(events) > len(before) else None)(document(scene)["events"]), 90)
    assert after[:len(before)] == before and after[-1]["type"] == "poolFalling"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    eventually(lambda: on_disk() == after)
    assert scene.daemon.stop() == 0
    kept.write_text(kept.read_text()[:-100])
    scene.start(settings, interval=INTERVAL)
    eventually(lambda: "the events of before the restart are ignored" in scene.daemon.log())
    assert document(scene)["events"] == []
    scene.load.connect(600, HERE, 8080)
    eventually(lambda: on_disk() and on_disk()[-1]["type"] == "poolRising")


def test_daemon_that_hangs_or_ends(confined):
    """One that does not answer, or whose socket is left, is not waited for without end; who watches waits for its return."""
    portwatch = program("portwatch")
    with confined.daemon.paused():
        result = confined.run(portwatch)
        assert "would tell more: /run/portwatch/portwatch.sock: no answer in time" in result.stdout and WEB in result.stdout
    watch = confined.workshop.keep(Process(confined.ns, [portwatch, "--watch=0.2", "--socket", confined.socket],
                                           confined.workshop.directory / "watch.log"))
    eventually(lambda: "from portwatchd" in watch.log())
    assert not watch.log().startswith("\n")
    confined.daemon.kill()
    eventually(lambda: "portwatchd does not answer: " in watch.log())
    result = confined.run(portwatch)
    assert "would tell more: /run/portwatch/portwatch.sock: portwatchd does not run" in result.stdout and WEB in result.stdout
    confined.daemon = confined.workshop.daemon(confined.ns, confined.master.socket, interval=INTERVAL,
                                               extra=f'connect-failures = false\ncontrol {{ socket = "{confined.socket}" }}\n')
    eventually(lambda: "does not answer" not in watch.log().split("\n\n")[-2])
    assert watch.running


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
            assert pool(json.loads(receive(client)))["used"] == 600


@pytest.fixture(name="large")
def fixture_large(make_scene):
    """A document that does not fit into what the kernel keeps for a reader."""
    scene = make_scene()
    scene.connect()
    for last in range(2, 202):
        scene.load.listen(f"127.0.0.{last}", 81)
        scene.load.connect(1, f"127.0.0.{last}", 81)
    scene.start("min-used = 1\n" + config(scene), interval=INTERVAL)
    assert len(receive(connect(scene))) > 100000
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
        assert pool(json.loads(receive(other)))["used"] == 600
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
