"""Writes that either happen whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from medsynth_lib.errors import StorageError

#: No space, no permission, or a place where nothing can be: the user's to mend. Any other error is ours.
REFUSALS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG),
}


@contextlib.contextmanager
def storage_errors(target: str | Path) -> Iterator[None]:
    """Turn a refusal of the disk while writing ``target`` into a ``StorageError``."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise StorageError(
            f"could not write: {os.strerror(error.errno)}",
            where=target,
            fix="free some space or choose another place; nothing that was there before has changed",
        ) from error


@contextlib.contextmanager
def atomic_path(target: str | Path, *, replace_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` (same file endings); on success it becomes ``target``, else it vanishes.

    Works for a file or a folder. A file replaces a file. A folder that holds something is replaced, with all in it,
    only by a folder and only where ``replace_folder`` asks for it.

    Raises:
        StorageError: the disk is full, read-only or not writable, or there is no place for ``target``, or what is there
            may not be replaced; nothing is left behind.
    """
    target = Path(target)
    temporary = None
    try:
        with storage_errors(target):
            if not replace_folder:
                check_no_folder(target)  # before the work
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
            yield temporary / target.name
            _flush(temporary / target.name)
            if target.is_dir():
                if not (temporary / target.name).is_dir():
                    raise IsADirectoryError(errno.EISDIR, "a folder is in the way")
                if not replace_folder:
                    check_no_folder(target)  # after the work, which may have taken hours
                os.rename(target, temporary / "replaced")
            os.replace(temporary / target.name, target)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_no_folder(target: str | Path) -> None:
    """Refuse to write where a folder is that holds something: it may be the patient's own scan.

    Raises:
        StorageError: such a folder is at ``target``.
    """
    target = Path(target)
    if target.is_dir() and any(target.iterdir()):
        raise StorageError(
            "a folder that is not empty is in the way", where=target, fix="name a new or an empty folder, or delete it"
        )


def _flush(path: Path) -> None:
    if path.is_file():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
