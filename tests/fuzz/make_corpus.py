#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of the fuzz targets whose inputs are binary: make_corpus.py DIRECTORY

Each target gets a folder of its name below DIRECTORY. The numbers are of this machine's byte order, as netlink's are.
"""
import socket
import struct
import sys
from pathlib import Path

TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY = 18, 20
NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN = 2, 3, 4
MULTI, DUMP_INTR = 2, 16
MARK, CGROUP_ID, SOCKOPT, SHUTDOWN, SKV6ONLY = 15, 21, 22, 8, 11
ESTABLISHED, SYN_RECV, TIME_WAIT, CLOSE, LISTEN = 1, 3, 6, 7, 10
DUMP_TCP, DUMP_BOUND, DUMP_UDP, DUMP_UDP6 = range(4)

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
SETTINGS = ["40000\t40099\n", "40010,40020-40029\n", "2\n", "1000\n", "1\n"]
SOCKSTAT = "sockets: used 20\nTCP: inuse 7 orphan 0 tw 3 alloc 9 mem 1\nUDP: inuse 2 mem 0\nUDPLITE: inuse 0\n"
SOCKSTAT6 = "TCP6: inuse 4\nUDP6: inuse 1\nUDPLITE6: inuse 0\n"


def message(kind, body, flags=MULTI):
    data = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body
    return data + bytes(-len(data) % 4)


def done(result=0):
    return message(NLMSG_DONE, struct.pack("=i", result))


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def address(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text).ljust(16, b"\0")


def diag(kind, local, lport, remote, rport, state, timer=0, inode=5, attributes=b"", cookie=1, ifindex=0):
    family, source = address(local)
    _, destination = address(remote)
    body = struct.pack("=BBBB", family, state, timer, 0) + struct.pack(">HH", lport, rport) + source + destination
    body += struct.pack("=III", ifindex, cookie, 0) + struct.pack("=IIIII", 59000, 0, 0, 1000, inode)
    return message(kind, body + attributes)


FULL = (attribute(SHUTDOWN, b"\0") + attribute(MARK, bytes(4)) + attribute(CGROUP_ID, struct.pack("=Q", 77)) +
        attribute(SOCKOPT, b"\2\1"))

TCP = [
    diag(TCPDIAG_GETSOCK, "0.0.0.0", 40003, "0.0.0.0", 0, LISTEN, attributes=FULL),
    diag(TCPDIAG_GETSOCK, "::", 40005, "::", 0, LISTEN, attributes=attribute(SKV6ONLY, b"\1") + FULL),
    diag(TCPDIAG_GETSOCK, "10.0.0.1", 40000, "10.0.0.9", 443, ESTABLISHED, timer=2, attributes=FULL, cookie=2),
    diag(TCPDIAG_GETSOCK, "10.0.0.1", 40002, "10.0.0.9", 443, TIME_WAIT, timer=3, inode=0, cookie=3),
    diag(TCPDIAG_GETSOCK, "::ffff:10.0.0.1", 40004, "::ffff:10.0.0.9", 443, ESTABLISHED, attributes=FULL, cookie=4),
    diag(TCPDIAG_GETSOCK, "2001:db8::1", 40006, "2001:db8::2", 443, ESTABLISHED, attributes=FULL, cookie=5, ifindex=2),
    diag(TCPDIAG_GETSOCK, "10.0.0.1", 40003, "10.0.0.8", 9999, SYN_RECV, timer=1, inode=0, cookie=6),
    diag(TCPDIAG_GETSOCK, "10.0.0.1", 40007, "0.0.0.0", 0, CLOSE, attributes=FULL, cookie=7),
]
UDP = [diag(SOCK_DIAG_BY_FAMILY, "10.0.0.1", 40001, "10.0.0.9", 53, ESTABLISHED, attributes=FULL),
       diag(SOCK_DIAG_BY_FAMILY, "0.0.0.0", 40011, "0.0.0.0", 0, CLOSE, attributes=FULL)]
UDP6 = [diag(SOCK_DIAG_BY_FAMILY, "::", 40013, "::", 0, CLOSE, attributes=attribute(SKV6ONLY, b"\0") + FULL)]


def datagrams(kind, *items):
    """An input of fuzz_inet_diag; a number stands for a failing recv()."""
    data = bytes([kind])
    for item in items:
        data += struct.pack("<H", 0x8000 | item) if isinstance(item, int) else struct.pack("<H", len(item)) + item
    return data


def inet_diag_seeds():
    return {
        "tcp": datagrams(DUMP_TCP, b"".join(TCP), done()),
        "bound": datagrams(DUMP_BOUND, TCP[0] + TCP[7] + done()),
        "udp": datagrams(DUMP_UDP, b"".join(UDP), done()),
        "udp6": datagrams(DUMP_UDP6, b"".join(UDP6), done()),
        "many": datagrams(DUMP_TCP, *[b"".join(TCP)] * 9, done()),
        "missing": datagrams(DUMP_TCP, done(-2)),
        "error": datagrams(DUMP_TCP, message(NLMSG_ERROR, struct.pack("=i", -16) + bytes(16), 0)),
        "overrun": datagrams(DUMP_TCP, TCP[2] + message(NLMSG_OVERRUN, b"")),
        "interrupted": datagrams(DUMP_TCP, TCP[2], message(NLMSG_DONE, bytes(4), MULTI | DUMP_INTR)),
        "signals": datagrams(DUMP_TCP, 3, TCP[2], 3, done()),
        "cut": datagrams(DUMP_TCP, b"".join(TCP)[:-7]),
    }


ORIG, REPLY, STATUS, PROTOINFO = 1, 2, 3, 4
CT_NEW, CT_STATS = 0x100, 0x104
TABLE, COUNTERS = range(2)


def nest(kind, *parts):
    return attribute(kind | 0x8000, b"".join(parts))


def direction(kind, source, destination, protocol, sport, dport):
    family, first = address(source)
    _, second = address(destination)
    length, number = (16, 3) if family == socket.AF_INET6 else (4, 1)
    return nest(kind, nest(1, attribute(number, first[:length]), attribute(number + 1, second[:length])),
                nest(2, attribute(1, bytes([protocol])), attribute(2, struct.pack(">H", sport)),
                     attribute(3, struct.pack(">H", dport))))


def conntrack(translated, remote, port, protocol=6, status=0x19e, state=3):
    family, _ = address(remote)
    body = bytes([family, 0, 0, 0]) + direction(ORIG, remote, remote, protocol, 1, 80)
    body += direction(REPLY, remote, translated, protocol, 80, port) + attribute(STATUS, struct.pack(">I", status))
    return message(CT_NEW, body + nest(PROTOINFO, nest(1, attribute(1, bytes([state])))))


TRACKED = [conntrack("198.51.100.1", "192.0.2.9", 20000), conntrack("198.51.100.1", "192.0.2.9", 20001, state=7),
           conntrack("198.51.100.1", "192.0.2.9", 53, 17), conntrack("198.51.100.1", "192.0.2.9", 7, 1),
           conntrack("2001:db8::1", "2001:db8::9", 40000), conntrack("192.0.2.9", "198.51.100.1", 40000, status=0x18e)]


def conntrack_seeds():
    counters = message(CT_STATS, bytes(4) + attribute(9, struct.pack(">I", 7)))
    return {
        "table": datagrams(TABLE, b"".join(TRACKED), done()),
        "counters": datagrams(COUNTERS, counters + counters + done()),
        "refused": datagrams(TABLE, message(NLMSG_ERROR, struct.pack("=i", -1) + bytes(16), 0)),
        "cut": datagrams(TABLE, b"".join(TRACKED)[:-9]),
    }


def proc_address(text):
    family, data = address(text)
    words = struct.unpack("=4I", data)[:4 if family == socket.AF_INET6 else 1]
    return "".join(f"{word:08X}" for word in words)


def proc_line(local, lport, remote, rport, state, timer="00:00000000", inode=5):
    return (f"   7: {proc_address(local)}:{lport:04X} {proc_address(remote)}:{rport:04X} {state:02X} "
            f"00000000:00000001 {timer} 00000000  1000        0 {inode} 1 0000000000000000 20 4 30 10 -1\n")


PROC4 = (HEADING + proc_line("127.0.0.1", 40000, "127.0.0.1", 80, ESTABLISHED) +
         proc_line("127.0.0.1", 40002, "127.0.0.1", 80, TIME_WAIT, "03:000016A8", 0) +
         proc_line("127.0.0.1", 40001, "127.0.0.9", 80, SYN_RECV, "01:00000064", 0))
PROC6 = (HEADING + proc_line("::1", 40000, "::1", 80, ESTABLISHED) +
         proc_line("::ffff:10.0.0.1", 40004, "::ffff:10.0.0.9", 80, ESTABLISHED))


def proc_net_seeds():
    files = {"tcp": PROC4, "tcp6": PROC6, "udp": PROC4, "udp6": PROC6}
    return {name: bytes([kind, 20]) + text.encode() for kind, (name, text) in enumerate(files.items())}


def sysctl_seeds():
    texts = {"range": (0, SETTINGS[0]), "ports": (1, SETTINGS[1]), "no-ports": (1, "\n"), "number": (2, SETTINGS[2]),
             "sockstat": (3, SOCKSTAT + "\n" + SOCKSTAT6)}
    return {name: bytes([kind]) + text.encode() for name, (kind, text) in texts.items()}


def entry(kind, argument=0, data=b""):
    return struct.pack("=III", kind, argument, len(data)) + data


def record(streams):
    """A record of (stream, items), an item being bytes or the number of an error."""
    data = b"PWRECORD" + struct.pack("=II", 0x01020304, 1)
    for stream, items in streams:
        data += entry(1, stream)
        data += b"".join(entry(3, item) if isinstance(item, int) else entry(2, 0, item) for item in items)
    return data + entry(4)


def record_seeds():
    settings = [(number, [text.encode()]) for number, text in enumerate(SETTINGS)]
    counts = [(5, [SOCKSTAT.encode()]), (6, [SOCKSTAT6.encode()])]
    dumps = [(13, [b"".join(UDP), done()]), (14, [b"".join(UDP6), done()]), (11, [b"".join(TCP), done()]),
             (12, [TCP[0] + TCP[7], done()])]
    proc = [(7, [PROC4.encode()]), (8, [PROC6.encode()]), (9, [PROC4.encode()]), (10, [PROC6.encode()])]
    return {
        "dumps": record(settings + counts + dumps),
        "proc": record(settings + counts + proc),
        "again": record(settings + [(11, [TCP[2], 105])] + dumps),
        "refused": record(settings + counts + [(11, [done(-2)]), (13, [93])] + proc),
        "settings": record([(0, [b"40000\t40099\n"]), (1, [2])] + dumps),
    }


def name(*ids, include=0):
    """An object identifier as AgentX writes it."""
    return struct.pack("=BBBx", len(ids), 0, include) + struct.pack(f"={len(ids)}I", *ids)


def pdu(kind, *names):
    payload = b"".join(names)
    return struct.pack("<H", 4096) + struct.pack("=BBBxIIII", 1, kind, 0, 1, 2, 3, len(payload)) + payload


def pdu_seeds():
    start, end, none = name(1, 3, 6, 1, 4, 1, 8072, include=1), name(1, 3, 6, 1, 4, 1, 8073), name()
    prefixed = struct.pack("=BBBx", 2, 4, 0) + struct.pack("=2I", 1, 8072)
    return {
        "get": pdu(5, start, none),
        "getnext": pdu(6, start, end, prefixed, end),
        "network-order": struct.pack("<H", 4096) + struct.pack(">BBBxIIII", 1, 6, 16, 1, 2, 3, 8) + none + none,
    }


def main():
    seeds = {"conntrack": conntrack_seeds(), "inet_diag": inet_diag_seeds(), "proc_net": proc_net_seeds(), "sysctl": sysctl_seeds(),
             "record": record_seeds(), "pdu": pdu_seeds()}
    for target, files in seeds.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
