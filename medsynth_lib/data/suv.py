"""Standardised uptake value by body weight, from the tags of a DICOM PET series.

``SUVbw = C · W / (A · 2^(−Δt / T½))`` in g/mL (tissue taken as 1 g/mL), where

- ``C`` is the activity concentration of a voxel in Bq/mL (Units BQML; of Philips' counts by a factor in the header),
- ``W`` is PatientWeight in grams,
- ``A`` is RadionuclideTotalDose in Bq, as injected,
- ``T½`` is RadionuclideHalfLife in seconds,
- ``Δt`` is the time from injection to the moment voxels are decay-corrected to: the start of the series for
  DecayCorrection START, nothing for ADMIN (voxels are then already corrected to the injection).

Source: QIBA FDG-PET/CT Profile v1.05, and its vendor-neutral SUV pseudo-code (happy path); DICOM PS3.3 C.8.9.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset

from medsynth_lib.data import philips
from medsynth_lib.data.tags import number, text
from medsynth_lib.errors import InputError

WEIGHT_RANGE_KG = (0.5, 400.0)
#: Patients get 1 MBq to 50 GBq; smaller numbers are kBq, MBq or mCi written into a field that means Bq.
DOSE_RANGE_BQ = (1e6, 5e10)
HALF_LIFE_RANGE_S = (60.0, 1e6)
#: After so many half-lives there is nothing left to measure: the clock times are wrong.
MOST_HALF_LIVES = 10
DAY = timedelta(days=1)
#: 0001 and 9999 stand for "no date"; days are counted from dates, which must not leave the calendar.
YEARS = (1900, 2200)
#: No scan lasts longer: an acquisition without a date that seems to be further from its series was on another day.
LONGEST_SCAN = timedelta(hours=6)
#: A scan may start some seconds before the tracer is given.
SAME_MOMENT_S = 60.0
#: Half-lives (s) of gamma emitters: such a "PET" is SPECT, whose voxels are not calibrated activity.
SPECT_HALF_LIVES_S = {"Tc-99m": 21624, "I-123": 47604, "In-111": 242330, "Tl-201": 262840, "Lu-177": 574300}
#: Half-lives (s) that are still plausible when written in minutes.
LONG_LIVED_S = {"Cu-64": 45721, "Zr-89": 282276, "I-124": 360806}
UNITS_REFUSED = {
    "CNTS": "counts, without a factor to SUV or Bq/mL (Philips 7053,1000 and 7053,1009)",
    "CPS": "counts per second",
}


def suv_factor(headers: Sequence[Dataset]) -> tuple[float, tuple[str, ...]]:
    """What rescaled voxels of a PET series must be multiplied by to be SUVbw, and what a reader should know.

    Args:
        headers: the tags of every file of the series.

    Raises:
        InputError: units, decay correction, dose, weight, half-life or times are missing, implausible, not supported
            (CNTS without a factor, DecayCorrection NONE, no attenuation correction, SUV by lean mass or surface,
            SPECT), or differ between files.
    """
    acquired = {(text(header, "AcquisitionDate"), text(header, "AcquisitionTime")) for header in headers}
    found = [_factor(header, acquired) for header in headers]
    factors = np.array([factor for factor, _ in found])
    if np.ptp(factors) > 1e-6 * factors.max():
        raise InputError(
            "dose, weight or times differ between the files of one PET series",
            rule="one SUV factor for the series",
            seen=f"{factors.min():g} to {factors.max():g}",
            fix="separate the acquisitions into a series each",
        )
    return float(factors[0]), found[0][1]


def decayed_dose(dose_bq: float, elapsed_s: float, half_life_s: float) -> float:
    """Activity left of ``dose_bq`` after ``elapsed_s``: ``A · 2^(−Δt / T½)``, in Bq."""
    return dose_bq * 2.0 ** (-elapsed_s / half_life_s)


def _factor(header: Dataset, acquired: set[tuple[str, str]]) -> tuple[float, tuple[str, ...]]:
    units = text(header, "Units").upper()
    _check_not_spect(header)
    _check_attenuation(header)
    if units == "GML":
        return _pass_through(header)
    per_count = philips.factors(header) if units == "CNTS" else {}
    if philips.SUV in per_count:
        _decay_correction(header)
        return per_count[philips.SUV], ("SUV as the scanner computed it (Philips 7053,1000)",)
    if units != "BQML" and not per_count:
        why = UNITS_REFUSED.get(units, "missing" if not units else "not an activity concentration")
        raise InputError(
            "PET units cannot become SUV",
            rule="Units BQML, or GML by body weight",
            seen=f"{units or 'no Units'}: {why}",
            fix="export the series again in Bq/mL",
        )
    factor, problems = _of_activity(header, acquired)
    return factor * per_count.get(philips.BQML, 1.0), problems


def _of_activity(header: Dataset, acquired: set[tuple[str, str]]) -> tuple[float, tuple[str, ...]]:
    """SUVbw of 1 Bq/mL."""
    drug = _radiopharmaceutical(header)
    weight_kg = _within(number(header, "PatientWeight"), WEIGHT_RANGE_KG, "PatientWeight", "kg")
    dose = _within(number(drug, "RadionuclideTotalDose"), DOSE_RANGE_BQ, "RadionuclideTotalDose", "Bq (not kBq or MBq)")
    correction = _decay_correction(header)
    problems: tuple[str, ...] = ()
    if correction == "START":
        half_life = _half_life(drug)
        elapsed, problems = _elapsed(header, drug, acquired, half_life)
        dose = decayed_dose(dose, elapsed, half_life)
    corrections = _corrections(header)
    if corrections and "DECY" not in corrections:
        problems += (f"DecayCorrection says {correction}, but DECY is not among CorrectedImage: taken as corrected",)
    return weight_kg * 1000 / dose, problems


def _decay_correction(header: Dataset) -> str:
    correction = text(header, "DecayCorrection").upper()
    if correction not in ("START", "ADMIN"):
        raise InputError(
            "PET voxels are not decay-corrected" if correction == "NONE" else "unknown decay correction",
            rule="DecayCorrection START or ADMIN",
            seen=correction or "no DecayCorrection",
            fix="reconstruct or export the series with decay correction",
        )
    return correction


def _pass_through(header: Dataset) -> tuple[float, tuple[str, ...]]:
    kind = text(header, "SUVType").upper()
    if kind not in ("", "BW"):
        raise InputError(
            "SUV is not by body weight", rule="SUVType BW or absent", seen=kind, fix="export SUVbw or Bq/mL instead"
        )
    return 1.0, ()


def _check_not_spect(header: Dataset) -> None:
    drugs = header.get("RadiopharmaceuticalInformationSequence") or [Dataset()]
    half_life = number(drugs[0], "RadionuclideHalfLife", default=0.0)
    nuclide = _nuclide(half_life, SPECT_HALF_LIVES_S)
    if nuclide:
        raise InputError(
            "this is SPECT stored as PET", rule="a positron emitter", seen=nuclide, fix="use the PET series"
        )


def _nuclide(half_life: float, half_lives: dict[str, float]) -> str:
    """Whose half-life it is, within 1 %; empty for none of them."""
    return next((name for name, known in half_lives.items() if abs(half_life - known) < 0.01 * known), "")


def _check_attenuation(header: Dataset) -> None:
    """Without the correction, activity deep in the body looks several times too low."""
    corrections = _corrections(header)
    method = text(header, "AttenuationCorrectionMethod").upper()
    if "ATTN" in corrections or (not corrections and not re.match(r"NO(NE|T)?\b", method)):
        return
    raise InputError(
        "PET voxels are not corrected for attenuation",
        rule="ATTN among CorrectedImage",
        seen=f"CorrectedImage {corrections}" if corrections else "AttenuationCorrectionMethod none",
        fix="use the attenuation-corrected reconstruction of the scan",
    )


def _corrections(header: Dataset) -> str:
    """CorrectedImage as one word, empty where it was left out."""
    return str(header.get("CorrectedImage") or "").upper()


def _radiopharmaceutical(header: Dataset) -> Dataset:
    drugs = header.get("RadiopharmaceuticalInformationSequence") or []
    if len(drugs) != 1:
        raise InputError(
            "SUV needs one injection",
            rule="RadiopharmaceuticalInformationSequence with one item",
            seen=f"{len(drugs)} items",
            fix="export the PET with dose, injection time and half-life",
        )
    return drugs[0]


def _half_life(drug: Dataset) -> float:
    half_life = _within(number(drug, "RadionuclideHalfLife"), HALF_LIFE_RANGE_S, "RadionuclideHalfLife", "s")
    nuclide = _nuclide(60 * half_life, LONG_LIVED_S)
    if nuclide:
        raise InputError(
            "RadionuclideHalfLife is in minutes",
            rule="seconds",
            seen=f"{half_life:g}, which is that of {nuclide} in minutes",
            fix="correct the tag, or export the series again",
        )
    return half_life


def _within(value: float, limits: tuple[float, float], keyword: str, unit: str) -> float:
    if not limits[0] <= value <= limits[1]:
        raise InputError(
            f"{keyword} is implausible",
            rule=f"{limits[0]:g} to {limits[1]:g} {unit}",
            seen=f"{value:g}",
            fix="correct the tag, or export the series again",
        )
    return value


def _elapsed(
    header: Dataset, drug: Dataset, acquired: set[tuple[str, str]], half_life: float
) -> tuple[float, tuple[str, ...]]:
    """Seconds from injection to the start of the scan, and what had to be assumed."""
    scan, problems = _scan_start(header, acquired)
    dated = text(drug, "RadiopharmaceuticalStartDateTime")
    clock = text(drug, "RadiopharmaceuticalStartTime")
    if len(dated) > 8:
        elapsed = (scan - _from_datetime(dated, text(header, "TimezoneOffsetFromUTC"))).total_seconds()
        if 0 <= elapsed <= MOST_HALF_LIVES * half_life:
            return elapsed, problems
        problems += ("the injection date does not fit the scan date (shifted dates?): only the times of day were used",)
        clock = clock or re.match(r"[\d.]*", dated)[0][8:]
    if not clock:
        raise InputError(
            "no injection time",
            rule="RadiopharmaceuticalStartTime or RadiopharmaceuticalStartDateTime present",
            fix="export the PET with its injection time",
        )
    _check_within_a_day(half_life, len(dated) > 8)
    # Only the time of day is known: an injection that seems later than the scan was on the evening before.
    injected = _from_date_and_time(scan.strftime("%Y%m%d"), clock)
    elapsed = (scan - injected).total_seconds()
    if -SAME_MOMENT_S <= elapsed < 0:  # a dynamic scan, started just before
        return 0.0, (
            *problems,
            f"the injection is {-elapsed:g} s after the scan's start: no decay was counted before it",
        )
    elapsed %= DAY.total_seconds()
    if elapsed > MOST_HALF_LIVES * half_life:
        raise InputError(
            "the scan starts before the injection, or far too long after it",
            rule=f"at most {MOST_HALF_LIVES} half-lives ({MOST_HALF_LIVES * half_life:g} s)",
            seen=f"{elapsed:g} s",
            fix="correct the injection time, the series time, or the half-life (in seconds, not minutes)",
        )
    return elapsed, problems


def _check_within_a_day(half_life: float, dated: bool) -> None:
    """A time of day leaves whole days open: no harm when after a day nothing would be left to measure."""
    if MOST_HALF_LIVES * half_life > DAY.total_seconds():
        raise InputError(
            "the scan starts before the injection, or far too long after it" if dated else "the injection has no date",
            rule=f"a fitting date in RadiopharmaceuticalStartDateTime for half-lives above {24 / MOST_HALF_LIVES} h",
            seen=f"a half-life of {half_life / 3600:.3g} h, with which the scan may be days after the injection",
            fix="correct the date of injection or series; whoever shifts dates must shift both alike",
        )


def _scan_start(header: Dataset, acquired: set[tuple[str, str]]) -> tuple[datetime, tuple[str, ...]]:
    """Series time, or the earliest acquisition when the series was stored again later (QIBA)."""
    day, clock = text(header, "SeriesDate") or "19000102", text(header, "SeriesTime")
    series = _from_date_and_time(day, clock) if clock else None
    dated = [_from_date_and_time(date, time) for date, time in acquired if time and date]
    undated = [_from_date_and_time(day, time) for date, time in acquired if time and not date]
    dated += [_on_the_day_of(series or max(undated), moment) for moment in undated]
    earliest = min(dated, default=None)
    if series is None and earliest is None:
        raise InputError(
            "no scan time",
            rule="SeriesDate and SeriesTime, or AcquisitionDate and AcquisitionTime",
            fix="export the series again with its times",
        )
    if series is None or (earliest is not None and earliest < series - timedelta(seconds=1)):
        return earliest, ("the series time is missing or later than its first acquisition: decay was counted to that",)
    return series, ()


def _on_the_day_of(scan: datetime, moment: datetime) -> datetime:
    """``moment``, whose day is a guess, on the next day or the day before where only that makes it part of the scan."""
    for day in (DAY, -DAY):
        if abs(moment + day - scan) < LONGEST_SCAN:
            return moment + day
    return moment


def _from_date_and_time(date: str, clock: str) -> datetime:
    """DICOM DA and TM (``HH[MM[SS[.F]]]``, or with the colons of old files) as one moment."""
    digits = re.fullmatch(r"(\d{2}):?(\d{2})?:?(\d{2})?(\.\d+)?", clock.strip())
    day = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", date.strip())
    try:
        hours, minutes, seconds = (int(part or 0) for part in digits.groups()[:3])
        start = datetime(*(int(part) for part in day.groups()))
        if not YEARS[0] <= start.year <= YEARS[1]:
            raise ValueError(start.year)
        return start + timedelta(hours=hours, minutes=minutes, seconds=seconds + float(digits[4] or 0))
    except (AttributeError, ValueError, OverflowError) as error:
        raise InputError(
            "a date or time is not in DICOM form, or of no scanner's time",
            rule=f"YYYYMMDD and HHMMSS.FFFFFF, years {YEARS[0]} to {YEARS[1]}",
            fix="correct the times of the series and of the injection, or export the series again",
        ) from error


def _from_datetime(value: str, local_offset: str) -> datetime:
    """DICOM DT (``YYYYMMDDHHMMSS.F&ZZXX``) in the local time of the scan."""
    moment, sign, offset = re.match(r"([\d.]*)([+-]?)(\d{4})?", value).groups()
    shift = timedelta()
    if offset and re.fullmatch(r"[+-]\d{4}", local_offset):
        shift = _offset(local_offset) - _offset(sign + offset)
    return _from_date_and_time(moment[:8], moment[8:]) + shift


def _offset(text_: str) -> timedelta:
    size = timedelta(hours=int(text_[1:3]), minutes=int(text_[3:5]))
    return -size if text_[0] == "-" else size
