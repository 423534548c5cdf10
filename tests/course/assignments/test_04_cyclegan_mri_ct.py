"""Assignment 04: each wrong answer loses exactly its points, with its hint."""

import pytest

from tests.course.assignments.in_process import assert_loses_exactly

STEM = "04_cyclegan_mri_ct"
PAIRED, SEEN = "test-leaks-paired", "test-leaks-test"
VALUE, POOL, GRADIENT = "test-discriminator-value", "test-discriminator-pool", "test-discriminator-gradient"
TARGETS = " | patients(targets))"
# solution, edits, test → part of its message
MUTANTS = [
    ("leaks", [('{name.rsplit("_", 2)[0] for name in names}', "set(names)")], {PAIRED: "Nobody", SEEN: "Somebody"}),
    ("leaks", [('name.rsplit("_", 2)[0]', 'name.split("_")[0]')], {PAIRED: "underscores"}),
    ("leaks", [("paired = patients(sources) &", "paired = patients(sources) |")], {PAIRED: "in two places"}),
    ("leaks", [(TARGETS, ")")], {SEEN: "pile of targets"}),
    ("leaks", [("(patients(sources) | ", "(")], {SEEN: "pile of sources"}),
    ("leaks", [("(patients(sources) |", "(patients(sources) &")], {SEEN: "in either pile"}),
    ("discriminator-loss", [("discriminator(target) - 1", "discriminator(target)"),
                            ("discriminator(shown) **", "(discriminator(shown) - 1) **")], {VALUE: "swapped"}),
    ("discriminator-loss", [("0.5 * ", "")], {VALUE: "Twice too large"}),
    ("discriminator-loss", [("discriminator(shown) **", "(discriminator(shown) - 1) **")], {VALUE: "Both are called"}),
    ("discriminator-loss", [("+ (discriminator(shown) ** 2).mean()", "")], {VALUE: "never", POOL: "was not shown"}),
    ("discriminator-loss", [("((discriminator(target) - 1) ** 2)", "(discriminator(target) - 1).abs()"),
                            ("(discriminator(shown) ** 2)", "discriminator(shown).abs()")], {VALUE: "Absolute"}),
    ("discriminator-loss", [("pool(fake_target.detach())", "fake_target.detach()")], {POOL: "was not shown"}),
    ("discriminator-loss", [("shown = pool(", "pool(fake_target)\n    shown = pool(")], {POOL: "more than once"}),
    ("discriminator-loss", [(".detach()", "")], {GRADIENT: "reaches the generator"}),
    ("discriminator-loss", [("return 0.5 * (", "return 0.5 * torch.Tensor.detach(")], {GRADIENT: "Nothing reaches"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "edits", "hints"), MUTANTS, ids=[f"{one[0]}-{one[2]}"[:60] for one in MUTANTS])
@pytest.mark.parametrize("seed", [0, 41])
def test_each_wrong_answer_loses_exactly_its_points(name, edits, hints, seed):
    assert_loses_exactly(hints, STEM, name, edits, seed)
