"""JupyterLab in a headless browser: open a notebook, run it, move every control of its widgets, say what is wrong."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page

from medsynth_lib.course.runner import kernel_environment
from medsynth_lib.course.widget_guard import noted_errors

#: Generous: the tests share their processor.
START_S, RUN_S, REDRAW_S = 300, 1500, 120
_SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # or cells out of sight are not in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
_ERRORS = "[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type='application/vnd.jupyter.error']"
#: A control (drop-downs, check boxes, buttons that stay pressed, sliders of any kind), and the ways to move it. What is
#: chosen comes first: a slider may matter to one choice only. Sliders go to an end: one step may be too little to be
#: seen, and faults sit at the ends.
_CONTROLS = {
    "select": (lambda one: one.select_option(index=0), lambda one: one.select_option(index=1)),
    "input[type=checkbox]": (lambda one: one.press("Space"),),
    ".widget-toggle-buttons": (lambda one: one.locator("button:not(.mod-active)").first.click(),),
    ".noUi-handle": (lambda one: one.press("End"), lambda one: one.press("Home")),
}


#: The page shows "idle" before there is a kernel, and forgets what it is asked to run until then.
_KERNEL_IS_READY = """() => {
    const kernel = window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
_POLL_MS = 300  # not at each frame: without a screen there may be none


@dataclass
class Lab:
    """A running server: ``folder`` is its root, ``scratch`` holds what the kernels' guards note."""

    address: str
    token: str
    folder: Path
    scratch: Path

    def swallowed(self) -> list[str]:
        """Exceptions in widgets that the kernels' guard has noted so far; the page shows none of them."""
        return [error for _, error in noted_errors(self.scratch / "widgets.log")]


@dataclass
class Findings:
    """What moving every control of a notebook showed; ``faults`` is empty where all is well."""

    faults: list[tuple[int | None, str]] = field(default_factory=list)  # (cell, or None: the page; what is wrong)
    moved: dict[int, int] = field(default_factory=dict)  # cell -> controls moved


@contextlib.contextmanager
def running_lab(folder: Path, scratch: Path) -> Iterator[Lab]:
    """JupyterLab on loopback with a token, settings, workspaces and run-time files of its own; gone afterwards."""
    for name, values in _SETTINGS.items():
        file = scratch / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    (scratch / "runtime").mkdir()
    (scratch / "config" / "labconfig").mkdir(parents=True)
    no_build = {"buildCheck": False, "buildAvailable": False}  # which would start Node and take seconds
    (scratch / "config" / "labconfig" / "page_config.json").write_text(json.dumps(no_build))
    token, port = secrets.token_hex(16), _free_port()
    env = kernel_environment(scratch, 1) | {
        "JUPYTERLAB_SETTINGS_DIR": str(scratch / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(scratch / "config"),
        "JUPYTER_DATA_DIR": str(scratch / "data"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "JUPYTER_TOKEN": token,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None", "--ServerApp.terminals_enabled=False"]
    with open(scratch / "lab.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    lab = Lab(f"http://127.0.0.1:{port}", token, folder, scratch)
    try:
        _wait_until_up(lab, process)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait_until_up(lab: Lab, process: subprocess.Popen) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError):
            opener.open(f"{lab.address}/api/status?token={lab.token}", timeout=5).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((lab.scratch / "lab.log").read_text()[-2000:])
        time.sleep(0.2)


def drive(page: Page, lab: Lab, notebook: str, pictures: Path) -> Findings:
    """Open ``notebook`` (relative to the server's root), run all its cells, move each control of each widget.

    Each control must change the picture in its cell, without an exception in the kernel or in the page. A picture of
    every widget is left in ``pictures`` as ``<notebook>-<cell>.png``, one of the whole page as ``<notebook>.png``.
    """
    found = Findings()
    page.on("pageerror", lambda error: found.faults.append((None, f"page: {error}")))
    page.goto(f"{lab.address}/lab/tree/{notebook}?reset&token={lab.token}", timeout=START_S * 1000)
    run_all(page)
    stem = notebook.removesuffix(".ipynb")
    for number, cell in enumerate(page.locator(".jp-Notebook .jp-Cell").all()):
        found.faults += [(number, text) for text in _shown_errors(cell)]
        if cell.locator(".jupyter-widgets").count():
            swallowed = len(lab.swallowed())
            if moved := _move_all(cell, number, found):  # a progress bar is a widget too, and has none
                found.moved[number] = moved
            found.faults += [(number, error) for error in lab.swallowed()[swallowed:]]
            cell.locator(".jp-OutputArea").first.screenshot(path=pictures / f"{stem}-{number}.png")
    page.screenshot(path=pictures / f"{stem}.png")
    _stop_kernels(page, lab)
    return found


def run_all(page: Page) -> None:
    """Run all cells of the notebook shown, and wait until the last has run, or one has failed and stopped the rest."""
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=START_S * 1000)
    page.wait_for_function(_KERNEL_IS_READY, timeout=START_S * 1000, polling=_POLL_MS)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(
        """() => document.querySelector("[data-mime-type='application/vnd.jupyter.error']")
                 || [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')]
                    .every(cell => /\\d/.test(cell.querySelector('.jp-InputPrompt').textContent))""",
        timeout=RUN_S * 1000,
        polling=_POLL_MS,
    )


def _stop_kernels(page: Page, lab: Lab) -> None:
    headers = {"Authorization": f"token {lab.token}"}
    for kernel in page.request.get(f"{lab.address}/api/kernels", headers=headers).json():
        page.request.delete(f"{lab.address}/api/kernels/{kernel['id']}", headers=headers)


def _shown_errors(cell: Locator) -> list[str]:
    texts = [one.inner_text() for one in cell.locator(_ERRORS).all()]
    texts = [text.strip().splitlines()[-1] for text in texts if text.strip()]
    broken = cell.get_by_text("Error displaying widget").count() + cell.get_by_text("Loading widget").count()
    return texts + ["Error displaying widget"] * broken


def _move_all(cell: Locator, number: int, found: Findings) -> int:
    """Move each control of ``cell`` to its end, or if that changes nothing to its beginning; how many there are."""
    controls = [(control, ways) for kind, ways in _CONTROLS.items() for control in cell.locator(kind).all()]
    for control, ways in controls:
        if not any(_changes(cell, control, way) for way in ways):
            found.faults.append((number, f"the picture did not change with {_name(control)}"))
    return len(controls)


def _changes(cell: Locator, control: Locator, way: Callable[[Locator], object]) -> bool:
    before, value = _picture(cell), _value(control)
    control.focus()
    way(control)
    if _value(control) == value:
        return False  # it stood at its end
    deadline = time.monotonic() + REDRAW_S
    while _picture(cell) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return _picture(cell) != before


def _name(control: Locator) -> str:
    """The words beside the control."""
    return control.evaluate("one => one.closest('.jupyter-widgets').innerText.split('\\n')[0]")


def _value(control: Locator) -> str:
    pressed = "one.querySelector('.mod-active')?.innerText"
    parts = ["one.getAttribute('aria-valuenow')", "one.value", "one.checked", pressed]
    return control.evaluate(f"one => [{', '.join(parts)}].join()")


def _picture(cell: Locator) -> list[str]:
    return cell.locator(".jp-OutputArea img").evaluate_all("all => all.map(one => one.src)")
