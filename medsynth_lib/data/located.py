"""Say where an error happened, once, at the place that knows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from medsynth_lib.errors import InputError


@contextlib.contextmanager
def located(where: object) -> Iterator[None]:
    """Add ``where`` to an ``InputError`` from inside that does not say where; memory running out becomes one."""
    try:
        yield
    except InputError as error:
        if error.where is not None:
            raise
        raise InputError(error.what, where=where, rule=error.rule, seen=error.seen, fix=error.fix) from error.__cause__
    except MemoryError as error:
        raise InputError("the image does not fit in memory", where=where, fix="use a larger machine") from error
