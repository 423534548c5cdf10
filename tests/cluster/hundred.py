"""A hundred notebooks, twenty of them failing in every way, on two workers: causes, and how well the time is used.

    python -m tests.cluster.hundred OUT [--time-limit 60] [--jobs 2] [--tenth] [--scheduler tcp://…]

Ends with 1 where a cause is wrong. The bounds: good work / workers + all time limits, as a plan would reckon, and, more
strictly, (good work + time limits) / workers, which no scheduler can beat.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from medsynth_lib.course.batch.cluster import ClusterOptions
from medsynth_lib.course.batch.plan import load_plan
from medsynth_lib.course.batch.run import run_batch
from medsynth_lib.course.batch.table import Table
from tests.course.batch.classroom import make_class, wrong

NUMBERS = {"good": 80, "raising": 5, "endless": 5, "hungry": 5, "killing": 3, "other": 2}
TENTH = {"good": 8, "raising": 1, "endless": 1, "hungry": 1, "killing": 1, "other": 1}


def measure(out: Path, numbers: dict[str, int], time_limit_s: int, cluster: ClusterOptions) -> dict:
    """Run the class and say what it took."""
    plan = make_class(out / "class", 0.5, **numbers)
    runs = load_plan(plan, {"time_limit_s": time_limit_s, "memory_limit_mib": 800})
    began = time.monotonic()
    results = run_batch(runs, out / "batch", cluster, threads=1, show=Table())
    total = time.monotonic() - began
    good = [result["seconds"] for result in results if result["status"] == "ok"]
    limits = time_limit_s * numbers["endless"]
    strict = (sum(good) + limits) / cluster.jobs
    return {
        "wrong": wrong(results),
        "ok": len(good),
        "failed": len(results) - len(good),
        "total_s": round(total, 1),
        "good_work_s": round(sum(good), 1),
        "good_mean_s": round(sum(good) / max(1, len(good)), 2),
        "limits_s": limits,
        "ratio": round(total / (sum(good) / cluster.jobs + limits), 3),
        "ratio_strict": round(total / strict, 3),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--time-limit", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scheduler", default="")
    parser.add_argument("--tenth", action="store_true")
    arguments = parser.parse_args()
    options = ClusterOptions(jobs=arguments.jobs, scheduler=arguments.scheduler)
    figures = measure(arguments.out, TENTH if arguments.tenth else NUMBERS, arguments.time_limit, options)
    print(json.dumps(figures, indent=1))
    sys.exit(bool(figures["wrong"]))
