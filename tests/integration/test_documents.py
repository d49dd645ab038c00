# SPDX-License-Identifier: BSD-2-Clause
"""What the README tells people to type and to open is really there."""

import re
import subprocess

import pytest
from harness import BUILD, SOURCE, program

README = (SOURCE / "README.md").read_text()
LINK = re.compile(r"\]\(([^)#\s]+)")
IN_TREE = re.compile(r"(?<![\w/.-])((?:scripts|conf|docs|tests|bench|man)/[\w./-]*\w)")
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
SETTING = re.compile(r"^(poll-interval =|pool \")", re.M)


def examples():
    """The indented blocks of the text, without their indentation."""
    blocks = re.findall(r"(?:^ {4,}\S.*\n|^\s*\n(?= {4,}))+", README, re.M)
    return [re.sub(r"^ {4,}", "", block, flags=re.M).strip() for block in blocks if block.strip()]


def commands():
    """Everything that is set as code, one command each, as lists of words."""
    lines = [line for text in examples() for line in text.splitlines()] + re.findall(r"`([^`\n]+)`", README)
    parts = [part for line in lines for part in re.split(r"&&|\||;", line.split(" # ")[0])]
    return [part.split() for part in parts if part.strip()]


def arguments_of(*names):
    return [word for words in commands() if words[0].rpartition("/")[2] in names for word in words[1:]]


def help_of(path):
    result = subprocess.run([path, "--help"], capture_output=True, text=True, check=True, timeout=30)
    return result.stdout + result.stderr


def test_links_lead_somewhere():
    local = [target for target in LINK.findall(README) if "://" not in target and not target.startswith("mailto:")]
    assert local
    assert not [target for target in local if not (SOURCE / target).exists()]


def test_files_that_are_named_exist():
    named = set(IN_TREE.findall(README))
    assert {"scripts/demo", "scripts/test"} <= named
    assert not [path for path in named if not (SOURCE / path).exists() and not (BUILD / path).exists()]


def test_make_targets_exist():
    targets = {word for word in arguments_of("make") if re.fullmatch(r"[a-z][a-z-]*", word)}
    known = set(re.findall(r"^([a-z][a-z-]*):", (BUILD / "Makefile").read_text(), re.M))
    assert targets and not targets - known


@pytest.mark.parametrize("name", ["portwatchd", "portwatch", "configure"])
def test_options_are_known(name):
    path = SOURCE / "configure" if name == "configure" else program(name)
    used = {option for word in arguments_of(name) for option in OPTION.findall(word.split("=")[0])}
    known = set(OPTION.findall(help_of(path)))
    if name == "configure":
        used |= {option for words in commands() for option in OPTION.findall(words[0].split("=")[0])
                 if option.startswith(("--enable", "--with"))}
    assert used and used <= known


def test_configuration_examples_are_valid(tmp_path):
    found = [text for text in examples() if SETTING.search(text)]
    assert found
    for number, text in enumerate(found):
        file = tmp_path / f"example-{number}.conf"
        file.write_text(text + "\n")
        result = subprocess.run([program("portwatchd"), "-t", "-c", file], capture_output=True, text=True, check=False, timeout=10)
        assert result.returncode == 0, result.stderr


def test_every_document_is_linked():
    assert not [path.name for path in (SOURCE / "docs").glob("*.md") if f"](docs/{path.name})" not in README]


def test_manuals_have_every_option_and_setting():
    pages = {name: (SOURCE / "man" / name).read_text() for name in ("portwatch.1", "portwatchd.8", "portwatchd.conf.5")}
    for option in set(re.findall(r"--([a-z-]+)", help_of(program("portwatch")))):
        assert re.search(rf"^\.It Fl.*[- ]-{option}\b", pages["portwatch.1"], re.M), option
    for letter in re.findall(r"^  -(\w)", help_of(program("portwatchd")), re.M):
        assert re.search(rf"^\.It Fl {letter}\b", pages["portwatchd.8"], re.M), letter
    table = (SOURCE / "src" / "config" / "settings.c").read_text()
    names = re.findall(r'(?:VALUE|WORDS|LIST|SECTION)\("([a-z-]+)"|\.name = "([a-z-]+)"|SEVERITY\([^#]*?\), (\w+)\)', table)
    assert len(set(names)) > 40
    for name in map("".join, names):
        assert re.search(rf"^\.(It Ic|Ss) {name}\b", pages["portwatchd.conf.5"], re.M), name
