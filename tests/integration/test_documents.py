"""What the README tells people to type and to open is really there."""

import re
import subprocess

import pytest
from harness import BUILD, SOURCE, program

README = SOURCE / "README.md"
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.S | re.M)
LINK = re.compile(r"\]\(([^)#\s]+)")
PROGRAMS = ("portwatchd", "portwatch")

pytestmark = pytest.mark.skipif(not README.exists() or README.stat().st_size == 0, reason="there is no README yet")


def blocks(*languages):
    return [text for language, text in FENCE.findall(README.read_text()) if language in languages]


def commands():
    """Command lines of the shell blocks: all lines of sh blocks, those after "$ " or "# " of console blocks."""
    lines = [line for text in blocks("sh", "bash", "shell") for line in text.replace("\\\n", " ").splitlines()]
    lines += [line[2:] for text in blocks("console") for line in text.splitlines() if line[:2] in ("$ ", "# ")]
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def help_of(name):
    result = subprocess.run([program(name), "--help"], capture_output=True, text=True, check=True, timeout=10)
    return result.stdout + result.stderr


def test_links_lead_somewhere():
    local = [target for target in LINK.findall(README.read_text()) if "://" not in target and not target.startswith("mailto:")]
    missing = [target for target in local if not (SOURCE / target).exists()]
    assert not missing


def test_commands_name_files_of_the_tree():
    named = {word for line in commands() for word in re.findall(r"(?:^|\s)\.?/?((?:scripts|conf|docs|tests|bench)/[\w./-]+)", line)}
    missing = [path for path in named if not (SOURCE / path).exists()]
    assert not missing


def test_make_targets_exist():
    targets = {word for line in commands() for part in re.split(r"&&|;|\|", line)
               for word in part.split()[1:] if part.split()[:1] == ["make"] and re.fullmatch(r"[a-z][a-z-]*", word)}
    unknown = [target for target in targets
               if subprocess.run(["make", "-n", "-C", BUILD, target], capture_output=True, check=False).returncode != 0]
    assert not unknown


@pytest.mark.parametrize("name", PROGRAMS)
def test_options_are_known_to_the_programs(name):
    known = set(re.findall(r"(?<![\w-])--?[\w][\w-]*", help_of(name)))
    used = {option.split("=")[0] for line in commands() for part in re.split(r"&&|;|\|", line)
            for option in part.split() if option.startswith("-") and re.search(rf"(^|/|\s){name}\s", part)}
    assert used <= known, f"{sorted(used - known)} not in --help"


def test_configuration_examples_are_valid(tmp_path):
    for number, text in enumerate(blocks("conf")):
        if "snmpd.conf" in text.splitlines()[0]:
            continue
        file = tmp_path / f"example-{number}.conf"
        file.write_text(text)
        result = subprocess.run([program("portwatchd"), "-t", "-c", file], capture_output=True, text=True, check=False, timeout=10)
        assert result.returncode == 0, result.stderr
