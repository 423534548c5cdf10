"""A training run from its name to its folder, and back from the folder to a system that translates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from medsynth_lib.data.datasets import PairedSlices, UnpairedSlices, check_context
from medsynth_lib.data.intensity import IntensityWindow
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.errors import CheckpointError, TrainingError
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.systems.base import System
from medsynth_lib.systems.medusis import MedUSISConfig
from medsynth_lib.systems.pix2pix import Pix2PixConfig
from medsynth_lib.systems.unet_cascade import UNetCascadeConfig
from medsynth_lib.training import distributed
from medsynth_lib.training.amp import choose_device
from medsynth_lib.training.checkpoint import last_step, load_model
from medsynth_lib.training.config import tuples
from medsynth_lib.training.evaluate import Evaluation, evaluate
from medsynth_lib.training.log import LossFile, MetricFile, ProgressBar, TensorBoard
from medsynth_lib.training.profiles import Profile, profile
from medsynth_lib.training.trainer import Progress, Trainer


def build_system(name: str, config: object, seed: int = 0) -> System:
    """The system ``name`` with weights drawn from ``seed``."""
    torch.manual_seed(seed)
    return SYSTEMS[name][0](config)


def make_trainer(
    system: str,
    store: SliceStore | None,
    profile: Profile,
    run: str | Path | None = None,
    callbacks: Sequence[Callable[[Progress], None]] = (),
) -> Trainer:
    """A trainer for ``system`` on the training patients of ``store``, as ``profile`` says.

    A profile of ``points`` takes no store: ``None``.

    Raises:
        TrainingError: a store is missing, or there is one and the profile does not learn from slices; Med-USIS is given
            another source than label maps, or counts other classes than they are encoded for.
    """
    seed = profile.training.seed
    if (store is None) != (profile.points is not None):
        raise TrainingError(
            f"{system} draws its own points and learns from no slices" if store else f"{system} learns from slices",
            where="data",
            fix="leave it out" if store else "give a slice store, as `prepare` makes it",
        )
    network = build_system(system, profile.system, seed)
    if store is None:
        data, about = replace(profile.points, seed=seed), {"points": asdict(profile.points)}
    else:
        if isinstance(profile.system, MedUSISConfig):
            _check_classes(store, profile.system.classes)
        kind = PairedSlices if profile.paired else UnpairedSlices
        data = kind(store, "train", augmentation=profile.augmentation, seed=seed, context=network.context)
        about = {**about_data(store), "augmentation": asdict(profile.augmentation)}
    return Trainer(network, data, profile.training, run=run, about=about, callbacks=callbacks)


def _check_classes(store: SliceStore, classes: int) -> None:
    """An image read as class numbers, or numbers read on another scale, would train without a word, on nonsense."""
    source = store.settings["source"]
    if source != "LABELS":
        raise TrainingError("medusis starts from label maps", where=store.path, rule="source LABELS", seen=source)
    encoded = round(store.window(source).high) + 1
    if classes != encoded:
        raise TrainingError(
            "the label maps are encoded for another number of classes",
            where="classes",
            rule=encoded,
            seen=classes,
            fix="keep the course's numbers, however few of them a region shows",
        )


def train_run(
    system: str,
    data: str | Path | None,
    run: str | Path,
    profile_name: str = "lesson",
    *,
    metrics_every: int = 0,
    context: int = 1,
    **training: object,
) -> Trainer:
    """Train ``system`` on the slice store at ``data`` into the folder ``run``; returns the trainer, for its step.

    Keeps checkpoints, the model, ``losses.jsonl`` and TensorBoard files in ``run``, and every ``metrics_every`` steps
    scores in ``metrics.jsonl`` (``MetricFile``; 0: never). ``context`` is the number of source planes that a slice is
    translated from (``PairedSlices``). ``training`` replaces settings of the profile
    (``TrainConfig``'s names). ``data`` is ``None`` for a system of points.

    Raises:
        TrainingError, CheckpointError, StorageError: as ``make_trainer`` and ``Trainer.train``; scores are asked for of
            a system that translates no slices.
    """
    chosen = _with_context(profile(system, profile_name, **training), system, context)
    store = None if data is None else SliceStore.open(data)
    trainer = make_trainer(system, store, chosen, run)
    if metrics_every and not (store and trainer.system.conditional):
        raise TrainingError(f"{system} translates no slices", where="metrics_every", rule="0", seen=metrics_every)
    if distributed.rank() == 0:
        done = last_step(Path(run))
        board = TensorBoard(Path(run) / "tensorboard", done)
        trainer.callbacks = (ProgressBar(), LossFile(Path(run) / "losses.jsonl", done), board)
        if metrics_every:
            looks = MetricFile(store, Path(run) / "metrics.jsonl", metrics_every, first_step=done)
            trainer.callbacks = (*trainer.callbacks, looks)
    try:
        trainer.train()
    finally:
        distributed.leave()
    return trainer


def _with_context(chosen: Profile, system: str, context: int) -> Profile:
    """The profile for a system whose source is a slice with its neighbours.

    Raises:
        InputError: an even number.
        TrainingError: a system that starts from no image, or also makes sources, of which it would make three.
    """
    if check_context(context) == 1:
        return chosen
    if not isinstance(chosen.system, (Pix2PixConfig, UNetCascadeConfig)):
        raise TrainingError(
            f"{system} cannot learn from neighbouring planes",
            where="context",
            rule="1, or a system that translates one way: pix2pix, unet_cascade",
            seen=context,
        )
    return replace(chosen, system=replace(chosen.system, source_channels=context))


def evaluate_run(run: str | Path, data: str | Path, split: str = "test", device: str = "auto") -> Evaluation:
    """Score the model of ``run`` on the slice store at ``data``.

    Raises:
        CheckpointError: no model, one that does not translate, or one trained on other modalities, slice size, field of
            view or windows.
    """
    chosen = choose_device(device)
    system, about = load_translator(run, chosen)
    store = SliceStore.open(data)
    seen = about_data(store)
    for key in ("source", "target", "size", "fov_mm", "windows"):
        if seen[key] != about.get(key):
            raise CheckpointError(
                f"the model was trained on another {key}", where=data, rule=about.get(key), seen=seen[key]
            )
    found = evaluate({system.name: system.translate}, store, split, chosen, context=system.context)
    if seen["prepared"] != about.get("prepared"):
        note = "not the store it was trained on: its training patients may be among these"
        found = replace(found, about={**found.about, "note": note})
    return found


def about_data(store: SliceStore) -> dict[str, object]:
    """What a model must remember of its training data, free of patients: modalities, windows, size, pixel size."""
    train = store.split("train")
    windows = {}
    for modality in store.modalities:
        found = {patient.windows[modality] for patient in train}
        # An MR window belongs to a volume: a model keeps none, and measures it on the volume it is given.
        windows[modality] = found.pop().to_dict() if len(found) == 1 else None
    spacings = sorted(patient.spacing_mm[0] for patient in train)
    return {
        "source": store.settings["source"],
        "target": store.settings["target"],
        "windows": windows,
        "size": store.size,
        "fov_mm": store.settings.get("fov_mm"),
        "pixel_mm": [spacings[0], spacings[-1]],
        "synthetic_data": store.synthetic,
        "prepared": store.settings.get("fingerprint"),
    }


class NotKept(torch.nn.Module):
    """Stands where a network was that only training needs (a discriminator), and that a model does not keep."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def forward(self, *_: object) -> None:
        """
        Raises:
            CheckpointError: always.
        """
        raise CheckpointError(
            "a model keeps the networks that make images only",
            where=self.name,
            fix="make_trainer(...).resume() on the run has all of them, in trainer.system",
        )


def load_system(path: str | Path, device: torch.device | str = "auto") -> tuple[System, dict]:
    """(system in eval mode, what it remembers of its data) from a run folder or a model file.

    Networks that only training needs are not in it: in their place stands one that says so when used (`NotKept`).

    Raises:
        CheckpointError: no model, not ours, of a system this version does not know, or with other weights.
    """
    tensors, about = load_model(Path(path))
    if about.get("system") == "segmenter":  # `Segmenter.name`, of a module that stands on this one
        raise CheckpointError(
            "a segmenter reads images and makes none", where=path, fix="open it with train_segmenter(store, run)"
        )
    if about.get("system") not in SYSTEMS:
        raise CheckpointError(
            "the model belongs to a system this version does not have",
            where=path,
            rule=f"one of {', '.join(SYSTEMS)}",
            seen=about.get("system"),
        )
    system_class, config_class = SYSTEMS[about["system"]]
    try:
        config = config_class(**{key: tuples(value) for key, value in about["config"].items()})
        system = system_class(config)
        kept = {name.split(".")[0] for name in tensors}
        for name, child in system.named_children():
            if name not in kept and any(True for _ in child.parameters()):
                setattr(system, name, NotKept(name))
        found = system.load_state_dict(tensors, strict=False)
        missing = [key for key in found.missing_keys if key.split(".")[0] in kept]
        if missing or found.unexpected_keys or not tensors:
            raise ValueError(f"{len(missing)} weights missing, {len(found.unexpected_keys)} not known")
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"the weights do not fit {about['system']}", where=path, seen=str(error).splitlines()[0]
        ) from error
    return system.to(choose_device(str(device))).eval().requires_grad_(False), about


def load_translator(path: str | Path, device: torch.device | str = "auto") -> tuple[System, dict]:
    """``load_system``, for a system whose output depends on a source.

    Raises:
        CheckpointError: also where the system starts from noise: its images are of no patient.
    """
    system, about = load_system(path, device)
    if not system.conditional:
        raise CheckpointError(
            f"{system.name} makes images of no patient and translates none",
            where=path,
            fix="draw images with load_system(path)[0].generate(count)",
        )
    return system, about


def window_of(about: dict, modality: str) -> IntensityWindow | None:
    """The window a model was trained with for ``modality``; ``None`` where every volume has its own (MR)."""
    window = about["windows"].get(modality)
    return None if window is None else IntensityWindow(**window)
