"""The three forms of what became of a batch: a page to look at, JSON for programs, CSV for a spreadsheet."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsynth_lib.course.report import flat_metrics, index_page
from medsynth_lib.data.atomic import atomic_path

COLUMNS = ("name", "status", "seconds", "peak_mib", "error", "cell", "attempts", "host", "sandbox", "source", "data")
COLUMNS += ("executed", "log", "parameters")


def write_summary(results: list[dict[str, Any]], out: Path) -> None:
    """Write ``index.html``, ``batch.json`` and ``batch.csv`` into ``out``, each whole or not at all."""
    counts = Counter(result["status"] for result in results)
    placed = [placed_result(result) for result in results]
    with atomic_path(out / "batch.json") as path:
        path.write_text(json.dumps({"counts": counts, "runs": placed}, indent=1), encoding="utf-8")
    with atomic_path(out / "batch.csv") as path:
        _write_csv(placed, path)
    with atomic_path(out / "index.html") as path:
        page = index_page(placed, out, _about(results, counts), title="MedSynth batch", embed=True)
        path.write_text(page, encoding="utf-8")


def placed_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """``result`` with its paths relative to the batch's folder, which can so be moved."""
    folder = f"runs/{result['stem']}"
    places = {key: f"{folder}/{result[key]}" if result[key] else "" for key in ("notebook", "log")}
    return {**result, **places, "figures_at": f"{folder}/results"}


def _about(results: list[dict[str, Any]], counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda one: one[0] != "ok")
    words = " · ".join(f"{number} {status}" for status, number in ordered) + "."
    open_runs = sum(result["sandbox"] == "none" for result in results)
    if open_runs:
        words += f" {open_runs} ran WITHOUT a sandbox: they could read and write all that the instructor can."
    return words


def _write_csv(results: list[dict[str, Any]], path: Path) -> None:
    flat = [flat_metrics(result["record"].get("metrics", {})) for result in results]
    metrics = sorted({name for one in flat for name in one})
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *map(_harmless, metrics)])
        for result, values in zip(results, flat, strict=True):
            cell = result["cell"]
            row = {
                **{name: result.get(name, "") for name in COLUMNS},
                "name": result["stem"],
                "error": (result["error"].splitlines() or [""])[0],
                "cell": f"{cell['index']} ({cell['id']})" if cell else "",
                "executed": result["notebook"],
                "parameters": json.dumps(result["parameters"]),
            }
            writer.writerow([_harmless(one) for one in [*row.values(), *(values.get(name, "") for name in metrics)]])


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a quote in front: students wrote the error messages."""
    text = value if isinstance(value, (int, float)) else str(value)
    return f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
