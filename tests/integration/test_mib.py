# SPDX-License-Identifier: BSD-2-Clause
"""PORTWATCH-MIB, the schema of the JSON document, and the program's one description of its fields say the same."""

import json
import os
import subprocess

import pytest
from contract import known_fields, schema_parts
from harness import BUILD, SOURCE


@pytest.fixture(scope="module", name="known")
def fixture_known():
    return known_fields()


def base_syntax(mib, name):
    """The type of RFC 2578 or RFC 2579 that decides about the encoding."""
    if mib.enum[name]:
        return "INTEGER"
    return {"InetPortNumber": "Unsigned32"}.get(mib.syntax[name], mib.syntax[name])


def test_objects(mib, known):
    """Names, object identifiers and access of all objects, and the syntax of those that have a value, are the same."""
    expected = {name: (mib.oid[name], access, "-" if access == "not-accessible" else base_syntax(mib, name))
                for name, access in mib.access.items() if not name.endswith(("Table", "Entry"))}
    assert {name: (oid, access, syntax) for name, oid, access, syntax in known["object"]} == expected


def test_units(mib, known):
    assert {name: " ".join(unit) for name, *unit in known["unit"]} == mib.units


def test_help(mib, known):
    """One line for each object that has a value."""
    help_of = {name: " ".join(words) for name, *words in known["help"]}
    assert {name for name, _, access, _ in known["object"] if access != "not-accessible"} <= set(help_of)
    assert not [text for text in help_of.values() if not text[0].isupper() or text[-1] == "." or len(text) > 80]


def test_values(mib, known):
    """The names of the values of each enumeration."""
    found = {}
    for name, number, word in known["value"]:
        found.setdefault(name, {})[int(number)] = word
    assert found.pop("pwEventType")  # in the JSON document only: the MIB has a notification for each
    assert found == {name: values for name, values in mib.enum.items() if values}


def test_members_of_the_json_document(known):
    """Names, types, and the names of values, in the order of the program; what an object must have is all that does not come from the
    daemon only."""
    schema = json.loads((SOURCE / "docs" / "portwatch.schema.json").read_text())
    parts = schema_parts(schema)
    arrays = {"namespaces", "labels", "pools", "alarms", "events"}
    words = {}
    for name, _, word in known["value"]:
        words.setdefault(name, []).append(word)
    for prefix, part in parts.items():
        members = {name: words[prefix + name[0].upper() + name[1:]] if kind == "enum" else kind
                   for table, name, kind in known["member"] + known["extra"] if table == prefix}
        optional = {name for table, name, _ in known["extra"] if table == prefix}
        described = {name: text.get("enum") or text["type"] for name, text in part["properties"].items()}
        # of an event that is no pool's, what a pool has is unknown
        described = {name: [word for word in kind if word != "unknown"] if isinstance(kind, list) else kind for name, kind in described.items()}
        if part is schema:
            assert {described.pop(name) for name in arrays} == {"array"}
            optional |= {"alarms", "events"}
        assert members and described == members
        assert set(part["required"]) == set(part["properties"]) - optional


def test_enumerations(mib, known):
    found = {}
    for convention, number, word in known["enumeration"]:
        found.setdefault(convention, {})[int(number)] = word
    assert found == mib.conventions


def test_notifications(mib, known):
    """Each notification carries the objects of the MIB, in its order."""
    expected = {mib.oid[name]: objects for name, objects in mib.carries.items() if mib.oid[name].startswith(
        mib.oid["pwNotifications"] + ".")}
    assert len(expected) == 9
    assert {oid: objects for oid, *objects in known["notification"]} == expected


def translate(*arguments, directories="+{}"):
    """Standard output of snmptranslate, which knows Debian's own MIB files and the one that was built."""
    command = ["snmptranslate", "-M", directories.format(BUILD / "mibs"), "-m", "PORTWATCH-MIB", *arguments]
    environment = {**os.environ, "SNMPCONFPATH": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=environment).stdout.strip()


def test_usable_without_the_ietf_modules(mib):
    """Debian ships no SNMPv2-SMI: net-snmp's tools complain, and find names, places and enumerations all the same."""
    for name in ("pwVersion", "pwPoolUsed", "pwEventPool", "pwPoolRising", "pwCompliances"):
        assert translate("-On", f"PORTWATCH-MIB::{name}") == "." + mib.oid[name]
        assert translate("." + mib.oid[name]) == f"PORTWATCH-MIB::{name}"
    assert "{normal(1), warning(2), critical(3), exhausted(4)}" in translate("-Td", mib.oid["pwPoolState"])
