"""What holds for every assignment: the solution earns all, the stub nothing, and messages are hints."""

import ast

import pytest

from medsynth_lib.course.assignments.feedback import hints
from medsynth_lib.course.assignments.folder import find_assignments
from medsynth_lib.course.assignments.restore import pries
from tests.course.assignments.in_process import cells, grade_id, lost, points, stubs

ALL = sorted(find_assignments())


@pytest.mark.parametrize("stem", ALL)
@pytest.mark.parametrize("seed", [0, 3, 11, 123456])
def test_the_solution_earns_all_points_whatever_the_seed(stem, seed):
    assert lost(stem, {}, seed) == {}


@pytest.mark.parametrize("stem", ALL)
def test_the_untouched_stub_earns_nothing_and_is_told_so(stem):
    found = lost(stem, stubs(stem))
    assert found.keys() == points(stem).keys()
    assert {message for message, _ in found.values()} == {"NotImplementedError"}


@pytest.mark.parametrize("stem", ALL)
def test_points_are_partial_and_every_message_of_a_test_is_a_hint(stem):
    assert len(points(stem)) >= 3
    for cell in cells(stem):
        for node in ast.walk(ast.parse(cell.source)) if grade_id(cell).startswith("test") else ():
            if isinstance(node, ast.Assert):
                assert isinstance(node.msg, ast.Constant), f"{grade_id(cell)}: assert needs a literal message"
                assert node.msg.value in hints(cell.source)


@pytest.mark.parametrize("stem", ALL)
def test_no_solution_looks_as_if_it_pried_into_the_grader(stem):
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=cells(stem))
    assert not pries(notebook)
