"""The table of time and memory in a lesson's objectives, filled with what was measured."""

from __future__ import annotations

import re

TIME = "whole lesson"
_TIME = re.compile(r"whole lesson|time|training", re.IGNORECASE)
_MEMORY = re.compile(r"memory", re.IGNORECASE)


def duration(seconds: float) -> str:
    """``40 s``, ``6 min``: rounded up, a reader plans with it."""
    return f"{-(-seconds // 10) * 10:.0f} s" if seconds <= 90 else f"{-(-seconds // 60):.0f} min"


def memory(mib: float) -> str:
    """``1.4 GB``, rounded up to a tenth."""
    return f"{-(-mib * 2**20 // 1e8) / 10:.1f} GB"


def fill(text: str, profile: str, time: str, memory: str) -> str | None:
    """``text`` (Markdown) with ``time`` and ``memory`` in the row ``profile`` of its table; ``None`` without one.

    The table's first column is headed ``profile``; one heading begins with "whole lesson" (or "time", "training", which
    becomes "whole lesson") and one with "memory". Filling twice changes nothing more.
    """
    lines = text.split("\n")
    head = next((index for index, line in enumerate(lines) if _cells(line)[:1] == ["profile"]), None)
    if head is None:
        return None
    titles = _cells(lines[head])
    columns = [_column(titles, pattern) for pattern in (_TIME, _MEMORY)]
    row = next((index for index in range(head + 2, len(lines)) if _cells(lines[index])[:1] == [f"`{profile}`"]), None)
    if row is None or None in columns or len(_cells(lines[row])) != len(titles):
        return None
    lines[head] = _replaced(lines[head], {columns[0]: TIME})
    lines[row] = _replaced(lines[row], dict(zip(columns, (time, memory), strict=True)))
    return "\n".join(lines)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []


def _column(titles: list[str], pattern: re.Pattern) -> int | None:
    return next((index for index, title in enumerate(titles) if pattern.match(title)), None)


def _replaced(line: str, changes: dict[int, str]) -> str:
    return "| " + " | ".join(changes.get(index, cell) for index, cell in enumerate(_cells(line))) + " |"
