"""From a name to a cohort: what it is, what it weighs, fetched patient by patient, placed, and where it came from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from medsynth_lib.data import archive
from medsynth_lib.data.download import check_room, fetch
from medsynth_lib.data.public import PublicCohort, idc, zenodo
from medsynth_lib.data.public.layout import Provenance, dicom_images, place_dicom, place_nifti
from medsynth_lib.data.public.lung_selection import comparison_text
from medsynth_lib.data.source import ImageSource, nifti_source
from medsynth_lib.errors import InputError

LAYOUTS = ("nifti", "dicom")


@dataclass(frozen=True)
class Arrived:
    """A patient's images on this machine, in a folder of their own, and where they came from."""

    patient: str
    folder: Path
    images: Sequence[ImageSource]
    origin: dict


@dataclass(frozen=True)
class IdcPlan:
    """What of an IDC collection would be fetched: a query on the installed index; nothing is asked of the network."""

    cohort: PublicCohort
    subset: str
    patients: int | None = None
    server: str | None = None
    index: Path | None = None

    @cached_property
    def series(self) -> list[idc.IdcSeries]:
        return idc.read_index(self.cohort.identifier, self.index)

    @cached_property
    def chosen(self) -> list[idc.Selection]:
        return idc.select(self.series, self.cohort, self.subset, self.patients)

    @cached_property
    def source(self) -> str:
        return idc.index_version()

    @property
    def keeps(self) -> bool:
        """Whether what was fetched is worth keeping once the patients are placed."""
        return False

    def size(self, left: Callable[[str], bool]) -> int:
        """Bytes to fetch for the patients that are ``left``."""
        return round(sum(one.megabytes for chosen in self.chosen if left(chosen.patient) for one in chosen.all) * 1e6)

    def text(self) -> str:
        files = [one for chosen in self.chosen for one in chosen.all]
        gigabytes = sum(one.megabytes for one in self.series) / 1000
        everything = f"{len({one.patient for one in self.series})} patients, {len(self.series):,} series"
        lines = [
            f"The collection in {self.source}: {everything}, {gigabytes:,.1f} GB ({_licences(self.series)})",
            f"To fetch (subset {self.subset}): {len(self.chosen)} patients, {len(files):,} series, "
            f"{sum(one.instances for one in files):,} images, {self.size(lambda patient: True) / 1e9:,.1f} GB",
        ]
        if self.cohort.name == "lung_pet_ct_dx":
            lines += ["", comparison_text(self.series)]
        return "\n".join(lines)

    def arrivals(self, work: Path, left: Callable[[str], bool], report: Callable[[int], None]) -> Iterator[Arrived]:
        """Each patient that is ``left``, as soon as all of its series are under ``work``."""
        for chosen in self.chosen:
            if left(chosen.patient):
                folder = work / chosen.patient
                fetched = [
                    (word, one, idc.download(one, folder / f"{word}-{number}", report, self.server))
                    for word, found in chosen.series.items()
                    for number, one in enumerate(found, 1)
                ]
                images = dicom_images(folder, {one.series: word for word, one, _ in fetched})
                origin = {"study": chosen.series[self.cohort.source][0].study, "series": [_of(*one) for one in fetched]}
                yield Arrived(chosen.patient, folder, images, origin)


@dataclass(frozen=True)
class ZenodoPlan:
    """What of SynthRAD2023's record would be fetched: one archive, whole, whatever patients are wanted of it."""

    cohort: PublicCohort
    subset: str
    patients: int | None = None
    server: str | None = None

    @cached_property
    def record(self) -> zenodo.Record:
        return zenodo.read_record(self.cohort.identifier, self.server)

    @property
    def source(self) -> str:
        return f"Zenodo record {self.cohort.identifier}, {zenodo.SYNTHRAD_ARCHIVE}"

    @property
    def keeps(self) -> bool:
        """The archive stays where only some of its patients were wanted: the next ones are in it, too."""
        return self.patients is not None

    def size(self, left: Callable[[str], bool]) -> int:
        return self.record.file(zenodo.SYNTHRAD_ARCHIVE).size

    def text(self) -> str:
        file = self.record.file(zenodo.SYNTHRAD_ARCHIVE)
        wanted = "all" if self.patients is None else f"the first {self.patients}"
        return (
            f"To fetch: {file.name}, {file.size / 1e9:,.2f} GB, {file.checksum} (record {self.record.doi}, licence "
            f"{self.record.license})\n"
            f"It is one archive and arrives whole; of it, {wanted} patients of subset {self.subset} are unpacked."
        )

    def arrivals(self, work: Path, left: Callable[[str], bool], report: Callable[[int], None]) -> Iterator[Arrived]:
        """Each patient that is ``left``, unpacked on its own."""
        file = self.record.file(zenodo.SYNTHRAD_ARCHIVE)
        packed = fetch(file, work, report)
        names = archive.members(packed)
        found = zenodo.synthrad_patients(names, self.cohort.subsets[self.subset], self.patients)
        for patient, wanted in found.items():
            if left(patient):
                shutil.rmtree(work / patient, ignore_errors=True)  # unpacked by a run that was killed then
                folder = archive.unpack(packed, work / patient, lambda name, wanted=wanted: name in wanted)
                images = [nifti_source(folder / name) for name in wanted]
                origin = {"files": [str(name) for name in wanted], "archive": file.name, "checksum": file.checksum}
                yield Arrived(patient, folder, images, origin)


