"""Every readable file under a folder, met once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from medsynth_lib.errors import InputError, remember_folder


def files_under(root: str | Path) -> Iterator[tuple[Path, str | None]]:
    """Yield ``(path, None)`` for each regular file under ``root`` and ``(path, reason)`` for what must not be opened.

    Links to folders are followed once, so a loop of links ends; pipes, sockets and dangling links are never opened (a
    pipe would wait for ever). Sorted, so that the order never depends on the disk. Hidden names are passed over.

    Raises:
        InputError: there is nothing at ``root``, or it cannot be listed.
    """
    root = Path(root)
    if root.is_dir():
        _check_listable(root)
        remember_folder(root)
        yield from _walk(root)
    elif root.is_file():
        yield root, None
    else:
        raise InputError("no such file or folder", where=root, fix="check the path")


def _walk(root: Path) -> Iterator[tuple[Path, str | None]]:
    seen, closed = set(), []
    for folder, folders, names in os.walk(root, followlinks=True, onerror=closed.append):
        identity = os.path.realpath(folder)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(folder, name)
            yield path, _why_not(path)
    yield from ((Path(error.filename), f"the folder cannot be listed ({error.strerror})") for error in closed)


def _check_listable(root: Path) -> None:
    try:
        os.listdir(root)
    except OSError as error:
        raise InputError("the folder cannot be listed", where=root, seen=error.strerror) from error


def _why_not(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return None if os.access(path, os.R_OK) else "no permission to read it"
