# SPDX-License-Identifier: BSD-2-Clause
"""SNMP for the integration tests: real snmpd and snmptrapd processes, net-snmp's clients, and the MIB that names what they say.

Shared by all tests that speak SNMP; started by the author of the end-to-end tests, extend it rather than writing another.
All addresses are inside the namespace of a test, so the well-known ports are free. Output is parsed as numeric OIDs with
hexadecimal strings, so that no text can be mistaken for another varbind.
"""

import os
import pathlib
import re

from harness import BUILD, Process, eventually

COMMUNITY = "public"
DEFAULT_BASE = "1.3.6.1.4.1.8072.9999.9999.28232"
V3_USER, V3_PASSWORD, V3_ENGINE = "watcher", "a-long-password", "0x80001f8803706f727477"

# What a test needs of snmpd; the other modules only cost time at start.
MODULES = "system_mib,sysORTable,snmp_mib,vacm_conf,vacm_context,usmConf,usmStats,usmUser,snmpEngine,snmpMPDStats,mibII/vacm_conf"


class Mib:
    """Names, OIDs, syntaxes and enumerations of a MIB module, taken from its text: enough for tests, no MIB compiler."""

    ITEM = re.compile(r"([a-z][\w-]*)\s+(?:OBJECT-TYPE|OBJECT IDENTIFIER|MODULE-IDENTITY|OBJECT-IDENTITY|NOTIFICATION-TYPE)\b"
                      r"(.*?)::=\s*\{\s*([^{}]+?)\s+(\d+)\s*\}", re.S)
    CONVENTION = re.compile(r"([A-Z]\w*)\s*::=\s*TEXTUAL-CONVENTION\b.*?SYNTAX\s+(\w+(?:\s+\w+)?)\s*(\{.*?\})?", re.S)
    SYNTAX = re.compile(r"SYNTAX\s+(OCTET STRING|OBJECT IDENTIFIER|\w+)\s*(\{[^}]*\})?", re.S)

    UNITS = re.compile(r"(\w+)\s+OBJECT-TYPE\b[^:]*?UNITS\s+\"([^\"]*)\"", re.S)

    def __init__(self, path=BUILD / "mibs" / "PORTWATCH-MIB.txt"):
        text = pathlib.Path(path).read_text()
        self.units = dict(self.UNITS.findall(text))
        text = re.sub(r'"[^"]*"', '""', text)
        text = re.sub(r"--[^\n]*", "", text)
        text = re.sub(r"\bIMPORTS\b.*?;", "", text, flags=re.S)
        conventions = {name: values for name, _, values in self.CONVENTION.findall(text)}
        self.conventions = {name: self._enumeration(values) for name, values in conventions.items()}
        items = self.ITEM.findall(text)
        self.oid = self._resolve({name: (parent, number) for name, _, parent, number in items})
        self.syntax, self.enum, self.access, self.carries = {}, {}, {}, {}
        for name, body, _, _ in items:
            found = self.SYNTAX.search(body)
            if found:
                self.syntax[name] = found[1]
                self.enum[name] = self._enumeration(found[2] or conventions.get(found[1]))
                self.access[name] = re.search(r"MAX-ACCESS\s+([\w-]+)", body)[1]
            elif carried := re.search(r"OBJECTS\s*\{([^}]*)\}", body):
                self.carries[name] = re.findall(r"\w+", carried[1])
        self._names = {oid: name for name, oid in self.oid.items()}

    @staticmethod
    def _resolve(parents):
        """{name: OID}; a parent may be declared after its children, or be spelled out: iso org(3) ... enterprises(1)."""

        def oid(name):
            if name.startswith("iso "):
                return ".".join(["1", *re.findall(r"\((\d+)\)", name)])
            parent, number = parents[name]
            return f"{oid(parent)}.{number}"

        return {name: oid(name) for name in parents}

    @staticmethod
    def _enumeration(text):
        return {int(value): word for word, value in re.findall(r"([\w-]+)\s*\(\s*(\d+)\s*\)", text or "")}

    def rebased(self, text):
        """A shipped file, which has the default base OID, with the one that was configured; as `make install` does it."""
        return text.replace(DEFAULT_BASE, self.oid["portwatchMIB"])

    def split(self, oid):
        """(name, instance suffix) of an OID; the longest known prefix names it."""
        prefix = oid
        while prefix:
            if prefix in self._names:
                return self._names[prefix], oid[len(prefix) + 1:]
            prefix = prefix.rpartition(".")[0]
        return None, oid

    def value(self, name, raw):
        """A value as tests want it: words for enumerations, text for SnmpAdminString, else as it came."""
        if self.enum.get(name):
            return self.enum[name].get(raw, raw)
        if isinstance(raw, bytes) and self.syntax.get(name) in ("SnmpAdminString", "DisplayString"):
            return raw.decode()
        return raw

    def columns(self, table):
        """Names of the columns below a table's entry, in order; the index objects that are not accessible are among them."""
        below = self.oid[table] + ".1."
        found = [(int(oid[len(below):]), name) for name, oid in self.oid.items()
                 if oid.startswith(below) and "." not in oid[len(below):]]
        return [name for _, name in sorted(found)]


