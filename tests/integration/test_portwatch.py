# SPDX-License-Identifier: BSD-2-Clause
"""portwatch as a person and a script use it: on a terminal of two widths, piped, watching, as a plugin, with records."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time

import jsonschema
import pyte
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from harness import PATIENCE, SOURCE, program

HTTPS = 443
IPV6 = "fd00:1111:2222:3333:4444:5555:6666:7777"
ENVIRONMENT = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": os.environ["PATH"]}


@pytest.fixture(name="host")
def busy_host(workshop):
    """600 of 1000 ports to one destination, and 80 to an IPv6 one."""
    ns = workshop.namespace(ip_local_port_range="40000 40999")
    ns.run("ip", "address", "add", f"{IPV6}/128", "dev", "lo", "nodad")
    load = workshop.load(ns)
    load.listen("127.0.0.1", HTTPS)
    load.connect(600, "127.0.0.1", HTTPS)
    load.listen(IPV6, HTTPS)
    load.connect(80, IPV6, HTTPS)
    return ns


class Terminal:
    """portwatch in a pseudo-terminal inside a namespace."""

    def __init__(self, ns, columns, *arguments, **environment):
        self.screen = pyte.Screen(columns, 40)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        with ns.entered():
            self.process = subprocess.Popen([str(program("portwatch")), *arguments], stdin=self.slave, stdout=self.slave,
                                            stderr=self.slave, env=ENVIRONMENT | environment, start_new_session=True,
                                            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def read(self, until, deadline=10):
        """Reads until the screen satisfies `until`."""
        end = time.monotonic() + deadline * PATIENCE
        while not until(self.text()):
            assert time.monotonic() < end, f"not on the screen in time:\n{self.text()}"
            if select.select([self.master], [], [], 0.05)[0]:
                data = os.read(self.master, 65536)
                self.raw += data
                self.stream.feed(data)
        return self.text()

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def finish(self):
        status = self.process.wait(10 * PATIENCE)
        while select.select([self.master], [], [], 0.1)[0]:
            data = os.read(self.master, 65536)
            self.raw += data
            self.stream.feed(data)
        return status

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture(name="terminal")
def terminals():
    opened = []

    def start(*arguments, **environment):
        opened.append(Terminal(*arguments, **environment))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def without_owner(lines):
    """The owner is that of whoever runs the tests: the column, where there is one, is the last."""
    end = next((line.index("OWNER") for line in lines if line.endswith(" OWNER")), None)
    return [line[:end].rstrip() for line in lines]


@pytest.mark.parametrize("columns", [80, 200])
def test_table_on_a_terminal(host, terminal, columns):
    shown = terminal(host, columns, "--probe=on")
    assert shown.finish() == 0
    lines = shown.text().splitlines()
    row = next(i for i, line in enumerate(lines) if re.match(r" *60% ", line))
    assert re.search(r"█.* 600 +400 +0 .*warning", lines[row])
    assert any("127.0.0.1:443" in line for line in lines[row:row + 2])
    assert b"\x1b[" in shown.raw
    # the IPv6 row is readable: both ends are there, whole or on a line of their own
    assert shown.text().replace("\n", "").replace(" ", "").count(IPV6) >= 1
    assert any("40000-40999" in line for line in lines)
    assert "\n".join(without_owner(lines)).rstrip() + "\n" == (SOURCE / "tests" / "expected" / f"terminal-{columns}.txt").read_text()


def test_no_color_and_dumb_terminals(host, terminal):
    assert b"\x1b[3" not in (shown := terminal(host, 80, NO_COLOR="1"), shown.finish())[0].raw
    dumb = terminal(host, 80, TERM="dumb")
    assert dumb.finish() == 0 and b"\x1b" not in dumb.raw


def test_piped_output_is_plain(host):
    text = host.run(program("portwatch"), env=ENVIRONMENT).stdout
    assert "127.0.0.1:443" in text and "\x1b" not in text and "█" not in text


@pytest.mark.parametrize("end", ["q", "\x03", "SIGTERM"])
def test_watch_restores_the_terminal(host, terminal, end):
    shown = terminal(host, 100, "--watch=0.2")
    shown.read(lambda text: "127.0.0.1:443" in text)
    if end == "SIGTERM":
        shown.process.terminate()
    else:
        os.write(shown.master, end.encode())
    status = shown.finish()
    assert status in ((0, 143, -15) if end == "SIGTERM" else (0, 130, -2))
    assert termios.tcgetattr(shown.slave) == shown.before
    if b"\x1b[?25l" in shown.raw:
        assert shown.raw.rfind(b"\x1b[?25h") > shown.raw.rfind(b"\x1b[?25l")


def test_watch_json_is_a_line_a_poll(host):
    with host.entered():
        process = subprocess.Popen([str(program("portwatch")), "--watch=0.1", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        documents = [json.loads(process.stdout.readline()) for _ in range(3)]
    finally:
        process.terminate()
        process.wait(10)
    assert [document["pools"][0]["used"] for document in documents] == [600, 600, 600]


def test_watch_piped_begins_with_a_poll(host):
    """No empty line before the first poll, one before each further one."""
    with host.entered():
        process = subprocess.Popen([str(program("portwatch")), "--watch=0.1"], stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        while lines.count("\n") < 2:
            lines.append(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate()
    assert lines[0].startswith("# ")


def test_json_follows_its_schema(host):
    schema = json.loads((SOURCE / "docs" / "portwatch.schema.json").read_text())
    document = json.loads(host.run(program("portwatch"), "--json", "--all").stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    assert document["pools"]
    broken = document | {"pools": [document["pools"][0] | {"used": "600"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_openmetrics_says_what_json_says(host):
    """Valid for a strict parser of OpenMetrics and for promtool; every number of the pools is there, in base units."""
    text = host.run(program("portwatch"), "--openmetrics", "--probe=off").stdout
    document = json.loads(host.run(program("portwatch"), "--json", "--probe=off").stdout)
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
    if shutil.which("promtool"):
        assert not subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=True).stderr
    pools = {pool["name"]: pool for pool in document["pools"]}
    assert len(pools) > 3
    for name, member, factor in (("free_ports", "free", 1), ("used_ports", "used", 1), ("time_wait_ports", "timeWait", 1),
                                 ("utilization_ratio", "utilization", 0.01), ("warning_threshold_ratio", "warningThreshold", 0.01)):
        samples = {sample.labels["pool"]: sample.value for sample in families[f"portwatch_pool_{name}"].samples}
        assert samples == pytest.approx({pool: row[member] * factor for pool, row in pools.items()})
    info = {sample.labels["pool"]: sample.labels for sample in families["portwatch_pool_info"].samples}
    assert all(info[name]["remote"] == row["remote"] and info[name]["owner"] == row["owner"] for name, row in pools.items())
    assert len([name for name in families if name.startswith("portwatch_pool_")]) > 15


def test_filters(host):
    def names(*arguments):
        return [pool["name"] for pool in json.loads(host.run(program("portwatch"), "--json", "--all", *arguments).stdout)["pools"]]

    everything = names()
    assert names("--remote", "127.0.0.0/8") == [name for name in everything if "-> 127." in name]
    assert names("--kind", "bind", "--protocol", "tcp") == [name for name in everything if name.endswith("bind") and name.startswith("tcp")]
    assert names("--state", "warning") == ["tcp 127.0.0.1 -> 127.0.0.1:443"]
    assert names("--port", "80") == []
    assert host.run(program("portwatch"), "--kind", "socket", check=False).returncode == 2


def test_sections_tell_what_a_pool_really_gets(workshop, tmp_path):
    """The budget of a NAT gateway, and a proxy's list of ports outside of the range, as the daemon has them."""
    ns = workshop.namespace(ip_local_port_range="40000 40999")
    load = workshop.load(ns)
    for host, options in (("127.0.0.2", {}), ("127.0.0.3", {"source": "127.0.0.1", "method": "list", "low": 50000, "high": 50099})):
        load.listen(host, HTTPS)
        load.connect(60, host, HTTPS, **options)
    config = tmp_path / "portwatchd.conf"
    config.write_text('pool "nat" { remote = 127.0.0.2  capacity = 64 }\npool "proxy" { remote = 127.0.0.3  ports = "50000-50099" }\n')
    document = json.loads(ns.run(program("portwatch"), "--json", "--all", "--config", config).stdout)
    pools = {pool["label"]: pool for pool in document["pools"] if pool["kind"] == "connect" and pool["label"]}
    assert [(label, pool["capacity"], pool["used"], pool["free"], pool["utilization"]) for label, pool in sorted(pools.items())] == [
        ("nat", 64, 60, 4, 93), ("proxy", 100, 60, 40, 60)]


