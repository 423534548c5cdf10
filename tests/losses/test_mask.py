"""The mask extractor against scipy and scikit-image, and that its loss teaches where rounding would not."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.morphology import reconstruction

from medsynth_lib.errors import InputError, TrainingError
from medsynth_lib.losses.mask import MaskExtractor, fill_holes, gaussian_blur, mask_loss, opening


def anatomy(seed: int, size: int = 48) -> np.ndarray:
    """A binary body with organs cut out, gaps in its contour, specks beside it, and a side cut by the border."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    centre = size * generator.uniform(0.3, 0.6, 2)
    body = ((rows - centre[0]) / 0.35) ** 2 + ((columns - centre[1]) / 0.45) ** 2 < size**2
    for row, column in generator.integers(0, size, (6, 2)):
        radius = generator.uniform(1, size / 8)
        body &= (rows - row) ** 2 + (columns - column) ** 2 > radius**2
    return body | (generator.random((size, size)) < 0.01)


def hard_mask(image: np.ndarray, extractor: MaskExtractor) -> np.ndarray:
    """What scipy makes of it, step by step on true and false."""
    found = ndimage.gaussian_filter(image.astype(float), extractor.sigma, mode="constant") > extractor.threshold
    if extractor.radius:
        square = np.ones((2 * extractor.radius + 1,) * 2)
        found = ndimage.binary_dilation(ndimage.binary_erosion(found, square, border_value=1), square)
    return ndimage.binary_fill_holes(found)


@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("grey", [False, True])
def test_agrees_with_scipy_pixel_for_pixel(radius, grey):
    extractor = MaskExtractor(0.45, sigma=1.3, radius=radius)
    covered = 0
    for seed in range(8):
        image = anatomy(seed).astype(float)
        if grey:
            image = image * ndimage.gaussian_filter(np.random.default_rng(seed).random(image.shape), 2) * 2
        found = extractor(torch.from_numpy(image)[None, None])[0, 0].numpy() > 0.5
        expected = hard_mask(image, extractor)
        assert np.array_equal(found, expected)
        covered += expected.mean() / 8
    assert 0.1 < covered < 0.9


def test_opening_is_scipys_grey_opening_where_the_border_is_far():
    image = np.pad(np.random.default_rng(0).random((20, 20)), 6)
    found = opening(torch.from_numpy(image)[None, None], 2)[0, 0].numpy()
    np.testing.assert_array_equal(found, ndimage.grey_opening(image, (5, 5)))


def test_holes_are_filled_as_grey_reconstruction_does():
    """Noise, and a spiral whose way in is far longer than the image is wide."""
    noise = np.random.default_rng(1).random((40, 33))
    spiral = np.full((41, 41), 0.9)
    for ring in range(0, 20, 2):  # a corridor two pixels apart, each ring entered from the one around it
        low, high = ring, 40 - ring
        spiral[low, low : high + 1] = spiral[high, low : high + 1] = 0.1
        spiral[low : high + 1, high] = spiral[low + 2 : high + 1, low] = 0.1
        spiral[low + 2, low : low + 3] = 0.1
        spiral[low + 1, low] = 0.9
    for image in (noise, spiral):
        seed = np.ones_like(image)
        seed[[0, -1]], seed[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]
        expected = reconstruction(seed, image, method="erosion", footprint=ndimage.generate_binary_structure(2, 1))
        found = fill_holes(torch.from_numpy(image)[None, None])[0, 0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_blur_is_scipys():
    image = np.random.default_rng(2).random((24, 30))
    found = gaussian_blur(torch.from_numpy(image)[None, None], 1.7)[0, 0].numpy()
    np.testing.assert_allclose(found, ndimage.gaussian_filter(image, 1.7, mode="constant"), atol=1e-12)


def disc(radius: float, level: float = 1.0, size: int = 32) -> torch.Tensor:
    rows, columns = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    inside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < radius**2
    return (level * inside)[None, None]


def test_gradient_is_not_zero_and_a_step_against_it_helps():
    """Too small a body must grow: rounding to whole numbers, as published, gives no gradient at all."""
    extractor = MaskExtractor()
    wanted, image, losses = extractor(disc(10)), disc(8).requires_grad_(), []
    for _ in range(30):
        loss = mask_loss(wanted, extractor(image))
        (gradient,) = torch.autograd.grad(loss, image)
        losses.append(loss.item())
        image = (image - 50 * gradient).detach().clamp(0, 1).requires_grad_()
    assert losses[-1] < 0.2 * losses[0]
    assert float(image.detach()[(disc(9.5) - disc(8)).bool()].mean()) > 0.5  # what was air is body now


def test_gradient_equals_finite_differences():
    image = gaussian_blur(torch.rand(1, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(4)), 1)
    extractor = MaskExtractor(0.5, sigma=0.8, radius=0, softness=0.2)
    pixels = extractor(image)
    open_to_the_border = pixels == torch.sigmoid((gaussian_blur(image, 0.8) - 0.5) / 0.2)
    assert 0.1 < float(open_to_the_border.float().mean()) < 1

    def reached(x):
        return extractor(x)[open_to_the_border]

    assert torch.autograd.gradcheck(reached, image.requires_grad_())


def test_what_is_inside_the_body_does_not_matter():
    body = disc(12)
    lungs = body - disc(6, 0.95)
    extractor = MaskExtractor()
    assert float(mask_loss(extractor(body), extractor(lungs))) < 1e-3 * float(mask_loss(body, lungs))
    lungs.requires_grad_()
    (gradient,) = torch.autograd.grad(extractor(lungs).sum(), lungs)
    contour = (disc(13) - disc(11)).bool()
    assert float(gradient[disc(4).bool()].abs().mean()) < 1e-3 * float(gradient[contour].abs().mean())


def test_loss_is_the_share_of_pixels_that_differ():
    extractor = MaskExtractor(softness=1e-3)
    one, other = disc(12), disc(6)
    differing = hard_mask(one[0, 0].numpy(), extractor) ^ hard_mask(other[0, 0].numpy(), extractor)
    assert float(mask_loss(extractor(one), extractor(other))) == pytest.approx(differing.mean(), rel=0.02)
    assert float(mask_loss(extractor(one), extractor(one))) == 0


def test_half_precision_is_computed_in_float32():
    image = disc(9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(MaskExtractor()(image), MaskExtractor()(image.float()))


def test_impossible_settings_are_refused():
    for settings in ({"sigma": 0.0}, {"softness": 0.0}, {"radius": -1}):
        with pytest.raises(TrainingError, match="mask extractor"):
            MaskExtractor(**settings)
    with pytest.raises(InputError):
        mask_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
