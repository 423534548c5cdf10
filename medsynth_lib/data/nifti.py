"""NIfTI files, read with suspicion and written byte for byte the same each time.

A NIfTI header knows neither modality nor unit: the modality comes from the caller or from the words in the file name,
and the values must then look like that modality (``plausible``).
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.plausible import checked_values
from medsynth_lib.data.volume import Grid, Volume, check_grid
from medsynth_lib.errors import InputError

ENDINGS = (".nii", ".nii.gz")
#: In the header's description of every synthetic image we write; NIfTI has no field of its own for it.
SYNTHETIC_MARK = b"MedSynth synthetic image, not for diagnosis"
#: deflate cannot pack more than this many bytes into one, so a shorter file cannot hold what its header promises.
DEFLATE_LIMIT = 1032
#: File-name words that tell the modality.
NAME_WORDS = {
    "LABELS": {"label", "labels", "labelmap", "mask", "masks", "seg", "segmentation", "aseg"},
    "CECT": {"cect"},
    "CT": {"ct", "ldct", "ncct"},
    "PET": {"pet", "pt", "suv", "fdg"},
    "MR": {"mr", "mri", "t1", "t2", "t1w", "t2w", "flair"},
}


@dataclass(frozen=True)
class NiftiHeader:
    """What the first bytes of a file promise: where voxels are and how they are stored."""

    path: Path
    grid: Grid
    stored_shape: tuple[int, ...]
    dtype: np.dtype
    data_start: int
    slope: float
    intercept: float
    problems: tuple[str, ...] = ()
    synthetic: bool = False

    @property
    def data_bytes(self) -> int:
        return math.prod(self.stored_shape) * self.dtype.itemsize


def modality_from_name(path: str | Path) -> str:
    """The modality a file name speaks of: its words ct, cect, pet or pt, mr, t1 or t2, labels, mask or seg.

    A label word wins (``CT_mask`` is a mask); two different image words are ambiguous.

    Raises:
        InputError: no such word, or two that disagree.
    """
    stem = re.sub(r"\.nii(\.gz)?$", "", Path(path).name.lower())
    words = set(re.split(r"[^a-z0-9]+", stem))
    found = [modality for modality, names in NAME_WORDS.items() if names & words]
    if found and (found[0] == "LABELS" or len(found) == 1):
        return found[0]
    raise InputError(
        "the file name speaks of several modalities" if found else "the modality is unknown: NIfTI does not store it",
        where=path,
        rule="one of the words ct, cect, pet, pt, mr, t1, t2, labels, mask, seg in the file name",
        seen=", ".join(found) or None,
        fix="rename the file, for example CT.nii.gz, or name the modality",
    )


def read_header(path: str | Path) -> NiftiHeader:
    """The checked header of a NIfTI-1 or NIfTI-2 file; reads a few hundred bytes, whatever sizes the header claims.

    Raises:
        InputError: not NIfTI, not three-dimensional, larger than the file can hold, or without a usable geometry.
    """
    path = Path(path)
    try:
        with _open(path) as stream:
            start = stream.read(540)
        header = _parse(start, path)
        return _checked(header, path)
    except InputError:
        raise
    except (OSError, EOFError, zlib.error, HeaderDataError, ValueError, KeyError, OverflowError) as error:
        raise _damaged(path, error) from error


def read_nifti(path: str | Path, modality: str | None = None) -> Volume:
    """The image in ``path`` as a RAS+ volume, ``(X, Y, Z)`` float32 in the modality's unit (labels: integers).

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.
        modality: a key of ``conventions.MODALITIES``; by default told by the file name (``modality_from_name``).

    Raises:
        InputError: unreadable, truncated or damaged data, or values that cannot be of that modality.
    """
    modality = known_modality(modality, path) if modality else modality_from_name(path)
    header = read_header(path)
    try:
        stored = _stored_values(header)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _damaged(header.path, error) from error
    array, noted = checked_values(_scaled(stored, header), modality, where=header.path)
    provenance = {"format": "NIfTI", "stored_as": str(header.dtype), "synthetic": header.synthetic}
    problems = header.problems + noted
    return Volume(
        array, header.grid.affine, modality, MODALITIES[modality], provenance=provenance, problems=problems
    ).to_ras()


def write_nifti(volume: Volume, path: str | Path) -> Path:
    """Write ``volume`` whole or not at all; equal volumes give equal bytes (no time, no name in the gzip header).

    Images are stored as float32, or as int16 when that loses nothing; labels as the smallest integer type that fits. A
    volume whose provenance says ``synthetic`` is marked so in the header's description.

    Raises:
        InputError: ``path`` does not end in .nii or .nii.gz, or the planes are unevenly spaced, which NIfTI cannot say.
        StorageError: the disk refused.
    """
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        raise InputError("a NIfTI file ends in .nii or .nii.gz", where=path, fix=f"write to {path.name}.nii.gz")
    if volume.plane_offsets_mm is not None:
        raise InputError(
            "NIfTI cannot store unevenly spaced planes", where=path, fix="resample first: volume.to_even_planes()"
        )
    image = nibabel.Nifti1Image(_compact(volume.array), volume.affine)
    image.header.set_xyzt_units("mm")
    if volume.provenance.get("synthetic"):
        image.header["descrip"] = SYNTHETIC_MARK
    content = image.to_bytes()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content)
    return path


def known_modality(word: str, where: object = None) -> str:
    """``word`` as the key of ``MODALITIES`` it names, whatever its case."""
    if word.upper() not in MODALITIES:
        raise InputError("unknown modality", where=where, rule=f"one of {', '.join(MODALITIES)}", seen=word)
    return word.upper()


def _open(path: Path):
    if not path.is_file():
        raise InputError("no such file", where=path, fix="check the path")
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


def _parse(start: bytes, path: Path) -> nibabel.Nifti1Header:
    for kind, magics in ((nibabel.Nifti1Header, (b"n+1\0",)), (nibabel.Nifti2Header, (b"n+2\0",))):
        size = kind.template_dtype.itemsize
        offset = kind.template_dtype.fields["magic"][1]
        if len(start) >= size and start[offset : offset + 4] in magics:
            return _with_sizes_as_sizes(kind(start[:size], check=False))
    raise InputError(
        "not a NIfTI file",
        where=path,
        rule="a .nii or .nii.gz file with the mark n+1 or n+2 in its header",
        seen=f"{path.stat().st_size} bytes without that mark",
    )


def _with_sizes_as_sizes(header: nibabel.Nifti1Header) -> nibabel.Nifti1Header:
    """As ``nibabel.load`` reads them: ``pixdim[0]`` (qfac) of 0 means 1, and a voxel size has no sign.

    Source: the NIfTI-1 standard, nifti1.h, method 2: "If pixdim[0]=0 (which should not occur), we take qfac=1."
    """
    pixdim = header["pixdim"]
    pixdim[0] = -1 if pixdim[0] == -1 else 1
    pixdim[1:4] = np.abs(pixdim[1:4])
    return header


def _checked(header: nibabel.Nifti1Header, path: Path) -> NiftiHeader:
    dims = [int(v) for v in header["dim"]]
    if not 1 <= dims[0] <= 7 or min(dims[1 : dims[0] + 1]) < 1:
        raise InputError("the header's dimensions are damaged", where=path, seen=dims, fix="export it again")
    shape = tuple(dims[1 : dims[0] + 1])
    if len(shape) < 3 or math.prod(shape[3:]) != 1:
        raise InputError("a three-dimensional image is needed", where=path, seen=f"shape {shape}", fix="extract one")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise InputError(
            "voxels must be single numbers (no colours, no complex values)",
            where=path,
            seen=dtype,
            fix="save one channel, or the magnitude",
        )
    if header["xyzt_units"] & 7 not in (0, 2):
        raise InputError(
            "distances must be in millimetres",
            where=path,
            seen=f"unit code {header['xyzt_units'] & 7}",
            fix="scale the affine to millimetres and save again (nibabel: header.set_xyzt_units('mm'))",
        )
    slope, intercept = header.get_slope_inter()
    grid = Grid(shape[:3], header.get_best_affine())
    check_grid(grid, where=path)
    start = int(header["vox_offset"]) or header.single_vox_offset
    found = NiftiHeader(
        path,
        grid,
        shape,
        dtype,
        start,
        1.0 if slope is None else slope,
        intercept or 0.0,
        _orientation_problems(header),
        header["descrip"].item().startswith(SYNTHETIC_MARK),
    )
    _check_size(found)
    return found


def _check_size(header: NiftiHeader) -> None:
    size = header.path.stat().st_size
    packed = _is_packed(header.path)
    most = size * DEFLATE_LIMIT if packed else size
    if header.data_start < 352 or header.data_start + header.data_bytes > most:
        raise InputError(
            "the header promises more voxels than the file can hold",
            where=header.path,
            rule=f"at most {most:,} bytes of voxels" + (" however well packed" if packed else ""),
            seen=f"shape {header.stored_shape} of {header.dtype}: {header.data_bytes:,} bytes from {header.data_start}",
            fix="the file is truncated or its header damaged: copy or export it again",
        )


def _is_packed(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _orientation_problems(header: nibabel.Nifti1Header) -> tuple[str, ...]:
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        return (
            "the header does not say how the patient lies (sform and qform codes are 0): left and right are a guess",
        )
    if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        apart = np.abs(header.get_sform() - header.get_qform()).max()
        if apart > 0.1:
            return (f"sform and qform disagree by up to {apart:.1f}; the sform is used",)
    return ()


def _stored_values(header: NiftiHeader) -> np.ndarray:
    """The voxels as stored, never more than the header promises; reading to the end makes gzip check its checksum."""
    with _open(header.path) as stream:
        stream.seek(header.data_start)
        content = stream.read(header.data_bytes)
        rest = stream.read(1)
    if len(content) != header.data_bytes or rest:
        raise InputError(
            "the voxels do not fill the header's shape exactly",
            where=header.path,
            rule=f"{header.data_bytes:,} bytes for shape {header.stored_shape} of {header.dtype}",
            seen="more" if rest else f"{len(content):,}",
            fix="the file is truncated or its header damaged: copy or export it again",
        )
    return np.ascontiguousarray(np.frombuffer(content, header.dtype).reshape(header.grid.shape, order="F"))


def _scaled(stored: np.ndarray, header: NiftiHeader) -> np.ndarray:
    if (header.slope, header.intercept) == (1.0, 0.0):
        return stored
    return (stored * float(header.slope) + float(header.intercept)).astype(np.float32)


def _compact(array: np.ndarray) -> np.ndarray:
    """The smallest of the types we write that keeps every value: uint8, int16 or int32 for integers, else float32."""
    kinds = (np.uint8, np.int16, np.int32) if array.dtype.kind in "iub" else (np.int16,)
    for kind in kinds:
        limits = np.iinfo(kind)
        if limits.min <= array.min() and array.max() <= limits.max and np.array_equal(array.astype(kind), array):
            return array.astype(kind)
    return array.astype(np.float32)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        "the NIfTI file is damaged",
        where=path,
        seen=f"{type(error).__name__}: {error}",
        fix="copy or export it again",
    )
