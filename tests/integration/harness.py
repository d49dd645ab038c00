# SPDX-License-Identifier: BSD-2-Clause
"""Building blocks of the integration tests: private network namespaces, processes in them, load, the daemon.

A namespace is anonymous (a descriptor held by the test process), every process started here dies with the test process,
and nothing binds outside a namespace: test runs can go in parallel and leave nothing behind.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import resource
import signal
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("PW_SRCDIR", HERE.parent.parent))
BUILD = pathlib.Path(os.environ.get("PW_BUILDDIR", SOURCE))
PYTHON = "/usr/bin/python3"
# A sanitizer build on a busy machine: every deadline is multiplied by this.
PATIENCE = float(os.environ.get("PW_PATIENCE", "1"))

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def receive(client):
    """Everything that comes until the other side closes."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


def eventually(probe, deadline=10.0, interval=0.05):
    """Calls `probe` until it returns something true, and returns that.

    An AssertionError of the probe counts as "not yet". After `deadline` seconds the last one is raised, or one that shows the
    last value.
    """
    end = time.monotonic() + deadline * PATIENCE
    while True:
        try:
            value, failure = probe(), None
        except AssertionError as error:
            value, failure = None, error
        if value:
            return value
        if time.monotonic() >= end:
            raise failure or AssertionError(f"not within {deadline} s; last value: {value!r}")
        time.sleep(interval)


def equals(get, expected, deadline=10.0):
    """Waits until get() == expected; shows both where it stays different."""

    def probe():
        value = get()
        assert value == expected, f"is {value!r}, expected {expected!r}"
        return True

    return eventually(probe, deadline)


def program(name):
    """The path of a built program (PW_BUILDDIR, else the source tree)."""
    path = BUILD / name
    assert path.exists(), f"{path} is not built"
    return path


def check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def make_netns():
    """A descriptor of a new network namespace: it lives as long as the descriptor, or a process or socket in it."""
    found = []

    def work():
        check(LIBC.unshare(CLONE_NEWNET), "unshare")
        found.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


