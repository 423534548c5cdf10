"""Tables 4.1 to 4.4 of the Med-USIS thesis (003), each as one grid, and what its segmentation loss buys."""

from __future__ import annotations

from collections.abc import Mapping

from medsynth_lib.systems.medusis import MedUSISConfig
from medsynth_lib.training.experiments.grid import Cell, Experiment

_METRICS = ("psnr", "ssim", "rmse", "mae", "psnr_body", "ssim_body")
_COLUMNS = ("fid", "lpips", "ssim_003", "rmse", "psnr")
#: 003 draws from all of N(0, 1) but where it varies the interval: its Table 4.4 repeats that row of Table 4.3.
_ALL_NOISE = {"truncation": None}
_SSIM = (
    "003's SSIM (0.93 to 0.9995, beside a PSNR of 14 to 25 dB) is not ours: its public code computes it with "
    "data_range 255 on images in [0, 1], where unrelated images score 0.98. Its FID and LPIPS need weights that are "
    "not part of this course; our Fréchet distance is of other features, on another scale. Its RMSE is of images in "
    "[0, 1]."
)


def _paper(*values: float) -> dict[str, float]:
    return dict(zip(_COLUMNS, values, strict=True))


def _oasis(config: MedUSISConfig) -> Mapping[str, object]:
    """OASIS at four times the wavelet generator's base width, as in the thesis (64 and 16)."""
    return {"generator": "oasis", "generator_channels": config.generator_channels and 4 * config.generator_channels}


def _cell(
    key: str, label: str, *, oasis: bool, mask: bool, paired: bool, paper: dict[str, float], row: str, **task: object
) -> Cell:
    def changes(config: MedUSISConfig) -> Mapping[str, object]:
        generator = _oasis(config) if oasis else {"generator": "wavelet"}
        return {**generator, "mask_weight": 1.0 if mask else 0.0, "paired": paired}

    return Cell(
        key,
        label,
        "medusis",
        changes,
        task={"paired": paired, **task},
        inference=_ALL_NOISE,
        paper=paper,
        paper_row=row,
    )


GENERATOR = Experiment(
    name="medusis-generator",
    title="Med-USIS, labels→CT: OASIS or wavelet generator, with pairs as the upper bound",
    question="Which generator draws better CT from label maps, what does the mask loss add, and what do pairs?",
    stands_beside="003 Table 4.1 (AutoPET)",
    cells=tuple(
        _cell(key, label, oasis=oasis, mask=mask, paired=paired, paper=_paper(*values), row=f"Table 4.1, {row}",
              target="CT", region="torso")
        for key, label, oasis, mask, paired, row, values in (
            ("oasis", "paired, OASIS", True, False, True, "Exp-1",
             (15.83, 0.27, 0.9714, 0.923, 15.39)),
            ("oasis-mask", "paired, OASIS, mask loss", True, True, True, "Exp-2",
             (5.67, 0.22, 0.9713, 0.45, 19.83)),
            ("wavelet", "paired, wavelet", False, False, True, "Exp-3",
             (7.29, 0.06, 0.9995, 0.06, 24.89)),
            ("wavelet-mask", "paired, wavelet, mask loss", False, True, True, "Exp-4",
             (10.68, 0.05, 0.9995, 0.06, 23.27)),
            ("unpaired", "unpaired, wavelet", False, False, False, "Exp-5",
             (10.76, 0.26, 0.9283, 0.21, 13.82)),
        )
    ),
    paper_data=(
        "003 trains on CT of AutoPET (about 900 patients, 37 classes) at 256 x 256 on a GPU. Its RMSE of Exp-1 and "
        "Exp-2 (0.923, 0.45) does not fit their PSNR, which means 0.17 and 0.10 on images in [0, 1]; other rows fit. "
        f"{_SSIM}"
    ),
    metrics=_METRICS,
    scores=("organs",),
)  # fmt: skip

MASK = Experiment(
    name="medusis-mask",
    title="Med-USIS, labels→MR: both generators, with and without the mask loss, without and with pairs",
    question="Does the mask loss help each generator draw MR of patients it has no pair of?",
    stands_beside="003 Table 4.2 (SynthRAD2023)",
    cells=tuple(
        _cell(key, label, oasis=oasis, mask=mask, paired=paired, paper=_paper(*values), row=f"Table 4.2, {row}")
        for key, label, oasis, mask, paired, row, values in (
            ("oasis", "unpaired, OASIS", True, False, False, "Exp-1",
             (60.93, 0.15, 0.9983, 0.12, 18.54)),
            ("oasis-mask", "unpaired, OASIS, mask loss", True, True, False, "Exp-2",
             (59.97, 0.16, 0.9980, 0.12, 18.09)),
            ("wavelet", "unpaired, wavelet", False, False, False, "Exp-3",
             (51.92, 0.15, 0.9983, 0.12, 18.69)),
            ("wavelet-mask", "unpaired, wavelet, mask loss", False, True, False, "Exp-4",
             (54.53, 0.15, 0.9984, 0.12, 18.77)),
            ("paired-oasis", "paired, OASIS, mask loss", True, True, True, "Exp-5",
             (60.70, 0.17, 0.9978, 0.13, 17.69)),
            ("paired-wavelet", "paired, wavelet, mask loss", False, True, True, "Exp-6",
             (68.35, 0.17, 0.9985, 0.11, 19.08)),
        )
    ),
    paper_data=(
        "003 trains on SynthRAD2023, whose CT labels and MR differ at the outline even in a pair; ours fit exactly, "
        f"so pairs help more here. {_SSIM}"
    ),
    metrics=_METRICS,
    scores=("organs",),
)  # fmt: skip

