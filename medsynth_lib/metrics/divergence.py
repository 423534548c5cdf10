"""What a GAN's game is worth, for densities known on a grid: the best discriminator, its value, and the divergence."""

from __future__ import annotations

import numpy as np


def optimal_logits(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """log p(x) − log q(x), the logits of the best discriminator D*(x) = p(x) / (p(x) + q(x)) = σ(log p − log q).

    Logits, because D* rounds to 1 long before q is 0. Infinite where one density is 0; 0 where both are, and anything
    would do. Source: Goodfellow et al. 2014, proposition 1.

    Args:
        real, fake: values ≥ 0 of the densities p and q at the same points, any shape.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = np.log(real) - np.log(fake)
    return np.where((real == 0) & (fake == 0), 0.0, logits)


def game_value(real: np.ndarray, fake: np.ndarray, logits: np.ndarray, cell: float) -> float:
    """V(D, G) = ∫ p(x) log D(x) + q(x) log(1 − D(x)) dx, which D maximises and G minimises.

    −V is the discriminator's loss in the sum convention: log 4 at p = q. ``AdversarialLoss`` halves it: log 2.
    Source: Goodfellow et al. 2014, eq. 1.

    Args:
        real, fake: values of the densities p and q on a regular grid.
        logits: of the discriminator at the same points; D = σ(logits).
        cell: length, area or volume of a grid cell.
    """
    said_real, said_fake = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    return cell * float((real[real > 0] * said_real[real > 0]).sum() + (fake[fake > 0] * said_fake[fake > 0]).sum())


def jensen_shannon(real: np.ndarray, fake: np.ndarray, cell: float) -> float:
    """JSD(p ‖ q) = ½ KL(p ‖ m) + ½ KL(q ‖ m), m = (p + q)/2, in nats: 0 for p = q, log 2 for disjoint densities.

    Against the best discriminator, V = −log 4 + 2 JSD. Source: Goodfellow et al. 2014, theorem 1.

    Args:
        real, fake, cell: as in ``game_value``.
    """
    middle = (real + fake) / 2
    return cell / 2 * float(sum((p[p > 0] * np.log(p[p > 0] / middle[p > 0])).sum() for p in (real, fake)))
