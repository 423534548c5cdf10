"""Turn pip's resolution report into requirements.lock: ``pip install --dry-run --report R …; make_lock.py R``.

Platform-neutral on purpose: no local version (``+cpu``), no CUDA package (torch's own metadata pins those exactly), no
address, no hash. The file is used as a *constraint*, so a name that a platform does not need does no harm there.
"""

import json
import re
import sys
from pathlib import Path

HEADER = """\
# Exact versions of everything MedSynth installs (course, notebooks and tests). Made by `make lock`; do not edit.
# Resolved with Python {python}, so nothing here asks for a newer one.
# Used as a constraint:  pip install -c requirements.lock -e '.[dev]'
"""
CUDA_ONLY = re.compile(r"(nvidia|cuda)-.*|triton", re.IGNORECASE)


def locked(report: dict) -> str:
    """The text of requirements.lock for one pip report."""
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}
    lines = [
        f"{name}=={version.partition('+')[0]}\n"
        for name, version in sorted(found.items(), key=lambda pair: pair[0].lower())
        if name != "medsynth" and not CUDA_ONLY.fullmatch(name)
    ]
    return HEADER.format(python=report["environment"]["python_full_version"]) + "".join(lines)


if __name__ == "__main__":
    Path("requirements.lock").write_text(locked(json.loads(Path(sys.argv[1]).read_text())))
