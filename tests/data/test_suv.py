"""SUVbw: the equation by hand, every clock, and every reason to refuse."""

from __future__ import annotations

import numpy as np
import pytest

from medsynth_lib.data.suv import decayed_dose, suv_factor
from medsynth_lib.errors import InputError
from tests.data.dicom_factory import injection, make_series

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # pydicom, on purpose odd values
#: SUVbw per Bq/mL for 70 kg and 350 MBq of F-18 after one hour, worked out by hand.
AFTER_AN_HOUR = 70_000 / (350e6 * 2 ** (-3600 / 6588))


def factor(drug=None, planes=2, **tags):
    datasets = make_series("PT", np.zeros((planes, 4, 4), np.int16), **tags)
    for dataset in datasets:
        dataset.RadiopharmaceuticalInformationSequence = [injection(**(drug or {}))]
    return suv_factor(datasets)


def counts(found, drug=None, *, creator="Philips PET Private Group", **tags):
    datasets = make_series("PT", np.zeros((2, 4, 4), np.int16), **{"Units": "CNTS", **tags})
    for dataset in datasets:
        dataset.RadiopharmaceuticalInformationSequence = [injection(**(drug or {}))]
        block = dataset.private_block(0x7053, creator, create=True)
        for offset, value in found.items():
            block.add_new(offset, "DS", str(value))
    return suv_factor(datasets)


def test_start_decays_the_dose_to_the_series_time():
    assert factor()[0] == pytest.approx(AFTER_AN_HOUR, rel=1e-12)
    assert factor()[1] == ()


def test_an_injection_some_seconds_into_a_dynamic_scan_is_at_its_start():
    found, problems = factor({"RadiopharmaceuticalStartTime": "110001"})
    assert found == pytest.approx(70_000 / 350e6, rel=1e-12)
    assert "after the scan's start" in problems[0]


@pytest.mark.parametrize("day", ["00010101", "99991231"])
@pytest.mark.parametrize("keyword", ["SeriesDate", "AcquisitionDate"])
def test_dates_that_mean_none_are_refused_and_not_counted_from(day, keyword):
    with pytest.raises(InputError, match="no scanner's time"):
        factor(**{"SeriesDate": "", "AcquisitionDate": "", keyword: day})


def test_an_injection_date_that_does_not_fit_leaves_its_time_of_day():
    found, problems = factor({"RadiopharmaceuticalStartDateTime": "20150704100000.000000+0100"})
    assert found == pytest.approx(AFTER_AN_HOUR, rel=1e-12)
    assert "only the times of day" in problems[0]


def test_admin_does_not_decay_the_dose():
    assert factor(DecayCorrection="ADMIN")[0] == pytest.approx(70_000 / 350e6, rel=1e-12)


def test_half_the_dose_is_left_after_a_half_life():
    assert decayed_dose(8.0, 6588, 6588) == 4.0
    assert decayed_dose(8.0, 0, 6588) == 8.0


@pytest.mark.parametrize(
    ("drug", "tags"),
    [
        ({"RadiopharmaceuticalStartTime": "233000"}, {"SeriesTime": "003000", "AcquisitionTime": "003000"}),
        ({"RadiopharmaceuticalStartDateTime": "20200102100000.00"}, {}),
        (
            {"RadiopharmaceuticalStartDateTime": "20200101233000"},
            {"SeriesTime": "003000", "AcquisitionTime": "003000"},
        ),
        ({"RadiopharmaceuticalStartDateTime": "20200102090000+0000"}, {"TimezoneOffsetFromUTC": "+0100"}),
        ({"RadiopharmaceuticalStartTime": "10"}, {}),
        ({"RadiopharmaceuticalStartTime": "10:00:00"}, {}),
        ({"RadiopharmaceuticalStartTime": "100000.000000"}, {"SeriesTime": "110000.000000"}),
    ],
    ids=["midnight", "datetime", "datetime over midnight", "time zone", "hour only", "colons", "fractions"],
)
def test_an_hour_is_an_hour_however_it_is_written(drug, tags):
    assert factor(drug, **tags)[0] == pytest.approx(AFTER_AN_HOUR, rel=1e-9)


