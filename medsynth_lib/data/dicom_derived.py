"""Write what a model made of a DICOM series as a series beside it: same place, new identity, and never to be mistaken.

The new series lies in its source's frame of reference and names the source images by their UIDs, without which it could
not be lined up. Nothing else of the patient is copied: patient and study carry the cohort's pseudonym. Synthetic Data
(0008,001C) is YES, Image Type DERIVED\\SECONDARY, and the model is listed as contributing equipment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from medsynth_lib.conventions import axial_slice
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.dicom_header import DicomSeries, Plane
from medsynth_lib.data.dicom_writer import (
    STORAGE,
    coded,
    ds,
    make_uid,
    plane_geometry,
    set_pixels,
    synthetic_file,
)
from medsynth_lib.data.tags import number, numbers
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError

WARNING = "SYNTHETIC, NOT FOR DIAGNOSIS"


@dataclass(frozen=True)
class Maker:
    """The model that made the images: the system's word, its version, and the digest of its weights."""

    system: str
    version: str
    digest: str


def write_derived_series(volume: Volume, folder: str | Path, source: DicomSeries, maker: Maker) -> Path:
    """Write a RAS+ ``volume`` derived from ``source``, one file per plane in a new ``folder``, whole or not at all.

    CT is stored in whole HU, PET in SUVbw (Units GML), MR as whole arbitrary units. UIDs are new, and the same again
    for the same source, model and values.

    Raises:
        InputError: a modality that has no DICOM image, or a source without a frame of reference.
        StorageError: the disk refused, or ``folder`` holds something already.
    """
    if volume.modality not in STORAGE:
        raise InputError("only image series are written", rule=", ".join(STORAGE), seen=volume.modality)
    if source.frame_of_reference is None:
        raise InputError(
            "the source has no FrameOfReferenceUID, so nothing can be lined up with it",
            where=source.folder,
            fix="write NIfTI instead: --out NAME.nii.gz",
        )
    made, nearest = datetime.now(), _nearest_planes(volume, source)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for index, plane in enumerate(nearest):
            file = _plane(volume, index, source, plane, maker)
            _date(file, made)
            file.save_as(temporary / f"{index:04d}.dcm", enforce_file_format=True)
    return Path(folder)


def _plane(volume: Volume, index: int, source: DicomSeries, nearest: Plane, maker: Maker) -> FileDataset:
    dicom_modality, storage = STORAGE[volume.modality]
    origin = source.planes[0].tags.SeriesInstanceUID, maker.digest, volume.modality
    file = synthetic_file(storage, make_uid(*origin, index, np.ascontiguousarray(volume.array[:, :, index]).tobytes()))
    _identity(file, source, origin)
    file.Modality, file.SeriesDescription = dicom_modality, f"{WARNING}: {volume.modality} by {maker.system}"[:64]
    file.InstanceNumber, file.AcquisitionNumber = index + 1, 1
    file.ImagePositionPatient, file.ImageOrientationPatient, file.PixelSpacing = plane_geometry(volume, index)
    file.SliceThickness = ds(number(nearest.tags, "SliceThickness", default=volume.spacing_mm[2]))
    file.SliceLocation = file.ImagePositionPatient[2]
    _derivation(file, nearest, maker)
    {"CT": _ct, "CECT": _ct, "PET": _pet, "MR": _mr}[volume.modality](file, volume, index)
    return file


def _identity(file: FileDataset, source: DicomSeries, origin: tuple[str, ...]) -> None:
    """Who and where: a pseudonym, a study and series of its own, the source's frame of reference."""
    file.PatientName, file.PatientID = f"{source.patient}^", source.patient
    file.PatientBirthDate, file.PatientSex = "", ""
    file.PatientIdentityRemoved, file.DeidentificationMethod = "YES", "Only UIDs of the source images are kept"
    file.StudyInstanceUID, file.SeriesInstanceUID = make_uid(*origin, "study"), make_uid(*origin, "series")
    file.AccessionNumber, file.ReferringPhysicianName, file.StudyID = "", "", "1"
    file.StudyDescription, file.SeriesNumber, file.PatientOrientation = WARNING, 1, ""
    file.FrameOfReferenceUID, file.PositionReferenceIndicator = source.frame_of_reference, ""
    file.Manufacturer, file.BurnedInAnnotation, file.Laterality = "MedSynth", "NO", ""


