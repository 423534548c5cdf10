"""The process that talks to a submission's kernel: each cell under a hard time limit, nothing of it trusted.

It runs outside the sandbox, the kernel inside; they share a socket. So the student's code never sees the tests that
have not been run yet, nor the file with the verdicts. A cell that does not come back in time costs the kernel its life:
a new one repeats the student's cells, and the next test has its chance. ``python -m … FOLDER``; see ``execute.py``.
"""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from medsynth_lib.data.atomic import atomic_path

#: Seconds in which a kernel must answer for the first time; a busy machine takes long to start one.
START_S = 180
JOB, VERDICTS = "job.json", "verdicts.json"


class Kernel:
    """One kernel in its sandbox, over sockets in ``job["inside"]``; ``connect`` is a folder it can only read."""

    def __init__(self, job: dict[str, Any], number: int):
        from jupyter_client import BlockingKernelClient
        from jupyter_client.connect import write_connection_file

        file = Path(job["connect"], f"{number}.json")
        ports = {f"{name}_port": at for at, name in enumerate(("shell", "iopub", "stdin", "hb", "control"), start=1)}
        address, key = str(Path(job["inside"], f"k{number}")), secrets.token_hex(16).encode()
        write_connection_file(str(file), ip=address, transport="ipc", key=key, **ports)
        command = [*job["command"], "-f", str(file)]
        self._process = subprocess.Popen(command, env=job["env"], stdin=subprocess.DEVNULL, cwd=job["inside"])
        self._client = BlockingKernelClient(connection_file=str(file))
        self._client.load_connection_file()
        self._client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        self._client.kernel_info()
        if self._reply(None, START_S)["status"] != "ok":
            raise ChildProcessError("the kernel did not start")

    def run(self, code: str, seconds: float) -> dict[str, str]:
        """``status`` (``ok``, ``error``, ``timeout``, ``died``) of ``code``, with ``ename`` and ``evalue``."""
        message = self._client.execute(code, silent=False, store_history=False, allow_stdin=False, stop_on_error=False)
        reply = self._reply(message, seconds)
        return {name: str(reply.get(name, ""))[:2000] for name in ("status", "ename", "evalue")}

    def end(self) -> None:
        """Kill it, with all it started: its process namespace goes with the sandbox."""
        with contextlib.suppress(Exception):
            self._client.stop_channels()
        self._process.kill()
        self._process.wait()

    def _reply(self, message: str | None, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                reply = self._client.get_shell_msg(timeout=0.5)
            except queue.Empty:
                if self._process.poll() is not None:
                    return {"status": "died"}
                continue
            if message is None or reply["parent_header"].get("msg_id") == message:
                return reply["content"]
        return {"status": "timeout"}


def judged(kernel: Kernel, code: str, seconds: float) -> dict[str, str]:
    """Whether the test ``code`` passes: it must reach its last line, and an assertion must still be able to fail.

    So neither an early exit nor a student's hook that swallows cells or assertions earns a point.
    """
    end, alarm = secrets.token_hex(8), secrets.token_hex(8)
    verdict = kernel.run(f"{code}\nraise EOFError('{end}')", seconds)
    if (verdict["ename"], verdict["evalue"]) != ("EOFError", end):
        return verdict if verdict["status"] != "ok" else {"status": "tampered"}
    check = kernel.run(f"assert '{alarm}' == '', '{alarm}'", seconds)
    fails = (check["ename"], check["evalue"]) == ("AssertionError", alarm)
    return {"status": "ok"} if fails else {"status": "tampered" if check["status"] in ("ok", "error") else "died"}


def run_cells(job: dict[str, Any], folder: Path) -> None:
    """Run the job's cells in order, and after each write what is known to ``verdicts.json``."""
    cells, kernel, kernels = job["cells"], None, 0
    verdicts = [{"status": "not_run"} for _ in cells]
    try:
        for at, cell in enumerate(cells):
            if kernel is None:
                kernels += 1
                kernel = Kernel(job, kernels)
                _repeat(kernel, cells[:at], verdicts)
            verdicts[at] = (judged if cell["test"] else Kernel.run)(kernel, cell["code"], cell["seconds"])
            if verdicts[at]["status"] in ("timeout", "died"):
                kernel.end()
                kernel = None
            with atomic_path(folder / VERDICTS) as new:  # this process may be killed at any moment
                new.write_text(json.dumps(verdicts), encoding="utf-8")
    finally:
        if kernel:
            kernel.end()


def _repeat(kernel: Kernel, cells: list[dict[str, Any]], verdicts: list[dict[str, str]]) -> None:
    """Bring a new kernel to where the last one was: the student's cells again, but none that killed it."""
    for cell, verdict in zip(cells, verdicts, strict=False):
        if not cell["test"] and verdict["status"] in ("ok", "error"):
            kernel.run(cell["code"], cell["seconds"])


if __name__ == "__main__":
    place = Path(sys.argv[1])
    run_cells(json.loads((place / JOB).read_text(encoding="utf-8")), place)
