#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Records what a real snmpd sends in AgentX sessions, as seeds of fuzz_serve and check_hostile_master: record_sessions.py DIRECTORY  (root)

Environment: PW_SRCDIR and PW_BUILDDIR, as for the integration tests, whose tools it uses. A proxy stands between agent_driver and snmpd. Session and
packet numbers are changed into those that the fuzz target expects: its session is 0x01020304, and its requests are 1, 2, 3 ...
"""
import contextlib
import os
import socket
import struct
import sys
import threading
from pathlib import Path

sys.path.insert(0, os.path.join(os.environ.get("PW_SRCDIR", "."), "tests/integration"))
from agent import Stage  # noqa: E402
from harness import Workshop  # noqa: E402
from snmp import Mib  # noqa: E402

SESSION, KEEP = 0x01020304, 12000
HEADER = struct.Struct(">BBBxIIII")


class Proxy:
    """Passes on what both say, and keeps what the master says."""

    def __init__(self, path, master):
        self.heard = bytearray()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=self._accept, args=(listener, master), daemon=True).start()

    def _accept(self, listener, master):
        while True:
            agent, _ = listener.accept()
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(str(master))
            threading.Thread(target=self._pass, args=(agent, upstream, None), daemon=True).start()
            threading.Thread(target=self._pass, args=(upstream, agent, self.heard), daemon=True).start()

    @staticmethod
    def _pass(source, target, heard):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if heard is not None:
                    heard += data
                target.sendall(data)
        target.close()

    def take(self):
        """What was heard since the last time, in the numbers of the fuzz target."""
        data, out, packets = bytes(self.heard), bytearray(b"\0"), 0
        self.heard.clear()
        while len(data) >= HEADER.size:
            order = ">" if data[2] & 0x10 else "<"
            _, kind, _, _, transaction, packet, length = struct.unpack(f"{order}BBBxIIII", data[:20])
            if kind == 18:
                packets += 1
                packet = packets
            pdu = data[:4] + struct.pack(f"{order}IIII", SESSION, transaction, packet, length) + data[20:20 + length]
            data = data[20 + length:]
            if len(out) + len(pdu) <= KEEP:
                out += pdu
        return bytes(out)


def main():
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    mib = Mib()
    with Workshop() as workshop:
        stage = Stage(workshop, mib)
        real = stage.directory / "real"
        stage.start_master("trap2sink 127.0.0.1:162 public\nrwcommunity private\n", real)
        while not real.exists():
            pass
        proxy = Proxy(stage.socket, real)
        agent = stage.driver().connected()
        agent.ask("rows 40")
        stage.served()
        agent.ask("rise 20")
        agent.until(owed=0)
        base = mib.oid["portwatchMIB"]
        (target / "open-and-notify").write_bytes(proxy.take())
        read, write = ("-v2c", "-c", "public"), ("-v2c", "-c", "private")
        row = base + ".1.3.1."
        sessions = {
            "walk": ("snmpwalk", read, (base + ".1.3",)),
            "bulk": ("snmpbulkget", (*read, "-Cn1", "-Cr20"), (base, row + "8", row + "12", base + ".1.4", base + ".1.6")),
            "get": ("snmpget", read, (base + ".1.1.1.0", base + ".1.1.99.0", base, base + ".1.5.1.2.1", row + "8.1.1.6.1.4")),
            "set": ("snmpset", write, (base + ".1.1.2.0", "u", "5", row + "8.1", "s", "x")),
        }
        for name, (tool, options, names) in sessions.items():
            stage.ns.run(tool, *options, "-t1", "-r0", "udp:127.0.0.1:161", *names, check=False)
            (target / name).write_bytes(proxy.take())
        agent.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