@pytest.mark.parametrize(("arguments", "status", "word"), [
    (["-w", "50", "-c", "80"], 1, "WARNING"), (["-w", "20", "-c", "60"], 2, "CRITICAL"), (["-w", "61", "-c", "80"], 0, "OK"),
    (["-w", "70", "-c", "80", "--free-below", "401"], 1, "WARNING"), (["-w", "nonsense"], 3, "UNKNOWN")])
def test_check(host, arguments, status, word):
    result = host.run(program("portwatch"), "--check", *arguments, check=False)
    assert result.returncode == status
    assert word in result.stdout and (status == 3 or "|" in result.stdout)


def test_record_and_replay(host, tmp_path):
    def numbers(*arguments):
        pools = json.loads(host.run(program("portwatch"), "--json", "--all", *arguments).stdout)["pools"]
        return {pool["name"]: (pool["used"], pool["free"], pool["blocked"]) for pool in pools}

    record = tmp_path / "host.record"
    assert numbers("--probe=off", "--record", record) == numbers("--replay", record)
    assert record.stat().st_mode & 0o077 == 0


def test_unprivileged_use_says_what_it_cannot_know(host):
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")
    result = host.run(*nobody, program("portwatch"), check=False)
    if result.returncode == 126 or "ermission denied" in result.stderr:
        pytest.skip("the build directory cannot be read by nobody")
    assert "127.0.0.1:443" in result.stdout
    document = json.loads(host.run(*nobody, program("portwatch"), "--json").stdout)
    assert document["namespaces"][0]["basis"] == "inferred"


