# SPDX-License-Identifier: BSD-2-Clause
"""OIDs and JSON members that were released stay as they are."""

import re

import contract


VALUE = re.compile(r" [\w-]+\(\d+\)")


def holds(promise, now):
    """An enumeration may get further values (RFC 2578 10.2); all else stays as it is."""
    return VALUE.sub("", promise) == VALUE.sub("", now) and set(VALUE.findall(promise)) <= set(VALUE.findall(now))


def broken(promises, now):
    """Promises that do not hold any more."""
    names = {line.split(":")[0]: line for line in now}
    return sorted(line for line in set(promises) if not holds(line, names.get(line.split(":")[0], "")))


def test_objects_of_the_mib_stay():
    promises = contract.promised("mib.txt")
    assert len(promises) > 100
    assert not broken(promises, contract.mib_lines())


def test_members_of_the_json_document_stay():
    promises = contract.promised("json.txt")
    assert len(promises) > 30
    assert not broken(promises, contract.json_lines(contract.sample_document()))


def test_changes_are_noticed(tmp_path):
    """The comparison itself: a renumbered, retyped or removed object breaks the promise, an added one does not."""
    source = contract.BUILD / "mibs" / "PORTWATCH-MIB.txt"
    text = source.read_text()
    before = contract.mib_lines()
    changes = {
        "::= { pwAgent 1 }": "::= { pwAgent 99 }",
        "pwPoolRising NOTIFICATION-TYPE\n    OBJECTS { pwEventId, ": "pwPoolRising NOTIFICATION-TYPE\n    OBJECTS { ",
        "SYNTAX INTEGER { connect(1), bind(2)": "SYNTAX INTEGER { connect(2), bind(1)",
    }
    for old, new in changes.items():
        assert old in text
        file = tmp_path / "changed.txt"
        file.write_text(text.replace(old, new))
        assert broken(before, contract.mib_lines(file))
    for more in ("inferred(1), probed(2), read(3), guessed(4)", "guessed(4), inferred(1), probed(2), read(3)"):
        file.write_text(text.replace("inferred(1), probed(2), read(3)", more))
        assert more in file.read_text() and not broken(before, contract.mib_lines(file))
    added = text.replace("pwPolls OBJECT-TYPE", "pwNew OBJECT IDENTIFIER ::= { pwAgent 98 }\n\npwPolls OBJECT-TYPE")
    file.write_text(added)
    assert not broken(before, contract.mib_lines(file))


def test_changes_of_the_document_are_noticed():
    document = {"pollDuration": 1, "pools": [{"name": "tcp", "free": 3}]}
    before = contract.json_lines(document)
    for pool in ({"name": "tcp"}, {"name": "tcp", "Free": 3}, {"name": "tcp", "free": "3"}):
        assert broken(before, contract.json_lines({**document, "pools": [pool]})) == ["pools[].free: number"]
    assert not broken(before, contract.json_lines({**document, "added": True}))
