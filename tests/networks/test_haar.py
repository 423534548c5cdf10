"""The Haar transform: PyWavelets agrees, nothing is lost, and gradients of every order are its transpose."""

import numpy as np
import pytest
import pywt
import torch

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.haar import haar, inverse_haar


def image(*shape: int, layout: torch.memory_format = torch.contiguous_format) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(memory_format=layout)


layouts = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])


@layouts
def test_bands_are_those_of_pywavelets(layout):
    pixels = image(2, 3, 8, 12, layout=layout)
    average, details = pywt.dwt2(pixels.numpy(), "haar", axes=(-2, -1))
    np.testing.assert_allclose(haar(pixels).numpy(), np.concatenate([average, *details], axis=1), atol=1e-14)


@layouts
def test_inverse_is_that_of_pywavelets_on_any_bands(layout):
    bands = image(2, 12, 5, 4, layout=layout)
    average, *details = np.split(bands.numpy(), 4, axis=1)
    expected = pywt.idwt2((average, tuple(details)), "haar", axes=(-2, -1))
    np.testing.assert_allclose(inverse_haar(bands).numpy(), expected, atol=1e-14)


@layouts
def test_inverse_undoes_and_energy_is_kept(layout):
    pixels = image(2, 3, 8, 12, layout=layout)
    bands = haar(pixels)
    torch.testing.assert_close(inverse_haar(bands), pixels)
    torch.testing.assert_close(bands.square().sum((1, 2, 3)), pixels.square().sum((1, 2, 3)))


def test_details_see_edges_of_their_own_direction():
    rows = torch.tensor([1.0, 0.0]).repeat(4)[:, None].expand(8, 8)
    for pattern, band in ((torch.ones(8, 8), 0), (rows, 1), (rows.T, 2)):
        energy = haar((pattern - 0.5 * (band > 0))[None, None]).square().sum((0, 2, 3))
        assert energy[band] == energy.sum() > 0


@layouts
def test_memory_layout_is_kept(layout):
    bands = haar(image(2, 3, 8, 8, layout=layout))
    assert bands.is_contiguous(memory_format=layout)
    assert inverse_haar(bands).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("transform", [haar, inverse_haar])
def test_gradients_of_first_and_second_order(transform):
    pixels = image(1, 4, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(transform, pixels)
    assert torch.autograd.gradgradcheck(lambda x: transform(x).pow(3), pixels)


def test_odd_sides_and_missing_bands_are_refused():
    with pytest.raises(MedSynthError, match="even image sides"):
        haar(torch.zeros(1, 1, 4, 5))
    with pytest.raises(MedSynthError, match="four bands"):
        inverse_haar(torch.zeros(1, 6, 4, 4))


@pytest.mark.parametrize("transform", [haar, inverse_haar])
def test_torch_compile_takes_it_in_one_graph_with_its_gradient(transform):
    compiled, image = torch.compile(transform, backend="aot_eager", fullgraph=True), torch.rand(2, 4, 8, 8)
    results = []
    for function in (transform, compiled):
        leaf = image.clone().requires_grad_()
        made = function(leaf)
        (gradient,) = torch.autograd.grad(made.square().sum(), leaf)
        results.append((made, gradient))
    torch.testing.assert_close(results[0], results[1])
