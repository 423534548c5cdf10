"""Stored pixel values of DICOM files, whatever they are compressed with.

Plain and RLE pixels are decoded by pydicom, JPEG-LS by CharLS, JPEG 2000 by OpenJPEG, each in this process, where
damaged bytes raise. Lossless and lossy JPEG need GDCM, which damaged bytes can crash (segmentation fault): it runs in a
process of its own, ``jpeg_child.py``, whose death becomes an ordinary error.
"""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from medsynth_lib.data.dicom_header import READERS
from medsynth_lib.errors import InputError

KEYWORDS = """
    Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation PlanarConfiguration BitsAllocated BitsStored
    HighBit PixelRepresentation PixelData ExtendedOffsetTable ExtendedOffsetTableLengths
"""
DECODERS = {
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls"),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL), "pylibjpeg"),
}
#: Decoded by GDCM, in a process of its own.
JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
#: Command lines are limited, and so is what one crash can take along.
CHILD_FILES = 500
#: Seconds one file may take: a child that takes longer hangs on damaged bytes.
CHILD_PATIENCE_S = 30


def decoded(paths: Sequence[Path], syntax: UID, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Stored values of each file in turn, ``(frames, rows, columns)``.

    Args:
        paths: files that share one transfer ``syntax``.
        syntax: how their pixels are stored.
        size: the rows and columns their headers promise.

    Raises:
        InputError: pixels that are truncated, damaged, coloured or of another size.
    """
    arrays = _from_child(paths) if syntax in JPEG else _from_threads(paths, DECODERS.get(syntax, ""))
    for path, stored in zip(paths, arrays, strict=True):
        frames = stored[None] if stored.ndim == 2 else stored
        if frames.ndim != 3 or frames.shape[1:] != size:
            raise InputError(
                "single-channel images are needed",
                where=path,
                seen=f"shape {stored.shape}, not {size}",
                fix="export the grey images, not screenshots or fused ones in colour",
            )
        yield frames


def _from_threads(paths: Sequence[Path], decoder: str) -> Iterator[np.ndarray]:
    def decode(path: Path) -> np.ndarray:
        try:
            dataset = dcmread(path, specific_tags=KEYWORDS.split())
            dataset.pixel_array_options(decoding_plugin=decoder)
            return dataset.pixel_array
        except Exception as error:  # a decoder fed damaged bytes fails in any way it likes
            reason = str(error).splitlines()[0] if str(error) else ""
            raise _undecodable(path, f"{type(error).__name__}: {reason}") from error

    with warnings.catch_warnings(), ThreadPoolExecutor(READERS) as pool:
        warnings.simplefilter("ignore")
        yield from pool.map(decode, paths)


def _from_child(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    script = Path(__file__).with_name("jpeg_child.py")
    for start in range(0, len(paths), CHILD_FILES):
        batch = [str(path.resolve()) for path in paths[start : start + CHILD_FILES]]
        command = [sys.executable, "-I", str(script), str(CHILD_PATIENCE_S), *batch]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            try:
                for path in paths[start : start + CHILD_FILES]:
                    yield _received(child, path)
            finally:
                child.kill()


def _received(child: subprocess.Popen, path: Path) -> np.ndarray:
    kind, *shape = child.stdout.readline().decode().split() or ["u1", "-1"]
    shape = tuple(int(size) for size in shape)
    expected = math.prod(shape) * np.dtype(kind).itemsize
    content = child.stdout.read(expected) if expected >= 0 else b""
    if len(content) != expected:
        raise _undecodable(path, "the JPEG decoder gave up")
    return np.frombuffer(content, kind).reshape(shape)


def _undecodable(path: Path, seen: str) -> InputError:
    return InputError(
        "the pixel data cannot be decoded",
        where=path,
        seen=seen,
        fix="the file is truncated or damaged: copy or export it again",
    )