class Namespace:
    """A network namespace with its loopback up. `sysctls` are given by their path below net/ ("ipv4/ip_local_port_range")."""

    def __init__(self, **sysctls):
        self.fd = make_netns()
        self._set_up(**sysctls)

    @classmethod
    def of(cls, descriptor):
        """One that is there already, by a descriptor of it; taken over, and left as it is."""
        ns = cls.__new__(cls)
        ns.fd = descriptor
        return ns

    def _set_up(self, **sysctls):
        self.run("ip", "link", "set", "lo", "up")
        self.sysctl("core/somaxconn", 65535)
        self.sysctl("ipv4/tcp_max_syn_backlog", 65535)
        for name, value in sysctls.items():
            self.sysctl(f"ipv4/{name}", value)

    def close(self):
        os.close(self.fd)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside for the duration: sockets that it makes and processes that it starts belong to the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(LIBC.setns(self.fd, CLONE_NEWNET), "setns")
            yield
        finally:
            check(LIBC.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    def run(self, *argv, timeout=60, check=True, **options):
        """Runs a command inside to its end; returns the CompletedProcess with text output."""
        with self.entered():
            return subprocess.run([str(arg) for arg in argv], text=True, check=check, timeout=timeout * PATIENCE,
                                  stdin=subprocess.DEVNULL, capture_output=True, **options)

    def sysctl(self, path, value=None):
        """Writes a setting below /proc/sys/net, or reads it when there is no value. "" clears a list of ports."""
        file = pathlib.Path("/proc/sys/net") / path
        with self.entered():
            if value is None:
                return file.read_text().strip()
            return file.write_text(f"{value}\n")

    def set_range(self, low, high):
        self.sysctl("ipv4/ip_local_port_range", f"{low} {high}")


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program in a namespace whose output goes to a file. Stopped by its own pid only."""

    def __init__(self, ns, argv, log, **options):
        self.argv = [str(arg) for arg in argv]
        self.log_path = pathlib.Path(log)
        options.setdefault("stdin", subprocess.DEVNULL)
        with ns.entered(), open(self.log_path, "ab") as output:
            options.setdefault("stdout", output)
            # pylint: disable-next=subprocess-popen-preexec-fn
            self.popen = subprocess.Popen(self.argv, stderr=output, preexec_fn=die_with_parent, **options)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        assert self.running, f"{self.argv[0]} ended early: {self.log()}"
        self.popen.send_signal(number)

    def wait(self, deadline=5.0):
        """Waits for its end and returns the exit status (negative: the signal)."""
        return self.popen.wait(deadline * PATIENCE)

    def stop(self, deadline=5.0):
        """SIGTERM, and SIGKILL when that does not help; returns the exit status."""
        if self.running:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
        try:
            return self.wait(deadline)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.wait()

    def kill(self):
        self.popen.kill()
        return self.wait()


class Group:
    """Sockets that one command of a Load made."""

    def __init__(self, load, answer):
        self._load = load
        self.number = answer["id"]
        self.made = answer.get("made", 1)
        self.errno = answer.get("errno", 0)
        self.errname = answer.get("name", "")

    def ports(self):
        return self._load.ask("ports", id=self.number)["ports"]

    def reset(self, count=None):
        """Closes the last `count` (or all) so that nothing remains of them."""
        self._load.ask("reset", id=self.number, count=count)

    def finish(self, listener, count=None):
        """Closes the last `count` (or all) in order: they go to TIME_WAIT. The listener must belong to the same Load."""
        self._load.ask("finish", id=self.number, listener=listener.number, count=count)

    def close(self, count=None):
        self._load.ask("close", id=self.number, count=count)


class Load:
    """A process that holds sockets in a namespace (load.py). One holds at most RLIMIT_NOFILE of them: start several for more.

    `during` makes a context for each change that ask() carries out.
    """

    def __init__(self, ns, directory, during=contextlib.nullcontext):
        self._during = during
        self._process = Process(ns, [PYTHON, HERE / "load.py"], pathlib.Path(directory) / f"load-{id(self):x}.log",
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    @property
    def pid(self):
        return self._process.pid

    def send(self, op, **arguments):
        """Sends a command without waiting for its answer, so that several processes can work at once."""
        given = {name: value for name, value in arguments.items() if value is not None}
        self._process.popen.stdin.write(json.dumps({"op": op, **given}) + "\n")

    def receive(self):
        line = self._process.popen.stdout.readline()
        assert line, f"the load generator ended: {self._process.log()}"
        answer = json.loads(line)
        assert answer.get("ok"), answer["error"]
        return answer

    def ask(self, op, **arguments):
        with self._during():
            self.send(op, **arguments)
            return self.receive()

    def listen(self, host, port, **options):
        return Group(self, self.ask("listen", host=host, port=port, **options))

    def connect(self, count, host, port, exact=True, **options):
        """`count` connections; with `exact` all of them must succeed."""
        group = Group(self, self.ask("connect", count=count, host=host, port=port, **options))
        assert not exact or group.made == count, f"{group.made} of {count} connections: {group.errname}"
        return group

    def hold(self, count, host, exact=True, **options):
        """`count` bound sockets that are not connected."""
        group = Group(self, self.ask("hold", count=count, host=host, **options))
        assert not exact or group.made == count, f"{group.made} of {count} binds: {group.errname}"
        return group

    def stop(self):
        self._process.popen.stdin.close()
        self._process.stop()
        self._process.popen.stdout.close()


# Polls often, so that tests are quick, and reconnects at once.
QUICK = """
poll-interval = {interval}
agentx {{ socket = "{socket}"  reconnect-interval = 0.5 }}
"""


class Daemon(Process):
    """portwatchd in the foreground with a configuration file of its own. `extra` is configuration text after the quick defaults,
    `prefix` a command that ends up as portwatchd in the same process."""

    def __init__(self, ns, directory, agentx, extra="", interval=0.2, arguments=(), prefix=()):
        self.config = pathlib.Path(directory) / "portwatchd.conf"
        self._head = QUICK.format(interval=interval, socket=agentx)
        self.configure(extra)
        self._prefix, self._arguments = prefix, arguments
        super().__init__(ns, self.command(), pathlib.Path(directory) / "portwatchd.log")

    def command(self):
        """What is started."""
        return [*self._prefix, program("portwatchd"), "-f", "-d", "-c", self.config, *self._arguments]

    @property
    def inner(self):
        """The process id of the daemon itself."""
        return self.pid

    def configure(self, extra):
        """Writes the configuration file; the daemon learns of it by reload()."""
        self.config.write_text(self._head + extra)

    def reload(self):
        self.signal(signal.SIGHUP)

    @contextlib.contextmanager
    def paused(self):
        """Stopped for the duration: its next poll sees all that happens meanwhile, and no poll a part of it."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def limit_descriptors(self, soft):
        """Changes RLIMIT_NOFILE of the running daemon: below its open descriptors it can open no further one. Returns the old limit."""
        old, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft, hard))
        return old


class Cell(Daemon):
    """portwatchd with a /proc and a /run of its own: it finds the namespaces that are made in it and no others.

    unshare(1) is what is started; the daemon is its only child, and the first process of a PID namespace."""

    WALLS = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c",
             'mount -t tmpfs run /run && mkdir /run/netns && exec "$@"', "sh")

    def __init__(self, ns, directory, agentx, extra="", interval=0.2, wrapper=()):
        self.wrapper = wrapper
        super().__init__(ns, directory, agentx, extra=extra, interval=interval)

    def command(self):
        return [*self.WALLS, *self.wrapper, *super().command()]

    @property
    def inner(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return int(file.read())

    def signal(self, number):
        os.kill(self.inner, number)

    def stop(self, deadline=5.0):
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait(deadline)

    def run(self, ns, *argv, **options):
        """Runs a command inside the cell."""
        return ns.run("nsenter", "--target", self.inner, "--mount", "--pid", *argv, **options)

    def named(self, name):
        """A descriptor of a namespace of the cell."""
        return os.open(f"/proc/{self.inner}/root/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)


class Workshop(contextlib.ExitStack):
    """Makes the parts of a test and takes them down in the opposite order."""

    def __init__(self):
        super().__init__()
        self.directory = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="portwatch-test-")))

    def namespace(self, **sysctls):
        ns = Namespace(**sysctls)
        self.callback(ns.close)
        return ns

    def keep(self, part):
        """Stops the part at the end."""
        self.callback(part.stop)
        return part

    def load(self, ns, **options):
        return self.keep(Load(ns, self.directory, **options))

    def daemon(self, ns, agentx, **options):
        return self.keep(Daemon(ns, self.directory, agentx, **options))
