"""Linear attenuation of body materials, from what they are made of.

    mu(E) = density * sum_i w_i * (mu/rho)_i(E)          HU = 1000 * (mu - mu_water) / (mu_water - mu_air)

with the mass fractions ``w_i`` of ICRU Report 44 (1989) and Woodard & White (Br J Radiol 59:1209, 1986), and
the elements' total cross sections of Elam, Ravel & Sieber (Radiat Phys Chem 63:121, 2002) as distributed in XrayDB.
"""

from __future__ import annotations

from functools import cache

import numpy as np

ENERGIES_KEV = np.array([40, 50, 60, 70, 80, 100, 120, 511], dtype=float)

#: Mass attenuation in cm²/g at ``ENERGIES_KEV`` (Elam 2002; tests compare it with the xraydb package).
ELEMENTS = {
    "H": (0.34583, 0.33553, 0.32605, 0.31726, 0.3091, 0.29442, 0.28162, 0.1713),
    "C": (0.20763, 0.18708, 0.17532, 0.16724, 0.161, 0.15136, 0.1438, 0.086358),
    "N": (0.22875, 0.19796, 0.18174, 0.1714, 0.16389, 0.15295, 0.14482, 0.086395),
    "O": (0.2585, 0.21326, 0.19073, 0.17718, 0.16785, 0.15514, 0.1462, 0.086499),
    "Na": (0.39688, 0.28037, 0.22678, 0.19762, 0.17965, 0.15851, 0.14594, 0.082952),
    "Mg": (0.48801, 0.32923, 0.25699, 0.2184, 0.19511, 0.16861, 0.15357, 0.085671),
    "P": (0.80947, 0.49179, 0.34942, 0.27541, 0.23238, 0.18651, 0.16303, 0.084312),
    "S": (0.98733, 0.585, 0.4053, 0.31233, 0.25861, 0.20204, 0.17376, 0.087004),
    "Cl": (1.1165, 0.64836, 0.43944, 0.33161, 0.26961, 0.205, 0.1733, 0.083725),
    "K": (1.5407, 0.86784, 0.56785, 0.41341, 0.32516, 0.23448, 0.19123, 0.085169),
    "Ca": (1.8302, 1.0195, 0.65785, 0.47168, 0.36553, 0.25709, 0.20587, 0.087646),
    "Fe": (3.6289, 1.9574, 1.2049, 0.81637, 0.59523, 0.37172, 0.26928, 0.083262),
    "I": (22.096, 12.324, 7.577, 5.0156, 3.5103, 1.9422, 1.2114, 0.095126),
}

