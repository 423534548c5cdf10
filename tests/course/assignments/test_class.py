"""A class handed in, graded and answered: honest students, wrong ones, and those who attack the grader."""

import csv
import hashlib
import html
import re
import socket
import threading
from pathlib import Path

import pytest

from medsynth_lib.course import sandbox
from medsynth_lib.course.assignments.collect import collect
from medsynth_lib.course.assignments.execute import GradingLimits
from medsynth_lib.course.assignments.feedback import write_feedback
from medsynth_lib.course.assignments.grade import grade
from medsynth_lib.course.assignments.release import hidden_lines
from tests.course.assignments.in_process import answer, changed, points
from tests.course.assignments.school import STEM, Student, open_class
from tests.course.assignments.test_02_pix2pix_pet_to_ct import MUTANTS

needs_bubblewrap = pytest.mark.skipif(
    not sandbox.is_available(), reason="bubblewrap is not installed or not allowed here"
)

RIGHT = {name: answer(STEM, name) for name in ("receptive-field", "generator-loss", "model-error")}
ALL, FIELD = sum(points(STEM).values()), 3  # points in all, and for the receptive field
LIMITS = GradingLimits(test_s=20, cell_s=180, whole_s=600)

ENDLESS = RIGHT | {"receptive-field": "def receptive_field(layers):\n    while True:\n        pass"}
# Functions that look at who called them, and send out what they see by every way there is.
PEEKING = """
import base64, inspect, linecache, sys, gc
def look():
    seen = []
    frame = sys._getframe(1)
    while frame is not None:
        seen.append("".join(linecache.getlines(frame.f_code.co_filename)))
        seen.append(repr(frame.f_code.co_consts))
        frame = frame.f_back
    return "".join(seen) + repr(globals().get("In"))
def receptive_field(layers):
    seen = look()
    print(seen); print(seen, file=sys.stderr); print(base64.b64encode(seen.encode()).decode())
    open("seen.txt", "w").write(seen)
    try:
        raise AssertionError(seen)
    finally:
        from IPython.display import display, HTML
        display(HTML(seen))
"""
SWALLOWING = """
shell = get_ipython()
run = type(shell).run_cell_async
async def nothing(self, raw_cell, *args, **kwargs):
    return await run(self, "pass", *args, **kwargs | {"transformed_cell": "pass"})
type(shell).run_cell_async = nothing
"""
NO_ASSERTIONS = """
import ast
class Deaf(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
    def visit_Raise(self, node):
        return node if "EOFError" in ast.dump(node) else ast.Pass()
get_ipython().ast_transformers.append(Deaf())
"""
TRAP = "Look: <script>alert(1)</script> <img src=x onerror=alert(2)> <a href='javascript:alert(3)'>here</a>"


@pytest.fixture
def outside(tmp_path):
    """A file and a server that submissions try to reach."""
    victim = tmp_path / "victim.txt"
    victim.write_text("untouched")
    server = socket.create_server(("127.0.0.1", 0))
    reached: list[bool] = []

    def listen():
        try:
            server.accept()
            reached.append(True)
        except OSError:
            return

    threading.Thread(target=listen, daemon=True).start()
    yield victim, server.getsockname()[1], reached
    server.close()


def attack(victim: Path, port: int, folder: Path) -> str:
    return f"""
import os, pathlib, shutil, socket, subprocess, sys
def attempt(what):
    try:
        what()
    except Exception:
        pass
for place in ({str(victim)!r}, {str(folder / "gradebook.db")!r}, {str(folder / "grades.csv")!r}):
    attempt(lambda: pathlib.Path(place).write_text("mine"))
    attempt(lambda: os.remove(place))
attempt(lambda: shutil.rmtree({str(folder)!r}))
attempt(lambda: open(__import__("medsynth_lib").__file__, "a").write("mine"))
import medsynth_lib
source = pathlib.Path(medsynth_lib.__file__).parents[1] / "notebooks" / "assignments" / "{STEM}" / "{STEM}.ipynb"
found = [source.exists(), pathlib.Path({str(folder)!r}).exists()]
attempt(lambda: socket.create_connection(("127.0.0.1", {port}), 3).send(b"x"))
code = "import socket; socket.create_connection(('127.0.0.1', {port}), 3).send(b'x')"
attempt(lambda: subprocess.run([sys.executable, "-Sc", code], env={{}}))
if any(found):
    def receptive_field(layers):
        raise SystemError("the solutions are in here")
"""


