"""Lesson 05's exercises: the reference passes, the stub waits, each wrong idea gets its own hint; its clinic breaks."""

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from medsynth_lib.conventions import Batch
from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import residual_cyclegan_cect_ct as exercises
from medsynth_lib.data.intensity import IntensityWindow
from medsynth_lib.metrics.enhancement import enhanced, enhancement_scores
from medsynth_lib.networks.patchgan import PatchGAN
from medsynth_lib.systems.residual_cyclegan import ResidualCycleGAN, ResidualCycleGANConfig
from tests.course.exercises.lesson_source import NOTEBOOKS

STEM = "05_residual_cyclegan_cect_ct"
NAMES = ("change_in_hu", "cycle_and_identity", "pair_discriminator_loss", "agent_scores")
EXERCISES = {name: getattr(exercises, f"check_{name}") for name in NAMES}


def off(one, other):
    return (one - other).abs().mean()


def faithful(G, F_, x, y, cycle, identity, *, measure=off, wish=None):
    """Cycle and identity with one thing changed."""
    there_and_back = measure(F_(G(x)), x) + measure(G(F_(y)), y)
    wish = measure(F_(x), x) + measure(G(y), y) if wish is None else wish
    return cycle * there_and_back + identity * wish


def two_way(G, F_, x, y, a, b):
    return a * (off(F_(G(x)), y) + off(G(F_(y)), x)) + b * (off(F_(x), x) + off(G(y), y))


def detached_cycle(G, F_, x, y, a, b):
    cycle = off(F_(G(x).detach()), x) + off(G(F_(y).detach()), y)
    return a * cycle + b * (off(F_(x), x) + off(G(y), y))


def pair(one, other):
    return torch.cat([one, other], dim=1)


def judged(d, real, fakes, weights=(0.5, 0.25), labels=(1, 0)):
    loss = weights[0] * (d(real) - labels[0]).square().mean()
    return loss + weights[1] * sum((d(fake) - labels[1]).square().mean() for fake in fakes)


def bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def fakes(x, y, fy, fx):
    return [pair(x, fy.detach()), pair(fx.detach(), y)]


def cross_entropy(d, x, y, fy, fx):
    one, other = fakes(x, y, fy, fx)
    return 0.5 * bce(d(pair(x, y)), 1.0) + 0.25 * (bce(d(one), 0.0) + bce(d(other), 0.0))


def scored(inside, outside):
    """A wrong pair of scores: each part a function of (error, agent, body)."""
    return lambda f, t, a, b: (float(inside(f - t, a, b)), float(outside(f - t, a, b)))


def good_inside(e, a, b):
    return e[a].mean()


def good_outside(e, a, b):
    return np.abs(e[b & ~a]).mean()


