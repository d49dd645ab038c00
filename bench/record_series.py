#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Records how the free ports of a pool move under real connections, for bench/forecast.

  bench/record_series.py DIRECTORY [SECONDS]     (root; PW_BUILDDIR names the build)

One network namespace a series, all at once. Each writes DIRECTORY/NAME.txt, a line a poll: "seconds free refused", the last
one being the connects since the poll before that got no port. The loads are client connections over loopback; tcp_tw_reuse
is off, so that TIME_WAIT holds its port for 60 s as it does between hosts.
"""

import json
import os
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "integration"))
from harness import Workshop, program  # noqa: E402  pylint: disable=wrong-import-position

LOW, HIGH = 40000, 49999
HOST, PORT = "127.0.0.1", 8080
POLL_S = 10


class Client:
    """What one load does to its pool."""

    def __init__(self, workshop, seed):
        self.ns = workshop.namespace(ip_local_port_range=f"{LOW} {HIGH}", tcp_tw_reuse=0)
        self.load = workshop.load(self.ns)
        self.listener = self.load.listen(HOST, PORT)
        self.random = random.Random(seed)
        self.refused = 0
        self.started = time.monotonic()

    def age(self):
        return time.monotonic() - self.started

    def hold(self, count):
        """Connections that stay open: a leak, or a pool of connections."""
        group = self.load.connect(count, HOST, PORT, exact=False)
        self.refused += count - group.made
        return group

    def spend(self, count):
        """Connections that are closed at once and leave TIME_WAIT behind."""
        self.hold(count).finish(self.listener)

    def churn(self, rate):
        """A second's worth of short connections: a Poisson number of them."""
        until, count = self.random.expovariate(rate), 0
        while until < 1:
            until += self.random.expovariate(rate)
            count += 1
        self.spend(count)


def leak(client, second):
    if second >= 180:
        client.hold(10)


def churn(client, _second):
    client.churn(50)


def leak_under_churn(client, second):
    client.churn(50)
    if second >= 180:
        client.hold(6)


def batch(period, count):
    def step(client, second):
        if second % period == 0:
            client.spend(count)
    return step


def leak_under_batch(client, second):
    if second % 60 == 0:
        client.spend(2500)
    if second >= 180:
        client.hold(7)


def burst(client, second):
    if second % 420 in range(200, 210):
        client.spend(500)


SERIES = {"recorded-leak": leak, "recorded-churn": churn, "recorded-leak-churn": leak_under_churn, "recorded-batch-60": batch(60, 4000),
          "recorded-batch-100": batch(100, 4000), "recorded-leak-batch": leak_under_batch, "recorded-burst": burst}


def free_ports(client):
    poll = json.loads(client.ns.run(program("portwatch"), "--json", "--all").stdout)
    pools = [pool for pool in poll["pools"] if pool["kind"] == "connect" and pool["port"] == PORT]
    return pools[0]["free"] if pools else HIGH - LOW + 1


def drive(client, step, stop):
    second = 0
    while not stop.wait(max(0, second - client.age())):
        step(client, second)
        second += 1


def record(name, step, directory, seconds):
    """Polls until the time is over or connects have been refused at six polls."""
    with Workshop() as workshop, open(directory / f"{name}.txt", "w", encoding="ascii") as out:
        client = Client(workshop, name)
        stop = threading.Event()
        driver = threading.Thread(target=drive, args=(client, step, stop))
        driver.start()
        told = bad = poll = 0
        while client.age() < seconds and bad < 6:
            time.sleep(max(0, poll * POLL_S - client.age()))
            free, refused = free_ports(client), client.refused
            out.write(f"{client.age():.3f} {free} {refused - told}\n")
            out.flush()
            bad += refused > told
            told = refused
            poll += 1
        stop.set()
        driver.join()


def main():
    directory = pathlib.Path(sys.argv[1])
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1500
    directory.mkdir(parents=True, exist_ok=True)
    threads = [threading.Thread(target=record, args=(name, step, directory, seconds)) for name, step in SERIES.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or os.geteuid() != 0:
        sys.exit(__doc__)
    main()
