"""Lesson 04: reference passes, stub waits, each wrong idea gets its own hint; its clinic breaks and is mended."""

import random
from types import SimpleNamespace

import nbformat
import pytest
import torch
import torch.nn.functional as F

from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import cyclegan_mri_ct as exercises
from medsynth_lib.metrics.orientation import handedness
from medsynth_lib.systems.cyclegan import CycleGAN, CycleGANConfig
from medsynth_lib.systems.replay_pool import ReplayPool
from tests.course.exercises.lesson_source import NOTEBOOKS

STEM = "04_cyclegan_mri_ct"
EXERCISES = {
    "discriminator_loss": exercises.check_discriminator_loss,
    "cycle_loss": exercises.check_cycle_loss,
    "swap": exercises.check_swap,
    "generator_loss": exercises.check_generator_loss,
}


def cell(stem, id):
    (source,) = (one.source for one in nbformat.read(NOTEBOOKS / f"{stem}.ipynb", 4).cells if one.id == id)
    return source


def squared(verdict, label):
    return ((verdict - label) ** 2).mean()


def l1(one, other):
    return (one - other).abs().mean()


def judged(real, fake):
    return 0.5 * (real + fake)


DISCRIMINATOR = [
    (lambda d, y, f: judged(squared(d(y), 1), squared(d(f), 0)), "Detach"),
    (lambda d, y, f: judged(squared(d(y), 0), squared(d(f.detach()), 1)), "swapped"),
    (lambda d, y, f: squared(d(y), 1) + squared(d(f.detach()), 0), "Twice too large"),
    (lambda d, y, f: judged(F.softplus(-d(y)).mean(), F.softplus(d(f.detach())).mean()), "log form"),
    (lambda d, y, f: judged(squared(d(y).sigmoid(), 1), squared(d(f.detach()).sigmoid(), 0)), "sigmoid too many"),
    (lambda d, y, f: 0.5 * squared(d(y), 1), "Only real"),
    (lambda d, y, f: judged(squared(d(y), 1), squared(d(f.detach()), -1)), "should be 0, not −1"),
    (lambda d, y, f: judged((d(y).mean() - 1) ** 2, d(f.detach()).mean() ** 2), "Square first"),
    (lambda d, y, f: exercises.discriminator_loss(d, y, f).detach().requires_grad_(), "No gradient reaches"),
    (lambda d, y, f: (d(y) - 1) ** 2, "one number"),
    (lambda d, y, f: exercises.discriminator_loss(d, y, f).item(), "not float"),
    (lambda d, y, f: exercises.discriminator_loss(d, y, f) + 1, "Expected"),
]
CYCLE = [
    (lambda g, f, x, y: l1(g(g(x)), x) + l1(g(g(y)), y), "You went there twice: F"),
    (lambda g, f, x, y: l1(g(g(x)), x) + l1(f(f(y)), y), "each way starts with its own"),
    (lambda g, f, x, y: l1(g(f(x)), x) + l1(f(g(y)), y), "wrong generator first"),
    (lambda g, f, x, y: l1(f(g(x)), x), "CT → MR → CT must close too"),
    (lambda g, f, x, y: l1(g(f(y)), y), "MR → CT → MR must close too"),
    (lambda g, f, x, y: squared(f(g(x)), x) + squared(g(f(y)), y), "squares forgive"),
    (lambda g, f, x, y: l1(g(x), x) + l1(f(y), y), "Bring it back first"),
    (lambda g, f, x, y: l1(f(g(x)), y) + l1(g(f(y)), x), "different patients"),
    (lambda g, f, x, y: (f(g(x)) - x).abs().sum() + (g(f(y)) - y).abs().sum(), "means, not sums"),
    (lambda g, f, x, y: l1(f(g(x).detach()), x) + l1(g(f(y).detach()), y), "must not be detached"),
    (lambda g, f, x, y: (f(g(x)) - x).abs(), "one number"),
    (lambda g, f, x, y: 2 * exercises.cycle_loss(g, f, x, y), "Expected"),
]


