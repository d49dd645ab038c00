# SPDX-License-Identifier: BSD-2-Clause
"""portwatchd whose system calls and allocations fail on command (faults.c)."""

import mmap
import re
import struct

from harness import HERE, Daemon, program
from scene import UNCOUNTED

NUMBER = struct.Struct("=q")
# What can be set, in the order of the file, and what can become of a datagram.
SOURCE = (HERE / "faults.c").read_text()
NAMES = [name.lower() for name in re.findall(r"^\tFAULT_(\w+),", SOURCE, re.M)]
DAMAGES = re.search(r"enum damage \{ (.*) \};", SOURCE)[1].lower().split(", ")


class Faults:
    """The file of numbers that the daemon looks at."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(NUMBER.size * len(NAMES)))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def get(self, name):
        return NUMBER.unpack_from(self._map, NAMES.index(name) * NUMBER.size)[0]

    def set(self, **values):
        """Changes these; a datagram's damage is given by its name."""
        for name, value in values.items():
            number = DAMAGES.index(value) if name == "datagram" and value else value
            NUMBER.pack_into(self._map, NAMES.index(name) * NUMBER.size, number)

    def clear(self):
        """No fault strikes any more; the clocks stay where they are."""
        self.set(**{name: 0 for name in NAMES if name not in ("wall_s", "boot_s", "memory_failed")})


class FaultyDaemon(Daemon):
    """A Daemon with `faults`; those given with the start strike from the start on. They are those of netlink and /proc."""

    backend = "netlink"

    def __init__(self, ns, directory, agentx, faults=None, **options):
        self.faults = Faults(directory / "faults")
        self.faults.set(**(faults or {}))
        super().__init__(ns, directory, agentx, **options)

    def configure(self, extra):
        super().configure(f"backend = {self.backend}\n{extra}")

    def command(self):
        return ["env", f"PW_FAULTS={self.faults.path}", program("tests/integration/faulty_portwatchd"), *super().command()[1:]]


def start_faulty(scene, config="", **options):
    """As Scene.start(), with a FaultyDaemon."""
    return scene.keep(FaultyDaemon, UNCOUNTED + config, **options)
