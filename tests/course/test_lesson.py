"""What a lesson writes and shows."""

import json
import random
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.course.lesson import Lesson, plain
from medsynth_lib.errors import MedSynthError


@pytest.fixture
def shown(monkeypatch):
    html = []
    monkeypatch.setattr("medsynth_lib.course.lesson.display", lambda one: html.append(one.data))
    return html


def test_record_holds_what_ci_and_the_report_read(tmp_path, shown):
    lesson = Lesson("02_pix2pix_pet_to_ct", profile="smoke", seed=3, out_dir=tmp_path / "out")
    lesson.exercise("E1", ..., lambda _: None, reference=1)
    lesson.figure(plt.figure(), "curve", "Loss falls over 100 steps")
    metrics = {"mae_hu": np.float32(41.5), "ssim": torch.tensor(0.5), "per_patient": {"a": [1, 2.5]}, "n": np.int64(3)}
    lesson.record(metrics)
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["metrics"] == {"mae_hu": 41.5, "ssim": 0.5, "per_patient": {"a": [1, 2.5]}, "n": 3}
    assert (record["stem"], record["profile"], record["seed"]) == ("02_pix2pix_pet_to_ct", "smoke", 3)
    assert record["exercises"] == {"E1": "unfinished"}
    assert record["figures"] == {"curve.png": "Loss falls over 100 steps"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["peak_mib"] > 50
    assert 0 <= record["seconds"] < 600
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["curve.png", "record.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_cannot_be_recorded_is_named_and_nothing_is_written(tmp_path, value):
    lesson = Lesson("02", out_dir=tmp_path)
    with pytest.raises(MedSynthError, match=r"metrics\.psnr\.a\[1\]"):
        lesson.record({"psnr": {"a": [1, value]}})
    assert not list(tmp_path.iterdir())


def test_plain_keeps_bools_and_none():
    assert plain({"a": True, "b": None, "c": np.bool_(False)}) == {"a": True, "b": None, "c": False}


def test_seeds_every_generator(tmp_path):
    def draw():
        Lesson("02", seed=5, out_dir=tmp_path)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()


def test_environment_is_two_short_lines(tmp_path):
    lines = Lesson("02", profile="smoke", seed=7, out_dir=tmp_path, amp="bf16").environment().splitlines()
    assert len(lines) == 2
    assert all(len(line) < 120 for line in lines)
    assert all(word in " ".join(lines) for word in ("AMP bf16", "profile smoke", "seed 7", torch.__version__))


def test_figure_is_saved_shown_with_alt_text_and_closed(tmp_path, shown):
    figure = plt.figure()
    Lesson("02", out_dir=tmp_path).figure(figure, "pair", 'PET beside CT, "lung" window')
    assert (tmp_path / "pair.png").read_bytes().startswith(b"\x89PNG")
    assert 'alt="PET beside CT, &quot;lung&quot; window"' in shown[0]
    assert 'src="data:image/png;base64,' in shown[0]
    assert not plt.fignum_exists(figure.number)


def test_figure_without_words_is_refused(tmp_path):
    with pytest.raises(MedSynthError, match="no description"):
        Lesson("02", out_dir=tmp_path).figure(plt.figure(), "pair", " ")


def test_exercise_returns_what_later_cells_can_use(tmp_path, shown):
    def check(add):
        if add(1, 2) == -1:
            raise Misconception("That subtracts.")
        assert add(1, 2) == 3

    def add(a, b):
        return a + b

    lesson = Lesson("02", out_dir=tmp_path)
    assert lesson.exercise("E1", lambda a, b: b + a, check, add) is not add
    assert lesson.exercise("E2", lambda a, b: a - b, check, add) is add
    assert lesson.exercise("E3", lambda a: a, check, add) is add
    assert lesson.attempts == {"E1": "solved", "E2": "misconception", "E3": "broken"}
    assert "That subtracts." in shown[1]


def test_quiz_is_shown(tmp_path, shown):
    Lesson("02", out_dir=tmp_path).quiz("Which?", ["this", "that"], 0, "Because.")
    assert "<details>" in shown[0]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course whose lesson 02 comes with a model."""
    (tmp_path / "notebooks" / "expected" / "02" / "model").mkdir(parents=True)
    monkeypatch.setattr("medsynth_lib.course.lesson.NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path / "notebooks"


def test_checkpoint_is_nothing_a_path_or_the_model_that_comes_with_the_lesson(course, tmp_path):
    lesson = Lesson("02", profile="lesson", out_dir=tmp_path / "out")
    assert lesson.checkpoint("") is None
    assert lesson.checkpoint(None) is None
    assert lesson.checkpoint("runs/mine") == Path("runs/mine")
    assert lesson.checkpoint("course") == course / "expected" / "02" / "model"


@pytest.mark.parametrize(("stem", "profile", "seen"), [("02", "smoke", "a model"), ("03", "lesson", "no model")])
def test_a_course_model_that_is_not_there_is_refused_with_what_to_do(course, tmp_path, stem, profile, seen):
    with pytest.raises(MedSynthError, match="a model that is not there") as error:
        Lesson(stem, profile=profile, out_dir=tmp_path / "out").checkpoint("course")
    assert f'PROFILE = "{profile}", {seen}' in str(error.value)
    assert 'CHECKPOINT = ""' in str(error.value)


def test_record_names_the_trained_model_inside_its_folder_or_none(tmp_path):
    lesson = Lesson("02", out_dir=tmp_path / "out")
    run = tmp_path / "out" / "run-lesson"
    assert lesson.record({}, model=run)["model"] is None  # a checkpoint was looked at: nothing was trained
    run.mkdir()
    (run / "model.safetensors").touch()
    assert lesson.record({}, model=run)["model"] == "run-lesson"
    assert lesson.record({})["model"] is None
    assert "CPU" in lesson.record({})["hardware"] or lesson.device.type == "cuda"
