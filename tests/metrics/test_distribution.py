"""Fréchet and kernel distance against closed forms and SciPy; extractors, and the names they may lend."""

import hashlib
import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from medsynth_lib.errors import InputError
from medsynth_lib.metrics import inception
from medsynth_lib.metrics.distribution import frechet, frechet_distance, gaussian_frechet_distance, kernel_distance
from medsynth_lib.metrics.extractors import RandomConvolutions, extract
from medsynth_lib.metrics.inception import InceptionFeatures, InceptionV3
from medsynth_lib.metrics.weights import PublishedWeights


def normal(count, size, seed, mean=0.0):
    return mean + torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixed(features, seed=7):
    """The same set with correlated features."""
    return features @ normal(features.shape[1], features.shape[1], seed)


# --- the distances ---------------------------------------------------------------------------------------------------


def test_frechet_equals_the_matrix_root_of_scipy():
    fake, real = mixed(normal(200, 12, 0), 1), mixed(normal(150, 12, 2, mean=0.5), 3)
    covariances = [np.cov(one.numpy(), rowvar=False) for one in (fake, real)]
    root = sqrtm(covariances[0] @ covariances[1])
    means = (fake.mean(0) - real.mean(0)).square().sum().item()
    expected = means + np.trace(covariances[0] + covariances[1] - 2 * root).real
    assert frechet_distance(fake, real) == pytest.approx(expected, rel=1e-9)


def test_diagonal_gaussians_have_a_closed_form():
    spread_1, spread_2, apart = torch.tensor([1.0, 2, 3]), torch.tensor([4.0, 2, 0]), torch.tensor([1.0, 0, -2])
    found = gaussian_frechet_distance(apart, spread_1.square().diag(), torch.zeros(3), spread_2.square().diag())
    assert found == pytest.approx((apart.square() + (spread_1 - spread_2).square()).sum().item(), rel=1e-12)


def test_in_one_dimension_it_is_the_difference_of_mean_and_spread():
    fake, real = normal(50, 1, 0, mean=3) * 2, normal(60, 1, 1)
    expected = (fake.mean() - real.mean()) ** 2 + (fake.std() - real.std()) ** 2
    assert frechet_distance(fake, real) == pytest.approx(expected.item(), rel=1e-12)


def test_identical_sets_are_at_zero_in_any_order_even_without_full_rank():
    features = mixed(normal(20, 50, 0))  # fewer images than features: 31 eigenvalues are 0
    scale = features.var(dim=0).sum().item()
    assert frechet_distance(features, features.flip(0)) <= 1e-6 * scale
    assert kernel_distance(normal(40, 3, 0), normal(40, 3, 0)) < 0.05


def test_singular_covariances_are_compared_exactly():
    """Sets that vary along one axis each: the cross term is 0, the traces remain."""
    fake, real = torch.zeros(30, 40, dtype=torch.float64), torch.zeros(30, 40, dtype=torch.float64)
    fake[:, 0], real[:, 1] = normal(30, 1, 0)[:, 0], normal(30, 1, 1)[:, 0]
    expected = fake.var(0).sum() + real.var(0).sum() + (fake.mean(0) - real.mean(0)).square().sum()
    assert frechet_distance(fake, real) == pytest.approx(expected.item(), rel=1e-12)


def test_symmetric_and_blind_to_rotation():
    fake, real = mixed(normal(80, 6, 0)), mixed(normal(90, 6, 1, mean=1), 8)
    turn = torch.linalg.qr(normal(6, 6, 5))[0]
    expected = frechet_distance(fake, real)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(fake @ turn, real @ turn) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(3 * fake, 3 * real) == pytest.approx(9 * expected, rel=1e-9)


def test_fewer_images_raise_the_distance_of_equal_distributions():
    biases = [frechet_distance(normal(count, 10, 0), normal(count, 10, 1)) for count in (20, 80, 320, 1280)]
    assert biases == sorted(biases, reverse=True)
    assert 20 * biases[-1] < biases[0]


def test_shrinkage_pulls_the_covariance_to_a_ball():
    fake, real = mixed(normal(30, 5, 0)), mixed(normal(30, 5, 1), 8)
    radii = [(one.var(dim=0).mean()).sqrt() for one in (fake, real)]
    expected = (fake.mean(0) - real.mean(0)).square().sum() + 5 * (radii[0] - radii[1]) ** 2
    assert frechet_distance(fake, real, shrinkage=1.0) == pytest.approx(expected.item(), rel=1e-9)
    with pytest.raises(InputError, match="shrinkage"):
        frechet_distance(fake, real, shrinkage=1.5)


def test_kernel_distance_equals_its_double_sum():
    fake, real = normal(5, 3, 0), normal(4, 3, 1, mean=1)

    def kernel(one, other):
        return (float(one @ other) / 3 + 1) ** 3

    among = [
        np.mean([kernel(one[i], one[j]) for i in range(len(one)) for j in range(len(one)) if i != j])
        for one in (fake, real)
    ]
    across = np.mean([kernel(f, r) for f in fake for r in real])
    assert kernel_distance(fake, real) == pytest.approx(sum(among) - 2 * across, rel=1e-9)


def test_kernel_distance_has_no_bias():
    """Mean over 200 pairs of small sets of one distribution: 0 within its own standard error."""
    found = np.array([kernel_distance(normal(8, 4, 2 * k), normal(8, 4, 2 * k + 1)) for k in range(200)])
    assert abs(found.mean()) < 3 * found.std() / math.sqrt(len(found))
    assert found.min() < 0


