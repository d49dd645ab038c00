# SPDX-License-Identifier: BSD-2-Clause
"""conf/integrations/icinga with Debian's Icinga 2: it accepts the files, runs the check, and tells of a real load."""

import re

from harness import SOURCE, Process, equals, program
from scene import connect_pool

FILES = SOURCE / "conf" / "integrations" / "icinga"

MAIN = """
include <itl>
include "{directory}/portwatch.conf"
object CheckerComponent "checker" {{ }}
object PerfdataWriter "results" {{
  service_perfdata_path = "{directory}/results"
  service_temp_path = "{directory}/results.new"
  host_temp_path = "{directory}/hosts.new"
  host_perfdata_path = "{directory}/hosts"
  rotation_interval = 1s
  service_format_template = "$service.state$ $service.output$ | $service.perfdata$"
}}
object CheckCommand "always-up" {{ command = [ "/bin/true" ] }}
object Host "lb1" {{
  check_command = "always-up"
  vars.portwatch = true
  vars.portwatch_remote = "127.0.0.1"
}}
"""


def test_check_follows_a_load(scene):
    directory = scene.workshop.directory / "icinga"
    (directory / "data").mkdir(parents=True)
    shipped = (FILES / "portwatch.conf").read_text().replace('"/usr/bin/portwatch"', f'"{program("portwatch")}"')
    quick = re.sub(r"(check|retry)_interval = \w+", r"\1_interval = 1s", shipped)
    (directory / "portwatch.conf").write_text(quick)
    main = directory / "icinga2.conf"
    main.write_text(MAIN.format(directory=directory))
    paths = [f"--define={name}={directory}/{value}" for name, value in (
        ("DataDir", "data"), ("LogDir", "data"), ("CacheDir", "data"), ("SpoolDir", "data"), ("InitRunDir", "data"), ("ModAttrPath", "data/attr"),
        ("StatePath", "data/state"), ("ObjectsPath", "data/objects"), ("VarsPath", "data/vars"), ("PidPath", "data/pid"))]
    paths += ["--define=RunAsUser=root", "--define=RunAsGroup=root"]
    checked = scene.ns.run("icinga2", "daemon", "-C", "-c", main, *paths, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    scene.load.listen("127.0.0.1", 8080)
    scene.workshop.keep(Process(scene.ns, ["/usr/sbin/icinga2", "daemon", "-c", main, *paths], directory / "output"))

    def last():
        found = sorted(directory.glob("results.*"), key=lambda path: path.stat().st_mtime)
        lines = [line for path in found for line in path.read_text(errors="replace").splitlines() if " PORTWATCH " in f" {line}"]
        return lines[-1].split(" | ")[0].split(" - ")[0] if lines else ""

    equals(last, "OK PORTWATCH OK", 30)
    pool = connect_pool("127.0.0.1", "127.0.0.1", 8080)
    group = scene.load.connect(850, "127.0.0.1", 8080)
    equals(last, "CRITICAL PORTWATCH CRITICAL", 30)
    assert pool in "".join(path.read_text(errors="replace") for path in directory.glob("results.*"))
    group.reset()
    equals(last, "OK PORTWATCH OK", 30)
