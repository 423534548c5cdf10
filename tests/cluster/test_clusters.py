"""The same batch on clusters: started by hand, and a real Slurm where it is installed (root, slurm-wlm, munge)."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from medsynth_lib.course import sandbox
from medsynth_lib.course.batch.cluster import ClusterOptions
from medsynth_lib.course.batch.plan import load_plan
from medsynth_lib.course.batch.run import run_batch
from tests.cluster import slurm
from tests.course.batch.classroom import make_class, wrong
from tests.course.notebook_factory import write_notebook

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not sandbox.is_available(), reason="bubblewrap does not work here"),
]
KINDS = {"good": 3, "raising": 1, "endless": 1, "hungry": 1, "killing": 1, "other": 1}
LIMITS = {"time_limit_s": 240, "memory_limit_mib": 700}
OPTIONS = """
queue: short
memory: 1GB
job_cpu: 1
walltime: "00:20:00"
python: {python}
local_directory: {folder}
log_directory: {folder}
interface: lo
"""


def test_scheduler_and_two_workers_started_by_hand(tmp_path):
    address = "tcp://127.0.0.1:28786"
    dask = [sys.executable, "-m", "dask"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--memory-limit", "0", "--no-dashboard"]
    commands = [[*dask, "scheduler", "--host", "127.0.0.1", "--port", "28786", "--no-dashboard"], worker, worker]
    processes = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) for command in commands]
    try:
        runs = load_plan(make_class(tmp_path / "class", 0.2, **KINDS), LIMITS)
        results = run_batch(runs, tmp_path / "out", ClusterOptions(scheduler=address), threads=1)
        assert wrong(results) == []
        assert all(process.poll() is None for process in processes)  # they are not ours to end
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.skipif(not slurm.is_installed(), reason="needs root, slurm-wlm and munge")
def test_slurm_and_a_job_cancelled_while_it_runs(tmp_path, monkeypatch):
    folder = tmp_path / "slurm"
    monkeypatch.setenv("SLURM_CONF", str(slurm.start(folder)))
    (tmp_path / "slurm.yaml").write_text(OPTIONS.format(python=sys.executable, folder=folder))
    make_class(tmp_path / "class", 0.2, **KINDS)
    write_notebook(tmp_path / "class" / "000" / "good-slow.ipynb", "import time\ntime.sleep(15)")
    runs = load_plan(tmp_path / "class", LIMITS)
    options = ClusterOptions("slurm", jobs=2, options=tmp_path / "slurm.yaml")
    cancelled = []
    canceller = threading.Thread(target=_cancel_once, args=(tmp_path / "out" / "runs", cancelled), daemon=True)
    canceller.start()
    try:
        results = run_batch(runs, tmp_path / "out", options)
    finally:
        slurm.stop(folder)
    slow = next(result for result in results if "slow" in result["stem"])
    assert len(cancelled) == 1
    assert not list((tmp_path / "out" / "runs").glob(".*"))  # nothing is left of the cancelled attempt
    assert (slow["status"], slow["attempts"]) == ("ok", 2)
    assert wrong([result for result in results if result is not slow]) == []


def _cancel_once(results: Path, cancelled: list[str]) -> None:
    """Cancel the Slurm job in which the slow notebook runs, as soon as it does."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not cancelled:
        if list(results.glob(".*slow*")):
            time.sleep(2)
            for pid in _workers_running("slow"):
                around = [parent.environ() for parent in psutil.Process(pid).parents()[:3]]  # its worker's, not its own
                job = next(one["SLURM_JOB_ID"] for one in around if "SLURM_JOB_ID" in one)
                subprocess.run(["scancel", job], check=True)
                cancelled.append(job)
        time.sleep(0.2)


def _workers_running(word: str) -> list[int]:
    """Processes of bubblewrap that hold a run whose name has ``word``, one of them."""
    found = [one.info for one in psutil.process_iter(["pid", "cmdline"]) if one.info["cmdline"]]
    return [one["pid"] for one in found if "bwrap" in one["cmdline"][0] and word in str(one["cmdline"])][:1]
