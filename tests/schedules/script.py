# SPDX-License-Identifier: BSD-2-Clause
"""Random schedules: what is done to some pools, the daemon and its master, and which states the pools pass through by that.

A schedule is a list of windows. All that is done within a window may overlap; at its end everything runs again, and a manager must have
been told the truth.
"""

import dataclasses
import random

PORTS = range(40000, 40040)
POOLS = 6
# The last one shows that a poll has seen the end of a window.
MARKER = POOLS
ALL = range(POOLS + 1)
LEVELS = (0, 14, 24, 34, 40)
NAMES = {1: "normal", 2: "warning", 3: "critical", 4: "exhausted"}
STATES = {name: number for number, name in NAMES.items()}

# Two configurations: what 14 of 40 ports are differs.
STRICT, LAX = 0, 1
WARNINGS = {STRICT: "warning { rise = 30  fall = 25 }", LAX: "warning { rise = 50  fall = 45 }"}
CRITICAL = "critical { rise = 80  fall = 75 }"


def state_of(level, config):
    """The state that a level has, wherever it comes from: none of the levels is between a rise and its fall."""
    percent = 100 * level // len(PORTS)
    if percent == 100:
        return 4
    if percent >= 80:
        return 3
    return 2 if percent >= (30 if config == STRICT else 50) else 1


def between(old, new):
    """The states that lie on the way, the new one at last: a poll may see a part of the connections."""
    step = 1 if new > old else -1
    return list(range(old + step, new + step, step)) if new != old else []


@dataclasses.dataclass
class Window:
    """What happens between two moments at which all is told; and by that what may be told."""

    steps: list                     # (what, argument), see Maker
    paths: dict                     # pool: the states that it passes through, from that at the beginning to that at the end
    reloaded: bool = False          # the configuration changes at some moment
    forgetful: bool = False         # the daemon may have died with something on the way
    master_killed: bool = False
    truth: dict = dataclasses.field(default_factory=dict)
    seen_in_any_order: dict = dataclasses.field(default_factory=dict)

    def may_tell(self, pool):
        """All states that the pool may have had."""
        return set(self.paths[pool]) | self.seen_in_any_order.get(pool, set())

    def touches(self, pool):
        return len(self.may_tell(pool)) > 1


class Maker:
    """Makes a schedule from a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.levels = dict.fromkeys(ALL, 0)
        self.config = LAX
        self.backend = self.random.choice(("netlink", "netlink", "netlink", "bpf"))
        self.daemon, self.master = "runs", "runs"
        self.window = None

    def windows(self):
        return [self._make() for _ in range(self.random.randint(4, 7))]

    def _do(self, what, argument=None):
        self.window.steps.append((what, argument))

    def _states(self, pool, config):
        return state_of(self.levels[pool], config)

    def _pass(self, pool, new):
        path = self.window.paths[pool]
        path += between(path[-1], new)

    def _make(self):
        self.window = Window([], {pool: [self._states(pool, self.config)] for pool in ALL})
        before = (dict(self.levels), self.config)
        for _ in range(self.random.choice((1, 2, 3, 4, 6, 8))):
            self._one()
        self._restore()
        self._set(MARKER, 24 if self.levels[MARKER] == 0 else 0)
        self.window.truth = {pool: self._states(pool, self.config) for pool in ALL}
        if self.window.reloaded:
            self._any_order(before)
        return self.window

    def _any_order(self, before):
        """A file that is read late applies to what came after it, and the other way round."""
        levels, _ = before
        for pool in ALL:
            met = [levels[pool]] + [argument[1] for what, argument in self.window.steps if what == "set" and argument[0] == pool]
            states = [state_of(level, config) for level in met for config in (STRICT, LAX)]
            self.window.seen_in_any_order[pool] = set(range(min(states), max(states) + 1))

    def _set(self, pool, level):
        self.levels[pool] = level
        self._do("set", (pool, level))
        self._pass(pool, self._states(pool, self.config))

    def _one(self):
        """One more thing that happens, likely a change of a pool."""
        doings = {self._change: 50, self._pause: 20, self._reload: 4, self._bad_reload: 2, self._hang_daemon: 3}
        doings[self._end_daemon if self.daemon == "runs" else self._start_daemon] = 12
        doings[self._end_master if self.master == "runs" else self._begin_master] = 12
        self.random.choices(list(doings), list(doings.values()))[0]()

    def _change(self):
        for pool in self.random.sample(range(POOLS), self.random.choice((1, 1, 2, POOLS))):
            self._set(pool, self.random.choice(LEVELS))

    def _pause(self):
        self._do("pause", self.random.choice((0.02, 0.1, 0.15, 0.3)))

    def _reload(self):
        self.config = STRICT + LAX - self.config
        self.window.reloaded = True
        self._do("reload", self.config)
        for pool in ALL:
            self._pass(pool, self._states(pool, self.config))

    def _bad_reload(self):
        if self.daemon == "runs":
            self._do("bad reload", self.config)

    def _hang_daemon(self):
        if self.daemon == "runs":
            self._do("hang daemon", self.random.choice((0.1, 0.5)))

    def _end_daemon(self):
        how = self.random.choice(("kill", "stop"))
        # one that can't say goodbye does not know what arrived
        self.window.forgetful = self.window.forgetful or how == "kill" or self.master != "runs"
        self.daemon = "ended"
        self._do(f"{how} daemon")

    def _start_daemon(self):
        self.daemon = "runs"
        self._do("start daemon")

    def _end_master(self):
        how = self.random.choice(("kill", "stop", "hang"))
        self.window.master_killed = self.window.master_killed or how != "hang"
        self.master = "hangs" if how == "hang" else "ended"
        self._do(f"{how} master")

    def _begin_master(self):
        self._do("continue master" if self.master == "hangs" else "start master")
        self.master = "runs"

    def _restore(self):
        restore = [begin for begin, state in ((self._start_daemon, self.daemon), (self._begin_master, self.master)) if state != "runs"]
        self.random.shuffle(restore)
        for begin in restore:
            begin()
