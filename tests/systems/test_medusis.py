"""Med-USIS' own equations (003, eq. 3.1 to 3.7), composed in numpy and scipy from the networks' outputs; its noise, its
phases and its paired upper bound."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import kstest, truncnorm

from medsynth_lib.conventions import Batch
from medsynth_lib.data.datasets import class_numbers
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.errors import TrainingError
from medsynth_lib.losses.mask import MaskExtractor
from medsynth_lib.systems.medusis import MedUSIS, MedUSISConfig
from medsynth_lib.training.bench import noise_store
from medsynth_lib.training.profiles import profile
from medsynth_lib.training.run import make_trainer
from tests.losses.test_mask import hard_mask

SMALL = {
    "size": 32,
    "generator_channels": 2,
    "blocks": 2,
    "hidden_channels": 4,
    "noise_channels": 3,
    "segmentator_channels": 4,
    "segmentator_depth": 2,
    "discriminator_multiplier": 0.02,
    "discriminator_channels": 6,
}


def make(**changes) -> MedUSIS:
    torch.manual_seed(0)
    return MedUSIS(MedUSISConfig(**{**SMALL, **changes})).double()


def encoded(labels: torch.Tensor) -> torch.Tensor:
    return DEFAULT_WINDOWS["LABELS"].encode(labels.double())[:, None]


@pytest.fixture
def batch() -> Batch:
    """Discs of three classes in air, and images that have nothing to do with them."""
    rows, columns = torch.meshgrid(*[torch.arange(32)] * 2, indexing="ij")
    labels = torch.stack([29 * ((rows - 15) ** 2 + (columns - 14 - n) ** 2 < (9 + n) ** 2) for n in range(3)])
    labels[:, 12:16, 10:13], labels[0, 15, 15] = 32, 2
    target = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    return Batch(encoded(labels), target, names=("a", "b", "c"))


def watched(system: MedUSIS, batch: Batch, step: int = 0) -> tuple[list[tuple[str, dict[str, float]]], dict[str, list]]:
    """The phases of a step with their terms as numbers, and every network's outputs in the order of its calls."""
    outputs = {name: [] for name in system.parts()}
    hooks = [
        getattr(system, name).register_forward_hook(lambda _, __, out, name=name: outputs[name].append(out.detach()))
        for name in outputs
    ]
    found = [(name, {term: one.item() for term, one in terms.items()}) for name, terms in system.phases(batch, step)]
    for hook in hooks:
        hook.remove()
    return found, outputs


def cross_entropy(logits: torch.Tensor, labels: np.ndarray) -> float:
    """Eq. 3.3 with α of eq. 3.4, one class after the other, over the number of pixels and of classes shown."""
    logs, total, present = log_softmax(logits.numpy(), axis=1), 0.0, np.unique(labels)
    for c in present:
        indicator = labels == c  # eq. 3.5
        alpha = labels[0].size / indicator.mean(axis=0).sum()  # eq. 3.4: E_m is the mean over the maps
        total -= alpha * (indicator * logs[:, c]).sum() / len(labels)
    return total / (labels[0].size * len(present))


def softplus(x: torch.Tensor) -> float:
    return np.logaddexp(0, x.numpy()).mean()


def test_losses_are_the_equations(batch):
    system = make(segmentation_weight=0.7, mask_weight=30.0, r1_weight=0.0)
    labels = class_numbers(batch.source)[:, 0].numpy()
    found, outputs = watched(system, batch)
    (fake,) = outputs["generator"]
    for_generator, of_fake, of_real = outputs["discriminator"]
    masks = [MaskExtractor(0.5), MaskExtractor(0.15, softness=0.05)]
    body = torch.from_numpy(labels > 0)[:, None].double()
    difference = (masks[0](body) - masks[1]((fake + 1) / 2)).numpy()
    expected = [
        (
            "generator",  # eq. 3.1
            {
                "adversarial": softplus(-for_generator),
                "segmentation": 0.7 * cross_entropy(outputs["segmentator"][0], labels),
                "mask": 30.0 * (difference**2).mean(),  # eq. 3.7
            },
        ),
        ("segmentator", {"fake": cross_entropy(outputs["segmentator"][1], labels)}),  # eq. 3.6
        ("discriminator", {"real": softplus(-of_real), "fake": softplus(of_fake)}),  # eq. 3.2
    ]
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, terms), (_, by_hand) in zip(found, expected, strict=True):
        assert terms == pytest.approx(by_hand, rel=1e-6)


