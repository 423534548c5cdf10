"""Of a run nothing goes back but points and the teacher's own words; of a submission nothing is believed."""

import copy

import nbformat
import pytest

from medsynth_lib.course.assignments.feedback import hints, sentence, withhold
from medsynth_lib.course.assignments.grade import VERDICT
from medsynth_lib.course.assignments.restore import pries, restore
from tests.course.assignments.in_process import points
from tests.course.assignments.school import STEM, open_class

TEST = """assert f(1) == 1, "One stays one."
### BEGIN HIDDEN TESTS
secret_number = 4711
known = {"You doubled it.": 2 * secret_number}
raise Misconception("Not this either.")
assert f(2) == secret_number, f"formatted {secret_number}"
### END HIDDEN TESTS
"""


def test_hints_are_the_literal_messages_of_a_test():
    assert hints(TEST) == {"One stays one.", "You doubled it.", "Not this either."}


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ({"status": "error", "ename": "Misconception", "evalue": "You doubled it."}, "You doubled it."),
        ({"status": "error", "ename": "AssertionError", "evalue": "formatted 4711"}, "type AssertionError"),
        ({"status": "error", "ename": "AssertionError", "evalue": "secret_number = 4711"}, "type AssertionError"),
        ({"status": "error", "ename": "secret_number", "evalue": "You doubled it. 4711"}, "an error."),
        ({"status": "error", "ename": "NotImplementedError", "evalue": "4711"}, "Not done yet"),
        ({"status": "error", "ename": "SyntaxError", "evalue": "4711"}, "type SyntaxError"),
        ({"status": "error", "ename": "NameError", "evalue": "4711"}, "not defined"),
        ({"status": "timeout"}, "loop without an end"),
    ],
)
def test_no_other_message_gets_through(verdict, said):
    assert said in sentence(verdict, TEST)
    assert "4711" not in sentence(verdict, TEST)


def test_a_cell_that_is_no_python_is_told_apart_from_a_test_that_calls_one():
    verdict = {"status": "error", "ename": "SyntaxError", "evalue": "4711"}
    assert "not valid Python" in sentence(verdict, "def f(:", test=False)


def test_outputs_and_hidden_lines_are_withheld():
    cell = nbformat.v4.new_code_cell(TEST)
    cell.metadata.nbgrader = {"grade": True}
    cell.metadata[VERDICT] = {"status": "error", "ename": "AssertionError", "evalue": "4711"}
    own = nbformat.v4.new_code_cell("print(1)", outputs=[nbformat.v4.new_output("stream", text="4711")])
    own.metadata[VERDICT] = {"status": "ok"}
    shown = nbformat.writes(withhold(nbformat.v4.new_notebook(cells=[own, cell])))
    assert "4711" not in shown
    assert "One stays one." in shown


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    course, released = open_class(tmp_path_factory.mktemp("class"))
    return course, released, nbformat.read(course.notebook("source", STEM), 4)


def bend_everything(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.nbgrader |= {"points": 99, "locked": False, "grade": False, "schema_version": "x"}
            cell.source = "pass"


def delete_all(notebook):
    notebook.cells = []


def only_texts(notebook):
    notebook.cells = [nbformat.v4.new_markdown_cell("I could not do it.")]


def double_all(notebook):
    notebook.cells += copy.deepcopy(notebook.cells)


def odd_metadata(notebook):
    for cell, odd in zip(notebook.cells, [3, "x", None, [], {"grade_id": 7}, {"grade_id": "other"}] * 3, strict=False):
        cell.metadata["nbgrader"] = odd


@pytest.mark.parametrize("bend", [bend_everything, delete_all, only_texts, double_all, odd_metadata])
def test_tests_are_there_once_and_as_the_teacher_wrote_them(opened, bend):
    course, released, source = opened
    submitted = copy.deepcopy(released)
    bend(submitted)
    found = restore(submitted, source, course, STEM, "someone")
    tests = {c.metadata.nbgrader.grade_id: c for c in found.cells if c.metadata.get("nbgrader", {}).get("grade")}
    truth = {c.metadata.nbgrader.grade_id: c for c in source.cells if c.metadata.get("nbgrader", {}).get("grade")}
    assert {name: cell.source for name, cell in tests.items()} == {name: c.source for name, c in truth.items()}
    assert {name: cell.metadata.nbgrader.points for name, cell in tests.items()} == points(STEM)
    assert len({cell.id for cell in found.cells}) == len(found.cells)
    assert "BEGIN SOLUTION" not in "".join(cell.source for cell in found.cells)


@pytest.mark.parametrize(
    "source", ["import sys\nsys._getframe(1)", "get_ipython()", "open('/proc/self/maps')", "from inspect import stack"]
)
def test_what_looks_into_the_grader_is_marked(source):
    assert pries(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]))