def test_a_series_stored_again_later_counts_from_its_first_acquisition():
    found, problems = factor(SeriesTime="150000", AcquisitionTime="110000")
    assert found == pytest.approx(AFTER_AN_HOUR)
    assert "later than its first acquisition" in problems[0]


def test_shifted_dates_fall_back_on_times_of_day_and_say_so():
    found, problems = factor({"RadiopharmaceuticalStartDateTime": "19990504100000.00"})
    assert found == pytest.approx(AFTER_AN_HOUR)
    assert "shifted dates" in problems[0]


def test_counts_of_philips_are_scaled_by_its_factors():
    assert counts({0x00: 2.5e-4})[0] == 2.5e-4
    assert counts({0x00: 2.5e-4, 0x09: 3.0}) == (2.5e-4, ("SUV as the scanner computed it (Philips 7053,1000)",))
    assert counts({0x00: 0.0, 0x09: 3.0})[0] == pytest.approx(3 * AFTER_AN_HOUR, rel=1e-12)
    with pytest.raises(InputError, match="RadionuclideTotalDose"):
        counts({0x09: 3.0}, {"RadionuclideTotalDose": None})


@pytest.mark.parametrize(
    ("found", "tags", "words"),
    [
        ({0x00: 0.0, 0x09: 0.0}, {}, "units"),
        ({0x00: 1.0}, {"creator": "ACME PET"}, "units"),
        ({0x00: 1.0}, {"Units": "CPS"}, "units"),
        ({0x00: 1.0}, {"DecayCorrection": "NONE"}, "not decay-corrected"),
        ({0x00: 1.0}, {"CorrectedImage": ["NORM", "DECY"]}, "not corrected for attenuation"),
    ],
)
def test_counts_without_a_factor_or_a_correction_are_refused(found, tags, words):
    with pytest.raises(InputError) as caught:
        counts(found, **tags)
    assert words in caught.value.what


def test_gml_passes_through():
    assert factor(Units="GML") == (1.0, ())
    assert factor(Units="GML", SUVType="BW") == (1.0, ())


@pytest.mark.parametrize(
    ("words", "drug", "tags"),
    [
        ("units", {}, {"Units": "CNTS"}),
        ("units", {}, {"Units": ""}),
        ("units", {}, {"Units": "PROPCNTS"}),
        ("not decay-corrected", {}, {"DecayCorrection": "NONE"}),
        ("unknown decay correction", {}, {"DecayCorrection": ""}),
        ("not by body weight", {}, {"Units": "GML", "SUVType": "LBM"}),
        ("PatientWeight is missing", {}, {"PatientWeight": None}),
        ("PatientWeight is implausible", {}, {"PatientWeight": 70000.0}),
        ("PatientWeight is damaged", {}, {"PatientWeight": [70.0, 5.0]}),
        ("RadionuclideTotalDose is missing", {"RadionuclideTotalDose": None}, {}),
        ("RadionuclideTotalDose is implausible", {"RadionuclideTotalDose": 350.0}, {}),  # MBq
        ("RadionuclideTotalDose is implausible", {"RadionuclideTotalDose": 350e3}, {}),  # kBq
        ("RadionuclideHalfLife is missing", {"RadionuclideHalfLife": None}, {}),
        ("RadionuclideHalfLife is implausible", {"RadionuclideHalfLife": 1.8}, {}),
        ("before the injection, or far too long after", {"RadionuclideHalfLife": 109.8}, {}),  # minutes
        ("not corrected for attenuation", {}, {"CorrectedImage": ["DECY", "NORM", "DTIM"]}),
        ("not corrected for attenuation", {}, {"CorrectedImage": "DECY", "AttenuationCorrectionMethod": "NONE"}),
        ("not corrected for attenuation", {}, {"AttenuationCorrectionMethod": "None"}),
        ("not corrected for attenuation", {}, {"CorrectedImage": ["NORM"], "Units": "GML"}),
        ("RadionuclideHalfLife is in minutes", {"RadionuclideHalfLife": 762.0}, {}),  # Cu-64
        ("SPECT", {"RadionuclideHalfLife": 21600.0}, {}),
        ("no injection time", {"RadiopharmaceuticalStartTime": ""}, {}),
        ("before the injection", {"RadiopharmaceuticalStartTime": "110500"}, {}),
        ("not in DICOM form", {"RadiopharmaceuticalStartTime": "noon"}, {}),
        ("not in DICOM form", {"RadiopharmaceuticalStartTime": "100000"}, {"SeriesDate": "2020"}),
    ],
)
def test_what_cannot_become_suv_is_refused_by_name(words, drug, tags):
    with pytest.raises(InputError) as caught:
        factor(drug, **tags)
    assert words in caught.value.what
    assert caught.value.fix


