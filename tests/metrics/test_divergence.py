"""The value of a GAN's game, by quadrature over densities known in closed form."""

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import norm

from medsynth_lib.metrics.divergence import game_value, jensen_shannon, optimal_logits

CELL = 0.001
X = np.arange(-12, 12, CELL)
PAIRS = {
    "equal": (norm.pdf(X), norm.pdf(X)),
    "shifted": (norm.pdf(X, -1, 1), norm.pdf(X, 1, 0.5)),
    "collapsed": (0.5 * norm.pdf(X, -2, 0.3) + 0.5 * norm.pdf(X, 2, 0.3), norm.pdf(X, 2, 0.3)),
    "disjoint": (np.where(np.abs(X + 2) < 1, 0.5, 0.0), np.where(np.abs(X - 2) < 1, 0.5, 0.0)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_value_against_the_best_discriminator_is_minus_log_4_plus_twice_the_divergence(pair):
    p, q = PAIRS[pair]
    middle = (p + q) / 2
    divergence = CELL / 2 * (rel_entr(p, middle) + rel_entr(q, middle)).sum()
    assert jensen_shannon(p, q, CELL) == pytest.approx(divergence, abs=1e-12)
    value = game_value(p, q, optimal_logits(p, q), CELL)
    assert value == pytest.approx(-np.log(4) + 2 * divergence, abs=1e-3 if pair == "disjoint" else 1e-9)


def test_equilibrium_is_log_4_and_disjoint_densities_are_zero():
    p, q = PAIRS["equal"]
    assert np.all(optimal_logits(p, q) == 0)
    assert game_value(p, q, np.zeros_like(p), CELL) == pytest.approx(-np.log(4), abs=1e-12)
    p, q = PAIRS["disjoint"]
    assert jensen_shannon(p, q, CELL) == pytest.approx(np.log(2), abs=1e-3)
    assert game_value(p, q, optimal_logits(p, q), CELL) == 0.0


def test_a_collapsed_generator_on_one_of_two_modes_has_the_divergence_of_the_formula():
    """p = ½a + ½b, q = b, a and b apart: JSD = ½·[½ log 2 + ½ log(2/3)] + ½·log(4/3) = ¾ log(4/3)."""
    p, q = PAIRS["collapsed"]
    assert jensen_shannon(p, q, CELL) == pytest.approx(0.75 * np.log(4 / 3), abs=1e-6)


def test_no_other_discriminator_is_better():
    p, q = PAIRS["shifted"]
    best = optimal_logits(p, q)
    value = game_value(p, q, best, CELL)
    rng = np.random.default_rng(0)
    for scale in (0.01, 0.1, 1.0):
        assert game_value(p, q, best + scale * rng.uniform(-1, 1, best.shape), CELL) < value


def test_logits_are_those_of_the_formula_and_undecided_where_neither_density_is_anything():
    p, q = np.array([0.0, 1.0, 0.0, 0.3]), np.array([0.0, 0.0, 1.0, 0.1])
    np.testing.assert_allclose(1 / (1 + np.exp(-optimal_logits(p, q))), [0.5, 1.0, 0.0, 0.75])
