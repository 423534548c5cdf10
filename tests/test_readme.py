"""What README.md promises exists: the places in its "Where is …?" table, every command it shows, every image. And what
an example in a docstring shows is what comes out."""

import doctest
import importlib
import re
import shlex
from pathlib import Path

import pytest

from medsynth_lib.cli import command_names

ROOT = Path(__file__).parent.parent
README, LIBRARY = ROOT / "README.md", ROOT / "medsynth_lib"
EXAMPLES = [path for path in sorted(LIBRARY.rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]


def table_paths(text: str) -> list[str]:
    """Paths in backticks in the table under the heading that begins with "Where is"."""
    section = re.search(r"^#+ Where is.*?$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    rows = [line for line in (section[1] if section else "").splitlines() if line.lstrip().startswith("|")]
    return [path for row in rows for path in re.findall(r"`([\w./-]+)`", row) if "/" in path or "." in path]


def shown_commands(text: str) -> list[list[str]]:
    """Words of every ``make …`` and ``medsynth …`` shown in a code block or in backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.lstrip("$ ") for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`((?:make|medsynth) [^`]+)`", text)
    return [shlex.split(line, comments=True) for line in lines if re.match(r"(make|medsynth)\b", line)]


def local_images(text: str) -> list[str]:
    """Paths of the images shown, as Markdown or HTML, that are not on the web."""
    addresses = re.findall(r"!\[[^\]]*\]\(([^)\s]+)", text) + re.findall(r"""<img\b[^>]*\bsrc=["']([^"']+)""", text)
    return [address for address in addresses if not re.match(r"(https?:)?//", address)]


def missing_images(text: str) -> list[str]:
    return [path for path in local_images(text) if not (ROOT / path).is_file()]


def make_targets() -> set[str]:
    rules = re.findall(r"^([a-z ]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)  # "site slides:" names two
    return {target for rule in rules for target in rule.split()}


def unknown_commands(commands: list[list[str]]) -> list[str]:
    """The commands that name a target or subcommand that does not exist."""
    known = command_names()
    wrong = []
    for words in commands:
        names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        if words[0] == "make":
            good = set(names) <= make_targets()
        else:
            good = not names or names[0] in known or " ".join(names[:2]) in known
        wrong += [] if good else [" ".join(words)]
    return wrong


def test_table_paths_exist():
    paths = table_paths(README.read_text())
    assert len(paths) >= 5, 'README.md needs a table under a heading "Where is …?"'
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_shown_commands_exist():
    commands = shown_commands(README.read_text())
    assert commands
    assert unknown_commands(commands) == []


def test_images_exist():
    assert missing_images(README.read_text()) == []


def test_the_checks_catch_planted_faults():
    text = "## Where is what?\n\n| a | b |\n|---|---|\n| x | `no/such.py` |\n\n"
    text += "```bash\nmake lesons PROFILE=smoke\nmedsynth fly\nmake test\n```\n"
    assert table_paths(text) == ["no/such.py"]
    assert unknown_commands(shown_commands(text)) == ["make lesons PROFILE=smoke", "medsynth fly"]
    text = "![A](no/such.png) [![B](https://example.org/b.svg)](x) <img alt='c' src='no/c.png'>"
    assert missing_images(text) == ["no/such.png", "no/c.png"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_in_a_docstring_gives_what_it_says(path):
    module = importlib.import_module(".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts))
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