EXCEPTIONS = ("No Such Object", "No Such Instance", "No more variables")


def parse_value(text):
    """A Python value for what net-snmp prints after " = "; None for noSuchObject and the like."""
    if text.startswith(EXCEPTIONS):
        return None
    kind, _, rest = text.partition(": ")
    if kind == "Hex-STRING":
        return bytes.fromhex(rest)
    if kind == "STRING" or text == '""':
        return rest.strip('"').encode()
    if kind == "OID":
        return rest.lstrip(".")
    if kind == "Timeticks":
        return int(re.match(r"\((\d+)\)", rest)[1])
    number = re.match(r"-?\d+", rest if rest else text)
    assert number, f"unexpected value: {text!r}"
    return int(number[0])


def parse_varbinds(text):
    """[(oid, value)] from lines ".1.3... = TYPE: value"; long strings go on in further lines."""
    joined = re.sub(r"\n(?!\.\d)", " ", text.strip())
    pairs = (line.split(" = ", 1) for line in joined.splitlines() if " = " in line)
    return [(oid.lstrip("."), parse_value(value.strip())) for oid, value in pairs]


class Manager:
    """A monitoring system inside a namespace: asks an agent there, by default snmpd on its well-known port."""

    def __init__(self, ns, mib, peer="udp:127.0.0.1:161"):
        self.ns, self.mib, self.peer = ns, mib, peer

    def raw(self, tool, *arguments, options=("-v2c", "-c", COMMUNITY), check=True):
        """Standard output of a net-snmp client."""
        environment = {**os.environ, "MIBS": "", "SNMPCONFPATH": "/nonexistent"}
        return self.ns.run(tool, *options, "-t", "2", "-r", "2", "-On", "-Oe", "-OU", "-Ox", self.peer, *arguments,
                           env=environment, check=check).stdout

    def get_oids(self, *oids):
        """[(oid, value)] by one GET."""
        return parse_varbinds(self.raw("snmpget", *oids))

    def next_oid(self, oid):
        """(oid, value) by one GETNEXT."""
        return parse_varbinds(self.raw("snmpgetnext", oid))[0]

    def walk_oids(self, oid, repetitions=50):
        """[(oid, value)] of everything below an OID, by GETBULK (by GETNEXT with repetitions = 0)."""
        if repetitions == 0:
            return self._below(parse_varbinds(self.raw("snmpwalk", oid)))
        return self._below(parse_varbinds(self.raw("snmpbulkwalk", f"-Cr{repetitions}", oid)))

    @staticmethod
    def _below(varbinds):
        return [(oid, value) for oid, value in varbinds if value is not None]

    def get(self, name):
        """A scalar by name."""
        value = self.get_oids(f"{self.mib.oid[name]}.0")[0][1]
        return self.mib.value(name, value)

    def table(self, name):
        """{index: {column: value}} of a table, one walk."""
        rows = {}
        for oid, raw in self.walk_oids(self.mib.oid[name]):
            column, index = self.mib.split(oid)
            rows.setdefault(index, {})[column] = self.mib.value(column, raw)
        return rows

    def pools(self):
        """{pool name: {column: value}} of pwPoolTable."""
        return {row["pwPoolName"]: row for row in self.table("pwPoolTable").values() if "pwPoolName" in row}

    def pool(self, name):
        """The row of one pool, read by one GET once its index is known; asserts that it is listed."""
        rows = self.pools()
        assert name in rows, f"no row {name!r} among {sorted(rows)}"
        return rows[name]

    def ready(self):
        """Waits until the subagent serves a poll."""
        eventually(lambda: (self.get("pwPolls") or 0) > 0, 15)
        return self


