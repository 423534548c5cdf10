"""``medsynth batch``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from medsynth_lib.cli.app import app, report
from medsynth_lib.cli.lessons import name_and_value

if TYPE_CHECKING:
    from medsynth_lib.course.batch.cluster import ClusterOptions
    from medsynth_lib.course.batch.plan import Run


@app.command
def batch(
    plan: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("runs/batch"),
    jobs: int = 2,
    cluster: Literal["local", "slurm", "kubernetes"] = "local",
    cluster_options: Path | None = None,
    scheduler: str = "",
    gpus: int = 0,
    threads: int | None = None,
    retries: int = 2,
    timeout: int | None = None,
    cell_timeout: int | None = None,
    memory_mib: int | None = None,
    parameter: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE …")] = (),
    data_root: Path | None = None,
    retry_failed: bool = False,
    unsafe: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Execute many notebooks, on this machine or a cluster, and report what became of each.

    PLAN is a YAML or CSV file (docs/instructors.md), or a folder of students' notebooks. Leaves OUT/index.html,
    OUT/batch.json, OUT/batch.csv and a folder for each run in OUT/runs. The same command again runs only what is
    missing. Ends with 1 where any run failed.

    Args:
        plan: A .yaml or .csv plan, or a folder: every notebook in it is a student's.
        out: Where everything is written; on a cluster, a folder that all its machines see.
        jobs: How many notebooks run at the same time; on this machine they share the processor's cores.
        cluster: local: this machine. slurm, kubernetes: jobs or pods, as --cluster-options describes them.
        cluster_options: YAML file: arguments of SLURMCluster, or a DaskCluster manifest; see docs/cluster.
        scheduler: Address of a Dask scheduler that runs already, as tcp://HOST:8786, in place of --cluster.
        gpus: How many of the jobs have a GPU of their own, for runs with gpus: 1.
        threads: CPU threads of each notebook; by default the cores of its worker, on this machine the cores / jobs.
        retries: How often a run is tried again when its worker, kernel start or disk failed; never after its own error.
        timeout: Seconds that one notebook may take, in place of the plan's.
        cell_timeout: Seconds that one cell may take, in place of the plan's.
        memory_mib: MiB that one notebook and all it starts may take, in place of the plan's.
        parameter: Values for every notebook's parameters cell, as PROFILE=smoke SEED=3, in place of the plan's.
        data_root: A folder of patients for every run, in place of the plan's.
        retry_failed: Also run again what failed before.
        unsafe: Run students' notebooks although bubblewrap is not there to lock them in.
        dry_run: Only check the plan, and list its runs.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.batch.cluster import ClusterOptions
    from medsynth_lib.course.batch.plan import load_plan

    runs = load_plan(plan, _overrides(timeout, cell_timeout, memory_mib, data_root, parameter))
    if dry_run:
        return _list(runs, json)
    options = ClusterOptions(cluster, jobs, gpus, cluster_options, scheduler, retries)
    how = {"threads": threads, "unsafe": unsafe, "retry_failed": retry_failed}
    results = _execute(runs, out, options, how, json)
    failed = sum(result["status"] != "ok" for result in results)
    report(results, json, lambda: f"{len(results) - failed} ok, {failed} failed: {out}/index.html")
    return 1 if failed else 0


def _execute(
    runs: list[Run], out: Path, options: ClusterOptions, how: dict[str, Any], as_json: bool
) -> list[dict[str, Any]]:
    from medsynth_lib.course.batch.run import run_batch
    from medsynth_lib.course.batch.table import Table

    if as_json:
        return run_batch(runs, out, options, **how)
    try:
        return run_batch(runs, out, options, show=Table(), **how)
    except KeyboardInterrupt:
        print(f"stopped; what is done: {out}/index.html. The same command goes on from there.")
        raise


def _overrides(
    timeout: int | None,
    cell_timeout: int | None,
    memory_mib: int | None,
    data_root: Path | None,
    parameter: tuple[str, ...],
) -> dict[str, Any]:
    """What the command line says in place of the plan."""
    given = {"time_limit_s": timeout, "cell_limit_s": cell_timeout, "memory_limit_mib": memory_mib}
    given |= {"data": str(data_root.absolute()) if data_root else None}
    parameters = dict(name_and_value(one) for one in parameter)
    return {**{key: value for key, value in given.items() if value is not None}, "parameters": parameters}


def _list(runs: list[Run], as_json: bool) -> int:
    listed = [
        {
            "name": run.name,
            "notebook": str(run.notebook),
            "parameters": run.parameters,
            "data": str(run.data or ""),
            "student": run.student,
            "time_limit_s": run.time_limit_s,
            "memory_limit_mib": run.memory_limit_mib,
        }
        for run in runs
    ]
    report(listed, as_json, lambda: "\n".join([*map(_line, listed), f"{len(runs)} runs, none executed"]))
    return 0


def _line(run: dict[str, Any]) -> str:
    values = [f"{key}={value}" for key, value in run["parameters"].items()]
    values += [f"data {run['data']}"] * bool(run["data"]) + ["a student's"] * run["student"]
    values.append(f"at most {run['time_limit_s']} s, {run['memory_limit_mib']} MiB")
    return f"{run['name']}: {', '.join(values)}"
