"""``medsynth train``, ``evaluate``, ``translate``, ``export``, ``models`` and ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from medsynth_lib.cli.app import Amp, Profile, app, report


@app.command
def train(
    system: Annotated[str, tyro.conf.Positional],
    out: Path,
    data: Path | None = None,
    profile: Profile = "lesson",
    steps: int | None = None,
    batch_size: int | None = None,
    amp: Amp = "auto",
    device: str = "auto",
    compile: bool = False,
    seed: int = 0,
    metrics_every: int = 0,
    context: int = 1,
) -> int:
    """Train a system on a slice store. Run the same command again to go on where it stopped.

    Stops after the current step on Ctrl-C, with a checkpoint. Under torchrun, one process per GPU trains together.

    Args:
        system: Which system; `medsynth models` lists them.
        out: The run's folder: checkpoints, model, losses, TensorBoard.
        data: The slice store that `medsynth prepare` wrote; none for toy_gan.
        profile: smoke: does it run. lesson: learns on a laptop. paper: full width, the paper's recipe, on a GPU.
        steps: Training steps in all, in place of the profile's.
        batch_size: Slices per step and process, in place of the profile's.
        amp: Mixed precision: bf16 or fp16 where the hardware has it; off is fp32.
        device: auto, cpu, cuda or cuda:N.
        compile: Compile the networks with torch.compile: slow to start, then faster.
        seed: Of the weights, the order of the data and the augmentation.
        metrics_every: Steps between scores of some train and test slices, kept in metrics.jsonl; 0 for none.
        context: Planes of the source that a slice is made from: 3 for the slice and its two neighbours.
    """
    from medsynth_lib.training.run import train_run

    trainer = train_run(
        system,
        data,
        out,
        profile,
        steps=steps,
        batch_size=batch_size,
        amp=amp,
        device=device,
        compile=compile,
        seed=seed,
        metrics_every=metrics_every,
        context=context,
    )
    if trainer.step < trainer.config.steps:
        print(f"stopped after step {trainer.step} of {trainer.config.steps}; run the same command to go on")
        return 130
    return 0


@app.command
def evaluate(
    run: Annotated[Path, tyro.conf.Positional],
    data: Path,
    split: str = "test",
    device: str = "auto",
    json: bool = False,
) -> None:
    """Score a trained run beside the baselines, per patient and in physical units.

    Args:
        run: The run's folder, or a model file.
        data: The slice store to score it on.
        split: train, validation or test.
        device: auto, cpu, cuda or cuda:N.
        json: Print JSON for another program, with every metric.
    """
    from medsynth_lib.training.run import evaluate_run

    evaluation = evaluate_run(run, data, split, device)
    report(evaluation.to_dict(), json, evaluation.table)


@app.command
def translate(
    run: Annotated[Path, tyro.conf.Positional], input: Path, out: Path, device: str = "auto", json: bool = False
) -> None:
    """Translate a whole volume with a trained run. The result is synthetic: not for diagnosis.

    Args:
        run: The run's folder, or a model file.
        input: A NIfTI file or the folder of a DICOM series, of the modality the run was trained on.
        out: Where to write: a file ending in .nii or .nii.gz, or a new folder for a DICOM series.
        device: auto, cpu, cuda or cuda:N.
        json: Print JSON for another program.
    """
    from medsynth_lib.training.translate import translate_file

    written = translate_file(run, input, out, device)
    notes = [f"  note: {note}" for note in written["notes"]]
    text = f"synthetic {written['modality']} {written['shape']}, {written['unit']}: {out}"
    report(written, json, lambda: "\n".join([text, *notes]))


@app.command
def export(
    run: Annotated[Path, tyro.conf.Positional],
    out: Path,
    data: Path | None = None,
    compact: bool = False,
    push: str = "",
    device: str = "auto",
    json: bool = False,
) -> None:
    """Write a trained model as a folder to share: weights, configuration, model card. `medsynth translate` takes it.

    Args:
        run: The run's folder, or a model file.
        out: A new folder.
        data: A slice store to score it on beside the baselines, for the model card.
        compact: Round the weights to 8 bits: a quarter of the size, nearly the same images.
        push: Also upload it to the Hugging Face Hub under this name, as a private repository.
        device: auto, cpu, cuda or cuda:N.
        json: Print JSON for another program.
    """
    from medsynth_lib.training.export import export as export_model
    from medsynth_lib.training.export import push as push_folder

    written = export_model(run, out, data=data, device=device, compact=compact)
    if push:
        written["hub"] = push_folder(out, push)
    report(written, json, lambda: f"{written['system']}, SHA-256 {written['sha256'][:16]}…: {out}")


@app.command
def models(json: bool = False) -> None:
    """List every network of every system at paper size: parameters, and multiplications for one item (a 256 x 256 image
    where the system does not fix its size); then the published counts, and whether ours match.

    Args:
        json: Print JSON for another program.
    """
    from medsynth_lib.systems.models import model_table, reference_table

    found = {"networks": model_table(), "references": reference_table()}

    def text() -> str:
        lines = [
            f"{row['system']:18} {row['network']:21} {row['input']:>12} {row['parameters']:>12,} parameters "
            f"{row['gmac']:>7.2f} GMAC"
            for row in found["networks"]
        ]
        lines += ["", "Published configurations, images of 256 x 256:"]
        lines += [
            f"{'✔' if row['matches'] else '✘'} {row['name']:39} {row['parameters']:>12,} parameters "
            f"{row['gmac']:>7.2f} GMAC   {row['source']}: {row['expected']:,}"
            for row in found["references"]
        ]
        return "\n".join(lines)

    report(found, json, text)


@app.command
def bench(
    system: str = "pix2pix",
    profile: Profile = "paper",
    size: int = 256,
    batch_size: int | None = None,
    rounds: int = 5,
    amp: Amp = "auto",
    device: str = "auto",
    json: bool = False,
) -> None:
    """Time our training step beside a plain fp32 loop of the same networks, alternating, on noise images.

    Args:
        system: Which system; all for every system of images, one after the other.
        profile: Which of its sizes.
        size: Slices are size x size pixels; a multiple of what the networks need. A DCGAN keeps its own.
        batch_size: Slices per step; by default what two CPU cores take in seconds.
        rounds: How often each is timed; the median counts.
        amp: Mixed precision of our step.
        device: auto, cpu, cuda or cuda:N.
        json: Print JSON for another program: a list.
    """
    from medsynth_lib.training.bench import IMAGE_SYSTEMS, bench_table
    from medsynth_lib.training.bench import bench as run_bench

    options = {"size": size, "batch_size": batch_size, "rounds": rounds, "amp": amp, "device": device}
    names = IMAGE_SYSTEMS if system == "all" else (system,)
    found = [run_bench(name, profile_name=profile, **options) for name in names]
    report(found, json, lambda: bench_table(found))
