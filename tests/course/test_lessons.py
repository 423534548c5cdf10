"""Several lessons, one of them failing: the table, lessons.json, index.html and the command agree."""

import json
import re
import subprocess
import sys
import time

import psutil
import pytest

from medsynth_lib.cli import main
from medsynth_lib.course.lessons import find_lessons, run_lessons, select_lessons
from medsynth_lib.course.report import flat_metrics
from medsynth_lib.errors import InputError, MedSynthError
from tests.course.notebook_factory import write_notebook

RECORD = (
    "from medsynth_lib.course.lesson import Lesson\nimport matplotlib.pyplot as plt\n"
    "lesson = Lesson('00_good', profile=PROFILE, seed=SEED, out_dir=OUT_DIR)\n"
    "lesson.figure(plt.figure(), 'loss', 'An <empty> loss curve')\n"
    "lesson.record({'mae_hu': {'mean': 41.25}, 'seed': SEED, 'data': str(DATA_ROOT)})"
)


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "my lessons"
    write_notebook(folder / "00_good.ipynb", RECORD)
    write_notebook(folder / "01_bad.ipynb", "raise ValueError('no <lung> here')")
    write_notebook(folder / "notes.ipynb", "x = 1")
    return folder


def test_lessons_are_found_by_their_number_and_selected_by_stem_or_number(course):
    assert list(find_lessons(course)) == ["00_good", "01_bad"]
    assert list(select_lessons(["01", "00_good"], course)) == ["01_bad", "00_good"]
    with pytest.raises(MedSynthError, match=r"no lesson 07\n.*00_good, 01_bad"):
        select_lessons(["07"], course)
    with pytest.raises(InputError, match="no folder of lessons"):
        find_lessons(course / "nowhere")


def test_run_reports_everything_and_exits_with_1(course, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    out = tmp_path / "out"
    arguments = ["lessons", "run", "--notebooks", str(course), "--out", str(out), "--jobs", "2"]
    assert main([*arguments, "--data-root", str(tmp_path / "data"), "--parameter", "SEED=4"]) == 1
    printed = capsys.readouterr().out
    assert "cell 1 (step-0): ValueError: no <lung> here" in printed
    assert "1 ok, 1 failed" in printed

    good, bad = json.loads((out / "lessons.json").read_text())["lessons"]
    assert (good["status"], bad["status"]) == ("ok", "cell_error")
    assert good["record"]["metrics"] == {"mae_hu": {"mean": 41.25}, "seed": 4, "data": str(tmp_path / "data")}
    assert bad["cell"] == {"id": "step-0", "index": 1, "tags": []}

    page = (out / "index.html").read_text()
    assert "mae_hu mean: 41.25" in page
    assert "ValueError: no &lt;lung&gt; here" in page
    assert 'alt="An &lt;empty&gt; loss curve"' in page
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(links) == 6
    assert all((out / link).is_file() for link in links), links  # also: nothing is loaded from elsewhere


def test_old_results_are_not_shown_for_a_run_that_failed(course, tmp_path):
    run_lessons(["00"], out=tmp_path / "out", notebooks=course)
    write_notebook(course / "00_good.ipynb", "assert False")
    (run,) = run_lessons(["00"], out=tmp_path / "out", notebooks=course)
    assert run.record == {}


def test_a_parameter_the_lesson_does_not_know_is_one_failed_row(course, tmp_path):
    runs = run_lessons(["00"], out=tmp_path / "out", parameters={"SEEED": 3}, notebooks=course)
    assert [(run.result.status, "SEEED" in run.result.error) for run in runs] == [("refused", True)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"profile": "fast"}, "unknown profile"), ({"data_root": "/no/such"}, "no such data folder")],
)
def test_wrong_call_is_refused_before_anything_runs(course, tmp_path, changes, words):
    with pytest.raises(MedSynthError, match=words):
        run_lessons(out=tmp_path / "out", notebooks=course, **changes)
    assert not (tmp_path / "out").exists()


def test_termination_leaves_no_kernel_and_starts_no_further_lesson(tmp_path):
    forever = "import os\nopen('pid', 'w').write(str(os.getpid()))\nwhile True:\n    pass"
    for stem in ("00_a", "01_b"):
        write_notebook(tmp_path / "lessons" / f"{stem}.ipynb", forever)
    code = "import sys; from medsynth_lib.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "lessons", "run", "--notebooks", "lessons", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path)
    pid = tmp_path / "out" / "00_a" / "work" / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    assert process.wait(timeout=20) == 130
    kernel = int(pid.read_text())
    assert not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == psutil.STATUS_ZOMBIE
    assert not (tmp_path / "out" / "01_b").exists()


def test_metrics_are_flattened_for_the_table():
    assert flat_metrics({"mae": {"mean": 1.0, "sd": {"a": 2}}, "n": 3}) == {"mae mean": 1.0, "mae sd a": 2, "n": 3}
