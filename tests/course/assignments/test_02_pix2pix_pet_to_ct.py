"""Assignment 02: each wrong answer loses exactly its points, with its hint."""

import pytest

from tests.course.assignments.in_process import assert_loses_exactly

STEM = "02_pix2pix_pet_to_ct"
PATCHGAN, ANY = "test-receptive-field-patchgan", "test-receptive-field-any"
VALUE, GRADIENT = "test-generator-loss-value", "test-generator-loss-gradient"
ERROR = "test-model-error"
DETACHED = ("[source, fake_target]", "[source, fake_target.detach()]")
# solution, edits, test → part of its message
MUTANTS = [
    ("receptive-field", [("* stride + kernel", "+ kernel")], {PATCHGAN: "strides are ignored", ANY: "every layer"}),
    ("receptive-field", [("reversed(layers)", "layers")], {PATCHGAN: "from input to output", ANY: "every layer"}),
    ("receptive-field", [("(side - 1) * stride + kernel", "side * stride")], {PATCHGAN: "4 pixels", ANY: "every"}),
    ("receptive-field", [("(side - 1)", "side")], {PATCHGAN: "4 pixels", ANY: "every layer"}),
    ("receptive-field", [("return side", "return 70 if len(layers) > 1 else 4")], {ANY: "every layer"}),
    ("generator-loss", [("ones_like", "zeros_like")], {VALUE: "what the discriminator wants"}),
    ("generator-loss", [("ones_like", "zeros_like"), ("return adv", "return -adv")], {VALUE: "saturating"}),
    ("generator-loss", [(".abs()", ".square()")], {VALUE: "squared error"}),
    ("generator-loss", [("adversarial + l1_weight *", "l1_weight * adversarial +")], {VALUE: "belongs to the L1"}),
    ("generator-loss", [("l1_weight * ", "")], {VALUE: "missing, or fixed"}),
    ("generator-loss", [("l1_weight * ", "100 * ")], {VALUE: "written into"}),
    ("generator-loss", [("abs().mean()", "abs().sum()")], {VALUE: "sum over pixels"}),
    ("generator-loss", [("_logits(logits,", "_logits(logits.sigmoid(),")], {VALUE: "sigmoid too many"}),
    ("generator-loss", [("return adversarial +", "return")], {VALUE: "adversarial term is", GRADIENT: "must not be"}),
    ("generator-loss", [("return adversarial + ", "return adversarial  # ")], {VALUE: "L1 term", GRADIENT: "L1 term"}),
    ("generator-loss", [("target - fake_target", "source - fake_target")], {VALUE: "with the source"}),
    ("generator-loss", [DETACHED], {GRADIENT: "must not be detached"}),
    ("generator-loss", [("return adv", "return adversarial.detach() + 0 * adv")], {GRADIENT: "must not be"}),
    ("generator-loss", [(" + l1_w", ".detach() + l1_w"), (".abs()", ".detach().abs()")], {GRADIENT: "detach"}),
    ("generator-loss", [(".abs().mean()", ".abs().mean(dim=(1, 2, 3))")], {VALUE: "one number", GRADIENT: "grad can"}),
    ("model-error", [(" * (high_hu - low_hu) / 2", "")], {ERROR: "error in [-1, 1]"}),
    ("model-error", [(" / 2)", ")")], {ERROR: "Twice too large"}),
    ("model-error", [("(high_hu - low_hu)", "2000")], {ERROR: "written into"}),
    ("model-error", [("[body]", "")], {ERROR: "air is averaged"}),
    ("model-error", [(".abs()[body].mean()", "[body].square().mean().sqrt()")], {ERROR: "root mean square"}),
    ("model-error", [("/ 2)", "/ 2 + low_hu)")], {ERROR: "between 0 and 2000"}),
    ("model-error", [("fake_target = model", "fake_target = model.train()")], {ERROR: "left in training mode"}),
    (
        "model-error",
        [("translate(source)\n", "train().translate(source)\n    model.eval()\n")],
        {ERROR: "evaluation mode?"},
    ),
]


@pytest.mark.parametrize(("name", "edits", "hints"), MUTANTS, ids=[f"{one[0]}-{one[2]}"[:60] for one in MUTANTS])
@pytest.mark.parametrize("seed", [0, 41])
def test_each_wrong_answer_loses_exactly_its_points(name, edits, hints, seed):
    assert_loses_exactly(hints, STEM, name, edits, seed)
