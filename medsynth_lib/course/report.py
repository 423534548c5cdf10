"""The one page that shows what became of every notebook: plain HTML, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from os.path import relpath
from pathlib import Path
from typing import Any
from urllib.parse import quote

from medsynth_lib.course.verdict import STATUSES

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #bbb; }
td.number { text-align: right; white-space: nowrap; }
.ok { color: #00573d; } .failed { color: #9c1a00; font-weight: bold; }
pre { white-space: pre-wrap; margin: .2rem 0; font-size: .85rem; }
img { max-width: 14rem; max-height: 10rem; margin: .3rem .3rem 0 0; }
"""

#: Largest width and height of a picture inside the page.
THUMBNAIL_PX = (224, 160)


def flat_metrics(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested metrics as one level: ``{"mae": {"mean": 3}}`` becomes ``{"mae mean": 3}``."""
    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update(flat_metrics(value, f"{prefix}{name} "))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def summary_line(run: Mapping[str, Any]) -> str:
    """One line for the terminal: status, time, memory, and what failed where."""
    line = f"{run['status']:<13} {run['seconds']:>7.1f} s {run['peak_mib']:>7.0f} MiB  {run['stem']}"
    if run["status"] == "ok":
        return line
    first = (run["error"].splitlines() or [""])[0]
    return f"{line}\n    {_where(run)}{first}" + (f"\n    log: {run['log']}" if run["log"] else "")


def index_page(
    runs: list[Mapping[str, Any]], out: Path, about: str, *, title: str = "MedSynth lessons", embed: bool = False
) -> str:
    """The page for ``runs`` (``LessonRun.as_dict``); links are relative to ``out``, so the folder can be moved.

    Args:
        about: a sentence on all of them.
        embed: put small pictures into the page itself, so that it can be sent alone; else they are loaded from ``out``.
    """
    waiting = sum(run["status"] == "waiting" for run in runs)
    failed = sum(run["status"] != "ok" for run in runs) - waiting
    head = f"{failed} of {len(runs)} failed" if failed else f"{'all ' * (not waiting)}{len(runs) - waiting} ran"
    head += f", {waiting} waiting" if waiting else ""
    rows = "\n".join(_row(run, out, embed) for run in runs)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}: {head}</title><style>{_STYLE}</style></head><body>
<h1>{title}</h1>
<p><b>{head}</b>. {escape(about)} Synthetic images, not for diagnosis.</p>
<table><caption>Time and peak memory are those of the whole run of a notebook, kernel included.</caption>
<thead><tr><th scope="col">Notebook</th><th scope="col">Status</th><th scope="col">Time</th><th scope="col">Memory</th>
<th scope="col">Results</th></tr></thead>
<tbody>
{rows}
</tbody></table></body></html>
"""


def _row(run: Mapping[str, Any], out: Path, embed: bool) -> str:
    links = [_link(run[key], out, text) for key, text in (("notebook", "notebook"), ("log", "log")) if run[key]]
    ok = run["status"] == "ok"
    status = f'<span class="{"ok" if ok else "failed"}">{run["status"]}</span>: {STATUSES[run["status"]]}'
    if not ok:
        status += f"<pre>{escape(_where(run) + run['error'])}</pre>"
    metrics = flat_metrics(run["record"].get("metrics", {}))
    results = "<br>".join(f"{escape(name)}: {escape(_number(value))}" for name, value in metrics.items())
    place = run.get("figures_at", run["stem"])
    figures = "".join(_figure(out, place, *one, embed) for one in run["record"].get("figures", {}).items())
    return (
        f'<tr><th scope="row">{escape(run["stem"])}<br>{" · ".join(links)}{_circumstances(run)}</th><td>{status}</td>'
        f'<td class="number">{run["seconds"]:.1f} s</td><td class="number">{run["peak_mib"]:.0f} MiB</td>'
        f"<td>{results}<br>{figures}</td></tr>"
    )


def _circumstances(run: Mapping[str, Any]) -> str:
    """What a batch tells besides: parameters, data, more than one attempt, where it ran."""
    lines = [f"{name} = {value!r}" for name, value in run.get("parameters", {}).items()]
    lines += [f"data {run['data']}"] if run.get("data") else []
    lines += [f"{run['attempts']} attempts"] if run.get("attempts", 1) > 1 else []
    lines += ["no sandbox"] if run.get("sandbox") == "none" else []
    return "".join(f"<br><small>{escape(line)}</small>" for line in lines)


def _link(path: str, out: Path, text: str) -> str:
    return f'<a href="{quote(Path(relpath(out / path, out)).as_posix())}">{text}</a>'


def _figure(out: Path, place: str, name: str, alt: str, embed: bool) -> str:
    link = f"{quote(place)}/{quote(name)}"
    picture = _thumbnail(out / place / name) if embed else link
    image = f'<img loading="lazy" alt="{escape(str(alt), quote=True)}" src="{picture}">' if picture else escape(name)
    return f'<a href="{link}">{image}</a>'


def _thumbnail(path: Path) -> str:
    """The PNG at ``path``, made small, as a data address; empty where it is no picture we can read."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.thumbnail(THUMBNAIL_PX)
            small = io.BytesIO()
            image.convert("RGB").save(small, "PNG", optimize=True)
    except Exception:  # a student's file may break a reader in any way
        return ""
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


def _where(run: Mapping[str, Any]) -> str:
    return f"cell {run['cell']['index']} ({run['cell']['id']}): " if run["cell"] else ""


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