def fills(kept, image, size):
    if len(kept) < size:
        kept.append(image)
        return True
    return False


def newest(kept, image, size):
    fills(kept, image, size)
    return image


def always_old(kept, image, size):
    if fills(kept, image, size):
        return image
    slot = random.randrange(size)
    old, kept[slot] = kept[slot], image
    return old


def never_replaced(kept, image, size):
    return image if fills(kept, image, size) or random.random() < 0.5 else random.choice(kept)


def replaced_elsewhere(kept, image, size):
    if fills(kept, image, size) or random.random() < 0.5:
        return image
    old = random.choice(kept)
    kept[random.randrange(size)] = image
    return old


def first_place(kept, image, size):
    if fills(kept, image, size) or random.random() < 0.5:
        return image
    old, kept[0] = kept[0], image
    return old


def queue(kept, image, size):
    if fills(kept, image, size) or random.random() < 0.5:
        return image
    kept.append(image)
    return kept.pop(0)


def grows(kept, image, size):
    kept.append(image)
    return image if len(kept) <= size or random.random() < 0.5 else random.choice(kept)


def rarely(kept, image, size):
    return exercises.swap(kept, image, size) if len(kept) < size or random.random() < 0.5 else image


POOL = [
    (newest, "Always the newest"),
    (always_old, "Always an old image"),
    (never_replaced, "never changes"),
    (replaced_elsewhere, "again and again"),
    (first_place, "Some places never change"),
    (queue, "Always the oldest"),
    (grows, "grew to 9"),
    (rarely, "should be old ones"),
    (lambda kept, image, size: image, "Nothing is kept"),
    (lambda kept, image, size: None, "not NoneType"),
]


def objective(
    nets, x, y, fake_y, fake_x, cycle, identity, *, keep=(1, 1), label=1, unmoved=False, half=1.0, parts="aci"
):
    """The reference, with one thing changed."""
    judges = (nets.target_discriminator(fake_y), nets.source_discriminator(fake_x))
    total = half * sum(weight * squared(verdict, label) for weight, verdict in zip(keep, judges, strict=True))
    total = total if "a" in parts else 0.0
    if "c" in parts:
        total = total + cycle * (l1(nets.to_source(fake_y), x) + l1(nets.to_target(fake_x), y))
    if "i" in parts:
        same = l1(fake_y, x) + l1(fake_x, y) if unmoved else l1(nets.to_target(y), y) + l1(nets.to_source(x), x)
        total = total + cycle * identity * same
    return total


def crossed(nets, x, y, fake_y, fake_x, cycle, identity):
    swapped = SimpleNamespace(**vars(nets))
    swapped.target_discriminator, swapped.source_discriminator = nets.source_discriminator, nets.target_discriminator
    return objective(swapped, x, y, fake_y, fake_x, cycle, identity)


def weight_not_relative(nets, x, y, fake_y, fake_x, cycle, identity):
    without = objective(nets, x, y, fake_y, fake_x, cycle, identity, parts="ac")
    return without + objective(nets, x, y, fake_y, fake_x, 1.0, identity, parts="i")


def places_changed(nets, x, y, fake_y, fake_x, cycle, identity):
    without = objective(nets, x, y, fake_y, fake_x, cycle * identity, 1.0, parts="ac")
    return without + objective(nets, x, y, fake_y, fake_x, cycle, 1.0, parts="i")


def detached(nets, x, y, fake_y, fake_x, cycle, identity):
    return objective(nets, x, y, fake_y.detach(), fake_x.detach(), cycle, identity)


def one_detached(nets, x, y, fake_y, fake_x, cycle, identity):
    return objective(nets, x, y, fake_y, fake_x.detach(), cycle, identity)


