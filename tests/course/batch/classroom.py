"""A folder of students' notebooks that fail in every way a batch must survive, and what it should say of each."""

from __future__ import annotations

from pathlib import Path

from tests.course.notebook_factory import write_notebook

#: Kind -> (status, words in the error). A notebook's name begins with its kind.
EXPECTED = {
    "good": ("ok", ""),
    "raising": ("cell_error", "ValueError: lung"),
    "endless": ("timeout", "longer than"),
    "hungry": ("memory", "more than"),
    "killing": ("dead_kernel", "the kernel died"),
    "other": ("refused", "not a notebook"),
}
#: About a second of work, and a result in the report.
GOOD = (
    "import hashlib, json, os, pathlib, time\nend = time.process_time() + {work_s}\nrounds = 0\n"
    "while time.process_time() < end:\n    hashlib.sha256(bytes(10**6)).digest()\n    rounds += 1",
    "pathlib.Path(OUT_DIR, 'record.json').write_text(json.dumps({{'metrics': {{'rounds': rounds}}}}))",
)
HUNGRY = "blocks = []\nwhile True:\n    blocks.append(bytearray(b'x' * 2**24))"
SOURCES = {
    "raising": ("print(1)", "raise ValueError('lung')"),
    "endless": ("import time\nwhile True:\n    time.sleep(1)",),
    "hungry": (HUNGRY,),
    "killing": ("import os\nos.kill(os.getpid(), 9)",),
}


def make_class(folder: Path, work_s: float = 1.0, **numbers: int) -> Path:
    """Write ``numbers[kind]`` notebooks of each kind (keys of ``EXPECTED``), named ``kind-00`` …, mixed in order."""
    for kind, number in numbers.items():
        for index in range(number):
            path = folder / f"{index:03d}" / f"{kind}.ipynb"
            if kind == "other":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("This is my essay, not a notebook.")
            else:
                cells = SOURCES.get(kind) or tuple(cell.format(work_s=work_s) for cell in GOOD)
                write_notebook(path, *cells)
    return folder


def wrong(results: list[dict]) -> list[str]:
    """The results that are not what their kind should give."""
    faults = []
    for result in results:
        status, words = EXPECTED[result["stem"].split("__")[1]]
        if result["status"] != status or words not in result["error"]:
            faults.append(f"{result['stem']}: {result['status']}, {result['error']!r}; expected {status}, {words!r}")
    return faults
