"""Smooth random fields: what bends a patient, parts muscles and folds a cortex."""

from __future__ import annotations

import numpy as np


class Waves:
    """A smooth random field: a sum of plane waves with wavelengths around ``length_mm``, unit standard deviation."""

    def __init__(self, rng: np.random.Generator, length_mm: float, count: int = 6):
        ways = rng.normal(size=(count, 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        self.k = (ways * (2 * np.pi / (length_mm * rng.uniform(0.7, 1.5, (count, 1))))).astype(np.float32)
        self.phase = rng.uniform(0, 2 * np.pi, count).astype(np.float32)

    def __call__(self, x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        """Values ``(X, Y)`` on a plane; ``x`` and ``y`` are 1-D, in mm."""
        a = np.outer(x, self.k[:, 0]) + np.float32(z) * self.k[:, 2] + self.phase
        b = np.outer(y, self.k[:, 1])
        # sin(a + b) = sin a cos b + cos a sin b: one matrix product instead of a sine per pixel. Not with "@": BLAS
        # would wake its threads for this, and its last bits depend on how many there are.
        left, right = np.hstack([np.sin(a), np.cos(a)]), np.hstack([np.cos(b), np.sin(b)])
        return np.einsum("ik,kj->ij", left, np.ascontiguousarray(right.T)) * np.float32(np.sqrt(2 / len(self.phase)))
