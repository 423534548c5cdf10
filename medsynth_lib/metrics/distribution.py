"""How far apart two sets of images are as distributions of features: Fréchet distance and kernel distance.

Both compare *sets*, not pairs: 100 perfect images in the wrong order score perfectly, and so do 100 images of other
patients. Neither says that an image is right; they say that a set looks alike. Features are ``(N, D)``, one row per
image, from an extractor of ``metrics.extractors``; everything here is float64.

**Names.** *FID* is the Fréchet distance of one network's features with one set of weights. A distance of any other
features is another number, not comparable with a published one, and carries its extractor's name: see ``Distance``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.extractors import FeatureExtractor, extract


@dataclass(frozen=True)
class Distance:
    """A distance between two sets, with the name it may be printed under and what a reader must know to judge it.

    ``samples`` are the images of (fake, real), ``features`` the numbers per image, ``notes`` the reservations.
    """

    name: str
    value: float
    samples: tuple[int, int]
    features: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        sizes = f"{self.samples[0]} against {self.samples[1]} images, {self.features} features"
        return f"{self.name}: {self.value:.4g} ({'; '.join([sizes, *self.notes])})"


def frechet(fake: Tensor, real: Tensor, extractor: FeatureExtractor, *, shrinkage: float = 0.0) -> Distance:
    """The Fréchet distance of two sets of images ``(N, C, H, W)`` in [-1, 1], under the name the extractor allows.

    Raises:
        InputError: as ``frechet_distance``.
    """
    features = extract(extractor, fake), extract(extractor, real)
    value, size = frechet_distance(*features, shrinkage=shrinkage), features[0].shape[1]
    notes = [f"shrinkage {shrinkage:g}"] if shrinkage else []
    if min(len(fake), len(real)) <= size:
        notes.append("fewer images than features: biased upwards, compare only at the same numbers of images")
    return Distance(extractor.frechet_name, value, (len(fake), len(real)), size, tuple(notes))


def frechet_distance(fake: Tensor, real: Tensor, *, shrinkage: float = 0.0) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features ``(N, D)``; 0 for the same set.

    d² = ‖μ_f − μ_r‖² + tr(Σ_f + Σ_r − 2 (Σ_f Σ_r)^½), with μ the means and Σ the covariances (divided by N − 1).
    Dowson and Landau 1982, eq. 4; Heusel et al. 2017, eq. 6; 003 eq. 4.1.

    The estimate is biased upwards: two halves of one set have a distance above 0, the more so the fewer images and the
    more features. With N ≤ D a covariance has no full rank: the distance is still defined, its bias is large.
    ``shrinkage`` s replaces Σ by (1 − s) Σ + s tr(Σ)/D·I (Ledoit and Wolf 2004, with s chosen by hand), which makes it
    full; the result is then another number, so say s beside it.

    Raises:
        InputError: fewer than two images in a set, differing features, a feature that is not finite.
    """
    _check(fake, real)
    if not 0 <= shrinkage <= 1:
        raise InputError("shrinkage is a part", rule="from 0 to 1", seen=shrinkage)
    return gaussian_frechet_distance(*_moments(fake, shrinkage), *_moments(real, shrinkage))


def gaussian_frechet_distance(fake_mean: Tensor, fake_cov: Tensor, real_mean: Tensor, real_cov: Tensor) -> float:
    """Squared Fréchet distance between two Gaussians, from means ``(D,)`` and covariances ``(D, D)``.

    tr (Σ_f Σ_r)^½ is the sum of the singular values of Σ_f^½ Σ_r^½, and the roots come from eigenvalues of symmetric
    matrices. So nothing goes complex, as the root of the unsymmetric product does when Σ is singular.
    """
    cross = torch.linalg.svdvals(_root(fake_cov) @ _root(real_cov)).sum()
    distance = (fake_mean - real_mean).double().square().sum() + (fake_cov.trace() + real_cov.trace() - 2 * cross)
    return max(0.0, float(distance))


def kernel_distance(fake: Tensor, real: Tensor) -> float:
    """Squared maximum mean discrepancy of features ``(N, D)`` with the kernel k(x, y) = (x·y / D + 1)³, unbiased.

    MMD² = mean_{i≠j} k(f_i, f_j) + mean_{i≠j} k(r_i, r_j) − 2 mean k(f_i, r_j). Bińkowski et al. 2018, eq. 4 (KID, with
    Inception features, there averaged over subsets). Its mean is right at any number of images, so it may be negative.

    Raises:
        InputError: as ``frechet_distance``.
    """
    _check(fake, real)
    fake, real = fake.double(), real.double()

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one @ other.T / one.shape[1] + 1) ** 3

    def among(features: Tensor) -> Tensor:
        values, count = kernel(features, features), len(features)
        return (values.sum() - values.trace()) / (count * (count - 1))

    return float(among(fake) + among(real) - 2 * kernel(fake, real).mean())


def _moments(features: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    features = features.double()
    mean, size = features.mean(dim=0), features.shape[1]
    centred = features - mean
    covariance = centred.T @ centred / (len(features) - 1)
    whole = covariance.trace() / size * torch.eye(size, dtype=torch.float64, device=features.device)
    return mean, torch.lerp(covariance, whole, shrinkage)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric root; eigenvalues that are rounding error, above or below zero, count as zero."""
    values, vectors = torch.linalg.eigh(covariance.double())
    noise = values.abs().max() * len(values) * torch.finfo(torch.float64).eps
    return (vectors * values.where(values > noise, 0).sqrt()) @ vectors.T


def _check(fake: Tensor, real: Tensor) -> None:
    if fake.ndim != 2 or real.ndim != 2 or fake.shape[1] != real.shape[1] or min(len(fake), len(real)) < 2:
        seen = f"{tuple(fake.shape)} and {tuple(real.shape)}"
        raise InputError("two sets of features do not fit", rule="(N, D) and (M, D), N and M at least 2", seen=seen)
    for where, features in (("fake", fake), ("real", real)):
        if not torch.isfinite(features).all():
            raise InputError("a feature is NaN or infinite", where=where, rule="every feature finite")
