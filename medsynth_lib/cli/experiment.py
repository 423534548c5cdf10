"""``medsynth experiment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from medsynth_lib.cli.app import Profile, app
from medsynth_lib.errors import MedSynthError


@app.command
def experiment(
    name: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]")] = (),
    profile: Profile = "lesson",
    data_root: Path | None = None,
    out: Path = Path("runs/experiments"),
    seeds: tuple[int, ...] = (0, 1, 2),
    cells: tuple[str, ...] = (),
    steps: int | None = None,
    workers: int | None = None,
    list: bool = False,
) -> int:
    """Train and score a grid of configurations and write one table, beside the paper's numbers; or list the grids.

    Every cell (a configuration and a seed) is trained once: the same command after Ctrl-C or a crash goes on where it
    stopped, and a changed configuration is run anew. Leaves OUT/NAME/table.md, table.csv, cells.csv, figure.png and
    cells/*/cell.json. Ends with 1 where any cell failed.

    Args:
        name: Which experiment; nothing to list them all.
        profile: smoke: does it run. lesson: learns on a laptop. paper: full width, the paper's recipe, on a GPU.
        data_root: A folder of patients to use in place of the phantom.
        out: Where stores, runs and results go; experiments with the same folder share stores and equal runs.
        seeds: Training seeds.
        cells: Only these cells, as l1 gan; --list shows them.
        steps: Training steps, in place of the profile's; the table says so.
        workers: Cells trained at the same time, one CPU thread each; by default one per core, or one on a GPU.
        list: List the experiments and their cells.
    """
    from medsynth_lib.training.experiments import EXPERIMENTS, find_experiment
    from medsynth_lib.training.experiments.report import write_report
    from medsynth_lib.training.experiments.runner import run_experiment

    if list or not name:
        for one in EXPERIMENTS.values():
            needs = " (needs --data-root)" if one.needs_data else ""
            print(f"{one.name}: {one.title}{needs}\n  cells: {', '.join(cell.key for cell in one.cells)}")
        return 0
    if len(name) > 1:
        raise MedSynthError("one experiment at a time", seen=" ".join(name))
    outcome = run_experiment(
        find_experiment(name[0]),
        out,
        profile,
        data_root=data_root,
        seeds=tuple(dict.fromkeys(seeds)),
        cells=cells,
        steps=steps,
        workers=workers,
        report=lambda line: print(line, flush=True),
    )
    print(f"\n{write_report(outcome)}\n{outcome.folder / 'table.md'}")
    return 1 if outcome.failed else 0
