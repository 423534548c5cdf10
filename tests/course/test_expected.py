"""Bands, table, figures and model are made from finished runs; a later run outside its bands fails."""

import datetime
import json
from dataclasses import replace

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell

from medsynth_lib.cli import main
from medsynth_lib.course.expected import hardware_words, is_judged, measure, read_expected
from medsynth_lib.course.lessons import run_lessons
from medsynth_lib.course.objectives_table import duration, fill, memory
from medsynth_lib.course.reference import MAX_FIGURE_BYTES, keep_expected, keep_figure
from medsynth_lib.errors import InputError, MedSynthError
from tests.course.notebook_factory import PARAMETERS, write_notebook

STEM = "00_tiny"
TABLE = "## Objectives\n\n| profile | for | training on 2 cores | memory |\n|---|---|---|---|\n| `smoke` | x | ? | |\n"
TABLE += "| `lesson` | y | ? | ? |\n\nThe end."
# A lesson that "learns" what the seed and the planted OFFSET say, in no time: it writes its record as Lesson does.
LESSON = """
import json, pathlib
from PIL import Image
out = pathlib.Path(OUT_DIR)
Image.new("RGB", (8, 8), (SEED, 0, 0)).save(out / "curve.png")
record = {"stem": "00_tiny", "profile": PROFILE, "seed": SEED, "figures": {"curve.png": "A curve"}, "model": None,
          "hardware": "x86_64 CPU, 2 threads", "amp": "bf16", "versions": {"medsynth": "1"},
          "metrics": {"psnr_db": 26 + SEED / 10 - OFFSET, "ssim": {"mean": 0.8}, "steps_done": 3}}
(out / "record.json").write_text(json.dumps(record))
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder of one lesson, and two finished runs of it."""
    root = tmp_path_factory.mktemp("course")
    path = write_notebook(root / "notebooks" / f"{STEM}.ipynb", LESSON, parameters=PARAMETERS + "\nOFFSET = 0")
    notebook = nbformat.read(path, 4)
    picture = f"![A curve](expected/{STEM}/curve.png) ![Another](expected/{STEM}/other.png)"
    notebook.cells.insert(0, new_markdown_cell(TABLE, id="objectives"))
    notebook.cells.insert(1, new_markdown_cell(picture, id="expected"))
    nbformat.write(notebook, path)
    for seed in (1, 0):
        run_lessons([], "lesson", None, root / f"s{seed}", {"SEED": seed}, notebooks=path.parent)
    return root


@pytest.fixture(scope="module")
def kept(course):
    arguments = ["lessons", "expected", "--from", str(course / "s1"), str(course / "s0")]
    assert main([*arguments, "--notebooks", str(course / "notebooks")]) == 0
    return course / "notebooks"


def run_again(kept, out, profile="lesson", **parameters):
    (run,) = run_lessons([], profile, None, out, parameters, notebooks=kept)
    return run.result


def test_expected_json_holds_numbers_bands_time_memory_hardware_and_rule(kept):
    written = json.loads((kept / "expected" / "expected.json").read_text())
    one = written["lessons"][STEM]["lesson"]
    assert one["seeds"] == [0, 1]
    assert one["hardware"] == "2 CPU cores"
    assert one["versions"] == {"medsynth": "1"}
    assert one["seconds"] > 0
    assert one["peak_mib"] > 20
    psnr = one["metrics"]["psnr_db"]
    assert (psnr["mean"], psnr["min"], psnr["max"]) == pytest.approx((26.05, 26.0, 26.1))
    assert psnr["low"] < 26 < psnr["high"]
    assert one["metrics"]["ssim mean"]["low"] == pytest.approx(0.76)
    assert one["metrics"]["steps_done"]["low"] is None
    assert "prediction interval" in written["rule"]
    assert str(kept.parent) not in json.dumps(written)


def test_the_table_is_filled_and_the_figure_kept(kept):
    text = nbformat.read(kept / f"{STEM}.ipynb", 4).cells[0].source
    row = next(line for line in text.splitlines() if line.startswith("| `lesson`"))
    assert " on 2 CPU cores | 0." in row
    assert row.endswith(" GB |")
    assert "| `smoke` | x | ? |" in text
    assert text.endswith("\n\nThe end.")
    seed_0 = (kept.parent / "s0" / STEM / "curve.png").read_bytes()
    assert (kept / "expected" / STEM / "curve.png").read_bytes() == seed_0