class NetSnmp(Process):
    """A program of net-snmp. It can miss a SIGTERM that comes just before it waits, and has nothing to save."""

    def stop(self, deadline=5.0):
        return self.kill() if self.running else self.wait(deadline)


class Master(NetSnmp):
    """snmpd as AgentX master, on the well-known port of its namespace. `config` is added to its configuration file."""

    def __init__(self, ns, directory, config="", socket=None, modules=MODULES):
        directory = pathlib.Path(directory)
        self.socket = socket or directory / "agentx"
        persistent = directory / "snmpd-state"
        persistent.mkdir(exist_ok=True)
        file = directory / "snmpd.conf"
        file.write_text(f"agentAddress udp:127.0.0.1:161,udp6:[::1]:161\nrocommunity {COMMUNITY}\nrocommunity6 {COMMUNITY}\n"
                        f"sysName test\nmaster agentx\nagentXSocket {self.socket}\n{config}\n")
        super().__init__(ns, ["/usr/sbin/snmpd", "-f", "-C", "-c", file, "-Lo", "-I", modules], directory / "snmpd.log",
                         env=environment(persistent))


def environment(persistent):
    return {**os.environ, "MIBS": "", "SNMPCONFPATH": str(persistent), "SNMP_PERSISTENT_DIR": str(persistent)}


class Trapd(NetSnmp):
    """snmptrapd: receives notifications in every version of the protocol and writes each to its log."""

    # A line in front of each, a varbind a line (%V sets what separates them), and a line that shows that all has been written.
    FORMAT = r"NOTIFICATION %P\n%V\n%v\nEND\n"

    def __init__(self, ns, directory, listen="udp:127.0.0.1:162", name="snmptrapd", config=""):
        directory = pathlib.Path(directory)
        persistent = directory / f"{name}-state"
        persistent.mkdir(exist_ok=True)
        file = directory / f"{name}.conf"
        file.write_text(f"disableAuthorization yes\ncreateUser -e {V3_ENGINE} {V3_USER} SHA {V3_PASSWORD} AES {V3_PASSWORD}\n"
                        f"createUser {V3_USER} SHA {V3_PASSWORD} AES {V3_PASSWORD}\nauthUser log {V3_USER} priv\n{config}\n")
        super().__init__(ns, ["/usr/sbin/snmptrapd", "-f", "-C", "-c", file, "-Lo", "-n", "-On", "-Oe", "-OU", "-Ox",
                              "-F", self.FORMAT, listen], directory / f"{name}.log", env=environment(persistent))

    def notifications(self, mib, only="pw"):
        """What has been received so far, oldest first: [{object name: value}] with the notification's name as "notification"."""
        texts = re.findall(r"^NOTIFICATION [^\n]*\n(.*?)^END$", self.log(), re.S | re.M)
        found = [decode_notification(mib, text) for text in texts]
        return [event for event in found if event["notification"].startswith(only)]


SNMP_TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0"


def decode_notification(mib, text):
    """One received notification by the names of its objects."""
    event = {"notification": ""}
    for oid, raw in parse_varbinds(text):
        if oid == SNMP_TRAP_OID:
            event["notification"] = mib.split(raw)[0] or raw
            continue
        name, _ = mib.split(oid)
        if name is not None:
            event[name] = mib.value(name, raw)
    return event
