"""Which device, and which number format on it."""

from __future__ import annotations

import contextlib

import torch

from medsynth_lib.errors import TrainingError

FORMATS = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU.

    Raises:
        TrainingError: the device asked for is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise TrainingError("unknown device", rule="auto, cpu, cuda or cuda:N", seen=name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            "there is no such CUDA GPU", rule=f"{torch.cuda.device_count()} here", seen=name, fix="use --device auto"
        )
    return device


def choose_amp(name: str, device: torch.device) -> str:
    """``auto`` is bf16 where the hardware multiplies in it, fp16 on older GPUs, else off.

    Raises:
        TrainingError: fp16 on a CPU, or an unknown name.
    """
    if name == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return "bf16" if cpu_has_bf16() else "off"
    if name not in FORMATS:
        raise TrainingError("unknown AMP format", rule="auto, off, bf16 or fp16", seen=name)
    if name == "fp16" and device.type == "cpu":
        raise TrainingError("fp16 is for GPUs: a CPU computes it many times slower", seen=name, fix="use bf16 or off")
    return name


def cpu_has_bf16() -> bool:
    """True when the CPU multiplies bf16 in hardware (AVX512-BF16 or AMX); without it bf16 is slower than fp32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(amp: str, device: torch.device) -> contextlib.AbstractContextManager:
    """A fresh autocast region, or nothing when AMP is off."""
    dtype = FORMATS[amp]
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype)
