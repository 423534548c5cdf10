"""Figures beyond the fidelity metrics, by name: each is computed on a trained system and the test patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.data.classes import class_number
from medsynth_lib.data.datasets import LABELS, PairedSlices
from medsynth_lib.data.slices import SliceStore, StoredPatient
from medsynth_lib.metrics.distribution import frechet
from medsynth_lib.metrics.enhancement import enhancement_scores
from medsynth_lib.metrics.report import slice_records, summarise
from medsynth_lib.systems.base import System
from medsynth_lib.training.experiments.alone import alone
from medsynth_lib.training.segmenter import REAL, Segmenter, SegmenterFeatures, miou_of, train_segmenter

#: Gives metric → value for a system in eval mode on the CPU; nothing where the store lacks what it needs.
Score = Callable[[System, SliceStore], dict[str, float]]


@torch.no_grad()
def organs(system: System, store: SliceStore) -> dict[str, float]:
    """Do organs lie where they should, and do the images look like real ones to a segmenter of the course?

    ``miou``: mean IoU of the segmenter's label maps over the classes a patient has, mean over patients; and that of
    the real images, its ceiling. ``course_frechet``: Fréchet distance between synthetic and real test slices in the
    segmenter's features. It is not FID: other features, another scale. The segmenter is trained once per store.
    """
    if LABELS not in store.modalities:
        return {}
    segmenter = _segmenter(store)
    found = miou_of({system.name: system.translate}, segmenter, store, device="cpu").summaries
    images = [(system.translate(batch.source).float().clamp(-1, 1), batch.target) for _, batch in _test_slices(store)]
    fake, real = (torch.cat(one) for one in zip(*images, strict=True))
    extractor = SegmenterFeatures(segmenter, store.settings["target"])
    return {
        "miou": found[system.name]["miou"].mean,
        "miou_of_real_images": found[REAL]["miou"].mean,
        "course_frechet": frechet(fake, real, extractor).value,
    }


@torch.no_grad()
def enhancement(system: System, store: SliceStore) -> dict[str, float]:
    """Errors in HU where contrast agent shows and where it does not, mean over patients (``enhancement_scores``)."""
    records = []
    for patient, batch in _test_slices(store):
        source, target = (patient.windows[store.settings[end]] for end in ("source", "target"))
        scores = enhancement_scores(
            target.decode(system.translate(batch.source).float().clamp(-1, 1)),
            source.decode(batch.source),
            target.decode(batch.target),
            batch.body,
            None if batch.labels is None else batch.labels == class_number("Vessels"),
        )
        records += slice_records(scores, [patient.key] * len(batch))
    return {name: one.mean for name, one in summarise(records).items()}


#: Name → score, as ``Experiment.scores`` and a job's JSON say it.
SCORES: dict[str, Score] = {"organs": organs, "enhancement": enhancement}


@torch.enable_grad()
def _segmenter(store: SliceStore) -> Segmenter:
    folder = store.path.parent.parent / "segmenters" / store.path.name
    with alone(folder):
        return train_segmenter(store, folder).cpu().eval()


def _test_slices(store: SliceStore) -> Iterator[tuple[StoredPatient, Batch]]:
    data = PairedSlices(store, "test")
    for patient in data.patients:
        for batch in data.in_order(patient=patient):
            yield patient, batch