#: Density in g/cm³ and mass fractions in per cent: ICRU 44; adipose (their "adipose tissue 3"), grey and
#: white matter, red and yellow marrow and bile of Woodard & White 1986; polyethylene foam, cotton (cellulose) and
#: carbon fibre by formula.
MATERIALS = {
    "air": (0.0012, {"C": 0.01, "N": 75.5, "O": 24.49}),
    "water": (1.0, {"H": 11.19, "O": 88.81}),
    "adipose": (0.93, {"H": 11.6, "C": 68.1, "N": 0.2, "O": 19.8, "Na": 0.1, "S": 0.1, "Cl": 0.1}),
    "blood": (
        1.06,
        {"H": 10.2, "C": 11.0, "N": 3.3, "O": 74.5, "Na": 0.1, "P": 0.1, "S": 0.2, "Cl": 0.3, "K": 0.2, "Fe": 0.1},
    ),
    "muscle": (
        1.05,
        {"H": 10.2, "C": 14.3, "N": 3.4, "O": 71.0, "Na": 0.1, "P": 0.2, "S": 0.3, "Cl": 0.1, "K": 0.4},
    ),
    "heart": (
        1.05,
        {"H": 10.4, "C": 13.9, "N": 2.9, "O": 71.8, "Na": 0.1, "P": 0.2, "S": 0.2, "Cl": 0.2, "K": 0.3},
    ),
    "liver": (
        1.06,
        {"H": 10.2, "C": 13.9, "N": 3.0, "O": 71.6, "Na": 0.2, "P": 0.3, "S": 0.3, "Cl": 0.2, "K": 0.3},
    ),
    "lung": (
        0.26,
        {"H": 10.3, "C": 10.5, "N": 3.1, "O": 74.9, "Na": 0.2, "P": 0.2, "S": 0.3, "Cl": 0.3, "K": 0.2},
    ),
    "kidney": (
        1.05,
        {"H": 10.3, "C": 13.2, "N": 3.0, "O": 72.4, "Na": 0.2, "P": 0.2, "S": 0.2, "Cl": 0.2, "K": 0.2, "Ca": 0.1},
    ),
    "spleen": (
        1.06,
        {"H": 10.3, "C": 11.3, "N": 3.2, "O": 74.1, "Na": 0.1, "P": 0.3, "S": 0.2, "Cl": 0.2, "K": 0.3},
    ),
    "pancreas": (
        1.04,
        {"H": 10.6, "C": 16.9, "N": 2.2, "O": 69.4, "Na": 0.2, "P": 0.2, "S": 0.1, "Cl": 0.2, "K": 0.2},
    ),
    "gut": (1.03, {"H": 10.6, "C": 11.5, "N": 2.2, "O": 75.1, "Na": 0.1, "P": 0.1, "S": 0.1, "Cl": 0.2, "K": 0.1}),
    "thyroid": (
        1.05,
        {"H": 10.4, "C": 11.9, "N": 2.4, "O": 74.5, "Na": 0.2, "P": 0.1, "S": 0.1, "Cl": 0.2, "K": 0.1, "I": 0.1},
    ),
    "skin": (1.09, {"H": 10.0, "C": 20.4, "N": 4.2, "O": 64.5, "Na": 0.2, "P": 0.1, "S": 0.2, "Cl": 0.3, "K": 0.1}),
    "cartilage": (1.10, {"H": 9.6, "C": 9.9, "N": 2.2, "O": 74.4, "Na": 0.5, "P": 2.2, "S": 0.9, "Cl": 0.3}),
    "cortical bone": (
        1.92,
        {"H": 3.4, "C": 15.5, "N": 4.2, "O": 43.5, "Na": 0.1, "Mg": 0.2, "P": 10.3, "S": 0.3, "Ca": 22.5},
    ),
    "red marrow": (
        1.03,
        {"H": 10.5, "C": 41.4, "N": 3.4, "O": 43.9, "P": 0.1, "S": 0.2, "Cl": 0.2, "K": 0.2, "Fe": 0.1},
    ),
    "yellow marrow": (0.98, {"H": 11.5, "C": 64.4, "N": 0.7, "O": 23.1, "Na": 0.1, "S": 0.1, "Cl": 0.1}),
    "urine": (1.02, {"H": 11.0, "C": 0.5, "N": 1.0, "O": 86.2, "Na": 0.4, "P": 0.1, "Cl": 0.6, "K": 0.2}),
    "bile": (1.03, {"H": 10.8, "C": 6.1, "N": 0.1, "O": 82.2, "Na": 0.4, "Cl": 0.4}),
    "csf": (1.01, {"H": 11.1, "O": 88.0, "Na": 0.5, "Cl": 0.4}),
    "grey matter": (
        1.04,
        {"H": 10.7, "C": 9.5, "N": 1.8, "O": 76.7, "Na": 0.2, "P": 0.3, "S": 0.2, "Cl": 0.3, "K": 0.3},
    ),
    "white matter": (
        1.04,
        {"H": 10.6, "C": 19.4, "N": 2.5, "O": 66.1, "Na": 0.2, "P": 0.4, "S": 0.2, "Cl": 0.3, "K": 0.3},
    ),
    "lens": (1.07, {"H": 9.6, "C": 19.5, "N": 5.7, "O": 64.6, "Na": 0.1, "P": 0.1, "S": 0.3, "Cl": 0.1}),
    "enamel": (2.6, {"H": 0.95, "C": 1.11, "N": 0.23, "O": 41.66, "Na": 0.79, "Mg": 0.23, "P": 18.71, "Ca": 36.32}),
    "foam": (0.05, {"H": 14.4, "C": 85.6}),
    "cotton": (0.25, {"H": 6.2, "C": 44.4, "O": 49.4}),
    "carbon fibre": (0.8, {"H": 4.0, "C": 90.0, "O": 6.0}),
}

#: Effective energy of a 120 kVp beam in a patient; 60 to 75 keV by filtration and size (Bushberg et al., The Essential
#: Physics of Medical Imaging, 2012).
EFFECTIVE_KEV = 70.0


@cache
def mass_attenuation(material: str, energy_kev: float) -> float:
    """(mu/rho) of a material in cm²/g, log-log interpolated between the tabulated energies."""
    fractions = MATERIALS[material][1]
    tables = np.array([ELEMENTS[element] for element in fractions])
    weights = np.array(list(fractions.values()))
    values = weights @ tables / weights.sum()
    return float(np.exp(np.interp(np.log(energy_kev), np.log(ENERGIES_KEV), np.log(values))))


def linear_attenuation(material: str, energy_kev: float = EFFECTIVE_KEV, density: float | None = None) -> float:
    """mu in 1/cm at the material's own density, or at the ``density`` given in g/cm³."""
    return mass_attenuation(material, energy_kev) * (MATERIALS[material][0] if density is None else density)


def hounsfield(mu_per_cm: np.ndarray | float, energy_kev: float = EFFECTIVE_KEV) -> np.ndarray | float:
    """CT number of a linear attenuation at an energy: air -1000, water 0."""
    water, air = linear_attenuation("water", energy_kev), linear_attenuation("air", energy_kev)
    return 1000 * (mu_per_cm - water) / (water - air)


def iodine_hu_per_mg_ml(energy_kev: float = EFFECTIVE_KEV) -> float:
    """Rise of the CT number for each mg of iodine per mL; about 25 HU at 120 kVp (Bae, Radiology 256:32, 2010)."""
    iodine = float(np.exp(np.interp(np.log(energy_kev), np.log(ENERGIES_KEV), np.log(ELEMENTS["I"]))))
    return 1000 * iodine * 1e-3 / linear_attenuation("water", energy_kev)
