"""Atomic writes: whole or not at all, and what stood there before survives a failure."""

from __future__ import annotations

import errno

import pytest

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import StorageError


def test_success_replaces_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "x.txt"
    for text in ("one", "two"):
        with atomic_path(target) as path:
            path.write_text(text)
    assert target.read_text() == "two"
    assert list(target.parent.iterdir()) == [target]


def write_folder(target, name, meanwhile=lambda: None, **options):
    with atomic_path(target, **options) as path:
        path.mkdir()
        (path / name).write_text(name)
        meanwhile()


def test_a_folder_replaces_an_empty_one_and_a_full_one_only_when_asked(tmp_path):
    target = tmp_path / "store"
    target.mkdir()
    write_folder(target, "a")
    with pytest.raises(StorageError, match="not empty"):
        write_folder(target, "b")
    assert [path.name for path in target.iterdir()] == ["a"]
    write_folder(target, "b", replace_folder=True)
    assert [path.name for path in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_came_while_a_folder_was_made_is_kept(tmp_path):
    target = tmp_path / "store"
    with pytest.raises(StorageError, match="not empty"):
        write_folder(target, "a", meanwhile=lambda: write_folder(target, "precious"))
    assert [path.name for path in target.iterdir()] == ["precious"]
    assert list(tmp_path.iterdir()) == [target]


def write_half(target, failure):
    with atomic_path(target) as path:
        path.write_text("half")
        raise failure


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), ValueError("a bug"), KeyboardInterrupt()])
def test_failure_keeps_what_was_there(tmp_path, failure):
    target = tmp_path / "x.txt"
    target.write_text("old")
    expected = StorageError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected):
        write_half(target, failure)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "x.nii.gz").mkdir()
    (tmp_path / "x.nii.gz" / "precious").write_text("data")
    for options, reason in (({}, "not empty"), ({"replace_folder": True}, "directory")):
        with pytest.raises(StorageError, match=reason), atomic_path(tmp_path / "x.nii.gz", **options) as path:
            path.write_text("new")
        assert (tmp_path / "x.nii.gz" / "precious").read_text() == "data"


@pytest.mark.parametrize("place", ["file/x.txt", "file/deeper/x.txt", "n" * 300])
def test_impossible_places_are_named(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError), atomic_path(tmp_path / place) as path:
        path.write_text("new")
