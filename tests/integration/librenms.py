# SPDX-License-Identifier: BSD-2-Clause
"""What LibreNMS' discovery makes of a walk and of conf/integrations/librenms/os_discovery/linux.yaml, as far as that file asks for it.

LibreNMS is not in Debian. This follows the rules that its documentation gives for sensors: templates, limits from other columns, values
to skip. `python3 tests/integration/librenms.py BUILDDIR` writes the test data in LibreNMS' layout again.
"""

import json
import pathlib
import re
import sys

import yaml
from snmp import DEFAULT_BASE, Mib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILES = ROOT / "conf" / "integrations" / "librenms"
DISCOVERY = FILES / "os_discovery" / "linux.yaml"
RECORD = FILES / "tests" / "snmpsim" / "linux_portwatch.snmprec"
DATA = FILES / "tests" / "data" / "linux_portwatch.json"
MODULE = "PORTWATCH-MIB::"


class Walk:
    """Values by object and index; texts stay texts, numbers become numbers."""

    def __init__(self, values):
        self.values = values

    @classmethod
    def of_record(cls, mib, text):
        """From a file in snmpsim's format."""
        values = {}
        for line in text.splitlines():
            oid, kind, value = line.split("|", 2)
            name, index = mib.split(oid)
            if name:
                values.setdefault(name, {})[index] = value if kind in ("4", "4x", "6") else int(value)
        return cls(values)

    @classmethod
    def of_tool(cls, text):
        """From what snmpbulkwalk prints with LibreNMS' options: MODULE::object.index = value."""
        values = {}
        for name, index, value in re.findall(rf"^{MODULE}(\w+)\.([\d.]+) = (.*)$", text, re.M):
            value = value.strip('"')
            values.setdefault(name, {})[index] = int(value) if re.fullmatch(r"-?\d+", value) else value
        return cls(values)

    def get(self, reference, index):
        """The value of MODULE::object in a row; None where there is none."""
        return self.values.get(reference.removeprefix(MODULE), {}).get(index)


COMPARE = {">": lambda left, right: left > right, "=": lambda left, right: left == right}


def skipped(walk, entry, index):
    return any(COMPARE[rule["op"]](walk.get(rule["oid"], index), rule["value"]) for rule in entry.get("skip_values", []))


def fill(walk, template, index):
    text = template.replace("{{ $index }}", index)
    return re.sub(r"\{\{ (\S+) \}\}", lambda match: str(walk.get(match[1], index)), text).strip()


def limit(walk, entry, name, index):
    value = entry.get(name)
    return walk.get(value, index) if isinstance(value, str) else value


def sensors(walk, discovery):
    """[sensor] as a dictionary with the columns of LibreNMS' table that the file decides about."""
    found = []
    for kind, group in discovery["modules"]["sensors"].items():
        for entry in group["data"]:
            value = entry.get("value", entry["oid"])
            for index, raw in walk.values.get(value.removeprefix(MODULE), {}).items():
                if skipped(walk, entry, index):
                    continue
                divisor = entry.get("divisor", 1)
                found.append({"sensor_class": kind, "sensor_oid": fill(walk, entry["num_oid"], index),
                              "sensor_index": fill(walk, entry["index"], index), "sensor_type": entry.get("state_name", "linux"),
                              "sensor_descr": fill(walk, entry["descr"], index), "group": entry["group"], "sensor_divisor": divisor,
                              "sensor_current": raw if divisor == 1 else raw / divisor,
                              "sensor_limit": limit(walk, entry, "high_limit", index),
                              "sensor_limit_warn": limit(walk, entry, "warn_limit", index),
                              "state_name": entry.get("state_name")})
    return found


FIXED = {"sensor_deleted": 0, "poller_type": "snmp", "sensor_multiplier": 1, "sensor_limit_low": None, "sensor_limit_low_warn": None,
         "sensor_alert": 1, "sensor_custom": "No", "entPhysicalIndex": None, "entPhysicalIndex_measured": None, "sensor_prev": None,
         "user_func": None, "rrd_type": "GAUGE"}
ORDER = ["sensor_deleted", "sensor_class", "poller_type", "sensor_oid", "sensor_index", "sensor_type", "sensor_descr", "group",
         "sensor_divisor", "sensor_multiplier", "sensor_current", "sensor_limit", "sensor_limit_warn", "sensor_limit_low",
         "sensor_limit_low_warn", "sensor_alert", "sensor_custom", "entPhysicalIndex", "entPhysicalIndex_measured", "sensor_prev",
         "user_func", "rrd_type", "state_name"]


def test_data(walk, discovery):
    """The file that LibreNMS compares its database with after a discovery."""
    rows = [{key: {**FIXED, **sensor}[key] for key in ORDER} for sensor in sensors(walk, discovery)]
    rows.sort(key=lambda row: (row["sensor_class"], row["sensor_type"], row["sensor_index"]))
    states = {(entry["state_name"], state["value"]): state
              for entry in discovery["modules"]["sensors"]["state"]["data"] for state in entry["states"]}
    indexes = [{"state_name": name, "state_descr": state["descr"], "state_draw_graph": state["graph"], "state_value": value,
                "state_generic_value": state["generic"]} for (name, value), state in sorted(states.items())]
    return {"sensors": {"discovery": {"sensors": rows, "state_indexes": indexes}, "poller": "matches discovery"}}


test_data.__test__ = False


def shipped(mib):
    """The test data as a text, made of the shipped record and discovery."""
    discovery = yaml.safe_load(DISCOVERY.read_text())
    return json.dumps(test_data(Walk.of_record(mib, mib.rebased(RECORD.read_text())), discovery), indent=4) + "\n"


def main():
    mib = Mib(pathlib.Path(sys.argv[1]) / "mibs" / "PORTWATCH-MIB.txt")
    assert mib.oid["portwatchMIB"] == DEFAULT_BASE, "wants a build with the default base OID"
    DATA.write_text(shipped(mib))


if __name__ == "__main__":
    main()
