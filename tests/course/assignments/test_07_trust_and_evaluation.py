"""Assignment 07: each wrong answer loses exactly its points, with its hint."""

import pytest

from tests.course.assignments.in_process import assert_loses_exactly

STEM = "07_trust_and_evaluation"
PLAIN, MIRRORED, INNOCENT = "test-leak-plain", "test-leak-mirrored", "test-leak-innocent"
WIDTH, CENTRE = "test-interval-width", "test-interval-centre"
NEAREST = "nearest = [np.sqrt(((shown - image) ** 2).mean(axis=(1, 2))).min() for image in images]"
IN_ORDER = "nearest = [np.sqrt(((a - b) ** 2).mean()) for a, b in zip(shown, images)]"
MEANS = "np.array([difference[patients == name].mean() for name in np.unique(patients)])"
UNPAIRED = """rng_ = np.random.default_rng(seed_number)
    names = np.unique(patients)
    one = rng_.choice([first[patients == n].mean() for n in names], size=(draws, len(names))).mean(axis=1)
    two = rng_.choice([second[patients == n].mean() for n in names], size=(draws, len(names))).mean(axis=1)
    low, high = np.quantile(two - one, [0.025, 0.975])
    return float(low), float(high)
"""
WEIGHTED = """rng_ = np.random.default_rng(seed_number)
    names, drawn = np.unique(patients), []
    for _ in range(draws):
        chosen = rng_.choice(names, size=len(names))
        drawn.append(np.concatenate([difference[patients == n] for n in chosen]).mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
"""
SINGLE = [("size=(draws, len(means))).mean(axis=1)", "size=draws)")]
# solution, edits, test → part of its message
MUTANTS = [
    ("find-leak", [("< limit_hu", "== 0")], {PLAIN: "Only an exact copy", MIRRORED: "mirrored copy"}),
    ("find-leak", [(NEAREST, IN_ORDER)], {PLAIN: "Slice 0", MIRRORED: "mirrored copy"}),
    (
        "find-leak",
        [("np.sqrt", "")],
        {
            PLAIN: "root",
        },
    ),
    ("find-leak", [("(references, references[..., ::-1])", "(references,)")], {MIRRORED: "mirrored copy"}),
    ("find-leak", [("references[..., ::-1]", "references[:, ::-1]")], {MIRRORED: "mirrored copy"}),
    ("find-leak", [("np.median(nearest)", "np.min(nearest)")], {INNOCENT: "Slices of air"}),
    ("find-leak", [("(name, other)", "(other, name)")], {PLAIN: "very images", MIRRORED: "mirrored copy"}),
    ("paired-interval", [(MEANS, "difference")], {WIDTH: "drew slices", CENTRE: "every patient counts once"}),
    ("paired-interval", SINGLE, {WIDTH: "single patients", CENTRE: ""}),
    ("paired-interval", [("difference = second - first", UNPAIRED)], {WIDTH: "same patients"}),
    ("paired-interval", [("means = np", WEIGHTED + "    means = np")], {CENTRE: "every patient counts once"}),
    ("paired-interval", [("second - first", "first - second")], {CENTRE: "second minus first"}),
    ("paired-interval", [("float(low), float(high)", "float(high), float(low)")], {WIDTH: "low comes", CENTRE: ""}),
    ("paired-interval", [("default_rng(seed_number)", "default_rng()")], {CENTRE: "same seed"}),
    ("paired-interval", [("[0.025, 0.975]", "[0.25, 0.75]")], {WIDTH: "", CENTRE: "elsewhere"}),
]


@pytest.mark.parametrize(("name", "edits", "hints"), MUTANTS, ids=[f"{one[0]}-{one[2]}"[:60] for one in MUTANTS])
@pytest.mark.parametrize("seed", [0, 41])
def test_each_wrong_answer_loses_exactly_its_points(name, edits, hints, seed):
    assert_loses_exactly(hints, STEM, name, edits, seed)
