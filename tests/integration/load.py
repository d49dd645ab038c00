# SPDX-License-Identifier: BSD-2-Clause
"""A load generator: holds sockets of many kinds in the network namespace it runs in, on command.

One JSON object a line on standard input, one answer a line on standard output: {"ok": true, ...} or {"error": text}.
It ends, and with it every socket, at end of input. harness.Load is the other end of the pipe.

Commands (all have "op"):
  listen   host port [backlog] [v6only]              -> id
  connect  host port count [source] [method] [low high] [family]
                                                     -> id, made, errno, name (errno 0: all were made)
  spread   first hosts count port                    -> id, made, errno, name: count connections to each of many IPv4 hosts
  hold     host count [protocol] [method] [port] [v6only]
                                                     -> id, made, errno, name: bound, not connected
  ports    id                                        -> ports: local ports of the group
  reset    id [count]                                -> closes with RST: no TIME_WAIT remains
  finish   id listener [count]                       -> closes in order: TIME_WAIT on the client's side
  close    id [count]                                -> plain close()

"method" of connect: plain; no_port (bind() with IP_BIND_ADDRESS_NO_PORT, port 0); bind (bind() to port 0);
udp (a connected UDP socket); list (bind() to the first port of low..high that the destination leaves free, as a proxy
does that has a list of source ports).
"low" and "high" limit the ports of a plain connect (IP_LOCAL_PORT_RANGE).
"""

import errno
import ipaddress
import json
import socket
import struct
import sys

IP_BIND_ADDRESS_NO_PORT = 24
IP_LOCAL_PORT_RANGE = 51
OUT_OF_PORTS = (errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EAGAIN)


def family_of(host):
    """The socket family for an address; a mapped address takes an IPv6 socket."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def wildcard(family):
    return "::" if family == socket.AF_INET6 else "0.0.0.0"


class Groups:
    """Sockets by the number that their command was answered with."""

    def __init__(self):
        self._groups = {}

    def add(self, sockets):
        number = len(self._groups) + 1
        self._groups[number] = sockets
        return number

    def get(self, number):
        return self._groups[number]

    def take(self, number, count=None):
        """Removes the last `count` sockets of a group (all by default) and returns them."""
        group = self._groups[number]
        split = 0 if count is None else len(group) - count
        taken = group[split:]
        del group[split:]
        return taken


GROUPS = Groups()
ACCEPTED = {}  # listener -> client's address -> the server's socket


def listen(host, port, backlog=65535, v6only=None):
    sock = socket.socket(family_of(host), socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if v6only is not None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    sock.bind((host, port))
    sock.listen(backlog)
    return {"id": GROUPS.add([sock])}


def connect_from_list(family, remote, source, low, high):
    for port in range(low, high + 1):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((source or wildcard(family), port))
            sock.connect(remote)
            return sock
        except OSError as error:
            sock.close()
            if error.errno not in OUT_OF_PORTS:
                raise
    raise OSError(errno.EADDRNOTAVAIL, "the list is used up")


def connect_one(family, remote, source, method, port_range):
    kind = socket.SOCK_DGRAM if method == "udp" else socket.SOCK_STREAM
    sock = socket.socket(family, kind)
    try:
        if port_range is not None:
            sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE,
                            struct.pack("I", port_range[1] << 16 | port_range[0]))
        if method == "bind":
            sock.bind((source or wildcard(family), 0))
        elif source is not None:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        elif method == "no_port":
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((wildcard(family), 0))
        sock.connect(remote)
    except OSError:
        sock.close()
        raise
    return sock


def bind_one(host, protocol, port, method, v6only):
    sock = socket.socket(family_of(host), socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)
    try:
        if method == "reuse":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if v6only is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        sock.bind((host, port))
        if method == "listen":
            sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


def repeat(count, make):
    """Makes up to `count` sockets; running out of ports is an answer, any other failure an error."""
    made, failure = [], 0
    while len(made) < count and failure == 0:
        try:
            made.append(make())
        except OSError as error:
            if error.errno not in OUT_OF_PORTS:
                raise
            failure = error.errno
    return {"id": GROUPS.add(made), "made": len(made), "errno": failure, "name": errno.errorcode.get(failure, "")}


def connect(host, port, count, source=None, method="plain", low=None, high=None):
    family = family_of(host)
    port_range = None if low is None else (low, high)
    if method == "list":
        return repeat(count, lambda: connect_from_list(family, (host, port), source, low, high))
    return repeat(count, lambda: connect_one(family, (host, port), source, method, port_range))


def spread(first, hosts, count, port):
    """Connections to `hosts` addresses in a row, beginning with `first`."""
    start = ipaddress.IPv4Address(first)
    remotes = iter([(str(start + number), port) for number in range(hosts) for _ in range(count)])
    return repeat(hosts * count, lambda: connect_one(socket.AF_INET, next(remotes), None, "plain", None))


def hold(host, count, protocol="tcp", method="plain", port=0, v6only=None):
    return repeat(count, lambda: bind_one(host, protocol, port, method, v6only))


def ports(id):
    return {"ports": [sock.getsockname()[1] for sock in GROUPS.get(id)]}


def reset(id, count=None):
    for sock in GROUPS.take(id, count):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    return {}


def peer(address):
    """Host and port, an IPv4-mapped host as IPv4: how the other side of a connection sees it."""
    return address[0].removeprefix("::ffff:"), address[1]


def accept_from(listener, client):
    """The server's end of a client's connection, accepting (and keeping) others on the way."""
    while client not in ACCEPTED[listener]:
        child, address = GROUPS.get(listener)[0].accept()
        ACCEPTED[listener][peer(address)] = child
    return ACCEPTED[listener].pop(client)


def finish(id, listener, count=None):
    """The client closes first, then the server: the client's end goes to TIME_WAIT."""
    ACCEPTED.setdefault(listener, {})
    clients = GROUPS.take(id, count)
    addresses = [peer(sock.getsockname()) for sock in clients]
    for sock in clients:
        sock.close()
    for address in addresses:
        accept_from(listener, address).close()
    return {}


def close(id, count=None):
    for sock in GROUPS.take(id, count):
        sock.close()
    return {}


COMMANDS = {"listen": listen, "connect": connect, "hold": hold, "ports": ports, "spread": spread, "reset": reset, "finish": finish,
            "close": close}


def answer(line):
    command = json.loads(line)
    try:
        return {"ok": True, **COMMANDS[command.pop("op")](**command)}
    except OSError as error:
        return {"error": f"{line.strip()}: {error}"}


def main():
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)


if __name__ == "__main__":
    main()
