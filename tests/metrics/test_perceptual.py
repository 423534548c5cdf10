"""The perceptual distance by hand and its limits; LPIPS from files made here, and never without the published ones."""

import hashlib
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from medsynth_lib.errors import InputError
from medsynth_lib.metrics import perceptual
from medsynth_lib.metrics.perceptual import BACKBONES, LPIPS, perceptual_distance
from medsynth_lib.metrics.weights import PublishedWeights


def features(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def test_by_hand():
    """Two layers: (3, 4) beside (0, 5) at one of two places; (1, 0) beside (0, 1)."""
    first = torch.tensor([[[[3.0, 1.0]], [[4.0, 0.0]]]]), torch.tensor([[[[0.0, 7.0]], [[5.0, 0.0]]]])
    second = torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[1.0]]]])
    weights = [torch.tensor([2.0, 10.0]), torch.tensor([1.0, 3.0])]
    expected = (2 * 0.6**2 + 10 * 0.2**2) / 2 + (1 + 3)  # (0.6, 0.8) − (0, 1), then the mean over two places
    found = perceptual_distance([first[0], second[0]], [first[1], second[1]], weights)
    assert found.tolist() == pytest.approx([expected])


def test_blind_to_the_length_of_features_and_zero_for_equal_ones():
    shapes = (2, 4, 6, 6), (2, 8, 3, 3)
    one, other, weights = features(0, *shapes), features(1, *shapes), features(2, (4,), (8,))
    expected = perceptual_distance(one, other, weights)
    assert torch.allclose(perceptual_distance([3 * f for f in one], other, weights), expected)
    assert torch.allclose(perceptual_distance(other, one, weights), expected)
    assert perceptual_distance(one, one, weights).tolist() == [0, 0]
    assert (expected <= 2 * sum(weight.max() for weight in weights)).all()
    assert torch.isfinite(perceptual_distance([0 * f for f in one], other, weights)).all()


def test_images_do_not_mix():
    shapes = (3, 4, 6, 6), (3, 8, 3, 3)
    one, other, weights = features(0, *shapes), features(1, *shapes), features(2, (4,), (8,))
    alone = [perceptual_distance([f[k : k + 1] for f in one], [f[k : k + 1] for f in other], weights) for k in range(3)]
    assert torch.allclose(torch.cat(alone), perceptual_distance(one, other, weights))


@pytest.mark.parametrize(("backbone", "parameters"), [("vgg", 14_714_688), ("alex", 2_469_696)])
def test_networks_are_the_published_ones_convolutions(backbone, parameters):
    layers = perceptual._layers(BACKBONES[backbone])
    assert sum(parameter.numel() for parameter in layers.parameters()) == parameters


def published(path, called):
    return PublishedWeights(called, hashlib.sha256(path.read_bytes()).hexdigest()[:8], "the test")


@pytest.fixture(params=["vgg", "alex"])
def lpips(request, tmp_path, monkeypatch):
    """LPIPS from files with random numbers that the test declares published."""
    torch.manual_seed(0)
    about, network, linear = BACKBONES[request.param], tmp_path / "network.pth", tmp_path / "linear.pth"
    layers = perceptual._layers(about)
    widths = [layer.out_channels for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    classifier = {"classifier.0.weight": torch.zeros(2, 2)}
    torch.save({**{f"features.{key}": one for key, one in layers.state_dict().items()}, **classifier}, network)
    weights = {f"lin{k}.model.1.weight": torch.rand(1, widths[index], 1, 1) for k, index in enumerate(about.read)}
    torch.save(weights, linear)
    told = replace(about, network=published(network, "network"), linear=published(linear, "linear"))
    monkeypatch.setitem(perceptual.BACKBONES, request.param, told)
    return LPIPS(request.param, network=network, linear=linear), layers, weights


def read(layers, images, indices):
    image, found = images.expand(-1, 3, -1, -1), []
    image = (image - torch.tensor([-0.03, -0.088, -0.188]).view(3, 1, 1)) / torch.tensor([0.458, 0.448, 0.45]).view(
        3, 1, 1
    )
    for layer in layers:
        image = layer(image)
        if isinstance(layer, torch.nn.ReLU):
            found.append(image)
    return [found[index] for index in indices]


def test_equals_the_formula_written_out(lpips):
    measure, layers, weights = lpips
    fake, target = (2 * torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(k)) - 1 for k in (0, 1))
    with torch.no_grad():
        pairs = zip(*(read(layers, images, measure.about.read) for images in (fake, target)), strict=True)
        expected = 0
        for layer, (one, other) in enumerate(pairs):
            squared = (F.normalize(one, dim=1) - F.normalize(other, dim=1)) ** 2
            expected = expected + F.conv2d(squared, weights[f"lin{layer}.model.1.weight"]).mean(dim=(1, 2, 3))
    found = measure(fake, target)
    assert torch.allclose(found, expected, rtol=1e-4)
    assert found.min() > 0
    assert measure(fake, fake).tolist() == [0, 0]
    assert "LPIPS" in measure.name
    with pytest.raises(InputError, match="too small"):
        measure(fake[..., :12, :12], target[..., :12, :12])


def test_smallest_image_still_has_every_layer(lpips):
    measure, _, _ = lpips
    side = measure.about.smallest
    assert math.isfinite(measure(torch.zeros(1, 1, side, side), torch.ones(1, 1, side, side)))


def test_without_the_published_files_there_is_no_lpips(tmp_path):
    with pytest.raises(InputError, match="vgg16-397923af"):
        LPIPS("vgg", network=None)
    other = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save({}, other)
    with pytest.raises(InputError, match="is not alexnet"):
        LPIPS("alex", network=other)
    with pytest.raises(InputError, match="unknown LPIPS network"):
        LPIPS("resnet", network=None)


def test_the_learned_weights_are_found_in_the_package_where_it_is_installed(tmp_path, monkeypatch):
    package = tmp_path / "lpips"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('only its file is wanted')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert perceptual._packaged("alex") == package / "weights" / "v0.1" / "alex.pth"
