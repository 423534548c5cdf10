"""The band in which a result of a lesson should lie, from what other seeds gave; pure functions of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: How sure we are that one more seed lies inside, where the spread decides and not the floor.
CONFIDENCE = 0.99
#: Least half-width, in parts of the mean: other processors and versions round differently.
FLOOR = 0.05
#: Counts of lesions: where no seed differs from another, chance still would, by about the square root (Poisson).
COUNTS = {"erased", "hallucinated"}
#: A number whose half-width is more than this part of its mean says too little: it is shown, not judged.
WIDEST = 0.5
#: A result may be better than the mean by this many half-widths; far better than ever is a leak until shown otherwise.
BETTER = 3
RULE = (
    f"mean ± max(k sd, {FLOOR:.0%} of |mean|; √mean for a count of lesions) over n seeds, "
    f"k = t({CONFIDENCE:.0%}, n-1) sqrt(1 + 1/n): the {CONFIDENCE:.0%} prediction interval of one more seed; {BETTER} "
    f"times as far towards better where the name says which way that is; not judged where it is wider than "
    f"{WIDEST:.0%} of |mean|, or from one seed"
)
_HIGHER = {"psnr", "ssim", "dice", "iou", "miou", "accuracy", "recovery", "correlation", "modes", "quality"}
_HIGHER |= {"margin", "margins", "ahead"}
_LOWER = {"mae", "mse", "rmse", "fid", "kid", "frechet", "error"}
_SETTINGS = {"step", "steps", "seed", "seeds", "patients", "slices", "seconds", "minutes", "mib"}


@dataclass(frozen=True)
class Band:
    """What seeds gave, and from ``low`` to ``high`` what one more may give; ``None``: not judged."""

    mean: float
    sd: float
    min: float
    max: float
    low: float | None
    high: float | None


def direction(name: str) -> int:
    """1 where more is better, -1 where less is, by the words in ``name``; 0 where they do not say.

    A lead over something (``margins … mae``) is better when larger, whatever it is a lead in.
    """
    words = set(re.findall(r"[a-z]+", name.lower()))
    return 1 if words & _HIGHER else -1 if words & _LOWER else 0


def band(name: str, values: Sequence[float]) -> Band:
    """The band of the number ``name``, of which each seed gave one of ``values``; see ``RULE``."""
    from scipy.stats import t

    count, mean = len(values), float(np.mean(values))
    sd = float(np.std(values, ddof=1)) if count > 1 else 0.0
    found = (mean, sd, float(min(values)), float(max(values)))
    words = set(re.findall(r"[a-z]+", name.lower()))
    if count < 2 or words & _SETTINGS:
        return Band(*found, None, None)
    factor = t.ppf((1 + CONFIDENCE) / 2, count - 1) * math.sqrt(1 + 1 / count)
    half = max(factor * sd, FLOOR * abs(mean), math.sqrt(mean) if words & COUNTS else 0)
    if not 0 < half <= WIDEST * abs(mean):
        return Band(*found, None, None)
    better = direction(name)
    return Band(*found, mean - half * (BETTER if better < 0 else 1), mean + half * (BETTER if better > 0 else 1))


def bands(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Band]:
    """The band of every number that all of the runs' flat ``metrics`` have."""
    shared = [name for name in metrics[0] if all(_is_number(one.get(name)) for one in metrics)]
    return {name: band(name, [one[name] for one in metrics]) for name in shared}


def outside(metrics: Mapping[str, Any], bands: Mapping[str, Band], *, all_there: bool = True) -> list[str]:
    """``metric: value, expected low to high`` for each number of the flat ``metrics`` that is not in its band.

    With ``all_there`` a number that has a band but is missing is one of them.
    """
    faults = []
    for name, band in bands.items():
        if band.low is None or band.high is None:
            continue
        value = metrics.get(name)
        if not _is_number(value):
            faults += [f"{name}: not recorded, expected {band.low:.4g} to {band.high:.4g}"] if all_there else []
        elif not band.low <= value <= band.high:
            faults.append(f"{name}: {value:.4g}, expected {band.low:.4g} to {band.high:.4g}")
    return faults


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