def test_the_segmentation_term_rises_to_its_weight_and_stays(batch):
    """Compared with what the segmentator itself reads, the same images and the same network in the same step."""
    system = make(segmentation_weight=0.6, segmentation_warmup=3, r1_weight=0.0)
    for step, weight in enumerate((0.15, 0.3, 0.45, 0.6, 0.6, 0.6)):
        (_, generator), (_, segmentator), _ = system.phases(batch, step)
        assert generator["segmentation"].item() == pytest.approx(weight * segmentator["fake"].item(), rel=1e-6)


@pytest.mark.parametrize(("name", "blurs"), [("lesson", False), ("paper", True)])
def test_the_discriminator_of_a_profile_blurs_its_features_or_not(name, blurs):
    with torch.device("meta"):
        downs = MedUSIS(profile("medusis", name).system).discriminator.downs
    assert {layer.antialias for _, layer in downs} == {blurs}
    assert not any(layer.antialias for layer, _ in downs)


def test_r1_is_a_phase_of_its_own_every_kth_step(batch):
    system = make(r1_weight=3.0, r1_interval=4)
    for step in range(9):
        names = [name for name, _ in system.phases(batch, step)]
        second = ["discriminator"] if step % 4 == 0 else []
        assert names == ["generator", "segmentator", "discriminator", *second]
    found, _ = watched(system, batch)
    real = batch.target.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(system.discriminator(real).sum(), real)
    expected = 4 * 3.0 / 2 * (gradient**2).sum().item() / len(real)
    assert found[-1][1] == pytest.approx({"r1": expected}, rel=1e-9)


def test_one_generator_forward_serves_all_phases(batch):
    _, outputs = watched(make(), batch)
    assert {name: len(found) for name, found in outputs.items()} == {
        "generator": 1,
        "segmentator": 2,
        "discriminator": 4,  # for the generator, fake, real, R1
    }


def test_unpaired_the_segmentator_never_sees_a_real_image(batch):
    """Its phase and the generator's are the same whatever the target; only the discriminator's changes."""
    torch.manual_seed(3)
    one, _ = watched(make(), batch)
    other, _ = watched(make(), Batch(batch.source, -batch.target, names=batch.names))
    assert one[:2] == other[:2]
    assert one[2] != other[2]


def test_paired_it_is_oasis_discriminator(batch):
    system = make(paired=True)
    labels = class_numbers(batch.source)[:, 0].numpy()
    found, outputs = watched(system, batch)
    _, of_fake, of_real = outputs["segmentator"]
    terms = dict(found)["segmentator"]
    assert terms["real"] == pytest.approx(cross_entropy(of_real, labels), rel=1e-6)
    synthetic = -log_softmax(of_fake.numpy(), axis=1)[:, -1].mean()  # class C + 1: "not real"
    assert terms["fake"] == pytest.approx(synthetic, rel=1e-9)
    assert of_fake.shape[1] == 38 + 1


def test_terms_of_weight_zero_are_left_out(batch):
    found, outputs = watched(make(segmentation_weight=0.0, mask_weight=0.0, r1_weight=0.0), batch)
    assert [(name, list(terms)) for name, terms in found] == [
        ("generator", ["adversarial"]),
        ("discriminator", ["real", "fake"]),
    ]
    assert outputs["segmentator"] == []


def test_rates_are_the_parts_own():
    config = {"learning_rate": 1e-4, "segmentator_learning_rate": 4e-4, "discriminator_learning_rate": 2e-3}
    system = make(**config)
    rates = {name: system.optimizer(name).param_groups[0]["lr"] for name in system.parts()}
    assert rates == {"generator": 1e-4, "segmentator": 4e-4, "discriminator": 2e-3}
    assert system.optimizer("segmentator").param_groups[0]["betas"] == (0.0, 0.999)


