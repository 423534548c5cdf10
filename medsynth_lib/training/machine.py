"""What a figure was computed with: memory, threads, device and versions, free of names."""

from __future__ import annotations

import platform
from importlib.metadata import version

import psutil
import torch

from medsynth_lib import __version__


def peak_memory_mib() -> float:
    """The most memory this process has had resident so far, in MiB."""
    try:
        import resource
    except ImportError:  # Windows
        memory = psutil.Process().memory_info()
        return getattr(memory, "peak_wset", memory.rss) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if platform.system() == "Darwin" else peak / 2**10


def device_name(device: torch.device) -> str:
    """What it ran on, for a table: the GPU's name, or the CPU's architecture and thread count."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread{'s' if threads > 1 else ''}"


def versions() -> dict[str, str]:
    """Of MedSynth, Python and the libraries that figures depend on."""
    found = {"medsynth": __version__, "python": platform.python_version(), "torch": torch.__version__}
    return found | {name: version(name) for name in ("numpy", "scipy", "nibabel", "pydicom")}
