"""The command: exit codes, one clear message, a fast and complete help."""

import json
import subprocess
import sys

import pytest

from medsynth_lib import cli
from medsynth_lib.cli.lessons import name_and_value
from medsynth_lib.errors import InputError


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "import sys; from medsynth_lib.cli import main; sys.exit(main())", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [["fly"], ["lessons", "run", "--profile", "quick"], ["lessons", "list", "--x"]])
def test_wrong_option_is_one_message_and_exit_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert arguments[-1] in done.stderr


def test_mistake_of_the_user_is_its_message_and_exit_2(tmp_path):
    done = run("lessons", "list", "--notebooks", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no folder of lessons\n  where:")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("no CT there"), 2, "no CT there\n"),
        (RuntimeError("first\nsecond"), 1, "RuntimeError: first (run again with --debug for details)\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_every_error_has_its_code_and_debug_shows_all(monkeypatch, capsys, error, code, words):
    def fail(*_):
        raise error

    monkeypatch.setattr("medsynth_lib.course.lessons.find_lessons", fail)
    assert cli.main(["lessons", "list"]) == code
    assert capsys.readouterr().err == words
    if not isinstance(error, KeyboardInterrupt):
        with pytest.raises(type(error)):
            cli.main(["--debug", "lessons", "list"])


def test_json_is_json(tmp_path, capsys):
    (tmp_path / "00_a.ipynb").write_text("{}")
    assert cli.main(["lessons", "list", "--notebooks", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"00_a": str(tmp_path / "00_a.ipynb")}


def test_help_loads_nothing_heavy():
    code = "import sys; from medsynth_lib import cli; cli.main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert {"torch", "numpy", "papermill", "IPython"}.isdisjoint(done.stdout.split())


def test_every_subcommand_explains_itself_and_every_option(capsys):
    names = cli.command_names()
    leaves = {name for name in names if not any(one.startswith(f"{name} ") for one in names)}
    assert {"lessons list", "lessons run"} <= leaves
    for name in leaves:
        assert cli.main([*name.split(), "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        options = [number for number, line in enumerate(lines) if line.startswith("│ --")]
        for number in options:
            described = len(lines[number].strip("│ ").split("  ")) > 1 or lines[number + 1].startswith("│    ")
            assert described, f"{name}: {lines[number]} has no help text"


@pytest.mark.parametrize(
    ("text", "pair"), [("A=3", ("A", 3)), ("A=None", ("A", None)), ("A=x y", ("A", "x y")), ("A=", ("A", ""))]
)
def test_parameters_are_literals_or_text(text, pair):
    assert name_and_value(text) == pair
