"""Assignment 03: each wrong answer loses exactly its points, with its hint."""

import pytest

from tests.course.assignments.in_process import assert_loses_exactly

STEM = "03_unet_ct_to_pet"
UNIT, PATIENTS, SPREAD = "test-report-unit", "test-report-patients", "test-report-spread"
VALUE, GRADIENT, DEPTH = "test-cascade-value", "test-cascade-gradient", "test-cascade-depth"
MEANS = "np.mean(scores)"
# solution, edits, test → part of its message
MUTANTS = [
    ("suv-report", [(" * top_suv / 2", "")], {UNIT: "the error in [-1, 1]"}),
    ("suv-report", [(" * top_suv / 2", " * top_suv")], {UNIT: "Twice too large"}),
    ("suv-report", [("top_suv / 2", "5 / 2")], {UNIT: "use top_suv"}),
    ("suv-report", [("[own][body[own]]", "[own]")], {UNIT: "air around"}),
    (
        "suv-report",
        [("error[own][body[own]].mean()", "np.sqrt((error[own][body[own]] ** 2).mean())")],
        {UNIT: "square"},
    ),
    ("suv-report", [(MEANS, "np.mean([e[b].mean() for e, b in zip(error, body)])")], {PATIENTS: "mean over slices"}),
    ("suv-report", [(MEANS, "error[body].mean()")], {PATIENTS: "mean over all pixels"}),
    ("suv-report", [(", ddof=1", "")], {SPREAD: "Divided by n"}),
    ("suv-report", [("ddof=1)", "ddof=1) / np.sqrt(len(scores))")], {SPREAD: "standard error"}),
    ("cascade-loss", [("loss + 2.0", "2.0")], {VALUE: "Only the last", GRADIENT: "Not every", DEPTH: "another number"}),
    ("cascade-loss", [("2.0 ** (number - len(stages))", "1.0")], {VALUE: "weigh the same", DEPTH: "another number"}),
    ("cascade-loss", [("(number - len(stages))", "(1 - number)")], {VALUE: "first stage has the largest"}),
    ("cascade-loss", [("(number - len(stages))", "(number - 3)")], {DEPTH: "n is len(stages)"}),
    ("cascade-loss", [("(number - len(stages))", "number")], {VALUE: "begin with 2", DEPTH: "another number"}),
    ("cascade-loss", [("((image - target) ** 2)", "(image - target).abs()")], {VALUE: "absolute error"}),
    ("cascade-loss", [(".mean()", ".sum()")], {VALUE: "sum over pixels", DEPTH: "another number"}),
    ("cascade-loss", [("(image - target)", "(image.detach() - target)")], {GRADIENT: "Nothing can learn"}),
]


@pytest.mark.parametrize(("name", "edits", "hints"), MUTANTS, ids=[f"{one[0]}-{one[2]}"[:60] for one in MUTANTS])
@pytest.mark.parametrize("seed", [0, 41])
def test_each_wrong_answer_loses_exactly_its_points(name, edits, hints, seed):
    assert_loses_exactly(hints, STEM, name, edits, seed)