def _date(file: FileDataset, made: datetime) -> None:
    """When it was made, one moment for the whole series: the scan's own dates could tell who the patient is."""
    file.StudyDate = file.SeriesDate = made.strftime("%Y%m%d")
    file.StudyTime = file.SeriesTime = made.strftime("%H%M%S")


def _nearest_planes(volume: Volume, source: DicomSeries) -> list[Plane]:
    """For each plane of ``volume``, the source plane nearest to it along its normal."""
    across, down = np.array(plane_geometry(volume, 0)[1], float).reshape(2, 3)
    normal = np.cross(across, down)
    depths_mm = np.array([normal @ numbers(plane.tags, "ImagePositionPatient", 3) for plane in source.planes])
    here_mm = [normal @ np.array(plane_geometry(volume, index)[0], float) for index in range(volume.shape[2])]
    return [source.planes[np.abs(depths_mm - depth).argmin()] for depth in here_mm]


def _derivation(file: FileDataset, source: Plane, maker: Maker) -> None:
    """How it was made: from which image, by which model."""
    file.ImageComments = WARNING
    file.DerivationDescription = f"Made by a neural network ({maker.system}) from another modality; {WARNING}"
    file.ManufacturerModelName, file.SoftwareVersions = maker.system, maker.version
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = source.tags.SOPClassUID, source.tags.SOPInstanceUID
    image.PurposeOfReferenceCodeSequence = Sequence([coded("121322", "DCM", "Source of Image Processing Operation")])
    file.SourceImageSequence = Sequence([image])
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = Sequence([coded("109102", "DCM", "Processing Equipment")])
    equipment.Manufacturer, equipment.ManufacturerModelName = "MedSynth", maker.system
    equipment.SoftwareVersions = [maker.version, f"weights {maker.digest[:16]}"]
    equipment.ContributionDescription = "Image synthesis"
    file.ContributingEquipmentSequence = Sequence([equipment])


def _ct(file: FileDataset, volume: Volume, index: int) -> None:
    file.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    file.KVP, file.RescaleIntercept, file.RescaleSlope, file.RescaleType = None, "0", "1", "HU"
    if volume.modality == "CECT":
        file.ContrastBolusAgent = "Synthetic"
    file.PatientPosition = ""
    set_pixels(file, np.rint(axial_slice(volume.array, index)))


def _mr(file: FileDataset, volume: Volume, index: int) -> None:
    file.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    file.ScanningSequence, file.SequenceVariant, file.ScanOptions, file.MRAcquisitionType = "RM", "NONE", "", ""
    file.EchoTime = file.RepetitionTime = file.EchoTrainLength = None
    file.PatientPosition = ""
    set_pixels(file, np.rint(axial_slice(volume.array, index)))


def _pet(file: FileDataset, volume: Volume, index: int) -> None:
    """SUV itself: there was no injection whose activity could be told."""
    file.ImageType, file.Units, file.SUVType = ["DERIVED", "SECONDARY"], "GML", "BW"
    file.SeriesType, file.CountsSource, file.CorrectedImage = ["STATIC", "IMAGE"], "EMISSION", ["ATTN"]
    file.DecayCorrection, file.CollimatorType = "NONE", ""
    file.NumberOfSlices, file.ImageIndex = volume.shape[2], index + 1
    file.FrameReferenceTime, file.ActualFrameDuration = "0", None
    file.AcquisitionDate = file.AcquisitionTime = ""
    file.RadiopharmaceuticalInformationSequence = Sequence([])
    file.PatientOrientationCodeSequence = file.PatientGantryRelationshipCodeSequence = Sequence([])
    values = axial_slice(volume.array, index)
    slope = ds(max(float(values.max()) / 32767, 1e-6))
    file.RescaleIntercept, file.RescaleSlope = "0", slope
    set_pixels(file, np.rint(values / float(str(slope))))