def test_a_figure_that_the_run_does_not_make_and_a_missing_model_are_said(kept, capsys):
    found = keep_expected([kept.parent / "s0", kept.parent / "s1"], notebooks=kept)
    notes = " ".join(found[STEM]["notes"])
    assert "other.png is shown" in notes
    assert "names no model" in notes
    assert found[STEM]["judged"] == ["psnr_db", "ssim mean"]
    assert found[STEM]["shown"] == ["steps_done"]


def test_keeping_twice_changes_nothing(kept):
    files = [path for path in kept.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in files]
    keep_expected([kept.parent / "s0", kept.parent / "s1"], notebooks=kept)
    assert [path.read_bytes() for path in files] == before
    assert sorted(files) == sorted(path for path in kept.rglob("*") if path.is_file())


def test_a_run_in_its_bands_passes_and_one_outside_fails_with_metric_value_and_band(kept, tmp_path, capsys):
    assert run_again(kept, tmp_path / "good", SEED=2).status == "ok"
    arguments = ["lessons", "run", "--profile", "lesson", "--notebooks", str(kept), "--out", str(tmp_path / "bad")]
    # planted: a lesson that learns nothing. OFFSET is no parameter of a real lesson, so plant it in the text
    path = kept / f"{STEM}.ipynb"
    before = path.read_text()
    try:
        path.write_text(before.replace("OFFSET = 0", "OFFSET = 20"))
        assert main(arguments) == 1
    finally:
        path.write_text(before)
    printed = capsys.readouterr().out
    assert "outside_band" in printed
    assert "psnr_db: 6, expected " in printed
    assert "0 ok, 1 failed" in printed
    page = (tmp_path / "bad" / "index.html").read_text()
    assert "outside the expected band" in page
    assert "psnr_db: 6, expected " in page


def test_other_data_steps_or_profiles_are_not_judged(kept, tmp_path):
    assert is_judged({"PROFILE": "lesson", "SEED": 4, "OUT_DIR": "x", "DATA_ROOT": ""})
    assert is_judged({"CHECKPOINT": "course"})
    for parameters in ({"DATA_ROOT": "/somewhere"}, {"STEPS": 3}, {"CHECKPOINT": "run"}, {"NEW": 1}):
        assert not is_judged(parameters)
    assert run_again(kept, tmp_path / "steps", OFFSET=20).status == "ok"
    assert run_again(kept, tmp_path / "smoke", profile="smoke").status == "ok"


def test_a_run_on_a_cohort_is_not_judged(kept, tmp_path):
    (tmp_path / "Doe_John").mkdir()
    path = kept / f"{STEM}.ipynb"
    before = path.read_text()
    try:
        path.write_text(before.replace("OFFSET = 0", "OFFSET = 20"))
        (run,) = run_lessons([], "lesson", tmp_path / "Doe_John", tmp_path / "out", notebooks=kept)
    finally:
        path.write_text(before)
    assert run.result.ok
    with pytest.raises(InputError, match="other data or steps") as error:
        keep_expected([tmp_path / "out"], notebooks=kept)
    assert "DATA_ROOT" in str(error.value)
    assert "Doe" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 7, "lessons": {}}', '{"format": 1, "lessons": {"a": 3}}'])