def test_explain_gives_numbers(host):
    text = host.run(program("portwatch"), "--explain").stdout
    assert "127.0.0.1:443" in text and "600" in text


def options_of_help():
    return set(re.findall(r"--[a-z-]+", subprocess.run([program("portwatch"), "--help"], capture_output=True, text=True, check=True).stdout))


def complete_in_bash(*words):
    quoted = " ".join(f"'{word}'" for word in (program("portwatch"), *words))
    script = f". {SOURCE}/conf/completion/portwatch; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _portwatch; echo \"${{COMPREPLY[*]}}\""
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(("words", "expected"), [(["--ki"], "--kind"), (["--kind", "b"], "bind"), (["--state", "ex"], "exhausted")])
def test_bash_completion(words, expected):
    assert complete_in_bash(*words) == [expected]


def test_bash_completion_knows_every_option():
    assert set(complete_in_bash("--")) == options_of_help()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completion_knows_every_option():
    script = ('_arguments() { print -rl -- "$@"; }; _call_program() { shift; "$@"; }; '
              f"words=({program('portwatch')}); . {SOURCE}/conf/completion/_portwatch")
    specs = subprocess.run(["zsh", "-fc", script], capture_output=True, text=True, check=True).stdout
    assert "--json[one JSON document" in specs
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*(?==|\[)", specs)) == options_of_help()
