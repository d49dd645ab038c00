# SPDX-License-Identifier: BSD-2-Clause
"""A program in a pseudo-terminal, as a person sees it: keys, signals, resizing, and the screen that the output makes."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pyte
from harness import PATIENCE, die_with_parent

ENVIRONMENT = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.environ["PATH"]}
ALTERNATE_ON, ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_OFF, CURSOR_ON = b"\x1b[?25l", b"\x1b[?25h"


def set_size(fd, columns, lines):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def lead_session():
    """The child gets the terminal as its controlling one, so that ^C and resizing become signals."""
    die_with_parent()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program in a terminal of its own, inside a network namespace. `environment` adds to, or changes, ENVIRONMENT."""

    def __init__(self, ns, columns, *argv, lines=40, environment=None):
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, self.slave = pty.openpty()
        set_size(self.slave, columns, lines)
        self.before = termios.tcgetattr(self.slave)
        with ns.entered():
            # pylint: disable-next=subprocess-popen-preexec-fn,consider-using-with
            self.process = subprocess.Popen([str(word) for word in argv], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                            env=ENVIRONMENT | (environment or {}), start_new_session=True, preexec_fn=lead_session)

    def _receive(self, timeout):
        """Takes what the program wrote; whether there was something."""
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        data = os.read(self.master, 65536)
        self.raw += data
        self._stream.feed(data)
        return True

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip() + "\n"

    def wait_for(self, condition, deadline=10):
        """Reads until condition(text of the screen) holds, and returns the text."""
        end = time.monotonic() + deadline * PATIENCE
        while not condition(self.text()):
            assert time.monotonic() < end, f"not on the screen in time:\n{self.text()}"
            self._receive(0.05)
        return self.text()

    def press(self, keys):
        os.write(self.master, keys.encode())

    def resize(self, columns, lines):
        """As a window does: the kernel sends SIGWINCH."""
        self.screen.resize(lines, columns)
        set_size(self.master, columns, lines)

    def settings(self):
        return termios.tcgetattr(self.slave)

    def finish(self, deadline=10):
        """Waits for the end of the program and returns its exit status (negative: the signal); then the screen is complete."""
        end = time.monotonic() + deadline * PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"still running:\n{self.text()}"
            self._receive(0.05)
        while self._receive(0):
            pass
        return self.process.returncode

    def stop(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)