OBJECTIVE = [
    (lambda *given: objective(*given, parts="ac"), "identity term is missing"),
    (lambda *given: objective(*given, unmoved=True), "wrong modality"),
    (weight_not_relative, "relative to the cycle's"),
    (places_changed, "changed places"),
    (lambda *given: objective(*given, parts="ai"), "cycle term is missing"),
    (lambda *given: objective(*given, parts="ci"), "Nobody judges"),
    (lambda *given: objective(*given, label=0), "to be caught"),
    (crossed, "Judges crossed"),
    (lambda *given: objective(*given, keep=(1, 0)), "F must fool D_X"),
    (lambda *given: objective(*given, half=0.5), "only the discriminators' loss is halved"),
    (lambda *given: objective(*given[:5], 10.0, 0.5), "wrote the weights"),
    (detached, "fakes are not detached"),
    (one_detached, "learns nothing from its judge"),
    (lambda *given: 3 * objective(*given), "Expected"),
]
MUTANTS = [
    (name, mutant, hint)
    for name, mutants in zip(EXERCISES, (DISCRIMINATOR, CYCLE, POOL, OBJECTIVE), strict=True)
    for mutant, hint in mutants
]


@pytest.fixture(autouse=True)
def seeded():
    random.seed(0)


@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status == "misconception", judgement
    assert hint in judgement.hint


@pytest.mark.parametrize("name", EXERCISES)
def test_other_right_answers_pass(name):
    def keep_new_half(kept, image, size):
        if fills(kept, image, size) or random.random() >= 0.5:
            return image
        old = kept.pop(random.randrange(size))
        kept.append(image)
        return old

    others = {
        "discriminator_loss": lambda d, y, f: judged(
            F.mse_loss(a := d(y), torch.ones_like(a)), F.mse_loss(b := d(f.detach()), torch.zeros_like(b))
        ),
        "cycle_loss": lambda g, f, x, y: F.l1_loss(f(g(x)), x) + F.l1_loss(g(f(y)), y),
        "swap": keep_new_half,
        "generator_loss": objective,
    }
    assert judge_attempt(others[name], EXERCISES[name]).status == "solved"


def test_the_references_are_what_the_library_trains_with():
    """One step's losses of the library, term by term, and the same draws from the pool."""
    torch.manual_seed(0)
    small = {"generator_channels": 4, "blocks": 1, "discriminator_channels": 4, "discriminator_layers": 2}
    system = CycleGAN(CycleGANConfig(**small, pool_size=0)).double()
    x, y = torch.rand(2, 3, 1, 32, 32, dtype=torch.float64) * 2 - 1
    phases = system.phases(SimpleNamespace(source=x, target=y), 0)
    (_, generators), (_, discriminators) = ((name, sum(terms.values())) for name, terms in phases)
    fake_y, fake_x = system.to_target(x), system.to_source(y)
    torch.testing.assert_close(exercises.generator_loss(system, x, y, fake_y, fake_x, 10.0, 0.5), generators)
    both = exercises.discriminator_loss(system.target_discriminator, y, fake_y)
    both = both + exercises.discriminator_loss(system.source_discriminator, x, fake_x)
    torch.testing.assert_close(both, discriminators)

    images = [torch.full((1, 1, 1), float(number)) for number in range(200)]
    torch.manual_seed(1)
    pool = ReplayPool(5)
    library = [pool.query(image[None])[0] for image in images]
    torch.manual_seed(1)
    kept: list[torch.Tensor] = []
    assert [exercises.swap(kept, image, 5) for image in images] == library


def test_checking_a_pool_leaves_the_lessons_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    exercises.check_swap(exercises.swap)
    assert torch.equal(torch.rand(3), expected)


# --- section 6: wrong translators with a perfect objective ----------------------------------------------------------