Plan = IdcPlan | ZenodoPlan


def plan(cohort: PublicCohort, subset: str | None = None, patients: int | None = None, **where: object) -> Plan:
    """What would be fetched.

    Args:
        subset: one of ``cohort.subsets``; the first by default.
        patients: how many, in the order of their identifiers; all by default.
        where: ``server`` (and for the IDC ``index``), in place of the archive's own.

    Raises:
        InputError: unknown subset, or no patients.
    """
    subset = next(iter(cohort.subsets)) if subset is None else subset
    if subset not in cohort.subsets:
        raise InputError("unknown subset", rule=f"one of {', '.join(cohort.subsets)}", seen=subset)
    if patients is not None and patients < 1:
        raise InputError("how many patients", rule="1 or more", seen=patients)
    return (IdcPlan if cohort.archive == "IDC" else ZenodoPlan)(cohort, subset, patients, **where)


def obtain(
    wanted: Plan, out: str | Path, layout: str = "nifti", report: Callable[[str], None] = lambda line: None
) -> Path:
    """Fetch what is ``wanted`` and place it at ``out``, a patient at a time. Goes on where it stopped when run again.

    What is under way lies beside ``out``; in ``out``, a patient is there whole or not at all. A patient whose images
    cannot be used is passed over, and ``provenance.json`` and ``report`` say why.

    Args:
        layout: ``nifti``: ``out/<patient>/<modality>.nii.gz``, in HU and SUV. ``dicom``: the files as they are.

    Raises:
        InputError: the archive does not give what it should, ``out`` holds something else, or nobody could be used.
        StorageError: the disk refused, or has no room.
    """
    out = Path(out)
    _check_layout(wanted.cohort, layout)
    provenance = Provenance.begun(wanted.cohort, out, wanted.subset, layout, wanted.source)
    if provenance.covers(wanted.patients):
        return out
    work = out.absolute().parent / f".{out.absolute().name}.download"
    size = wanted.size(left := lambda patient: not provenance.done(out, patient))
    check_room(out.absolute().parent, size)
    with tqdm(total=size, unit="B", unit_scale=True, disable=None, desc=wanted.cohort.name) as bar:
        for arrived in wanted.arrivals(work, left, bar.update):
            place = place_nifti if layout == "nifti" else partial(_place_dicom, arrived=arrived.folder)
            try:
                placed = place(out, arrived.patient, images=arrived.images, cohort=wanted.cohort)
                provenance.patients[arrived.patient] = {**placed, "origin": arrived.origin}
                report(f"{arrived.patient}: placed")
            except InputError as error:
                provenance.skipped[arrived.patient] = "; ".join(map(str, filter(None, (error.what, error.seen))))
                report(f"{arrived.patient}: passed over\n{error}")
            shutil.rmtree(arrived.folder, ignore_errors=True)
            provenance.write(out, wanted.cohort)
    if not provenance.patients:
        raise InputError("no patient could be used", where=out, seen="; ".join(provenance.skipped.values())[:500])
    provenance.complete = wanted.patients or "all"
    provenance.write(out, wanted.cohort)
    if not wanted.keeps:
        shutil.rmtree(work, ignore_errors=True)
    return out


def _place_dicom(out: Path, patient: str, images: Sequence[ImageSource], cohort: PublicCohort, arrived: Path) -> dict:
    return place_dicom(out, patient, arrived, images, cohort)


def _check_layout(cohort: PublicCohort, layout: str) -> None:
    if layout not in LAYOUTS:
        raise InputError("unknown layout", rule=" or ".join(LAYOUTS), seen=layout)
    told_by_header = set(cohort.roles) <= {"PET", "CT"} and cohort.archive == "IDC"
    if layout == "dicom" and not told_by_header:
        raise InputError(
            "this cohort has no DICOM layout", rule="nifti: the modality is not in the archive's files", seen=layout
        )


def _of(word: str, series: idc.IdcSeries, files: Sequence[tuple[str, str | None]]) -> dict:
    """A series for ``provenance.json``; its checksum is of the lines "name checksum" of its files, sorted."""
    lines = "".join(f"{name} {checksum or '-'}\n" for name, checksum in files)
    return {
        "series": series.series,
        "modality": word,
        "files": len(files),
        "address": series.address,
        "checksum": f"sha256:{sha256(lines.encode()).hexdigest()}",
        "checked": sum(checksum is not None for _, checksum in files),
    }


def _licences(series: Sequence[idc.IdcSeries]) -> str:
    return ", ".join(sorted({one.license for one in series}))
