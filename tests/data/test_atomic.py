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


def test_a_folder_replaces_a_folder(tmp_path):
    target = tmp_path / "store"
    for name in ("a", "b"):
        with atomic_path(target) as path:
            path.mkdir()
            (path / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["b"]
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
    with pytest.raises(StorageError, match="directory"), atomic_path(tmp_path / "x.nii.gz") as path:
        path.write_text("new")
    assert (tmp_path / "x.nii.gz" / "precious").read_text() == "data"


@pytest.mark.parametrize("place", ["file/x.txt", "file/deeper/x.txt", "n" * 300])
def test_impossible_places_are_named(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError), atomic_path(tmp_path / place) as path:
        path.write_text("new")