@pytest.fixture
def heads():
    """Pairs whose two images are unrelated, each with its mirror image: what tables are made of."""
    generator = torch.Generator().manual_seed(0)
    xs, ys = torch.rand(2, 6, 1, 32, 32, generator=generator) * 2 - 1
    return torch.cat([xs, xs.flip(-1)]), torch.cat([ys, ys.flip(-1)])


def test_wrong_tables_have_a_perfect_cycle_and_identity_and_the_very_pile_of_real_images(heads):
    xs, ys = heads
    space = {"torch": torch, "all_x": xs, "all_y": ys}
    exec(cell(STEM, "blind-table-pair"), space)  # noqa: S102, our own notebook
    shuffled = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    orders = {"truth": torch.arange(12), "mirrored": torch.arange(12).roll(6), "other patients": shuffled}
    for name, order in orders.items():
        to_target, to_source = space["table_pair"](order)
        assert exercises.cycle_loss(to_target, to_source, xs, ys) == 0
        assert torch.equal(to_target(ys), ys)
        assert torch.equal(to_source(xs), xs)
        fakes = to_target(xs)
        assert torch.equal(fakes[order.argsort()], ys)  # every real image once: no judge can tell the piles apart
        assert (torch.equal(fakes, ys)) == (name == "truth")
    mirrored, _ = space["table_pair"](orders["mirrored"])
    torch.testing.assert_close(handedness(mirrored(xs), ys), torch.full((12,), -1.0).double())


# --- the failure clinic: hidden writing ------------------------------------------------------------------------------


@pytest.fixture
def clinic():
    space = {"torch": torch}
    for id in ("clinic-hide", "clinic-fix-run"):
        exec(cell(STEM, id).split("\n\n\nrivals")[0], space)  # noqa: S102, our own notebook
    return SimpleNamespace(**space)


def honest(levels):
    """A translator that keeps ``levels`` grey values, and its way back: as a table in which tissues fall together."""
    step = 2 / levels
    return lambda image: ((image + 1) / step).floor().clamp(0, levels - 1) * step - 1 + step / 2, lambda image: image


def test_hidden_writing_has_a_perfect_cycle_whatever_it_draws_until_the_fake_is_touched(heads, clinic):
    xs, _ = heads
    for picture in (torch.zeros_like(xs), xs.flip(0), torch.ones_like(xs), -torch.ones_like(xs)):
        pair = (lambda source, picture=picture: clinic.hide(picture, source), clinic.find)
        assert float((pair[0](xs) - picture).abs().max()) <= 0.01 + 0.01 + 0.008 + 1e-6  # 28 HU at the window's ends
        assert clinic.cycle_error(*pair, xs) < 1e-4
        assert clinic.cycle_error(*pair, xs, 0.01) > 0.3


def test_noise_in_the_cycle_makes_the_honest_pair_the_better_one(heads, clinic):
    xs, _ = heads
    there, back = honest(8)
    pairs = {"honest": (there, back), "hiding": (lambda source: clinic.hide(there(source), source), clinic.find)}
    assert clinic.preferred(pairs, xs, 0.0) == "hiding"
    assert clinic.preferred(pairs, xs, 0.01) == "honest"
    assert clinic.cycle_error(there, back, xs, 0.01) == pytest.approx(clinic.cycle_error(there, back, xs), rel=0.05)


def test_the_price_of_faint_writing_is_the_formula(heads):
    xs, _ = heads
    message, sigma = (xs - xs.mean()).double(), 10.0
    power = float(message.square().mean())
    for height in (3.0, 10.0, 30.0):
        noise = torch.randn(message.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        read = height * message + sigma * noise
        gain = float((read * message).sum() / read.square().sum())  # the best linear reader, by least squares
        assert gain == pytest.approx(height * power / (height**2 * power + sigma**2), rel=0.05)
        unread = float((gain * read - message).square().mean()) / power
        assert unread == pytest.approx(sigma**2 / (height**2 * power + sigma**2), rel=0.05)
