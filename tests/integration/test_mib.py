"""PORTWATCH-MIB and the program's one description of its objects say the same."""

import subprocess

import pytest
from harness import program


@pytest.fixture(scope="module", name="known")
def fixture_known():
    """What the agent knows of the MIB: lists of words, by their first one."""
    output = subprocess.run([program("tests/integration/agent_driver"), "-o"], capture_output=True, text=True, check=True,
                            timeout=30).stdout
    lines = [line.split() for line in output.splitlines()]
    return {kind: [words[1:] for words in lines if words[0] == kind] for kind in ("object", "enumeration", "notification")}


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


def test_enumerations(mib, known):
    found = {}
    for convention, number, word in known["enumeration"]:
        found.setdefault(convention, {})[int(number)] = word
    assert found == mib.conventions


def test_notifications(mib, known):
    """Each notification carries the objects of the MIB, in its order."""
    expected = {mib.oid[name]: objects for name, objects in mib.carries.items() if mib.oid[name].startswith(
        mib.oid["pwNotifications"] + ".")}
    assert len(expected) == 5
    assert {oid: objects for oid, *objects in known["notification"]} == expected
