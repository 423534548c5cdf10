"""The adversarial games against hand computation, and against what the papers prove about them."""

import math

import pytest
import torch

from medsynth_lib.errors import TrainingError
from medsynth_lib.losses.adversarial import FORMS, AdversarialLoss

REAL = torch.tensor([-3.0, -0.5, 0.0, 2.0, 40.0], dtype=torch.float64)
FAKE = torch.tensor([-40.0, -2.0, 0.1, 1.5], dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_hand(name: str) -> tuple[float, float, float]:
    """(real, fake, generator) in double precision, from the papers' formulas, one number at a time."""
    real, fake = REAL.tolist(), FAKE.tolist()

    def mean(values):
        values = list(values)
        return sum(values) / len(values)

    cross_entropy = 0.5 * mean(-math.log(sigmoid(x)) for x in real), 0.5 * mean(-math.log1p(-sigmoid(x)) for x in fake)
    return {
        "bce": (*cross_entropy, mean(-math.log(sigmoid(x)) for x in fake)),
        "logistic": (2 * cross_entropy[0], 2 * cross_entropy[1], mean(-math.log(sigmoid(x)) for x in fake)),
        "minimax": (*cross_entropy, mean(math.log1p(-sigmoid(x)) for x in fake)),
        "lsgan": (
            0.5 * mean((x - 1) ** 2 for x in real),
            0.5 * mean(x**2 for x in fake),
            mean((x - 1) ** 2 for x in fake),
        ),
        "hinge": (mean(max(0, 1 - x) for x in real), mean(max(0, 1 + x) for x in fake), mean(-x for x in fake)),
    }[name]


@pytest.mark.parametrize("name", FORMS)
def test_equals_the_papers_formula(name):
    game = AdversarialLoss(name)
    terms = game.discriminator(REAL, FAKE)
    found = terms["real"].item(), terms["fake"].item(), game.generator(FAKE).item()
    assert found == pytest.approx(by_hand(name), rel=1e-12)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_are_exact(name):
    game = AdversarialLoss(name)
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda r, f: sum(game.discriminator(r, f).values()), (real, fake))
    assert torch.autograd.gradcheck(game.generator, (fake,))


def test_goodfellows_value_at_equilibrium_is_minus_log_4():
    undecided = torch.zeros(8, dtype=torch.float64)
    terms = AdversarialLoss("bce").discriminator(undecided, undecided)
    assert -2 * sum(terms.values()).item() == pytest.approx(-math.log(4), abs=1e-15)
    assert AdversarialLoss("bce").generator(undecided).item() == pytest.approx(math.log(2), abs=1e-15)


@pytest.mark.parametrize(
    ("name", "best"), [("bce", math.log(0.7 / 0.3)), ("minimax", math.log(0.7 / 0.3)), ("lsgan", 0.7)]
)
def test_the_best_discriminator_is_the_papers(name, best):
    """Where 70 % of what it sees is real: σ(x*) = p_real/(p_real + p_fake) (Goodfellow prop. 1), x* = 0.7 (Mao)."""
    form = FORMS[name]
    logit = torch.tensor(best, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(0.7 * form.real(logit) + 0.3 * form.fake(logit), logit)
    assert slope.item() == pytest.approx(0, abs=1e-12)


def test_hinge_stops_teaching_beyond_the_margin():
    real = torch.tensor([1.0 + 1e-6, 5.0], requires_grad=True)
    fake = torch.tensor([-1.0 - 1e-6, -5.0], requires_grad=True)
    total = sum(AdversarialLoss("hinge").discriminator(real, fake).values())
    total.backward()
    assert total.item() == 0
    assert not real.grad.any()
    assert not fake.grad.any()


def test_non_saturating_generator_learns_where_minimax_does_not():
    """The reason Goodfellow gives (§3): against a sure discriminator the minimax gradient vanishes."""
    slopes = {}
    for name in ("bce", "minimax"):
        logit = torch.tensor([-20.0], dtype=torch.float64, requires_grad=True)
        AdversarialLoss(name).generator(logit).backward()
        slopes[name] = logit.grad.item()
    assert slopes["bce"] == pytest.approx(-1, abs=1e-8)
    assert -1e-8 < slopes["minimax"] < 0


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(name, dtype):
    logits = torch.linspace(-6, 6, 1001).to(dtype)
    game = AdversarialLoss(name)
    with torch.autocast("cpu", torch.bfloat16):
        found = [*game.discriminator(logits, -logits).values(), game.generator(logits)]
    exact = [*game.discriminator(logits.double(), -logits.double()).values(), game.generator(logits.double())]
    assert {term.dtype for term in found} == {torch.float32}
    assert [term.item() for term in found] == pytest.approx([term.item() for term in exact], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_extreme_logits_stay_finite(name):
    extreme = torch.tensor([-1e4, 1e4])
    game = AdversarialLoss(name)
    assert all(term.isfinite() for term in [*game.discriminator(extreme, extreme).values(), game.generator(extreme)])


def test_unknown_name_lists_the_known():
    with pytest.raises(TrainingError, match="bce, logistic, minimax, lsgan, hinge"):
        AdversarialLoss("wasserstein")