def test_every_class_survives_encoding_and_one_hot_is_equation_3_9():
    system, labels = make(), torch.arange(38).repeat(1, 32, 1)
    for source in (encoded(labels), encoded(labels).float()):
        assert torch.equal(system.class_numbers(source), labels)
    hot = system.one_hot(labels)
    assert torch.equal(hot.sum(dim=1), torch.ones(1, 32, 38, dtype=torch.float64))
    assert all(bool((hot[0, c] == (labels[0] == c)).all()) for c in range(38))


@pytest.mark.parametrize("truncation", [0.001, 0.5, 2.0, None])
def test_noise_has_the_truncated_normal_distribution(truncation):
    torch.manual_seed(0)
    drawn = make(noise_channels=64).noise(200, truncation=truncation).numpy().ravel()
    bound = np.inf if truncation is None else truncation
    assert np.abs(drawn).max() <= bound
    assert kstest(drawn, truncnorm(-bound, bound).cdf).pvalue > 1e-3


def test_translation_draws_truncated_noise_and_training_does_not(batch):
    system, shown = make(truncation=0.1, noise_channels=32), []
    system.generator.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[1].abs().max().item()))
    system.translate(batch.source)
    next(system.phases(batch, 0))
    assert shown[0] <= 0.1 < shown[1]


def test_samples_differ_by_their_noise_alone(batch):
    system = make().eval()
    with torch.no_grad():
        one, again, other = (system.translate(batch.source, system.noise(1, seed)) for seed in (1, 1, 2))
        drawn = [system.translate(batch.source) for _ in range(2)]
        shared = system.translate(batch.source[:1], system.noise(1, seed=1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(*drawn)
    torch.testing.assert_close(shared, one[:1])  # one vector for all slices, whatever their number


def test_without_noise_an_image_is_a_function_of_its_labels(batch):
    system = make(noise_channels=0).eval()
    with torch.no_grad():
        assert torch.equal(system.translate(batch.source), system.translate(batch.source))
    assert [name for name, _ in system.phases(batch, 1)] == ["generator", "segmentator", "discriminator"]


def test_both_generators_learn_from_all_three_judges(batch):
    for generator in ("wavelet", "oasis"):
        system = make(generator=generator)
        _, terms = next(system.phases(batch, 0))
        for loss in terms.values():
            gradients = torch.autograd.grad(loss, list(system.generator.parameters()), retain_graph=True)
            assert all(bool(one.isfinite().all()) for one in gradients)
            assert sum(float(one.abs().sum()) for one in gradients) > 0


def test_mask_of_labels_is_the_filled_body(batch):
    system, labels = make(), class_numbers(batch.source)
    found = system.label_mask((labels > 0).double()) > 0.5
    for one, mask in zip(labels, found, strict=True):
        assert np.array_equal(mask[0].numpy(), hard_mask(one[0].numpy() > 0, system.label_mask))


def test_impossible_settings_are_refused():
    for settings in (
        {"generator": "u-net"},
        {"truncation": 0.0},
        {"r1_interval": 0},
        {"segmentation_warmup": -1},
        {"paired": True, "segmentation_weight": 0.0},
    ):
        with pytest.raises(TrainingError, match="Med-USIS"):
            MedUSISConfig(**settings)


def test_label_maps_on_another_scale_and_images_in_their_place_are_refused(tmp_path):
    """Read as class numbers, both would train, on nonsense."""
    for source, changes, message in (("PET", {}, "starts from label maps"), ("LABELS", {"classes": 31}, "classes")):
        (tmp_path / source).mkdir()
        store = noise_store(tmp_path / source, 32, slices=4, source=source, target="MR", patients=2)
        smoke = profile("medusis", "smoke")
        with pytest.raises(TrainingError, match=message):
            make_trainer("medusis", store, replace(smoke, system=replace(smoke.system, **changes)))
