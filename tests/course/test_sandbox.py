"""What a notebook in the sandbox can reach, and what its leavings may do to the reader."""

import json
import os
from pathlib import Path

import pytest

from medsynth_lib.course import sandbox
from medsynth_lib.course.runner import Limits, run_notebook
from medsynth_lib.course.sandbox import Sandbox, remove_specials
from tests.course.notebook_factory import write_notebook

needs_bubblewrap = pytest.mark.skipif(
    not sandbox.is_available(), reason="bubblewrap is not installed or not allowed here"
)

ATTEMPTS = r"""
import json, os, socket, subprocess
PING = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"
def attempt(what):
    try:
        return what() or "done"
    except Exception as error:
        return type(error).__name__
found = {{
    "other student": attempt(lambda: open(r"{other}").read()),
    "home": attempt(lambda: open(r"{home}").read()),
    "neighbours": attempt(lambda: sorted(os.listdir(r"{folder}"))),
    "data": attempt(lambda: open(r"{data}/patient").read()),
    "write data": attempt(lambda: open(r"{data}/patient", "w").close()),
    "write library": attempt(lambda: open(__import__("medsynth_lib").__file__, "a").close()),
    "write results": attempt(lambda: open(OUT_DIR + "/mine", "w").close()),
    "secret": os.environ.get("SECRET_TOKEN"),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "ping": subprocess.run([os.sys.executable, "-Sc", PING], env={{}}, capture_output=True, text=True).stderr[-40:],
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]) < 12,
}}
json.dump(found, open(OUT_DIR + "/record.json", "w"))
os.symlink(r"{home}", OUT_DIR + "/link")
os.symlink(r"{home}", "link")
os.mkfifo("pipe")
"""


@needs_bubblewrap
def test_notebook_sees_its_own_things_only_and_leaves_no_trap(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "12345")
    places = {name: tmp_path / name for name in ("folder", "data", "out")}
    for place in places.values():
        place.mkdir()
    secret = tmp_path / "home.txt"
    secret.write_text("the answers")
    (places["data"] / "patient").write_text("CT")
    other = write_notebook(places["folder"] / "ben.ipynb", "x = 1")
    names = {"other": other, "home": secret, "folder": places["folder"], "data": places["data"]}
    source = write_notebook(places["folder"] / "anna.ipynb", ATTEMPTS.format(**names))
    results = places["out"] / "results"
    results.mkdir()
    cage = Sandbox(readable=(places["data"],), writable=(results,))
    result = run_notebook(source, places["out"], {"OUT_DIR": str(results)}, threads=1, sandbox=cage)
    assert result.ok, (result, Path(result.log).read_text())
    found = json.loads((results / "record.json").read_text())
    assert found["other student"] == found["home"] == found["neighbours"] == "FileNotFoundError"
    assert (found["data"], found["write data"], found["write library"]) == ("CT", "OSError", "OSError")
    assert found["write results"] == "done"
    assert (found["secret"], found["interfaces"], found["processes"]) == (None, ["lo"], True)
    assert "unreachable" in found["ping"]  # not only our guard: that Python runs without it
    assert not os.path.lexists(results / "link")
    assert sorted(path.name for path in (places["out"] / "work").iterdir()) == []
    assert secret.read_text() == "the answers"


@needs_bubblewrap
def test_limits_hold_inside(tmp_path):
    hungry = "blocks = []\nwhile True:\n    blocks.append(bytearray(b'x' * 2**24))"
    source = write_notebook(tmp_path / "a.ipynb", "x = 1", hungry)
    result = run_notebook(source, tmp_path / "out", limits=Limits(memory_mib=600), threads=1, sandbox=Sandbox())
    assert (result.status, result.cell.index) == ("memory", 2)
    assert 600 < result.peak_mib < 4000


def test_links_and_pipes_are_removed_and_files_stay(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    os.symlink("/etc", tmp_path / "a" / "folder")
    os.symlink("/etc/passwd", tmp_path / "a" / "b" / "link")
    os.mkfifo(tmp_path / "pipe")
    remove_specials(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["a", "a/b", "a/b/file"]
    assert Path("/etc/passwd").exists()
