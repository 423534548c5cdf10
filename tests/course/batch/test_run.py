"""A batch through Dask: every kind of failure with its own cause, the report, and resuming after workers and we die."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from medsynth_lib.cli import main
from medsynth_lib.course import sandbox
from medsynth_lib.course.bands import Band
from medsynth_lib.course.batch import work
from medsynth_lib.course.batch.cluster import ClusterOptions
from medsynth_lib.course.batch.plan import load_plan
from medsynth_lib.course.batch.run import run_batch
from medsynth_lib.course.expected import Expected, write_expected
from medsynth_lib.course.places import bands_file
from medsynth_lib.course.report import STATUSES
from medsynth_lib.course.runner import available_cores
from medsynth_lib.errors import MedSynthError
from tests.course.batch.classroom import make_class, wrong
from tests.course.notebook_factory import write_notebook

needs_bubblewrap = pytest.mark.skipif(
    not sandbox.is_available(), reason="bubblewrap is not installed or not allowed here"
)
FIGURE = (
    "import pathlib, json\nimport matplotlib.pyplot as plt\nfigure = plt.figure()\n"
    "figure.savefig(pathlib.Path(OUT_DIR, 'loss.png'))\npathlib.Path(OUT_DIR, 'record.json').write_text(json.dumps("
    "{'metrics': {'mae_hu': {'mean': 41.25}, '=cmd': SEED}, 'figures': {'loss.png': 'A <b> curve', '../x.png': 'no'}}))"
)


@needs_bubblewrap
def test_every_failure_has_its_own_cause_and_the_report_shows_it(tmp_path, capsys):
    folder = make_class(tmp_path / "class", 0.1, good=1, raising=1, endless=1, hungry=1, killing=1, other=1)
    write_notebook(folder / "007" / "good.ipynb", FIGURE)
    out = tmp_path / "out"
    code = main(["batch", str(folder), "--out", str(out), "--timeout", "120", "--memory-mib", "700", "--json"])
    results = json.loads(capsys.readouterr().out)
    assert (code, wrong(results)) == (1, [])
    data = json.loads((out / "batch.json").read_text())
    assert data["counts"] == {"ok": 2, "cell_error": 1, "timeout": 1, "memory": 1, "dead_kernel": 1, "refused": 1}
    assert all(one["sandbox"] == "bubblewrap" and one["attempts"] == 1 for one in data["runs"])  # no second chance

    page = (out / "index.html").read_text()
    assert "mae_hu mean: 41.25" in page
    assert 'alt="A &lt;b&gt; curve" src="data:image/png;base64,' in page
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 6 * 2 + 1  # notebook and log of six, the figure; nothing of the one that is no notebook
    assert all((out / link).is_file() for link in links)
    assert not re.findall(r'src="(?!data:)', page)

    rows = list(csv.DictReader((out / "batch.csv").read_text().splitlines()))
    assert {row["status"] for row in rows} == set(data["counts"])
    good = next(row for row in rows if row["name"] == "007__good")
    assert (good["mae_hu mean"], good["'=cmd"]) == ("41.25", "0")

    stamps = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/result.json")}
    assert len(stamps) == 7
    assert main(["batch", str(folder), "--out", str(out)]) == 1  # nothing is missing: nothing runs
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def sleeper(seconds: float) -> str:
    return f"import time, uuid\nprint(uuid.uuid4())\ntime.sleep({seconds})"


def wait_for(condition, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


@pytest.fixture
def batch_process():
    """Starts ``medsynth batch PLAN --out OUT`` as a process, which does not outlive the test."""
    processes = []

    def start(plan: Path, out: Path) -> subprocess.Popen:
        code = "import sys; from medsynth_lib.cli import main; sys.exit(main())"
        processes.append(subprocess.Popen([sys.executable, "-c", code, "batch", str(plan), "--out", str(out)]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def papermills(process: subprocess.Popen) -> list[psutil.Process]:
    """The notebooks that run below ``process``: what its workers started."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [one for one in below if "papermill" in one.cmdline() and "bwrap" not in one.cmdline()]


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@needs_bubblewrap
def test_killed_worker_and_killed_batch_lose_and_repeat_nothing_finished(tmp_path, batch_process):
    plan, out = tmp_path / "class", tmp_path / "out"
    for name, seconds in {"a": 0, "b": 12, "c": 0, "d": 12}.items():
        write_notebook(plan / f"{name}.ipynb", sleeper(seconds))

    def finished() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in out.glob("runs/*/result.json")}

    process = batch_process(plan, out)
    wait_for(lambda: finished() and papermills(process))
    notebook = papermills(process)[0]
    worker = next(one for one in notebook.parents() if "multiprocessing" in " ".join(one.cmdline()))
    worker.kill()
    wait_for(lambda: not is_alive(notebook), 10)  # its notebook goes with it
    wait_for(lambda: len(finished()) >= 2 and papermills(process))
    before, started = finished(), papermills(process)
    assert len(before) < 4
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(is_alive(one) for one in started), 20)
    assert set(finished()) == set(before)  # what was on left nothing that looks finished

    results = run_batch(load_plan(plan), out, ClusterOptions())
    assert [result["status"] for result in results] == ["ok"] * 4
    assert {path: path.read_bytes() for path in before} == before  # not repeated
    assert not list(out.glob("runs/.*"))


