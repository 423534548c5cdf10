"""What students get holds no answer; what they hand in is taken without trust."""

import os
import zipfile

import nbformat
import pytest

from medsynth_lib import cli
from medsynth_lib.course import sandbox
from medsynth_lib.course.assignments.collect import collect
from medsynth_lib.course.assignments.folder import ClassFolder, find_assignments
from medsynth_lib.course.assignments.grade import grade
from medsynth_lib.course.assignments.release import hidden_lines, release
from medsynth_lib.errors import MedSynthError
from tests.course.assignments.in_process import SOLUTION
from tests.course.assignments.school import STEM, Student, open_class

ALL = find_assignments()


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("class")
    course, released = open_class(root)
    return course, released


@pytest.fixture(scope="module")
def whole_course(tmp_path_factory):
    return ClassFolder(tmp_path_factory.mktemp("course"))


@pytest.mark.parametrize("stem", sorted(ALL))
def test_the_students_version_has_neither_solutions_nor_hidden_tests(stem, whole_course):
    released = nbformat.read(release(stem, ALL[stem], whole_course), 4)
    source = nbformat.read(ALL[stem], 4)
    text = "\n".join(cell.source for cell in released.cells)
    assert len(released.cells) == len(source.cells)
    assert not [line for line in hidden_lines(ALL[stem]) if line in text.splitlines()]
    assert "HIDDEN" not in text
    assert "SOLUTION" not in text
    answers = [found[0] for cell in source.cells if (found := SOLUTION.search(cell.source))]
    assert len(answers) >= 1
    for line in {line.strip() for one in answers for line in one.splitlines() if len(line.strip()) > 25}:
        assert line not in text
    assert text.count("raise NotImplementedError()") == len(answers)
    assert text.count("# Hidden test: ") == sum("BEGIN HIDDEN TESTS" in cell.source for cell in source.cells)
    assert all(cell.source.strip() for cell in released.cells)


def test_given_files_go_along(opened):
    course, _ = opened
    folder = course.notebook("release", STEM).parent
    assert (folder / "given" / "model" / "model.safetensors").stat().st_size < 400_000


def test_folders_zips_and_notebooks_are_collected_and_traps_are_not(opened, tmp_path):
    course, released = opened
    inbox = tmp_path / "inbox"
    Student("folder", released).hand_in(inbox)
    text = nbformat.writes(released)
    (inbox / "bare.ipynb").write_text(text)
    with zipfile.ZipFile(inbox / "zipped.zip", "w") as packed:
        packed.writestr("work/my_solution.ipynb", text)
        packed.writestr("work/notes.txt", "x")
    with zipfile.ZipFile(inbox / "escaping.zip", "w") as packed:
        packed.writestr("../../escaped.ipynb", text)
    (inbox / "linked").mkdir()
    os.symlink("/etc/passwd", inbox / "linked" / "a.ipynb")
    (inbox / "two").mkdir()
    for name in "ab":
        (inbox / "two" / f"{name}.ipynb").write_text(text)
    (inbox / "none").mkdir()
    (inbox / "folder.ipynb").write_text(text)
    (inbox / "odd name").mkdir()
    Student("Eva Müller_123_assignsubmission_file_", released).hand_in(inbox)
    (inbox / "Ada_45_assignsubmission_file_hw.ipynb").write_text(text)
    (inbox / "Ada_45_assignsubmission_onlinetext_").mkdir()
    notes = collect(STEM, inbox, course)
    taken = {name for name, note in notes.items() if not note}
    assert taken == {"bare", "zipped", "123", "45"}
    assert "twice" in notes["folder"]
    assert "outside" in notes["escaping"]
    assert "link" in notes["linked"]
    assert "2 notebooks" in notes["two"]
    assert "0 notebooks" in notes["none"]
    assert "letters" in notes["odd name"]
    assert not list(tmp_path.rglob("escaped.ipynb"))
    for name in taken | {"folder"}:
        assert nbformat.read(course.notebook("submitted", STEM, name), 4).cells
    assert not course.notebook("submitted", STEM, "linked").exists()


def test_what_cannot_be_run_is_a_row_with_no_points(opened, tmp_path):
    course, _ = opened
    inbox = tmp_path / "inbox"
    for name, text in {"noise": "\x00{{", "list": "[1, 2]", "cells": '{"nbformat": 4, "cells": 3}'}.items():
        (inbox / name).mkdir(parents=True)
        (inbox / name / "a.ipynb").write_text(text)
    (inbox / "nothing").mkdir()
    collect(STEM, inbox, course)
    rows = grade(STEM, course, students=("noise", "list", "cells", "nothing"), unsafe=True)
    assert {row["student"]: row["status"] for row in rows} == {
        "noise": "unreadable", "list": "unreadable", "cells": "unreadable", "nothing": "missing",
    }  # fmt: skip
    assert {row["points"] for row in rows} == {0}


def test_without_a_sandbox_nothing_is_graded_unless_one_says_so(opened, tmp_path, monkeypatch):
    course, released = opened
    Student("someone", released).hand_in(tmp_path)
    collect(STEM, tmp_path, course)
    monkeypatch.setattr(sandbox, "is_available", lambda: False)
    with pytest.raises(MedSynthError, match=r"bubblewrap[\s\S]*--unsafe"):
        grade(STEM, course, students=("someone",))


def test_a_changed_assignment_does_not_touch_a_class_that_has_handed_in(opened, tmp_path):
    course, released = opened
    Student("early", released).hand_in(tmp_path)
    collect(STEM, tmp_path, course)
    with pytest.raises(MedSynthError, match="handed in"):
        release(STEM, ALL[STEM], course)


def test_messages_say_what_to_do(tmp_path, capsys):
    assert cli.main(["assignments", "release", "99", "--course", str(tmp_path)]) == 2
    assert "02_pix2pix_pet_to_ct" in capsys.readouterr().err
    for command in (["collect", "02", str(tmp_path)], ["grade", "02"], ["feedback", "02"]):
        assert cli.main(["assignments", *command, "--course", str(tmp_path / "nowhere")]) == 2
        assert "medsynth assignments release" in capsys.readouterr().err
