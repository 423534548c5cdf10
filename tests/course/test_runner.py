"""The strict runner catches, each with its own message, what papermill alone lets pass."""

import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from medsynth_lib.course import process_tree, runner
from medsynth_lib.course.runner import Limits, RunResult, check_parameters, kernel_environment, run_notebook
from medsynth_lib.errors import InputError, MedSynthError
from tests.course.notebook_factory import write_notebook

CLICK = "import ipywidgets\nbutton = ipywidgets.Button()\nbutton.on_click(lambda _: 1 / 0)"
INTERACT = "import ipywidgets\nipywidgets.interact(lambda a: 1 / a, a=ipywidgets.IntSlider(0))"
CLEARED = "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    1 / 0\nout.clear_output()\nout.outputs = ()"
SWALLOWED = "import urllib.request\ntry:\n    urllib.request.urlopen('http://example.org')\nexcept Exception:\n    pass"
CHILD = (
    "import subprocess, sys\ncode = 'import socket; socket.create_connection((\"192.0.2.1\", 80))'\n"
    "subprocess.run([sys.executable, '-c', code])"
)

# name: (cells, expected status, words in the error, index of the failing cell, which is counted in the source)
FAULTS = {
    "exception": (["x = 1", "raise ValueError('lung')"], "cell_error", "ValueError: lung", 2),
    "endless cell": (["#md words", "while True:\n    pass"], "cell_timeout", "longer than 5 s", 2),
    "dead kernel": (["import os\nos.kill(os.getpid(), 9)", "x = 1"], "dead_kernel", "the kernel died", 1),
    "exit": (["import sys\nsys.exit()", "x = 1"], "stopped_early", "SystemExit", 1),
    "widget: click": ([CLICK, "button.click()"], "widget_error", "ZeroDivisionError", 2),
    "widget: interact": (["x = 1", INTERACT], "widget_error", "ZeroDivisionError", 2),
    "widget: cleared output": ([CLEARED], "widget_error", "ZeroDivisionError", 1),
    "network": (["import socket\nsocket.create_connection(('192.0.2.1', 80))"], "network", "192.0.2.1:80", 1),
    "network: swallowed": ([SWALLOWED], "network", "another machine", None),
    "network: child": ([CHILD], "network", "192.0.2.1:80", None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught_with_its_own_cause(tmp_path, name):
    cells, status, words, index = FAULTS[name]
    source = write_notebook(tmp_path / "tiny.ipynb", *cells)
    limits = Limits(cell_s=5 if name == "endless cell" else 60)
    result = run_notebook(source, tmp_path / "out", {"SEED": 3}, limits=limits)
    assert (result.status, index) == (status, result.cell and result.cell.index), result
    assert words in result.error
    assert Path(result.notebook).name == "tiny.ipynb"
    assert nbformat.read(result.notebook, as_version=4).cells


def test_whole_notebook_has_a_limit_and_leaves_no_process(tmp_path):
    source = write_notebook(tmp_path / "tiny.ipynb", "open('pid', 'w').write(str(__import__('os').getpid()))", *SLEEPS)
    result = run_notebook(source, tmp_path / "out", limits=Limits(cell_s=30, notebook_s=8))
    assert result.status == "timeout"
    assert result.seconds < 12
    assert not alive(int((tmp_path / "out" / "work" / "pid").read_text()))


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


SLEEPS = ["import time\ntime.sleep(3)"] * 10


def test_good_notebook_gets_its_parameters_a_folder_of_its_own_and_keeps_stderr(tmp_path):
    cells = [
        "import os, sys\nprint('a warning', file=sys.stderr)\nos.write(2, b'from C')",
        "assert (SEED, STEPS, PROFILE) == (7, 1e-05, 'smoke')",
        "assert os.environ['OMP_NUM_THREADS'] == '1'\nassert os.environ['PYTHONHASHSEED'] == '0'",
        "block = bytearray(300 * 2**20)\nassert os.path.basename(os.getcwd()) == 'work'",
        "import socket\nsocket.getaddrinfo('localhost', 80)\nassert '_watch' not in globals()",
        "import time\ntime.sleep(0.5)",
    ]
    source = write_notebook(tmp_path / "{braces} and spaces" / "tiny.ipynb", *cells)
    before = source.read_bytes()
    result = run_notebook(source, tmp_path / "out {x}", {"SEED": 7, "STEPS": 1e-05}, threads=1)
    assert result.ok, (result, Path(result.log).read_text())
    assert result.peak_mib > 300
    assert 0.5 < result.seconds < 60
    words = Path(result.log).read_text()
    assert "a warning" in words
    assert "from C" in words
    assert source.read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out {x}").iterdir()) == ["stderr.log", "tiny.ipynb", "work"]


def test_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    source = write_notebook(tmp_path / "tiny.ipynb", "x = 1")
    with pytest.raises(MedSynthError, match=r"unknown notebook parameter: STEP\n(.|\n)*SEED, STEPS, DATA_ROOT"):
        run_notebook(source, tmp_path / "out", {"STEP": 3})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "not json", '{"cells": 3}', "\x00\x01"])
def test_what_is_no_notebook_is_refused(tmp_path, content):
    source = tmp_path / "tiny.ipynb"
    source.write_text(content)
    with pytest.raises(InputError, match="not a notebook"):
        check_parameters(source, {})


def test_failed_run_replaces_the_notebook_of_the_last_good_one(tmp_path):
    good = write_notebook(tmp_path / "tiny.ipynb", "x = 1")
    assert run_notebook(good, tmp_path / "out").ok
    bad = write_notebook(tmp_path / "tiny.ipynb", "assert False, 'later'")
    result = run_notebook(bad, tmp_path / "out")
    assert "later" in str(nbformat.read(result.notebook, as_version=4).cells[-1].outputs)


def test_result_is_plain_data():
    assert RunResult("02", "ok", seconds=1.5).as_dict()["seconds"] == 1.5


def test_own_python_path_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("no_proxy", "*")
    env = kernel_environment(tmp_path, None)
    assert env["PYTHONPATH"].split(":" if sys.platform != "win32" else ";")[1] == "/mine"
    assert "no_proxy" not in env


def test_kernel_that_does_not_start_is_no_fault_of_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "KERNEL", "no-such-kernel")
    result = run_notebook(write_notebook(tmp_path / "tiny.ipynb", "x = 1"), tmp_path / "out")
    assert result.status == "not_started"
    assert "no-such-kernel" in result.error


def test_notebook_that_names_no_language_runs_as_python(tmp_path):
    source = write_notebook(tmp_path / "tiny.ipynb", "x = 1")
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata = {}
    nbformat.write(notebook, source)
    assert run_notebook(source, tmp_path / "out", {"SEED": 1}).ok


def test_endless_messages_do_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(process_tree, "MAX_OUTPUT_MIB", 2)
    shouting = "import os\nwhile True:\n    os.write(2, b'x' * 2**16)"
    result = run_notebook(write_notebook(tmp_path / "tiny.ipynb", shouting), tmp_path / "out")
    assert (result.status, result.cell.index) == ("log", 1)


def test_papermill_starts_without_the_slow_grammar_of_an_optional_check(tmp_path):
    code = "import sys, papermill.cli; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=kernel_environment(tmp_path, 1)).returncode == 0
