"""Chromium, Chrome or Edge, where one is installed: it prints pages as PDF and runs them for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from medsynth_lib.errors import MedSynthError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def find_chromium() -> str | None:
    """The program, or ``None``. ``MEDSYNTH_CHROMIUM`` names another one."""
    named = os.environ.get("MEDSYNTH_CHROMIUM")
    found = [shutil.which(name) for name in ([named] if named is not None else [*NAMES, MAC])]
    return next(filter(None, found), None)


def print_pdf(page: Path, pdf: Path, timeout_s: int = 300) -> None:
    """Print the HTML file ``page`` as ``pdf``.

    Raises:
        MedSynthError: there is no such browser, or it fails.
    """
    run_chromium(page, f"--print-to-pdf={pdf.absolute()}", "--no-pdf-header-footer", timeout_s=timeout_s)
    if not pdf.is_file():
        raise MedSynthError("the browser made no PDF", where=page)


def run_chromium(page: Path, *options: str, timeout_s: int = 300) -> str:
    """Open ``page`` without a window and without the network; return standard output (``--dump-dom``: the page).

    Raises:
        MedSynthError: there is no such browser, it fails, or takes longer than ``timeout_s``.
    """
    program = find_chromium()
    if program is None:
        raise MedSynthError("no Chromium or Chrome found", fix="install one (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory(prefix="medsynth-browser-", ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        command += ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []  # root has none
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", *options, page.absolute().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise MedSynthError("the browser took too long", where=page, seen=f"{timeout_s} s") from error
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [""])[-1]
        raise MedSynthError("the browser failed", where=page, seen=f"exit code {done.returncode}: {last}")
    return done.stdout.decode("utf-8", errors="replace")
