"""Do the organs of a synthetic image lie where they should? A segmenter trained on real images looks at it.

003 §4.3 trains nnU-Net for this; we train a small U-Net on the same training patients. Its mistakes on *real* images
are the ceiling: no method can be asked to score higher, and one that does paints the segmenter's idea of an organ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.data.classes import HEAD_CLASSES
from medsynth_lib.data.datasets import LABELS, Augmentation, PairedSlices, class_numbers
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.errors import CheckpointError, InputError
from medsynth_lib.losses.segmentation import balanced_cross_entropy
from medsynth_lib.metrics.extractors import course_name
from medsynth_lib.metrics.overlap import confusion_matrix, iou, mean_dice, mean_iou
from medsynth_lib.metrics.report import PATIENT, Record, Summary, summarise, table
from medsynth_lib.networks.ronneberger import RonnebergerUNet
from medsynth_lib.precision import full_precision
from medsynth_lib.systems.base import System
from medsynth_lib.training.amp import choose_device
from medsynth_lib.training.checkpoint import MODEL, load_model
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.evaluate import Translate
from medsynth_lib.training.run import about_data
from medsynth_lib.training.trainer import Progress, Trainer

#: What the table calls the real images, the ceiling of every method.
REAL = "real image (ceiling)"


@dataclass(frozen=True)
class SegmenterConfig:
    """A small U-Net; ``balance`` is the part of the loss in which every class weighs the same."""

    classes: int = len(HEAD_CLASSES)
    base_channels: int = 16
    depth: int = 4
    balance: float = 0.5
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.999)


class Segmenter(System):
    """An image's label map: a U-Net trained by cross-entropy, part of it balanced over classes.

    L = (1 − b) CE + b CE_balanced, with b = ``config.balance`` and CE_balanced as ``losses.segmentation`` (003 eq.
    3.3). With b = 0 small organs are never painted, with b = 1 they spread: both lower the mean IoU.

    A system like the others, whose target is LABELS: ``translate`` gives class numbers in the encoding of a store.
    """

    name = "segmenter"
    averaged = ("network",)

    def __init__(self, config: SegmenterConfig | None = None):
        config = config or SegmenterConfig()
        super().__init__(config)
        self.network = RonnebergerUNet(
            1, config.classes, base_channels=config.base_channels, depth=config.depth, norm="batch"
        )

    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        return {"network": (self.network,)}

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        labels, balance = class_numbers(batch.target)[:, 0].long(), self.config.balance
        logits = full_precision(self.network(batch.source))
        plain = F.cross_entropy(logits, labels)
        yield "network", {"plain": (1 - balance) * plain, "balanced": balance * balanced_cross_entropy(logits, labels)}

    def segment(self, images: Tensor) -> Tensor:
        """``(B, 1, H, W)`` in [-1, 1] → class numbers ``(B, H, W)``, ``int64``."""
        return self.network(images).argmax(dim=1)

    def translate(self, source: Tensor) -> Tensor:
        return DEFAULT_WINDOWS[LABELS].encode(self.segment(source).float())[:, None]


class SegmenterFeatures:
    """Features of the course's own for ``metrics.distribution``: what the segmenter sees, averaged over space.

    The output of the encoder's level ``level`` (from 0), so features that tell this cohort's organs apart.
    """

    def __init__(self, segmenter: Segmenter, modality: str, level: int = 2):
        self.network, self.level = segmenter.network, level
        self.frechet_name = course_name(f"{modality} segmenter, level {level}")

    def __call__(self, images: Tensor) -> Tensor:
        """``(B, 1, H, W)`` → ``(B, base_channels · 2^level)``."""
        features = images.to(self.network.head.weight.device)
        for level, block in enumerate(self.network.encoder[: self.level + 1]):
            features = block(self.network.pool(features) if level else features)
        return features.mean(dim=(2, 3)).to(images.device)


def train_segmenter(
    store: SliceStore,
    run: str | Path | None = None,
    config: SegmenterConfig | None = None,
    training: TrainConfig | None = None,
    callbacks: Sequence[Callable[[Progress], None]] = (),
) -> Segmenter:
    """A segmenter of the store's target modality, trained on its training patients; ready to use.

    Args:
        store: keeps LABELS, as source or as one of ``PrepareConfig.also``.
        run: folder that keeps it; a finished run is loaded, not trained again.

    Raises:
        InputError: the store keeps no LABELS beside its target, or LABELS is its target.
        CheckpointError: ``run`` holds a segmenter of another store.
    """
    modality = _segmented(store)
    about = {**about_data(store), "source": modality, "target": LABELS}
    if run is not None and (Path(run) / MODEL).is_file():
        seen = load_model(Path(run))[1]
        if (seen.get("prepared"), seen.get("source")) != (about["prepared"], modality):
            raise CheckpointError("the segmenter was trained on another store", where=run, fix="choose another folder")
    augmentation = Augmentation(rotation_deg=10.0, zoom=0.1, source_gain=0.1)
    training = training or TrainConfig(steps=800, batch_size=8, ema=0.99, checkpoint_every=0)
    data = PairedSlices(store, "train", source=modality, target=LABELS, augmentation=augmentation, seed=training.seed)
    torch.manual_seed(training.seed)
    return Trainer(Segmenter(config), data, training, run=run, about=about, callbacks=callbacks).train()


@dataclass(frozen=True)
class OverlapEvaluation:
    """How the segmenter's label maps of every method's images agree with the true ones.

    ``confusions`` maps a method to one confusion matrix per patient, ``(patients, K, K)``; ``patients`` are their keys.
    """

    confusions: Mapping[str, Tensor]
    patients: tuple[str, ...]
    classes: Sequence[str] = field(default=HEAD_CLASSES)

    @cached_property
    def records(self) -> dict[str, list[Record]]:
        """Method → one record per patient, with ``miou`` and ``dice`` over the classes that patient has."""
        scores = {method: (mean_iou(found), mean_dice(found)) for method, found in self.confusions.items()}
        return {
            method: [
                {PATIENT: patient, "miou": float(miou[index]), "dice": float(dice[index])}
                for index, patient in enumerate(self.patients)
            ]
            for method, (miou, dice) in scores.items()
        }

    @cached_property
    def summaries(self) -> dict[str, dict[str, Summary]]:
        """Method → metric → mean ± sd over patients."""
        return {method: summarise(records) for method, records in self.records.items()}

    def per_class(self, method: str) -> dict[str, float]:
        """Class name → IoU over all patients together; classes that the truth does not show are left out."""
        confusion = self.confusions[method].sum(dim=0)
        present = confusion.sum(dim=1) > 0
        return {self.classes[k]: float(one) for k, one in enumerate(iou(confusion)) if present[k]}

    def table(self) -> str:
        """A Markdown table of mIoU and Dice."""
        return table(self.summaries, per_slice=False)


@torch.no_grad()
def miou_of(
    methods: Mapping[str, Translate],
    segmenter: Segmenter,
    store: SliceStore,
    split: str = "test",
    device: torch.device | str = "auto",
    *,
    context: int = 1,
) -> OverlapEvaluation:
    """Segment every method's images of ``split``, and the real ones, and compare with the true label maps.

    Args:
        methods: name → source ``(B, context, H, W)`` → synthetic target, as ``evaluate`` takes them.
        context: source planes that the methods are shown (``System.context``).

    Raises:
        InputError: as ``train_segmenter``.
    """
    _segmented(store)
    chosen, classes = choose_device(str(device)), segmenter.config.classes
    segmenter, data = segmenter.to(chosen).eval(), PairedSlices(store, split, context=context)
    confusions: dict[str, list[Tensor]] = {REAL: [], **{method: [] for method in methods}}
    for patient in data.patients:
        counts = {method: torch.zeros(classes, classes, dtype=torch.long) for method in confusions}
        labels = torch.from_numpy(np.array(store[LABELS][patient.start : patient.stop]))
        for batch in data.in_order(patient=patient):
            reference, labels = labels[: len(batch)], labels[len(batch) :]
            source = batch.source.to(chosen)
            images = {REAL: batch.target, **{method: translate(source) for method, translate in methods.items()}}
            for method, image in images.items():
                predicted = segmenter.segment(image.to(chosen).float().clamp(-1, 1)).cpu()
                counts[method] += confusion_matrix(predicted, reference, classes)
        for method, count in counts.items():
            confusions[method].append(count)
    keys = tuple(patient.key for patient in data.patients)
    return OverlapEvaluation({method: torch.stack(found) for method, found in confusions.items()}, keys)


def _segmented(store: SliceStore) -> str:
    """The modality to segment: the store's target, beside which it must keep LABELS."""
    target = store.settings["target"]
    if LABELS not in store.modalities or target == LABELS:
        raise InputError(
            "a segmenter needs an image and its label map",
            where=store.path,
            rule="LABELS as source or in `also`, and an image as target",
            seen=", ".join(store.modalities),
        )
    return target
