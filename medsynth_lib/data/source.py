"""``ImageSource``: an image on disk whose header has been read and whose voxels have not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.data.dicom import DicomSeries, read_series
from medsynth_lib.data.dicom_geometry import stack
from medsynth_lib.data.located import located
from medsynth_lib.data.nifti import modality_from_name, read_header, read_nifti
from medsynth_lib.data.suv import suv_factor
from medsynth_lib.data.tags import text
from medsynth_lib.data.volume import Grid, Volume
from medsynth_lib.errors import InputError


@dataclass(frozen=True)
class ImageSource:
    """One image: what its header says, and how to read the rest.

    Args:
        path: the file, or the folder a DICOM series was found in.
        modality: a key of ``conventions.MODALITIES``, or ``unknown``.
        format: ``NIfTI`` or ``DICOM``.
        grid: where its voxels are, as stored (``read`` returns RAS+); ``None`` when the header is unusable.
        unit: unit of the values ``read`` returns.
        problems: what the header already shows; ``read().problems`` adds what the voxels show.
        frame_of_reference: equal for images that share one coordinate system; ``None`` where the format has none.
        error: why the image cannot be read, when the header already tells.
        series: its planes, where it is DICOM.
        visit: equal for images of one visit, the folder of a NIfTI file or the study of a DICOM series; ``""`` where
            nothing tells.
    """

    path: Path
    modality: str
    format: str
    grid: Grid | None
    unit: str
    reader: Callable[[], Volume]
    problems: tuple[str, ...] = ()
    frame_of_reference: str | None = None
    error: InputError | None = None
    series: DicomSeries | None = field(default=None, repr=False)  # its tags hold PatientID
    visit: str = field(default="", repr=False)

    def read(self) -> Volume:
        """The image as a RAS+ volume.

        Raises:
            InputError: the image breaks a rule; the message says which.
        """
        if self.error is not None:
            raise self.error
        with located(self.path):
            return self.reader()

    def stamps(self) -> list[tuple[str, int, int]]:
        """Name, size and time of each of its files: a folder's own time does not change with the files in it."""
        files = sorted({plane.path for plane in self.series.planes}) if self.series else [self.path]
        stats = [(path.name, path.stat()) for path in files]
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]

    @property
    def shape(self) -> tuple[int, int, int] | None:
        return self.grid and self.grid.shape

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        return self.grid and self.grid.spacing_mm

    @property
    def slices(self) -> int:
        """Number of planes along the head-foot axis."""
        return self.shape[int(np.abs(self.grid.affine[2, :3]).argmax())]

    @property
    def derived(self) -> bool:
        """Computed from another image, as far as a DICOM header tells."""
        return self.series is not None and "DERIVED" in text(self.series.planes[0].tags, "ImageType").upper()

    @property
    def axial(self) -> bool:
        """Its planes, as stored, lie across the body."""
        return int(np.abs(self.grid.affine[2, :3]).argmax()) == 2

    def shares_space_with(self, other: ImageSource) -> bool:
        """Both usable, and not known to be in different frames of reference; without one, DICOM images of one study."""
        frames = {self.frame_of_reference, other.frame_of_reference}
        if self.error is not None or other.error is not None:
            return False
        if None in frames and self.format == other.format == "DICOM":
            return self.visit == other.visit
        return len(frames - {None}) < 2

    def same_visit(self, other: ImageSource) -> bool:
        """Not known to be of different visits. A shared frame of reference outweighs the study."""
        framed = self.frame_of_reference is not None and self.frame_of_reference == other.frame_of_reference
        return framed or not (self.visit and other.visit) or self.visit == other.visit

    def overlap(self, other: ImageSource) -> float:
        """Volume common to both images' boxes as a part of the volume of either (intersection over union), 0 to 1."""
        (low, high), (other_low, other_high) = _box(self.grid), _box(other.grid)
        common = np.clip(np.minimum(high, other_high) - np.maximum(low, other_low), 0, None).prod()
        return float(common / ((high - low).prod() + (other_high - other_low).prod() - common))


def nifti_source(path: Path, modality: str | None = None, visit: str = "") -> ImageSource:
    """The image in a NIfTI file; never fails, an unusable header or name becomes its ``error``."""
    grid, problems, error = None, (), None
    try:
        modality = modality or modality_from_name(path)
    except InputError as failure:
        modality, error = "unknown", failure
    try:
        header = read_header(path)
        grid, problems = header.grid, header.problems
    except InputError as failure:
        error = failure
    unit = MODALITIES.get(modality, "unknown")
    return ImageSource(
        path, modality, "NIfTI", grid, unit, lambda: read_nifti(path, modality), problems, error=error, visit=visit
    )


def dicom_source(series: DicomSeries, path: Path) -> ImageSource:
    """A DICOM series under ``path``; never fails, planes that are not one image, or no SUV, become its ``error``."""
    modality = series.modality
    grid, problems, error = None, (), None
    try:
        with located(path):
            placed = stack(series)
            grid, problems = placed.grid, placed.problems
            if modality == "PET":
                suv_factor([plane.tags for plane in placed.planes])
    except InputError as failure:
        error = failure
    unit = MODALITIES.get(modality, "unknown")
    frame, visit = series.frame_of_reference, text(series.planes[0].tags, "StudyInstanceUID")
    return ImageSource(
        path, modality, "DICOM", grid, unit, lambda: read_series(series), problems, frame, error, series, visit
    )


def _box(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of the image in millimetres, outer voxel faces included."""
    corners = np.stack(np.meshgrid(*[(-0.5, size - 0.5) for size in grid.shape], indexing="ij")).reshape(3, 8)
    world = grid.affine[:3, :3] @ corners + grid.affine[:3, 3:]
    return world.min(axis=1), world.max(axis=1)
