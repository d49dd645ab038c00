# SPDX-License-Identifier: BSD-2-Clause
"""What a manager must have been told, and what it was: the rules of src/watch/owed.h, seen from outside.

The judge knows nothing of the daemon but its notifications. At the end of a window:
 - truth: what the manager believes of each pool is its state;
 - chained: a notification comes from the state that the one before led to;
 - fall_after_rise: none says falling of what the manager takes for normal;
 - again_unchanged: what comes twice has the same id, time and content;
 - nothing_of_nothing: a pool that nothing happened to is not mentioned, and no state is told that a pool never had, in that order.
After a daemon that died with something on the way (Window.forgetful) the pools that were changing may be told once more, or that
something is over of which the manager never heard; all others may not.
"""

import collections

from script import NAMES

Told = collections.namedtuple("Told", "pool previous state rising id time")


def is_subsequence(states, path):
    rest = iter(path)
    return all(state in rest for state in states)


class Manager:
    """What a receiver believes."""

    def __init__(self, pools):
        self.believed = dict.fromkeys(pools, 1)
        self.seen = {}
        self.last_id = dict.fromkeys(pools, 0)
        self.wrong = []
        self.repetitions = 0

    def _complain(self, told, rule, why):
        self.wrong.append(f"{rule}: {why}: {told}, believed {NAMES[self.believed[told.pool]]}")

    def hear(self, window, notifications):
        """Judges those of a window, in the order in which they came."""
        new = collections.defaultdict(list)
        for told in notifications:
            key = (told.id, told.time)
            if key in self.seen:
                self.repetitions += 1
                if self.seen[key] != told:
                    self._complain(told, "again_unchanged", f"the same id as {self.seen[key]}")
                continue
            self.seen[key] = told
            self._judge(window, told)
            new[told.pool].append(told.state)
            self.believed[told.pool] = told.state
        if not (window.forgetful or window.reloaded):
            for pool, states in new.items():
                if not is_subsequence(states, window.paths[pool]):
                    self.wrong.append(f"nothing_of_nothing: pool {pool} was told {states}, went through {window.paths[pool]}")

    def _judge(self, window, told):
        uncertain = window.forgetful and window.touches(told.pool)
        if told.state not in window.may_tell(told.pool) or not window.touches(told.pool):
            self._complain(told, "nothing_of_nothing", f"the pool went through {window.paths[told.pool]}")
        if told.rising != (told.state >= told.previous):
            self._complain(told, "chained", "rising and falling do not fit the states")
        if uncertain:
            return
        if told.previous == told.state:
            self._complain(told, "nothing_of_nothing", "nothing changed")
        if told.previous != self.believed[told.pool]:
            self._complain(told, "chained", "it comes from another state")
        if not told.rising and self.believed[told.pool] == 1:
            self._complain(told, "fall_after_rise", "nothing had risen")
        if int(told.id) <= self.last_id[told.pool]:
            self._complain(told, "chained", f"the last id was {self.last_id[told.pool]}")
        self.last_id[told.pool] = int(told.id)
