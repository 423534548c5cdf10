"""Lesions of known place and size: what detection and harmonisation lessons need the truth of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medsynth_lib.phantom.tissues import CODE

#: Kind of lesion = its tissue -> tissues it may grow in, and the box (low, high; reference body, mm) to look for room.
_HOSTS = {
    "torso": {
        "liver lesion": (("liver", "liver vessel"), (20, -70, 260), (110, 60, 380)),
        "lung nodule": (("lung", "lung vessel"), (-110, -80, 400), (110, 60, 540)),
        "sarcoma": (("muscle", "fat"), (-150, -100, -110), (150, 60, -20)),
    },
    "head": {"brain metastasis": (("white matter", "grey matter"), (-55, -70, 25), (55, 60, 80))},
}


@dataclass(frozen=True)
class Lesion:
    """A ball of ``kind`` at ``centre_mm`` (world, RAS+) of ``radius_mm``; breathing moves it with its organ."""

    kind: str
    centre_mm: tuple[float, float, float]
    radius_mm: float

    @property
    def ring(self) -> str | None:
        """The tissue of its enhancing rim, where it has one."""
        return f"{self.kind} rim" if f"{self.kind} rim" in CODE else None


def place(
    region: str, tissue: Callable[..., np.ndarray], scales: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[Lesion, ...]:
    """``count`` lesions where the patient has room: the whole ball inside its host tissues (fewer if there is none).

    ``tissue(x_mm, y_mm, z_mm)`` is the patient without lesions; ``scales`` turn the reference body into the patient.
    """
    found: list[Lesion] = []
    kinds = list(_HOSTS[region])
    while len(found) < count and kinds:
        kind = kinds[int(rng.integers(len(kinds)))]
        lesion = _try(kind, *_HOSTS[region][kind], tissue, scales, rng, found)
        if lesion is None:
            kinds.remove(kind)
        else:
            found.append(lesion)
    return tuple(found)


def _try(kind, hosts, low, high, tissue, scales, rng, others) -> Lesion | None:
    codes = [CODE[name] for name in hosts]
    for _ in range(60):
        centre, radius = rng.uniform(low, high) * scales, float(rng.uniform(5, 14))
        if kind == "sarcoma":
            radius *= 2.2
        if any(np.linalg.norm(centre - one.centre_mm) < radius + one.radius_mm + 6 for one in others):
            continue
        steps = np.array([-0.8, 0, 0.8]) * radius
        inside = np.stack([tissue(centre[0] + steps, centre[1] + steps, centre[2] + dz) for dz in steps])
        if np.isin(inside, codes).all():
            return Lesion(kind, tuple(float(round(one, 2)) for one in centre), round(radius, 2))
    return None


def paint(tissue: np.ndarray, lesions: tuple[Lesion, ...], x_mm, y_mm, z_mm: np.ndarray | float) -> None:
    """Draw lesions into a tissue map ``(X, Y)``; ``z_mm`` is the height of its pixels, breathing included."""
    for lesion in lesions:
        cx, cy, cz = lesion.centre_mm
        if abs(float(np.mean(z_mm)) - cz) > lesion.radius_mm + 30:
            continue
        distance = np.sqrt((x_mm[:, None] - cx) ** 2 + (y_mm[None, :] - cy) ** 2 + (z_mm - cz) ** 2)
        if lesion.ring:
            tissue[distance < lesion.radius_mm] = CODE[lesion.ring]
            tissue[distance < lesion.radius_mm - 2.5] = CODE[lesion.kind]
        else:
            tissue[distance < lesion.radius_mm] = CODE[lesion.kind]