def test_damaged_bands_are_one_clear_message_before_anything_runs(tmp_path, text, capsys):
    write_notebook(tmp_path / "notebooks" / f"{STEM}.ipynb", "x = 1")
    (tmp_path / "notebooks" / "expected").mkdir()
    (tmp_path / "notebooks" / "expected" / "expected.json").write_text(text)
    arguments = ["lessons", "run", "--notebooks", str(tmp_path / "notebooks"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    words = capsys.readouterr().err
    assert "the expected results cannot be read" in words
    assert "medsynth lessons expected" in words
    assert "Traceback" not in words
    assert not (tmp_path / "out").exists()


def test_a_band_with_an_unknown_field_is_damaged(kept, tmp_path):
    found = json.loads((kept / "expected" / "expected.json").read_text())
    del found["lessons"][STEM]["lesson"]["metrics"]["psnr_db"]["low"]
    (tmp_path / "expected.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match="cannot be read"):
        read_expected(tmp_path / "expected.json")


def test_seeds_are_run_where_no_finished_runs_are_given(kept, tmp_path):
    arguments = ["lessons", "expected", "--notebooks", str(kept), "--profile", "smoke", "--seeds", "0", "--out"]
    assert main([*arguments, str(tmp_path)]) == 0
    found = read_expected(kept / "expected" / "expected.json")[STEM]
    assert found["smoke"].seeds == [0]
    assert found["smoke"].metrics["psnr_db"].low is None  # one seed: no band
    assert found["lesson"].seeds == [0, 1]
    assert " on 2 CPU cores" in nbformat.read(kept / f"{STEM}.ipynb", 4).cells[0].source.split("| `lesson`")[0]


def test_a_failing_lesson_keeps_nothing(tmp_path):
    write_notebook(tmp_path / "notebooks" / f"{STEM}.ipynb", "1 / 0")
    arguments = ["lessons", "expected", "--notebooks", str(tmp_path / "notebooks"), "--seeds", "0", "--out"]
    assert main([*arguments, str(tmp_path / "out")]) == 1
    assert not (tmp_path / "notebooks" / "expected").exists()
    with pytest.raises(MedSynthError, match="a lesson that failed has no results"):
        keep_expected([tmp_path / "out" / "seed-0"], notebooks=tmp_path / "notebooks")


def test_what_is_no_finished_run_is_refused(kept, tmp_path):
    with pytest.raises(InputError, match="not a finished run"):
        keep_expected([tmp_path], notebooks=kept)
    with pytest.raises(InputError, match="another profile"):
        keep_expected([kept.parent / "s0"], "paper", notebooks=kept)


def test_a_run_of_an_older_version_is_refused(tmp_path):
    write_notebook(tmp_path / "notebooks" / f"{STEM}.ipynb", "x = 1")
    run = {"stem": STEM, "status": "ok", "record": {"seed": 0, "metrics": {}, "figures": {}, "amp": "", "versions": {}}}
    (tmp_path / "lessons.json").write_text(json.dumps({"profile": "lesson", "parameters": [], "lessons": [run]}))
    with pytest.raises(InputError, match="no hardware, model"):
        keep_expected([tmp_path], notebooks=tmp_path / "notebooks")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 0}, "run twice"),
        ({"hardware": "a GPU"}, "hardware"),
        ({"hardware": "aarch64 CPU, 2 threads"}, "hardware"),
        ({"amp": "off"}, "amp"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(kept, change, words):
    summary = [json.loads((kept.parent / f"s{seed}" / "lessons.json").read_text())["lessons"][0] for seed in (0, 1)]
    summary[1]["record"].update(change)
    with pytest.raises(MedSynthError, match=words):
        measure(summary, datetime.date(2026, 1, 1))


def test_runs_with_other_numbers_of_threads_belong_together(kept):
    summary = [json.loads((kept.parent / f"s{seed}" / "lessons.json").read_text())["lessons"][0] for seed in (0, 1)]
    summary[1]["record"]["hardware"] = "x86_64 CPU, 1 thread"
    assert measure(summary, datetime.date(2026, 1, 1)).hardware == "1 or 2 CPU cores"


def test_words_for_time_memory_and_hardware():
    assert [duration(s) for s in (31, 90, 91, 301)] == ["40 s", "90 s", "2 min", "6 min"]
    assert memory(1335) == "1.4 GB"
    assert hardware_words(["aarch64 CPU, 1 thread"] * 3) == "1 CPU core"
    assert (
        hardware_words(["x86_64 CPU, 2 threads", "x86_64 CPU, 1 thread", "x86_64 CPU, 2 threads"]) == "1 or 2 CPU cores"
    )
    assert hardware_words(["NVIDIA H100"] * 3) == "NVIDIA H100"


def test_a_text_without_such_a_table_is_left_alone():
    assert fill("no table", "lesson", "1 min", "1 GB") is None
    assert fill(TABLE, "paper", "1 min", "1 GB") is None
    filled = fill(TABLE, "lesson", "1 min", "1 GB")
    assert fill(filled, "lesson", "1 min", "1 GB") == filled
    assert filled.count("\n") == TABLE.count("\n")


def test_a_large_figure_is_made_smaller(tmp_path):
    import numpy as np
    from matplotlib.image import imread, imsave

    imsave(tmp_path / "big.png", np.random.default_rng(0).random((500, 600, 3)))
    assert (tmp_path / "big.png").stat().st_size > MAX_FIGURE_BYTES
    keep_figure(tmp_path / "big.png", tmp_path / "kept.png")
    assert (tmp_path / "kept.png").stat().st_size <= MAX_FIGURE_BYTES
    assert imread(tmp_path / "kept.png").shape[1] > 200


def test_a_band_survives_the_file(kept):
    one = read_expected(kept / "expected" / "expected.json")[STEM]["lesson"]
    assert replace(one) == type(one).from_dict(one.to_dict())
