"""How TR, TE and the flip angle make a tissue bright or dark: an MR slice and the curves behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medsynth_lib.errors import MedSynthError
from medsynth_lib.phantom.mr import MRScanner, signal
from medsynth_lib.phantom.tissues import CODE, TISSUES

#: Tissue of the phantom's table → line style and colour; told apart without colour too.
SHOWN = {
    "cerebrospinal fluid": ("-", "#0072b2"),
    "grey matter": ("--", "#d55e00"),
    "white matter": ("-.", "#009e73"),
    "fat": (":", "#000000"),
}
#: A time so short or so long that nothing has happened yet, or everything has.
_AT_ONCE_MS, _LONG_MS = 1e-6, 1e9


def tissue_signals(scanner: MRScanner) -> np.ndarray:
    """Noise-free signal of every tissue code, by ``phantom.mr.signal``."""
    times = (np.array([getattr(tissue, name) for tissue in TISSUES]) for name in ("t1_ms", "t2_ms", "proton_density"))
    return signal(*times, scanner)


def shown_signals(scanner: MRScanner) -> Mapping[str, float]:
    """Signal of the four tissues of ``SHOWN``, relative to a fully relaxed unit of water."""
    values = tissue_signals(scanner)
    return {name: float(values[CODE[name]]) for name in SHOWN}


def mr_contrast(codes: np.ndarray, scanner: MRScanner) -> Figure:
    """A noise-free MR slice; recovery up to TR and decay up to TE of four tissues; their signals as bars.

    Args:
        codes: tissue codes ``(H, W)``, as ``Head.tissue`` gives them, turned by ``axial_slice``.
        scanner: sequence, TR, TE and flip angle; noise and shading are not shown.

    Raises:
        MedSynthError: codes that are no tissues.
    """
    if codes.min() < 0 or codes.max() >= len(TISSUES):
        raise MedSynthError("tissue codes", rule=f"0 to {len(TISSUES) - 1}", seen=f"{codes.min()} to {codes.max()}")
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 2.9), layout="constrained", width_ratios=(1.1, 1.2, 1.2, 0.9))
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    image = tissue_signals(scanner)[codes]
    axes[0].imshow(image, cmap="gray", vmin=0, vmax=np.percentile(image, 99))
    axes[0].set_axis_off()
    flip = "" if scanner.sequence == "spin echo" else f", flip {scanner.flip_deg:.0f}°"
    axes[0].set_title(f"TR {scanner.tr_ms:.0f}, TE {scanner.te_ms:.0f} ms{flip}", fontsize=10)
    _curve(axes[1], "tr_ms", np.linspace(1, max(5000, 1.1 * scanner.tr_ms), 100), scanner, "ready after TR (T1)")
    _curve(axes[2], "te_ms", np.linspace(0.1, max(200, 1.1 * scanner.te_ms), 50), scanner, "left after TE (T2)")
    for position, (name, value) in enumerate(shown_signals(scanner).items()):
        axes[3].barh(position, value, color=SHOWN[name][1])
    axes[3].set_yticks(range(len(SHOWN)), ["CSF" if name.endswith("fluid") else name for name in SHOWN], fontsize=9)
    axes[3].invert_yaxis()
    axes[3].set_xlabel("signal")
    axes[1].legend(fontsize=7)
    return figure


def _curve(axis, time: str, times_ms: np.ndarray, scanner: MRScanner, title: str) -> None:
    """Each tissue's factor against one of the two times, the other taken out; a line marks the scanner's."""
    chosen = getattr(scanner, time)
    for name, (style, colour) in SHOWN.items():
        tissue = TISSUES[CODE[name]]
        values = [_factor(tissue, time, replace(scanner, **{time: float(one)})) for one in times_ms]
        label = "CSF" if name.endswith("fluid") else name
        axis.plot(times_ms, values, linestyle=style, color=colour, label=label)
    axis.axvline(chosen, color="#666666", linewidth=1)
    axis.set(xlabel=f"{time[:2].upper()}, ms", ylim=(0, 1.02))
    axis.set_title(title, fontsize=10)


def _factor(tissue, time: str, scanner: MRScanner) -> float:
    """The part of the signal that TR (recovery) or TE (decay) leaves, of one unit of protons."""
    if time == "tr_ms":
        return float(signal(tissue.t1_ms, _LONG_MS, 1.0, replace(scanner, te_ms=_AT_ONCE_MS)))
    at_once = signal(tissue.t1_ms, tissue.t2_ms, 1.0, replace(scanner, te_ms=_AT_ONCE_MS))
    return float(signal(tissue.t1_ms, tissue.t2_ms, 1.0, scanner) / at_once)