def snapshot(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check_pages(pages: list[Path], source: Path, notebooks: dict[str, Student]) -> None:
    """No page has a line of a hidden test, nor a script, nor asks another machine for anything."""
    lines = hidden_lines(source)
    assert len(lines) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        plain = html.unescape(re.sub(r"<[^>]+>", "", text))  # colours split a line into many elements
        student = "\n".join(cell.source for cell in notebooks[page.parts[-3]].notebook.cells)
        leaked = [line for line in lines if line in plain and line not in student]
        assert not leaked, (page, leaked)
        assert "<script" not in text
        policy = re.search(r"<head>\s*<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';", text)
        assert policy, "a student's text could run or load something"
        assert policy.start() < 200
        assert "Traceback (most" not in text


def small_class(released, victim, port, folder) -> dict[str, tuple[Student, float, str]]:
    """Student → what they handed in, the points they should get, the status."""
    return {
        one.name: (one, score, status)
        for one, score, status in [
            (Student("right", released).answer(RIGHT), ALL, "graded"),
            (Student("untouched", released), 0, "graded"),
            (Student("endless", released).answer(ENDLESS), ALL - FIELD, "graded"),
            (Student("peeking", released).answer(RIGHT | {"receptive-field": PEEKING}), ALL - FIELD, "review"),
            (
                Student("attacking", released).answer(RIGHT).add(attack(victim, port, folder), 3).write(TRAP),
                ALL,
                "graded",
            ),
            (Student("swallowing", released).answer(RIGHT).add(SWALLOWING, 3), 0, "review"),
        ]
    }


def run_class(students, course, tmp_path, outside):
    victim, _, reached = outside
    folder = tmp_path / "handed-in"
    for student, _, _ in students.values():
        student.hand_in(folder)
    assert not any(collect(STEM, folder, course).values())
    before = snapshot(folder) | snapshot(course.root / "source") | snapshot(course.root / "submitted")
    rows = {row["student"]: row for row in grade(STEM, course, seed=41, jobs=2, limits=LIMITS)}
    found = {name: (row["points"], row["status"]) for name, row in rows.items()}
    assert found == {name: (score, status) for name, (_, score, status) in students.items()}
    assert before == snapshot(folder) | snapshot(course.root / "source") | snapshot(course.root / "submitted")
    assert victim.read_text() == "untouched"
    assert reached == []
    pages = write_feedback(STEM, course)
    check_pages(pages, course.notebook("source", STEM), {name: one for name, (one, _, _) in students.items()})
    with open(course.root / f"grades-{STEM}.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["student"] for row in table] == sorted(students)
    assert {row["max"] for row in table} == {str(float(ALL))}
    assert all(sum(float(row[test]) for test in points(STEM)) == float(row["points"]) for row in table)
    return {page.parts[-3]: page.read_text(encoding="utf-8") for page in pages}


@needs_bubblewrap
def test_a_small_class(tmp_path, outside):
    course, released = open_class(tmp_path)
    students = small_class(released, *outside[:2], course.root)
    pages = run_class(students, course, tmp_path, outside)
    assert "is there a loop without an end?" in pages["endless"]
    assert "Not done yet" in pages["untouched"]
    assert "Your teacher".lower() in pages["swallowing"].lower()


@needs_bubblewrap
@pytest.mark.nightly
def test_a_class_of_thirty(tmp_path, outside):
    course, released = open_class(tmp_path)
    students = small_class(released, *outside[:2], course.root)
    worth = points(STEM)
    for number, (name, edits, hints) in enumerate(MUTANTS[:17]):
        wrong = Student(f"wrong-{number:02d}", released).answer(RIGHT | changed(STEM, name, *edits))
        students[wrong.name] = (wrong, ALL - sum(worth[test] for test in hints), "graded")
    students |= troublemakers(released)
    assert len(students) == 30
    pages = run_class(students, course, tmp_path, outside)
    for number, (_, _, hints) in enumerate(MUTANTS[:17]):
        for hint in hints.values():
            assert hint in pages[f"wrong-{number:02d}"] or "error of type" in pages[f"wrong-{number:02d}"]


def troublemakers(released) -> dict[str, tuple[Student, float, str]]:
    """Notebooks that are broken or bent, by accident or not."""
    tampered, deleted, doubled, ids = (
        Student(n, released).answer(RIGHT) for n in ("tampered", "deleted", "doubled", "ids")
    )
    for cell in tampered.notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.source, cell.metadata.nbgrader.points = "assert True", 50
    tampered.answer({"receptive-field": "def receptive_field(layers):\n    return 4"})
    kept = [one for one in deleted.notebook.cells if not one.metadata.get("nbgrader", {}).get("grade")]
    deleted.notebook.cells = kept
    doubled.notebook.cells += [one.copy() for one in doubled.notebook.cells[3:6]]
    for cell in ids.notebook.cells:
        cell.id = "same"
    empty = Student("empty", released)
    empty.notebook.cells = []
    syntax = Student("syntax", released).answer(
        RIGHT | {"receptive-field": "def receptive_field(layers:\n    return 4"}
    )
    deaf = Student("deaf", released).answer(RIGHT).add(NO_ASSERTIONS, 3)
    return {
        "tampered": (tampered, ALL - FIELD, "graded"),
        "deleted": (deleted, ALL, "graded"),
        "doubled": (doubled, ALL, "graded"),
        "ids": (ids, ALL, "graded"),
        "empty": (empty, 0, "graded"),
        "syntax": (syntax, ALL - FIELD, "graded"),
        "deaf": (deaf, 0, "review"),
    }
