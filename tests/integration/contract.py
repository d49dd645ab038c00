# SPDX-License-Identifier: BSD-2-Clause
"""The contract with those who use portwatch: what PORTWATCH-MIB and `portwatch --json` promised in a release stays.

tests/contract/ holds one promise a line. A line that disappears or changes breaks somebody's template; new ones are free
until they are released. After every new field and before a release, with the programs built:

    PW_BUILDDIR=BUILD /usr/bin/python3 tests/integration/contract.py

It also gives docs/portwatch.schema.json the members that it lacks.
"""

import json
import re
import subprocess

from harness import BUILD, SOURCE, Namespace, Workshop, program
from snmp import Mib

FOLDER = SOURCE / "tests" / "contract"
ROOT = "portwatchMIB"
BODY = {
    "units": re.compile(r"UNITS\s+(\S+)"),
    "access": re.compile(r"MAX-ACCESS\s+([\w-]+)"),
    "index": re.compile(r"INDEX\s*\{([^}]*)\}"),
    "objects": re.compile(r"OBJECTS\s*\{([^}]*)\}"),
}
TYPES = {str: "string", int: "number", float: "number", bool: "boolean", list: "array", dict: "object"}


def bodies(text):
    """{name: what the MIB says between a name and its OID}"""
    text = re.sub(r'(UNITS\s+)"([^"]*)"', lambda unit: unit[1] + unit[2].replace(" ", "-"), text)
    return {name: body for name, body, _, _ in Mib.ITEM.findall(re.sub(r'"[^"]*"', '""', text))}


def describe(mib, name, body):
    """What a manager relies on: syntax with its named values, access, index, and the objects of a notification in their order."""
    words = []
    for key, pattern in BODY.items():
        found = pattern.search(body)
        if found:
            words.append(f"{key} {' '.join(found[1].replace(',', ' ').split())}")
    if name in mib.syntax:
        values = " ".join(f"{word}({number})" for number, word in sorted(mib.enum[name].items()))
        words.insert(0, f"{mib.syntax[name]} {values}".strip())
    return "; ".join(words)


def mib_lines(path=BUILD / "mibs" / "PORTWATCH-MIB.txt"):
    """One line for each node below the root, relative to it: where the MIB is rooted is chosen by configure."""
    mib, text = Mib(path), bodies(path.read_text())
    root = mib.oid[ROOT] + "."
    below = sorted((tuple(int(part) for part in oid[len(root):].split(".")), name)
                   for name, oid in mib.oid.items() if oid.startswith(root))
    return [f"{'.'.join(map(str, oid))} {name}: {describe(mib, name, text[name])}".rstrip(": ") for oid, name in below]


def json_lines(document, path=""):
    """One line for each member: its path and type; the elements of an array are alike."""
    if isinstance(document, dict):
        lines = [line for name, value in document.items() for line in json_lines(value, f"{path}.{name}" if path else name)]
        return sorted(lines)
    if isinstance(document, list):
        return sorted({line for element in document for line in json_lines(element, f"{path}[]")})
    return [f"{path}: {TYPES[type(document)]}"]


def sample_document():
    """What `portwatch --json --all` prints for a connection of our own."""
    with Workshop() as workshop:
        ns = Namespace(ip_local_port_range="40000 40999")
        workshop.callback(ns.close)
        load = workshop.load(ns)
        load.listen("127.0.0.1", 80)
        load.connect(3, "127.0.0.1", 80)
        return json.loads(ns.run(program("portwatch"), "--json", "--all").stdout)


def known_fields():
    """What the program knows of its fields (agent_driver -o): lists of words, by their first one."""
    output = subprocess.run([program("tests/integration/agent_driver"), "-o"], capture_output=True, text=True, check=True,
                            timeout=30).stdout
    lines = [line.split() for line in output.splitlines()]
    return {kind: [words[1:] for words in lines if words[0] == kind]
            for kind in ("object", "unit", "help", "value", "member", "extra", "enumeration", "notification")}


def schema_parts(schema):
    """The objects of the JSON document by the prefix of their MIB objects."""
    tables = {"pwNs": "namespaces", "pwPool": "pools", "pwLabel": "labels", "pwAlarm": "alarms", "pwEvent": "events"}
    return {"pw": schema} | {prefix: schema["properties"][name]["items"] for prefix, name in tables.items()}


def complete(schema, known):
    """Adds the members that the schema does not know yet, in the order of the program; what stands there may say more and stays.
    What comes from the daemon only may be missing."""
    signed = {name for name, _, _, syntax in known["object"] if syntax == "Integer32"}
    words = {}
    for name, _, word in known["value"]:
        words.setdefault(name, []).append(word)
    for prefix, part in schema_parts(schema).items():
        before, members = part["properties"], {}
        for table, member, kind in known["member"] + known["extra"]:
            name = prefix + member[0].upper() + member[1:]
            made = {"enum": words.get(name)} if kind == "enum" else {"type": kind}
            if kind == "array":
                made["items"] = {"type": "integer", "minimum": 0}
            if kind == "integer" and name not in signed:
                made["minimum"] = 0
            if table == prefix:
                members[member] = before.get(member, made)
        extra = {member for table, member, _ in known["extra"] if table == prefix} | {"alarms", "events"}
        part["properties"] = members | before
        part["required"] = [name for name in part["properties"] if name not in extra]
    return schema


def promised(name):
    return (FOLDER / name).read_text().splitlines()


def write(name, lines):
    (FOLDER / name).write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    write("mib.txt", mib_lines())
    write("json.txt", json_lines(sample_document()))
    path = SOURCE / "docs" / "portwatch.schema.json"
    path.write_text(json.dumps(complete(json.loads(path.read_text()), known_fields()), indent=2) + "\n")