_MIXED = (
    "003 trains on SynthRAD2023. Of its figures without truncation, the FID (51.92) is that of Table 4.2 Exp-3, "
    "without the mask loss, but SSIM and PSNR are those of Exp-4, with it: which model it is, the thesis does not say. "
    f"Ours has the mask loss. {_SSIM}"
)


INTERVAL = Experiment(
    name="medusis-interval",
    title="Med-USIS, labels→MR: the interval that noise is drawn from at inference",
    question="One trained model: what does drawing its noise from [-a, a] alone cost or gain?",
    stands_beside="003 Table 4.3",
    cells=tuple(
        Cell(
            "a-all" if a is None else f"a-{a:g}",
            "[−∞, ∞]" if a is None else f"[−{a:g}, {a:g}]",
            "medusis",
            inference={"truncation": a},
            paper=_paper(*values),
            paper_row=f"Table 4.3, a = {'∞' if a is None else f'{a:g}'}",
        )
        for a, values in (
            (0.001, (62.93, 0.14, 0.9987, 0.11, 19.50)),
            (0.1, (62.31, 0.14, 0.9987, 0.11, 19.49)),
            (0.2, (59.27, 0.14, 0.9986, 0.11, 19.37)),
            (0.5, (57.77, 0.14, 0.9987, 0.11, 19.42)),
            (0.8, (54.27, 0.14, 0.9986, 0.11, 19.37)),
            (1.0, (52.76, 0.14, 0.9986, 0.11, 19.34)),
            (1.5, (51.12, 0.14, 0.9986, 0.11, 19.23)),
            (2.0, (50.76, 0.14, 0.9985, 0.11, 19.1)),
            (3.0, (51.32, 0.14, 0.9985, 0.11, 19.01)),
            (None, (51.92, 0.15, 0.9984, 0.12, 18.77)),
        )
    ),
    paper_data=_MIXED,
    metrics=_METRICS,
    scores=("organs",),
)

NOISE = Experiment(
    name="medusis-noise",
    title="Med-USIS, labels→MR: with noise, and as a one-to-one mapping",
    question="Is a generator that gets no noise better or worse?",
    stands_beside="003 Table 4.4",
    cells=(
        Cell(
            "with",
            "with noise",
            "medusis",
            inference=_ALL_NOISE,
            paper=_paper(51.92, 0.15, 0.9984, 0.12, 18.77),
            paper_row="Table 4.4, w",
        ),
        Cell(
            "without",
            "without noise",
            "medusis",
            {"noise_channels": 0},
            paper=_paper(60.35, 0.26, 0.9951, 0.19, 14.19),
            paper_row="Table 4.4, w/o",
        ),
    ),
    paper_data=_MIXED,
    metrics=_METRICS,
    scores=("organs",),
)

SEGMENTATION = Experiment(
    name="medusis-segmentation",
    title="Med-USIS, labels→MR: without the segmentation loss",
    question="What keeps the organs in their places: is it the segmentator?",
    stands_beside="no published table: 003 has the loss in all its models (eq. 3.1, λ_seg = 1)",
    cells=(
        Cell("with", "with segmentation loss", "medusis", inference=_ALL_NOISE),
        Cell("without", "without segmentation loss", "medusis", {"segmentation_weight": 0.0}, inference=_ALL_NOISE),
    ),
    metrics=_METRICS,
    scores=("organs",),
)

ANTIALIAS = Experiment(
    name="medusis-antialias",
    title="Med-USIS, labels→MR: the blur of the discriminator's features",
    question="Does a discriminator of small images learn better without StyleGAN2's blur before every stride?",
    stands_beside="no published table: 003 does not mention the blur",
    cells=(
        Cell("without", "without blur", "medusis", {"antialias": False}, inference=_ALL_NOISE),
        Cell("with", "with blur (StyleGAN2)", "medusis", {"antialias": True}, inference=_ALL_NOISE),
    ),
    metrics=_METRICS,
    scores=("organs",),
)
