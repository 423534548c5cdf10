"""The table in the terminal: redrawn in place there, one line for each result in a log."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from typing import IO, Any

from medsynth_lib.course.batch.run import Progress
from medsynth_lib.course.report import summary_line


class Table:
    """Give an instance to ``run_batch`` as ``show``. What ended scrolls by; below it stands what is on."""

    def __init__(self, stream: IO[str] = sys.stdout):
        self.stream, self.live = stream, stream.isatty()
        self._started, self._drawn_at, self._lines = time.monotonic(), 0.0, 0

    def __call__(self, progress: Progress, result: dict[str, Any] | None) -> None:
        now = time.monotonic()
        if result is None and (not self.live or now - self._drawn_at < 0.5):
            return
        self._clear()
        if result is not None:
            self.stream.write(summary_line(result) + "\n")
        if self.live:
            lines = self.lines(progress, now)
            self.stream.write("".join(f"{line}\n" for line in lines))
            self._lines, self._drawn_at = len(lines), now
        self.stream.flush()

    def lines(self, progress: Progress, now: float) -> list[str]:
        """The part that is redrawn: a bar, the counts, and a row for each run that is on."""
        width, height = shutil.get_terminal_size()
        counts = Counter(result["status"] for result in progress.results.values())
        failed = ", ".join(f"{number} {status}" for status, number in counts.most_common() if status != "ok")
        total, done = len(progress.runs), len(progress.results)
        bar = "#" * (30 * done // max(1, total))
        minutes, seconds = divmod(int(now - self._started), 60)
        head = f"[{bar:<30}] {done}/{total} · {counts['ok']} ok{f' · {failed}' if failed else ''}"
        head += f" · {progress.workers} workers · {minutes}:{seconds:02d}"
        head += f" · {progress.kept} from before" if progress.kept else ""
        running = list(progress.running.items())  # another thread adds to it
        rows = [
            f"  {now - since:6.0f} s  {name}  ({place}{self._again(progress, name)})"
            for name, (since, place) in running
        ]
        rows = rows if len(rows) < height - 3 else [*rows[: height - 4], f"  … and {len(rows) - height + 4} more"]
        return [line[: width - 1] for line in [head, *rows]]

    def _again(self, progress: Progress, name: str) -> str:
        attempt = progress.attempts.get(name, 1)
        return f", attempt {attempt}" if attempt > 1 else ""

    def _clear(self) -> None:
        if self._lines:
            self.stream.write(f"\x1b[{self._lines}A\x1b[J")
            self._lines = 0
