"""Assignment 06: each wrong answer loses exactly its points, with its hint."""

import pytest

from tests.course.assignments.in_process import assert_loses_exactly

STEM = "06_unpaired_semantic_mr"
VALUE, ABSENT, STABLE = "test-balanced-value", "test-balanced-absent", "test-balanced-stable"
ENERGY, ORDER = "test-haar-energy", "test-haar-order"
WEIGHTS = "torch.where(counts > 0, labels.numel() / counts.clamp(min=1), torch.zeros(classes))"
EACH = 'F.cross_entropy(logits, labels, reduction="none")'
NAIVE = "-logits.softmax(1).log().gather(1, labels[:, None])[:, 0]"
PER_IMAGE = "torch.stack([balanced_cross_entropy(a[None], b[None]) for a, b in zip(logits, labels)]).mean()"
EQUAL = "labels.numel() / counts.clamp(min=1)"
MEAN = "(weights[labels] * each).mean()"
START = "classes = logits"
# solution, edits, test → part of its message
MUTANTS = [
    ("balanced-cross-entropy", [("weights[labels] * each", "each")], {VALUE: "No weights"}),
    ("balanced-cross-entropy", [(EQUAL, "counts / labels.numel()")], {VALUE: "Upside"}),
    ("balanced-cross-entropy", [(MEAN, "F.cross_entropy(logits, labels, weight=weights)")],
     {VALUE: "sum of weights"}),
    ("balanced-cross-entropy", [("each).mean()", "each).sum()")], {VALUE: "sum over pixels"}),
    ("balanced-cross-entropy", [("each).mean()", "each).mean() / classes")], {VALUE: "number of classes"}),
    ("balanced-cross-entropy", [("labels.numel()", "labels[0].numel()")], {VALUE: "count H·W"}),
    ("balanced-cross-entropy", [(START, f"if len(logits) > 1:\n        return {PER_IMAGE}\n    {START}")],
     {VALUE: "each image"}),
    ("balanced-cross-entropy", [(MEAN, MEAN + " + 0 * (1 / counts).sum()")],
     {ABSENT: "not 1/0"}),
    ("balanced-cross-entropy", [(EACH, NAIVE)], {STABLE: "log of softmax"}),
    ("balanced-cross-entropy", [("(logits, labels, red", "(logits.detach(), labels, red")], {STABLE: "Nothing can"}),
    ("haar", [("/ 2", "/ 4")], {ENERGY: "Divided by 4", ORDER: "1, -1, 1, -1"}),
    ("haar", [(" / 2", "")], {ENERGY: "half is missing", ORDER: "1, -1, 1, -1"}),
    ("haar", [("a - b + c - d, a + b - c - d", "a + b - c - d, a - b + c - d")], {ORDER: "changed places"}),
    ("haar", [("a - b + c - d,", "b - a + d - c,")], {ORDER: "left minus right"}),
    ("haar", [("a + b - c - d,", "c + d - a - b,")], {ORDER: "upper minus lower"}),
    ("haar", [("dim=1)", "dim=0)")], {ENERGY: "becomes", ORDER: "out of bounds"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "edits", "hints"), MUTANTS, ids=[f"{one[0]}-{one[2]}"[:60] for one in MUTANTS])
@pytest.mark.parametrize("seed", [0, 41])
def test_each_wrong_answer_loses_exactly_its_points(name, edits, hints, seed):
    assert_loses_exactly(hints, STEM, name, edits, seed)
