# SPDX-License-Identifier: BSD-2-Clause
"""systemd as a service sees it: the socket on which it hears of its services."""

import contextlib
import socket


class Systemd:
    """Listens at a path, or at an abstract address (which begins with "@" and belongs to the network namespace of the caller)."""

    def __init__(self, address):
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address.replace("@", "\0", 1) if self.address.startswith("@") else self.address)
        self.socket.setblocking(False)
        self.heard = []

    def hear(self):
        """All that was said so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        return self.heard

    def stand_still(self):
        """Fills the queue: nobody gets through until hear() is called."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler, contextlib.suppress(BlockingIOError):
            filler.setblocking(False)
            while True:
                filler.sendto(b"X", self.socket.getsockname())

    def starts(self, watchdog_s):
        """The command that starts another one as a service with this WatchdogSec=."""
        return "env", f"NOTIFY_SOCKET={self.address}", f"WATCHDOG_USEC={watchdog_s * 1000000}"
