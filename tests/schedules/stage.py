# SPDX-License-Identifier: BSD-2-Clause
"""Where schedules are played: portwatchd, snmpd, two receivers of informs, and connections, in a network namespace of their own."""

import re
import signal
import socket
import struct
import time

from harness import PATIENCE, Daemon, eventually
from judge import Manager, Told
from scene import INFORM_V3, connect_pool
from script import ALL, CRITICAL, LAX, PORTS, STATES, WARNINGS
from snmp import Master, Trapd, decode_notification

HERE, PORT = "127.0.0.1", 8080
ADDRESSES = {pool: f"127.0.1.{pool + 1}" for pool in ALL}
POOL_OF = {connect_pool(HERE, address, PORT): pool for pool, address in ADDRESSES.items()}
RESET = struct.pack("ii", 1, 0)
INTERVAL = 0.1
DEADLINE = 30
# A daemon that is stopped waits so long for answers to its last notifications (src/agent/agent.c).
GOODBYE = 0.5
SETTINGS = """
backend = {backend}
state-file = "{directory}/state"
connect-failures = false
min-used = 4
linger = 1
notify {{ max-per-minute = 60000  max-flaps = 0 }}
"""


class Receiver:
    """A snmptrapd that is read from where it was read last."""

    COMPLETE = re.compile(r"^NOTIFICATION [^\n]*\n(.*?)^END$", re.S | re.M)

    def __init__(self, name, process, mib):
        self.name, self.process, self.mib = name, process, mib
        self.at, self.fresh, self.manager = 0, [], None

    def begin(self):
        """A schedule of its own: all that was before is forgotten."""
        self.read()
        self.fresh, self.manager = [], Manager(ALL)

    def read(self):
        with open(self.process.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(self.at)
            text = file.read()
        last = 0
        for match in self.COMPLETE.finditer(text):
            last = match.end()
            event = decode_notification(self.mib, match[1])
            if event["notification"] in ("pwPoolRising", "pwPoolFalling"):
                self.fresh.append(Told(POOL_OF[event["pwEventPoolName"]], STATES[event["pwEventPreviousState"]], STATES[event["pwEventState"]],
                                       event["notification"] == "pwPoolRising", event["pwEventId"], event["pwEventTime"]))
        self.at += len(text[:last].encode())
        return self.fresh

    def believes(self):
        """What its manager will believe when it has heard all."""
        believed = dict(self.manager.believed)
        seen = set(self.manager.seen)
        for told in self.fresh:
            if (told.id, told.time) not in seen:
                believed[told.pool] = told.state
                seen.add((told.id, told.time))
        return believed


class Stage:
    """Plays one schedule after the other."""

    def __init__(self, workshop, mib):
        self.workshop, self.mib = workshop, mib
        self.ns = workshop.namespace(ip_local_port_range=f"{PORTS[0]} {PORTS[-1]}")
        self.receivers = [Receiver("v2c", Trapd(self.ns, workshop.directory), mib),
                          Receiver("v3", Trapd(self.ns, workshop.directory, "udp:127.0.0.1:1162", "informed"), mib)]
        for receiver in self.receivers:
            workshop.keep(receiver.process)
            eventually(lambda r=receiver: "NET-SNMP version" in r.process.log(), DEADLINE)
        self.master = self.daemon = self.listener = None
        self.held, self.config = {pool: [] for pool in ALL}, LAX
        self.backend, self.counts = "netlink", {}
        self.log_begin = 0
        self.hurried, self.reload_begin = False, None
        self._start_master()
        workshop.callback(self._end)

    def _end(self):
        for process in (self.daemon, self.master):
            if process is not None and process.running:
                process.kill()

    def _start_master(self, _=None):
        self.master = Master(self.ns, self.workshop.directory, f"informsink 127.0.0.1:162 public\n{INFORM_V3}\n")

    # --- a schedule

    def play(self, maker, windows):
        """Returns what went wrong, with the window in which it did."""
        self.backend, self.config = maker.backend, LAX
        (self.workshop.directory / "state").unlink(missing_ok=True)
        with self.ns.entered():
            self.listener = socket.create_server(("0.0.0.0", PORT), backlog=65535)
        for receiver in self.receivers:
            receiver.begin()
        self._start_daemon()
        try:
            for number, window in enumerate(windows):
                wrong = self._window(window)
                if wrong:
                    return [f"window {number}: {text}" for text in wrong]
            status = self.daemon.stop(10)
            return [f"exit status {status}"] if status != 0 or "Sanitizer" in self.daemon.log() else []
        finally:
            self._clear()

    def _clear(self):
        for pool in ALL:
            self._set((pool, 0))
        self.listener.close()
        if self.daemon.running:
            self.daemon.kill()
        if not self.master.running:
            self._start_master()

    def _window(self, window):
        for what, argument in window.steps:
            self.hurried = False
            self.counts[what] = self.counts.get(what, 0) + 1
            getattr(self, "_" + what.replace(" ", "_"))(argument)
            if self.hurried:
                window.forgetful = True
                self.counts["hurried goodbyes"] = self.counts.get("hurried goodbyes", 0) + 1
        missing = self._settle(window)
        if missing:
            return missing
        wrong = []
        for receiver in self.receivers:
            receiver.manager.hear(window, receiver.fresh)
            wrong += [f"{receiver.name}: {text}" for text in receiver.manager.wrong]
            self.counts["notifications"] = self.counts.get("notifications", 0) + len(receiver.fresh)
            receiver.fresh = []
        return wrong

    # --- what is told

    def _remembered(self):
        """{pool: state} of what the state file says was told for certain; "" where it is not certain."""
        try:
            lines = (self.workshop.directory / "state").read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return None
        found = dict.fromkeys(ALL, 1)
        for fields in (line.split() for line in lines if line.startswith(("pool ", "told "))):
            address = ".".join(str(octet) for octet in bytes.fromhex(fields[10])[:4])
            pool = next((pool for pool, text in ADDRESSES.items() if text == address), None)
            if pool is not None:
                found[pool] = int(fields[11]) if fields[11] == fields[13] else None
        return found

    def _settle(self, window):
        """Waits until all managers believe the truth, and the daemon has written down that they do: a poll has seen the end then."""
        end = time.monotonic() + DEADLINE * PATIENCE
        while True:
            for receiver in self.receivers:
                receiver.read()
            wrong = [receiver for receiver in self.receivers if receiver.believes() != window.truth]
            if not wrong and self._reloaded() and self._remembered() == window.truth:
                return []
            if not self.daemon.running:
                return [f"the daemon ended: {self.daemon.log()[-3000:]}"]
            if time.monotonic() > end:
                believed = [f"{receiver.name} believes {receiver.believes()}, heard {receiver.fresh}" for receiver in self.receivers]
                return ["truth: is " + str(window.truth), *believed, f"the state file says {self._remembered()}"]
            time.sleep(0.03)

    # --- steps

    def _set(self, argument):
        pool, level = argument
        held = self.held[pool]
        while len(held) > level:
            client = held.pop()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        with self.ns.entered():
            while len(held) < level:
                held.append(socket.create_connection((ADDRESSES[pool], PORT)))

    @staticmethod
    def _pause(seconds):
        time.sleep(seconds)

    def _settings(self):
        return SETTINGS.format(backend=self.backend, directory=self.workshop.directory) + f"{WARNINGS[self.config]}\n{CRITICAL}\n"

    def _reload(self, config):
        self.config = config
        if self.daemon.running:
            self._started()
            self.daemon.configure(self._settings())
            self._hang_up()

    def _bad_reload(self, _):
        self._started()
        good = self.daemon.config.read_text()
        self.daemon.config.write_text(good + "warning { rise = 10  fall = 20 }\n")
        self.daemon.reload()
        time.sleep(0.05)
        self.daemon.config.write_text(good)
        self._hang_up()

    def _hang_up(self):
        """The file is read once a second: the end of the window waits for that."""
        self.reload_begin = len(self.daemon.log())
        self.daemon.reload()

    def _reloaded(self):
        return self.reload_begin is None or "configuration reloaded" in self.daemon.log()[self.reload_begin:]

    def _started(self):
        """A SIGHUP before it has seen to its signals would end it, as it ends any program."""
        eventually(lambda: "polling every" in self.daemon.log()[self.log_begin:] or not self.daemon.running, DEADLINE)

    def _start_daemon(self, _=None):
        self.reload_begin = None
        self.log_begin = len(self.daemon.log()) if self.daemon is not None else 0
        self.daemon = Daemon(self.ns, self.workshop.directory, self.master.socket, self._settings(), INTERVAL)

    def _kill_daemon(self, _):
        self.daemon.kill()

    def _stop_daemon(self, _):
        begun = time.monotonic()
        self.daemon.stop(10)
        self.hurried = time.monotonic() - begun > GOODBYE

    def _hang_daemon(self, seconds):
        self.daemon.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.daemon.signal(signal.SIGCONT)

    def _kill_master(self, _):
        self.master.kill()

    def _stop_master(self, _):
        self.master.popen.terminate()
        time.sleep(0.05)
        self.master.kill()

    def _hang_master(self, _):
        self.master.signal(signal.SIGSTOP)

    def _continue_master(self, _):
        self.master.signal(signal.SIGCONT)