@needs_bubblewrap
def test_stopped_batch_leaves_no_notebook_running_and_a_report_of_what_waits(tmp_path, batch_process):
    write_notebook(tmp_path / "class" / "a.ipynb", sleeper(600))
    process = batch_process(tmp_path / "class", tmp_path / "out")
    wait_for(lambda: papermills(process))
    started = papermills(process)
    process.terminate()
    assert process.wait(60) == 130
    wait_for(lambda: not any(is_alive(one) for one in started), 20)
    assert json.loads((tmp_path / "out" / "batch.json").read_text())["counts"] == {"waiting": 1}
    assert "<b>0 ran, 1 waiting</b>" in (tmp_path / "out" / "index.html").read_text()
    assert list((tmp_path / "out" / "runs").iterdir()) == []


SLOT = (
    "import json, os, pathlib, time\nbegan = time.time()\ntime.sleep(2)\nmine = os.environ['CUDA_VISIBLE_DEVICES']\n"
    "metrics = {'gpu': mine, 'began': began, 'ended': time.time(), 'threads': os.environ['OMP_NUM_THREADS']}\n"
    "pathlib.Path(OUT_DIR, 'record.json').write_text(json.dumps({'metrics': metrics}))"
)


def test_a_gpu_is_one_runs_at_a_time_and_the_others_see_none(tmp_path):
    write_notebook(tmp_path / "a.ipynb", SLOT)
    plan = tmp_path / "plan.yaml"
    entries = "- {notebooks: a.ipynb, name: with, grid: {SEED: [0, 1]}, gpus: 1}\n- {notebooks: a.ipynb, name: without}"
    plan.write_text(f"runs:\n{entries}")
    with pytest.raises(MedSynthError, match="no worker has one"):
        run_batch(load_plan(plan), tmp_path / "out", ClusterOptions())
    results = run_batch(load_plan(plan), tmp_path / "out", ClusterOptions(gpus=1))
    one, two, without = (result["record"]["metrics"] for result in results)
    assert (one["gpu"], two["gpu"], without["gpu"]) == ("0", "0", "")
    assert one["ended"] <= two["began"] or two["ended"] <= one["began"]
    assert {int(one["threads"]), int(without["threads"])} == {max(1, available_cores() // 2)}


def test_worker_that_always_dies_is_infrastructure_and_is_tried_again_next_time(tmp_path):
    source = write_notebook(tmp_path / "class" / "a.ipynb", "x = 1")
    deadly = "import os, signal, psutil\nfor one in psutil.Process().parents():\n"
    deadly += "    if 'multiprocessing' in ' '.join(one.cmdline()):\n        one.kill()\n        break"
    write_notebook(source, "x = 1", deadly)
    plan = tmp_path / "plan.yaml"
    plan.write_text("runs: [{notebooks: class/a.ipynb}]")
    with pytest.MonkeyPatch.context() as patch:  # outside a sandbox a notebook can kill its worker
        no_bwrap = tmp_path / "bin" / "bwrap"
        no_bwrap.parent.mkdir()
        no_bwrap.write_text("#!/bin/sh\nexit 1\n")
        no_bwrap.chmod(0o755)
        patch.setenv("PATH", f"{no_bwrap.parent}{os.pathsep}{os.environ['PATH']}")
        (result,) = run_batch(load_plan(plan), tmp_path / "out", ClusterOptions(jobs=1, retries=1))
    assert result["status"] == "infrastructure"
    assert "every worker that tried it died" in result["error"]
    assert result["attempts"] == 2
    assert not (tmp_path / "out" / "runs" / "a" / "result.json").exists()
    assert "WITHOUT" not in (tmp_path / "out" / "index.html").read_text()  # nothing ran to its end


@pytest.fixture
def one_run(tmp_path):
    write_notebook(tmp_path / "in" / "a.ipynb", "x = 1")
    (run,) = load_plan(tmp_path / "in")
    return run, work.Settings("batch", tmp_path / "out", threads=1)


def faked(status):
    def run_notebook(source, out_dir, *args, **kwargs):
        return work.RunResult("a", status, "words")

    return run_notebook


@pytest.mark.parametrize("status", [status for status in STATUSES if status not in ("infrastructure", "waiting")])
def test_only_what_is_not_the_notebooks_fault_is_raised_for_dask_to_retry(one_run, monkeypatch, status):
    run, settings = one_run
    monkeypatch.setattr(work.sandbox, "is_available", lambda: True)
    monkeypatch.setattr(work, "run_notebook", faked(status))
    if status == "not_started":
        with pytest.raises(work.InfrastructureError, match="words"):
            work.execute(run, settings)
        assert list(settings.results.iterdir()) == []
    else:
        assert work.execute(run, settings)["status"] == status
        assert work.read_result(settings.results / "a", run.key())["status"] == status
        assert work.read_result(settings.results / "a", "another key") is None


def test_full_disk_is_no_fault_of_the_notebook(one_run, monkeypatch):
    run, settings = one_run
    monkeypatch.setattr(work.sandbox, "is_available", lambda: True)
    monkeypatch.setattr(work, "run_notebook", faked("cell_error"))
    monkeypatch.setattr(work, "DISK_RESERVE_BYTES", 2**80)
    with pytest.raises(work.InfrastructureError, match="cell_error"):
        work.execute(run, settings)


def test_students_notebook_is_refused_without_a_sandbox(one_run, monkeypatch, tmp_path):
    run, settings = one_run
    monkeypatch.setattr(work.sandbox, "is_available", lambda: False)
    monkeypatch.setattr(work, "run_notebook", faked("ok"))
    assert work.execute(run, settings)["status"] == "refused"
    with pytest.raises(MedSynthError, match="bubblewrap"):
        run_batch([run], tmp_path / "batch", ClusterOptions())
    unsafe = work.Settings("batch", tmp_path / "unsafe", threads=1, unsafe=True)
    assert work.execute(run, unsafe) | {"sandbox": "none", "status": "ok"} == work.execute(run, unsafe)


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"metrics": 3, "figures": {"x.png": 1}}', '{"metrics": {"a": NaN}}', "[" * 10**5]
)
def test_record_of_a_student_may_be_anything(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    record = work._read_record(tmp_path)
    assert record.get("figures", {}) == {}
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    ("psnr_db", "changed", "status"),
    [
        (26.0, {}, "ok"),
        (6.0, {}, "outside_band"),
        (6.0, {"parameters": {"PROFILE": "smoke"}}, "ok"),
        (6.0, {"parameters": {"STEPS": 3}}, "ok"),
        (6.0, {"data": Path("/")}, "ok"),
        (6.0, {"student": True}, "ok"),
    ],
)
def test_a_lesson_on_its_own_data_is_judged_by_its_bands(one_run, tmp_path, monkeypatch, psnr_db, changed, status):
    run = replace(one_run[0], **{"student": False, **changed})
    bands = {"psnr_db": Band(mean=26.0, sd=0.1, min=25.9, max=26.1, low=25.0, high=27.0)}
    write_expected(
        bands_file(run.notebook.parent),
        {"a": {"lesson": Expected([0, 1, 2], "2026-01-01", "2 CPU cores", "bf16", 1.0, 1.0, {}, bands)}},
    )
    monkeypatch.setattr(work.sandbox, "is_available", lambda: True)
    folder = tmp_path / "batch" / "runs" / "a"
    folder.mkdir(parents=True)
    finished = {"stem": "a", "status": "ok", "error": "", "cell": None, "seconds": 1.0, "peak_mib": 1.0, "host": "h"}
    finished |= {"notebook": "a.ipynb", "log": "log", "source": "a", "data": "", "parameters": {}, "sandbox": "none"}
    finished |= {"key": run.key(), "record": {"metrics": {"psnr_db": psnr_db}}}
    (folder / "result.json").write_text(json.dumps(finished))
    (result,) = run_batch([run], tmp_path / "batch", ClusterOptions())
    assert result["status"] == status
    page = (tmp_path / "batch" / "index.html").read_text()
    assert ("psnr_db: 6, expected 25 to 27" in page) == (status == "outside_band")


def test_two_batches_do_not_share_a_folder(one_run, tmp_path, monkeypatch):
    import fcntl

    (tmp_path / "batch").mkdir()
    monkeypatch.setattr(work.sandbox, "is_available", lambda: True)
    with open(tmp_path / "batch" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(MedSynthError, match="another batch"):
            run_batch([one_run[0]], tmp_path / "batch", ClusterOptions())


@pytest.mark.nightly
@needs_bubblewrap
def test_hundred_notebooks(tmp_path):
    numbers = {"good": 80, "raising": 5, "endless": 5, "hungry": 5, "killing": 3, "other": 2}
    plan = make_class(tmp_path / "class", **numbers)
    limits = {"time_limit_s": 60, "memory_limit_mib": 800}
    results = run_batch(load_plan(plan, limits), tmp_path / "out", ClusterOptions())
    assert wrong(results) == []
    assert len(results) == 100
