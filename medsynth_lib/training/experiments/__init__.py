"""Grids of trainings that answer one question each: ``medsynth experiment NAME``.

``grid`` says what an experiment is, ``runner`` runs it, ``cell`` is the work of one process, ``report`` writes the
table.
A new experiment is a file with its cells and one line in ``EXPERIMENTS``.
"""

from __future__ import annotations

from medsynth_lib.errors import TrainingError
from medsynth_lib.training.experiments import comparison, medusis, pix2pix, residual_cyclegan, unet_cascade
from medsynth_lib.training.experiments.grid import Experiment

#: Name → experiment.
EXPERIMENTS = {
    one.name: one
    for one in (
        comparison.ALL_SYSTEMS,
        comparison.STS,
        pix2pix.TERMS,
        unet_cascade.STAGES,
        residual_cyclegan.PARTS,
        medusis.GENERATOR,
        medusis.MASK,
        medusis.INTERVAL,
        medusis.NOISE,
        medusis.SEGMENTATION,
        medusis.ANTIALIAS,
    )
}


def find_experiment(name: str) -> Experiment:
    """The experiment called ``name``.

    Raises:
        TrainingError: there is none.
    """
    if name not in EXPERIMENTS:
        raise TrainingError("unknown experiment", rule=f"one of {', '.join(EXPERIMENTS)}", seen=name)
    return EXPERIMENTS[name]
