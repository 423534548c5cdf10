"""Assignment 05: each wrong answer loses exactly its points, with its hint."""

import pytest

from tests.course.assignments.in_process import assert_loses_exactly

STEM = "05_residual_cyclegan_cect_ct"
VALUE, SIGN, NONE = "test-remaining-value", "test-remaining-sign", "test-remaining-none"
MARGIN, BODY = "test-untouched-margin", "test-untouched-body"
RETURN = "(fake_ct - ct)[vessels].mean() / (cect - ct)[vessels].mean()"
# solution, edits, test → part of its message
MUTANTS = [
    ("remaining-enhancement", [(RETURN, f"1 - {RETURN}")], {VALUE: "takes nothing out", SIGN: "negative"}),
    ("remaining-enhancement", [("[vessels]", "")], {VALUE: "whole image"}),
    ("remaining-enhancement", [(RETURN, "fake_ct[vessels].mean() / cect[vessels].mean()")], {VALUE: "true CT's"}),
    ("remaining-enhancement", [(RETURN, "((fake_ct - ct) / (cect - ct))[vessels].mean()")], {VALUE: "pixelwise"}),
    ("remaining-enhancement", [(RETURN, "(fake_ct - ct)[vessels].mean()")], {VALUE: "takes nothing out"}),
    ("remaining-enhancement", [(RETURN, f"abs({RETURN})")], {SIGN: "no absolute value"}),
    ("remaining-enhancement", [(RETURN, f"max(0, {RETURN})")], {SIGN: "no clipping"}),
    ("remaining-enhancement", [('float("nan")', "0.0")], {NONE: "nothing to measure"}),
    ("untouched-change", [("body & ~grown", "body")], {MARGIN: "vessel itself"}),
    ("untouched-change", [("reach = margin - 1", "reach = margin - 2 if margin > 1 else 0")], {MARGIN: "beside"}),
    ("untouched-change", [("reach = margin - 1", "reach = margin")], {MARGIN: "2 away does count"}),
    ("untouched-change", [("[body & ~grown]", "[body & ~grown.any(axis=0)]")], {MARGIN: "other slices"}),
    ("untouched-change", [("[body & ~grown]", "[~grown]")], {BODY: "Air outside"}),
    ("untouched-change", [("np.abs(fake_ct - cect)", "(fake_ct - cect)")], {BODY: "downwards"}),
]


@pytest.mark.parametrize(("name", "edits", "hints"), MUTANTS, ids=[f"{one[0]}-{one[2]}"[:60] for one in MUTANTS])
@pytest.mark.parametrize("seed", [0, 41])
def test_each_wrong_answer_loses_exactly_its_points(name, edits, hints, seed):
    assert_loses_exactly(hints, STEM, name, edits, seed)