@pytest.mark.parametrize("bad", [normal(1, 4, 0), normal(5, 3, 0), normal(5, 4, 0) * math.nan, normal(5, 4, 0)[0]])
def test_what_is_no_set_of_features_is_refused(bad):
    for measure in (frechet_distance, kernel_distance):
        with pytest.raises(InputError):
            measure(bad, normal(5, 4, 1))


# --- features of the course's own ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(image):
    return torch.stack([torch.from_numpy(image(48, seed)).float() * 2 - 1 for seed in range(160)])[:, None]


def test_more_blur_and_more_noise_are_farther_away(images):
    extractor, (real, other) = RandomConvolutions(), images.split(80)
    floor = frechet(other, real, extractor).value

    def blurred(width):
        return torch.nn.functional.avg_pool2d(other, width, 1, width // 2, count_include_pad=False)

    noise = torch.randn(other.shape, generator=torch.Generator().manual_seed(0))
    for worse in ([blurred(3), blurred(5), blurred(9)], [(other + s * noise).clamp(-1, 1) for s in (0.1, 0.2, 0.4)]):
        values = [frechet(one, real, extractor).value for one in worse]
        assert [floor, *values] == sorted([floor, *values])
        assert values[-1] > 3 * floor


def test_order_and_batches_do_not_matter_but_the_seed_does(images):
    extractor = RandomConvolutions()
    features = extract(extractor, images)
    assert features.shape == (160, 57)
    assert torch.allclose(extract(extractor, images.flip(0)).flip(0), features)
    assert torch.allclose(torch.cat([extract(extractor, one[None]) for one in images[:3]]), features[:3], atol=1e-6)
    assert torch.equal(extract(RandomConvolutions(), images), features)
    assert not torch.allclose(extract(RandomConvolutions(1), images), features)


def test_the_courses_distance_is_never_called_fid(images):
    found = frechet(images[:40], images[40:90], RandomConvolutions(seed=3))
    assert found.name == "Fréchet distance (course features: random convolutions, seed 3)"
    assert "FID" not in str(found)
    assert "40 against 50 images, 57 features; fewer images than features" in str(found)
    assert frechet(images[:80], images[80:], RandomConvolutions()).notes == ()
    assert frechet(images, images, RandomConvolutions(), shrinkage=0.1).notes == ("shrinkage 0.1",)


@pytest.mark.parametrize("bad", [torch.zeros(4, 8, 8), torch.zeros(0, 1, 8, 8), torch.full((2, 1, 8, 8), 1000.0)])
def test_images_outside_the_convention_are_refused(bad):
    with pytest.raises(InputError):
        extract(RandomConvolutions(), bad)


# --- FID -------------------------------------------------------------------------------------------------------------


def test_without_the_published_file_there_is_no_fid(tmp_path):
    with pytest.raises(InputError, match="pytorch-fid"):
        InceptionFeatures(None)
    with pytest.raises(InputError, match="are not here"):
        InceptionFeatures(tmp_path / "absent.pth")
    other = tmp_path / "pt_inception-2015-12-05-6726825d.pth"  # the right name does not help
    torch.save({}, other)
    with pytest.raises(InputError, match="is not pt_inception"):
        InceptionFeatures(other)


def published(path, monkeypatch):
    """Make the file at ``path`` pass for the published one."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(inception, "FID_WEIGHTS", PublishedWeights("the test's file", digest, "the test"))


def test_the_published_file_gives_the_2048_features_of_fid(tmp_path, monkeypatch, images):
    torch.manual_seed(0)
    network = InceptionV3().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_785_568
    path = tmp_path / "weights.pth"
    torch.save({**network.state_dict(), "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)
    published(path, monkeypatch)
    extractor = InceptionFeatures(path)
    features = extract(extractor, images[:2])
    resized = torch.nn.functional.interpolate(images[:2], (299, 299), mode="bilinear")
    with torch.no_grad():
        expected = network(resized.expand(-1, 3, -1, -1)).double()
    assert features.shape == (2, 2048)
    assert torch.allclose(features, expected, rtol=1e-4, atol=1e-6)
    assert extractor.frechet_name == "FID"


def test_blocks_have_the_paper_s_sizes():
    """Szegedy 2016, table 1: 35x35x288, 17x17x768, 8x8x2048 from 299x299."""
    network, seen = InceptionV3().eval(), {}
    for name, block in network.named_children():
        block.register_forward_hook(lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:])}))
    with torch.no_grad():
        network(torch.zeros(1, 3, 299, 299))
    assert seen["Conv2d_2b_3x3"] == (64, 147, 147)
    assert seen["Mixed_5d"] == (288, 35, 35)
    assert seen["Mixed_6e"] == (768, 17, 17)
    assert seen["Mixed_7c"] == (2048, 8, 8)


def test_pooling_leaves_padding_out_of_the_mean_and_the_last_block_takes_the_maximum():
    network = InceptionV3()
    image = torch.full((1, 1, 5, 5), 2.0)
    assert torch.equal(inception._mean_pool(image), image)
    image[0, 0, 2, 2] = 9
    assert inception._max_pool(image)[0, 0, 1, 1] == 9
    assert (network.Mixed_7b.pool, network.Mixed_7c.pool) == (inception._mean_pool, inception._max_pool)


@pytest.mark.filterwarnings("ignore:.*TorchScript", "ignore:.*torch.jit")
def test_other_content_under_the_right_checksum_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    published(path, monkeypatch)
    with pytest.raises(InputError, match="do not fit"):
        InceptionFeatures(path)
    torch.jit.script(torch.nn.Identity()).save(path)
    published(path, monkeypatch)
    with pytest.raises(InputError, match="cannot be read"):
        InceptionFeatures(path)
