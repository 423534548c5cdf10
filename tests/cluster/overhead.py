"""What Dask itself costs: empty tasks through many workers, and what that would mean for notebooks.

    python -m tests.cluster.overhead [--tasks 5000] [--workers 200]

All workers live in this one process and answer over TCP: scheduler and client do all the work they would do in a
cluster, while the workers cost more here than there, as they share its processor. So the result is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from pathlib import Path

from medsynth_lib.course.batch.plan import Run
from medsynth_lib.course.batch.run import _submit
from medsynth_lib.course.batch.work import Settings


def nothing(run: Run, settings: Settings) -> dict:
    """In place of a notebook."""
    return {"stem": run.name, "status": "ok"}


def measure(tasks: int, workers: int) -> dict[str, float]:
    """Seconds to connect, and from submission to the last result, for empty tasks submitted as a batch's are."""
    from distributed import Client, LocalCluster, as_completed

    import medsynth_lib.course.batch.run as batch_run

    batch_run.execute = nothing
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    runs = [Run(f"run-{index:05d}", Path("/dev/null"), {"SEED": index}) for index in range(tasks)]
    began = time.perf_counter()
    how = {"processes": False, "protocol": "tcp", "dashboard_address": ":0", "memory_limit": None}
    with LocalCluster(n_workers=workers, threads_per_worker=1, **how) as cluster, Client(cluster) as client:
        connected, cpu = time.perf_counter(), sum(os.times()[:2])
        futures = _submit(client, runs, Settings("overhead", Path("/dev/null")), retries=2)
        submitted = time.perf_counter()
        done = sum(1 for _ in as_completed(list(futures)))
        ended, cpu = time.perf_counter(), sum(os.times()[:2]) - cpu
        assert done == tasks
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == workers
    return {
        "tasks": tasks,
        "workers": workers,
        "connect_s": round(connected - began, 2),
        "submit_s": round(submitted - connected, 2),
        "run_s": round(ended - submitted, 2),
        "ms_per_task": round(1000 * (ended - connected) / tasks, 2),
        "cpu_ms_per_task": round(1000 * cpu / tasks, 2),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=200)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.tasks, arguments.workers)))
