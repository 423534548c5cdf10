"""A notebook locked in with bubblewrap: no network, no other files than its own, no process that outlives it.

Inside, the notebook sees the system's programs and libraries, this Python and ``medsynth_lib`` (all read-only), the
data it was given (read-only) and its own folders. Home folders, other submissions, the plan and environment variables
with passwords are not there. What it does not do: limit processes or the disk, or mend holes in the Linux kernel.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import medsynth_lib
from medsynth_lib.course import network_guard, widget_guard
from medsynth_lib.errors import MedSynthError

#: Of ``/etc`` only what programs need to find libraries, names, fonts and the time.
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "passwd", "group", "nsswitch.conf", "hosts", "localtime")
_ETC += ("fonts", "alternatives", "mime.types")
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/opt/conda", "/nix/store", "/sys/devices/system")
_GPU = ("/sys", "/proc/driver/nvidia")
#: Variables that go in besides those the runner sets itself; nothing else, as tokens and passwords live there too.
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "LD_LIBRARY_PATH")
_RUNNERS = ("PYTHONPATH", "PYTHONHASHSEED", "IPYTHONDIR", "JUPYTER_PREFER_ENV_PATH", "CUDA_VISIBLE_DEVICES")
_RUNNERS += (network_guard.LOG_VARIABLE, widget_guard.LOG_VARIABLE)
_RUNNERS_ENDS = ("_NUM_THREADS", "_proxy", "_PROXY")


@dataclass(frozen=True)
class Sandbox:
    """``readable`` and ``writable``: files and folders that the notebook sees besides its own, at their own places."""

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    gpu: bool = False

    def command(self, inner: list[str], scratch: Path, work: Path, shm_mib: int) -> list[str]:
        """``inner`` wrapped; it may write to ``scratch``, ``work`` and ``/dev/shm`` (``shm_mib``), and works there."""
        (scratch / "tmp").mkdir()
        # Before all else that is bound: this Python may lie under /tmp itself.
        words = [*_isolation(), "--bind", str(scratch / "tmp"), "/tmp", *_system()]
        words += ["--proc", "/proc", "--dev", "/dev", "--size", str(shm_mib * 2**20), "--tmpfs", "/dev/shm"]
        words += self._gpu() if self.gpu else []
        _make_home(scratch / "home")
        for path in self.readable:
            words += ["--ro-bind", str(path.absolute()), str(path.absolute())]
        for path in (scratch, work, *self.writable):
            words += ["--bind", str(path.absolute()), str(path.absolute())]
        words += _phantoms(scratch / "cache")
        return [*words, "--remount-ro", "/", "--chdir", str(scratch), "--", *inner]

    def environment(self, env: Mapping[str, str], scratch: Path) -> dict[str, str]:
        """What of ``env`` goes in: the runner's own variables and a handful of harmless ones; a home of its own."""
        names = [name for name in env if name in (*_KEPT, *_RUNNERS) or name.endswith(_RUNNERS_ENDS)]
        kept = {name: env[name] for name in names}
        # Of the caller's own path nothing but the runner's guard: what else is on it is not there. The library is.
        kept["PYTHONPATH"] = os.pathsep.join([kept.get("PYTHONPATH", "").split(os.pathsep)[0], *_library_path()])
        return kept | {"HOME": str(scratch / "home"), "MEDSYNTH_CACHE": str(scratch / "cache"), "TMPDIR": "/tmp"}

    def _gpu(self) -> list[str]:
        devices = [str(path) for pattern in ("nvidia*", "dri", "kfd") for path in Path("/dev").glob(pattern)]
        words = [word for device in devices for word in ("--dev-bind-try", device, device)]
        return words + [word for path in _GPU for word in ("--ro-bind-try", path, path)]


@functools.cache
def is_available() -> bool:
    """Whether bubblewrap is installed and may do what we ask of it here (some machines forbid user namespaces)."""
    if shutil.which("bwrap") is None:
        return False
    command = [*_isolation(), *_system(), "--proc", "/proc", "--dev", "/dev", "--size", "65536", "--tmpfs", "/dev/shm"]
    return subprocess.run([*command, "--", sys.executable, "-c", ""], capture_output=True).returncode == 0


def check_available(what: str, unsafe: bool) -> None:
    """That ``what``, of people we need not trust, can be locked in here; with ``unsafe`` it need not.

    Raises:
        MedSynthError: it cannot.
    """
    if not (unsafe or is_available()):
        raise MedSynthError(
            f"{what} run only where bubblewrap locks them in, and it does not work here",
            fix="install it (apt install bubblewrap), or --unsafe if you have read and trust all of them",
        )


def remove_specials(folder: Path) -> None:
    """Delete links, pipes and devices that a notebook left under ``folder``.

    Whoever reads its results sees more than the notebook did: a link would lead out of the sandbox after all.
    """
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                path.unlink()


def _isolation() -> list[str]:
    return ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]


def _system() -> list[str]:
    """The programs and libraries, this Python, and of the course nothing but the library: not its assignments."""
    words = []
    for path in _SYSTEM:
        words += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind-try", path, path]
    words += [word for name in _ETC for word in ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")]
    pythons = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(sys.executable).resolve().parents[1])}
    for path in sorted({*pythons, str(Path(medsynth_lib.__file__).parent)}):
        if not path.startswith("/usr"):  # bound already; a Python in /usr/local included
            words += ["--ro-bind", path, path]
    return words


@functools.cache
def _library_path() -> list[str]:
    """The folder in which ``medsynth_lib`` lies, where this Python does not find the same one without variables."""
    ask = "import importlib.util; found = importlib.util.find_spec('medsynth_lib'); print(found and found.origin)"
    found = subprocess.run([sys.executable, "-I", "-c", ask], capture_output=True, text=True).stdout.strip()
    return [] if found == medsynth_lib.__file__ else [str(Path(medsynth_lib.__file__).parents[1])]


def _make_home(home: Path) -> None:
    """An empty home, but for matplotlib's list of fonts, which takes it seconds to make."""
    own = Path(os.environ.get("MPLCONFIGDIR") or Path.home() / ".cache" / "matplotlib")
    (home / ".cache" / "matplotlib").mkdir(parents=True)
    for path in own.glob("fontlist-*.json"):
        shutil.copy(path, home / ".cache" / "matplotlib")


def _phantoms(cache: Path) -> list[str]:
    """Phantoms made before appear read-only in the sandbox's own cache; one that is missing it makes for itself."""
    cache.mkdir(exist_ok=True)
    shared = Path(os.environ.get("MEDSYNTH_CACHE") or Path.home() / ".cache" / "medsynth")
    cohorts = sorted(shared.glob("phantom-*")) if shared.is_dir() else []
    return [word for path in cohorts if path.is_dir() for word in ("--ro-bind", str(path), str(cache / path.name))]