COPPER_64_S, ZIRCONIUM_89_S = 45_721.0, 282_276.0


@pytest.mark.parametrize(
    "drug",
    [
        {"RadionuclideHalfLife": ZIRCONIUM_89_S},
        {"RadionuclideHalfLife": ZIRCONIUM_89_S, "RadiopharmaceuticalStartDateTime": "19990504100000"},
        {"RadionuclideHalfLife": COPPER_64_S, "RadiopharmaceuticalStartDateTime": "20200102110030"},  # 30 s too late
    ],
    ids=["time of day only", "shifted dates", "injected after the start"],
)
def test_a_slow_nuclide_without_a_fitting_date_is_not_taken_as_injected_today(drug):
    with pytest.raises(InputError, match="with which the scan may be days after the injection"):
        factor(drug)


def test_a_slow_nuclide_with_its_date_decays_over_the_days():
    drug = {"RadionuclideHalfLife": ZIRCONIUM_89_S, "RadiopharmaceuticalStartDateTime": "20191229110000"}
    assert factor(drug)[0] == pytest.approx(70_000 / (350e6 * 2 ** (-4 * 86_400 / ZIRCONIUM_89_S)), rel=1e-12)


@pytest.mark.parametrize("series_time", ["233000", ""])
def test_planes_acquired_after_midnight_are_not_the_first_ones(series_time):
    datasets = make_series("PT", np.zeros((4, 4, 4), np.int16), AcquisitionDate="", SeriesTime=series_time)
    for index, dataset in enumerate(datasets):
        dataset.AcquisitionTime = "233000" if index < 2 else "001000"
        dataset.RadiopharmaceuticalInformationSequence = [injection(RadiopharmaceuticalStartTime="223000")]
    assert suv_factor(datasets)[0] == pytest.approx(AFTER_AN_HOUR, rel=1e-12)


def test_decay_correction_that_the_corrections_do_not_list_is_told():
    assert factor(CorrectedImage=["DECY", "ATTN"]) == factor()
    assert "DECY is not among" in factor(CorrectedImage=["ATTN", "NORM"])[1][0]


def test_no_injection_and_two_injections_are_refused():
    datasets = make_series("PT", np.zeros((2, 4, 4), np.int16))
    for items in ([], [injection(), injection()]):
        for dataset in datasets:
            dataset.RadiopharmaceuticalInformationSequence = items
        with pytest.raises(InputError, match="one injection"):
            suv_factor(datasets)


def test_files_that_disagree_are_refused():
    datasets = make_series("PT", np.zeros((3, 4, 4), np.int16))
    datasets[1].PatientWeight = 71.0
    with pytest.raises(InputError, match="differ between the files"):
        suv_factor(datasets)