CHANGE, FAITHFUL, PAIRS, SCORES = NAMES
MUTANTS = [
    (CHANGE, lambda r, low, high: (r + 1) / 2 * (high - low) + low, "you decoded an image"),
    (CHANGE, lambda r, low, high: r * (high - low) + low, "you decoded an image"),
    (CHANGE, lambda r, low, high: r * (high - low), "Twice too large"),
    (CHANGE, lambda r, low, high: r * 250, "one window into the function"),
    (CHANGE, lambda r, low, high: r * 1000, "one window into the function"),
    (CHANGE, lambda r, low, high: r.abs() * (high - low) / 2, "sign is gone"),
    (CHANGE, lambda r, low, high: r.clamp(-1, 1) * (high - low) / 2, "Do not clip"),
    (CHANGE, lambda r, low, high: r * high, "should be"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, a, b, wish=off(G(x), x) + off(F_(y), y)), "leave the"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, b, a), "weights are swapped"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, a, a * b), "convention of lesson 04"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, a, b, measure=F.mse_loss), "not squares"),
    (FAITHFUL, two_way, "the image it began with"),
    (FAITHFUL, lambda G, F_, x, y, a, b: a * off(F_(G(x)), x) + b * (off(F_(x), x) + off(G(y), y)), "Only one direct"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, a, b, wish=off(G(y), y)), "Only one identity"),
    (FAITHFUL, lambda G, F_, x, y, a, b: a * (off(G(G(x)), x) + off(F_(F_(y)), y))
     + b * (off(F_(x), x) + off(G(y), y)), "runs twice"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, a, 0), "identity is missing"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, a, b) / 2, "Halved"),
    (FAITHFUL, detached_cycle, "gradient is cut off"),
    (FAITHFUL, lambda G, F_, x, y, a, b: (G(x) - x).abs(), "one number"),
    (FAITHFUL, lambda G, F_, x, y, a, b: faithful(G, F_, x, y, a, b) + 1, "Expected"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), [pair(fy.detach(), x), pair(y, fx.detach())]), "an order"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(y, x), [pair(fy, x), pair(y, fx)]), "all the other way"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), fakes(x, y, fy, fx), labels=(0, 1)), "Labels swapped"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), fakes(x, y, fy, fx), (0.5, 0.5)), "counts a quarter"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), fakes(x, y, fy, fx), (1.0, 0.5)), "Twice too large"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), [pair(fx, fy).detach()], (0.5, 0.5)), "two fakes"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), fakes(x, y, fy, fx)[:1], (0.5, 0.5)), "Only one kind"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), [pair(fx, x).detach(), pair(y, fy).detach()]), "*own* fake"),
    (PAIRS, cross_entropy, "least squares"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), [], (0.5, 0.0)), "Only real pairs"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), [pair(x, fy), pair(fx, y)]), "Detach both"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, pair(x, y), [pair(x, fy), pair(fx.detach(), y)]), "Detach both"),
    (PAIRS, lambda d, x, y, fy, fx: judged(d, y, [fy.detach(), fx.detach()]), "two channels"),
    (PAIRS, lambda d, x, y, fy, fx: exercises.pair_discriminator_loss(d, x, y, fy, fx).detach(), "require grad"),
    (PAIRS, lambda d, x, y, fy, fx: d(pair(x, y)), "one number"),
    (SCORES, scored(lambda e, a, b: np.abs(e[a]).mean(), good_outside), "keep the sign"),
    (SCORES, scored(lambda e, a, b: -e[a].mean(), good_outside), "sign is turned"),
    (SCORES, scored(lambda e, a, b: e[b].mean(), good_outside), "drown"),
    (SCORES, scored(lambda e, a, b: (e * a).mean(), good_outside), "not by those of the agent"),
    (SCORES, scored(lambda e, a, b: np.median(e[a]), good_outside), "median"),
    (SCORES, scored(good_outside, good_inside), "other way round"),
    (SCORES, scored(good_inside, lambda e, a, b: np.abs(e[~a]).mean()), "air is easy"),
    (SCORES, scored(good_inside, lambda e, a, b: e[b & ~a].mean()), "cancelled"),
    (SCORES, scored(good_inside, lambda e, a, b: np.abs(e[b]).mean()), "body & ~agent"),
    (SCORES, scored(good_inside, lambda e, a, b: np.abs(e * (b & ~a)).mean()), "not by those of the region"),
    (SCORES, scored(good_inside, lambda e, a, b: np.square(e[b & ~a]).mean()), "Outside agent expected"),
    (SCORES, scored(lambda e, a, b: e[a].max(), good_outside), "Where agent shows expected"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status in ("misconception", "broken")
    assert hint in judgement.hint


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(*torch.rand(2, 3, 1, 32, 32, generator=generator).mul(2).sub(1))


def test_references_compose_to_the_librarys_losses(batch):
    torch.manual_seed(0)
    system = ResidualCycleGAN(
        ResidualCycleGANConfig(
            generator_channels=4, depth=3, discriminator_channels=4, discriminator_layers=1, pool_size=0
        )
    )
    x, y = batch.source, batch.target
    found = {name: {k: v.item() for k, v in terms.items()} for name, terms in system.phases(batch, 0)}
    with torch.no_grad():
        kept = exercises.cycle_and_identity(system.to_target, system.to_source, x, y, 10.0, 5.0)
        pairs = exercises.pair_discriminator_loss(
            system.pair_discriminator, x, y, system.to_target(x), system.to_source(y)
        )
    faithful_terms = [v for k, v in found["generators"].items() if k.endswith(("cycle", "identity"))]
    assert len(faithful_terms) == 4
    assert float(kept) == pytest.approx(sum(faithful_terms), rel=1e-4)
    assert float(pairs) == pytest.approx(found["discriminators"]["pair_real"] + found["discriminators"]["pair_fake"])


def test_scores_and_change_agree_with_the_library():
    rng = np.random.default_rng(0)
    body = np.zeros((1, 1, 48, 48), bool)
    body[..., 8:40, 8:40] = True
    target = np.where(body, 40.0, -200.0)
    source = target + rng.normal(0, 5, body.shape)
    source[..., 16:26, 16:26] += 120
    fake = target + rng.normal(0, 5, body.shape)
    f, s, t, b = map(torch.from_numpy, (fake, source, target, body))
    where = enhanced(s, t)[0, 0].numpy() & body[0, 0]
    library = enhancement_scores(f, s, t, b)
    expected = [float(library[name][0]) for name in ("enhanced_error_hu", "outside_mae_hu")]
    assert exercises.agent_scores(fake[0, 0], target[0, 0], where, body[0, 0]) == pytest.approx(expected)
    window = IntensityWindow(-200.0, 300.0, "HU")
    one, other = torch.tensor([-0.7, 0.1, 0.9]), torch.tensor([0.2, -0.3, 1.0])
    change = exercises.change_in_hu(one - other, window.low, window.high)
    torch.testing.assert_close(change, window.decode(one) - window.decode(other))


# --- the clinic, and the judge of shuffled pairs ---------------------------------------------------------------------


class Vessels:
    """Stands in for the training slices: smooth bodies, no two alike, a bright vessel in the source, noise in both."""

    def batch(self, step, count):
        generator = torch.Generator().manual_seed(step)

        def draw(*shape):
            return torch.rand(count, 1, *shape, generator=generator)

        body = F.interpolate(draw(4, 4) - 0.5, 32, mode="bilinear")
        vessel = F.interpolate((draw(4, 4) > 0.9).float(), 32)
        noise = 0.02 * torch.randn(2, count, 1, 32, 32, generator=generator)
        return Batch(body + 0.4 * vessel + noise[0], body + noise[1])


def run_cells(*ids: str) -> dict[str, object]:
    """What the lesson's own cells define when they run on ``Vessels``, with the reference solutions."""
    cells = {cell.id: cell.source for cell in nbformat.read(NOTEBOOKS / f"{STEM}.ipynb", 4).cells}
    space = {"torch": torch, "PatchGAN": PatchGAN, "SEED": 0, "PROFILE": "lesson", "training": Vessels()}
    space |= {name: getattr(exercises, name) for name in NAMES}
    for id in ids:
        exec(cells[id], space)  # noqa: S102, our own notebook
    return space


@pytest.fixture(scope="module")
def clinic() -> dict[str, object]:
    return run_cells("build-teach-judge", "clinic-break", "clinic-diagnose-run", "clinic-fix-run")


def test_the_lessons_training_step_is_the_librarys():
    space = run_cells("build-teach-judge", "step-inline", "step-whole", "step-equivalence")
    for mine, library in zip(space["mine"].parameters(), space["library"].parameters(), strict=True):
        torch.testing.assert_close(mine, library, rtol=0, atol=1e-9)


def test_the_clinics_turned_pairs_beat_a_perfect_forgery_and_the_cure_leaves_the_judge_at_chance(clinic):
    assert clinic["broken"] < 0.1
    assert clinic["mended"] == pytest.approx(0.25, abs=0.03)


def test_a_judge_of_shuffled_pairs_believes_a_foreign_ct_more_than_the_patients_own(clinic):
    verdicts = {}
    for name, shift in (("true", 0), ("shuffled", 1)):
        judge, _ = clinic["teach_judge"](
            lambda x, y, shift=shift: (pair(x, y.roll(shift, 0)), pair(x, x)), Vessels(), 120
        )
        shown = Vessels().batch(1000, 16)
        with torch.no_grad():
            own, foreign = (float(judge(pair(shown.source, shown.target.roll(i, 0))).mean()) for i in (0, 1))
        verdicts[name] = own, foreign
    own, foreign = verdicts["shuffled"]
    assert foreign > own + 0.3
    own, foreign = verdicts["true"]
    assert foreign < own + 0.1
