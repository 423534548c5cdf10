"""A trained model as a folder to share: weights, configuration and a model card that says what it is and is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from medsynth_lib import __version__
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.errors import InputError
from medsynth_lib.training.checkpoint import MODEL, load_model, model_digest, write_model
from medsynth_lib.training.compact import compact as compact_weights
from medsynth_lib.training.evaluate import Evaluation
from medsynth_lib.training.log import read_lines
from medsynth_lib.training.run import evaluate_run, load_system

CONFIG, CARD = "config.json", "MODEL_CARD.md"
LIMITS = """\
- **Not for diagnosis**, treatment, dose planning or attenuation correction; the software is no medical device.
- A synthetic image shows what is likely, not what was measured: lesions may be missing or invented.
- Trained on slices of the modality, scanner settings and body region of its data; on others it may fail unnoticed.
- Translated slice by slice: neighbouring slices may not fit each other.
- A network can remember training images. Share a model of patients' images only where consent and the data's licence
  allow it.
"""


def export(
    run: str | Path, out: str | Path, *, data: str | Path | None = None, device: str = "auto", compact: bool = False
) -> dict:
    """Write ``model.safetensors``, ``config.json`` and ``MODEL_CARD.md`` of ``run`` to the new folder ``out``.

    ``medsynth translate OUT`` and ``load_system(OUT)`` take it as they take the run: it is the same file of weights,
    unless ``compact``.

    Args:
        data: a slice store to score it on, beside the baselines, for the card.
        compact: round the weights to 8 bits (``training.compact``): a quarter of the size, nearly the same images.

    Returns:
        ``out``, ``system``, ``sha256`` and ``scored``.

    Raises:
        InputError: ``out`` is there already.
        CheckpointError: no model in ``run``, or the store does not fit it.
        StorageError: the disk refused.
    """
    run, out = Path(run), Path(out)
    if out.exists():
        raise InputError("the output is already there", where=out, fix="choose a new folder, or delete it")
    load_system(run)  # a model that cannot be loaded is not shared
    tensors, about = load_model(run)
    evaluation = None if data is None else evaluate_run(run, data, device=device)
    licence = None if data is None else SliceStore.open(data).settings.get("license")
    source = run / MODEL if run.is_dir() else run
    with atomic_path(out) as folder:
        folder.mkdir()
        if compact:
            about = {**about, "weight_bits": 8}
            write_model(folder / MODEL, compact_weights(tensors), about)
        else:
            shutil.copyfile(source, folder / MODEL)
        digest = model_digest(folder / MODEL)
        config = {"medsynth": __version__, "sha256": digest, **about}
        (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        scores = _scores(evaluation, source.parent)
        (folder / CARD).write_text(model_card(about, digest, scores, licence), encoding="utf-8")
    return {"out": str(out), "system": about["system"], "sha256": digest, "scored": evaluation is not None}


def push(folder: str | Path, hub_id: str) -> str:
    """Upload an exported folder to the Hugging Face Hub as the private repository ``hub_id``; its address.

    Raises:
        InputError: ``huggingface_hub`` is not installed.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise InputError(
            "huggingface_hub is not installed", rule="an optional extra", fix="pip install 'medsynth[hub]'"
        ) from error
    api = HfApi()
    address = str(api.create_repo(hub_id, private=True, exist_ok=True))
    api.upload_folder(repo_id=hub_id, folder_path=str(folder))
    return address


def model_card(about: dict, digest: str, scores: str, licence: str | None) -> str:
    """The card as Markdown, with the fields a hub reads at its head."""
    synthetic, target = about.get("synthetic_data"), about.get("target", "images")
    task = f"{about['source']}→{target}" if "source" in about else "images from noise"
    data = "the course's phantom: simulated, no patients (CC0)" if synthetic else "real scans of patients"
    licence = "CC0-1.0" if synthetic else licence or "not stated with the data: ask whoever prepared them"
    windows = ", ".join(
        f"{name} {window['low']:g} to {window['high']:g} {window['unit']}" if window else f"{name}: of each volume"
        for name, window in about.get("windows", {}).items()
    )
    size = f"{about['size']} x {about['size']} pixels" if about.get("size") else "as its configuration says"
    conditional = "source" in about
    use = ["medsynth translate . --input INPUT.nii.gz --out synthetic.nii.gz"] if conditional else []
    lines = [
        "---", "tags: [medical-image-synthesis, medsynth, not-for-diagnosis]", "library_name: medsynth", "---", "",
        f"# {about['system']}, {task}", "", "**Synthetic images, not for diagnosis.**", "",
        "## What it is for", "", "Teaching and research on medical image synthesis. Nothing clinical.", "",
        "## Data", "", f"- Trained on {data}.", f"- Licence of the data: {licence}.",
        f"- Slices of {size}; intensity windows: {windows or 'none'}.",
        *([f"- Weights rounded to {about['weight_bits']} bits after training."] if "weight_bits" in about else []), "",
        "## Scores", "", scores, "",
        "## Limits", "", LIMITS,
        "## How to load it", "", f"With MedSynth {__version__} or newer, in this folder:", "", "```bash", *use,
        "python -c \"from medsynth_lib.training.run import load_system; print(load_system('.')[0])\"", "```", "",
        f"`{MODEL}` holds tensors and text only and cannot run code. SHA-256: `{digest}`.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _scores(evaluation: Evaluation | None, run: Path) -> str:
    """A table beside the baselines; else the last look while it trained; else that there are none."""
    if evaluation is not None:
        return evaluation.table()
    looks = read_lines(run / "metrics.jsonl")
    if not looks:
        return "Not scored: `medsynth export RUN --out FOLDER --data STORE` puts a table beside baselines here."
    last = looks[-1]
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in last.get("test", {}).items())
    return f"On some test slices at step {last['step']}, without baselines ({last['unit']}): {numbers}."
