"""Unpack a downloaded archive: whole or not at all, and never outside its folder."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.download import check_room
from medsynth_lib.errors import InputError

CHUNK = 2**20


def members(archive: str | Path) -> list[PurePosixPath]:
    """The names of the files in a zip archive, each checked to be a plain relative path.

    Raises:
        InputError: no zip file, damaged, or a member whose name leads outside, is absolute, or is a link.
    """
    with _opened(Path(archive)) as opened:
        return [path for _, path in _checked(opened, Path(archive))]


def unpack(archive: str | Path, out: str | Path, wanted: Callable[[PurePosixPath], bool] = lambda path: True) -> Path:
    """The members of the zip file ``archive`` that are ``wanted``, under the new folder ``out``.

    Every name is checked before anything is written. No member gives more bytes than it announced, so an archive that
    would fill the disk is refused before it does.

    Raises:
        InputError: as ``members``, or a member whose content is damaged, or nothing is wanted.
        StorageError: the disk has no room, or ``out`` holds something already.
    """
    archive, out = Path(archive), Path(out)
    try:
        with _opened(archive) as opened:
            chosen = [(member, path) for member, path in _checked(opened, archive) if wanted(path)]
            if not chosen:
                raise InputError("the archive holds nothing that is wanted", where=archive)
            check_room(out.parent, sum(member.file_size for member, _ in chosen))
            with atomic_path(out) as folder:
                folder.mkdir()
                for member, path in chosen:
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(member) as packed, open(folder / path, "wb") as file:
                        shutil.copyfileobj(packed, file, CHUNK)
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(archive, error) from error
    return out


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, FileNotFoundError) as error:
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> InputError:
    return InputError(
        "the archive is damaged, or no zip file", where=archive, seen=error, fix="delete it and fetch it again"
    )


def _checked(archive: zipfile.ZipFile, where: Path) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files of an archive with the paths they will have."""
    for member in archive.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        link = stat.S_ISLNK(member.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or ":" in member.filename or link:
            raise InputError(
                "the archive wants to write outside its folder",
                where=where,
                rule="plain relative names, no links",
                seen=f"{'a link, ' if link else ''}{member.filename!r}"[:120],
                fix="do not use it; nothing was unpacked",
            )
        if not member.is_dir():
            yield member, path
