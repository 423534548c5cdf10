"""The measures of the realism table on images whose answer is known, and the report as a whole."""

from __future__ import annotations

import json

import matplotlib.image
import numpy as np
import pytest

from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from medsynth_lib.phantom import realism
from medsynth_lib.phantom.cohort import make_cohort
from medsynth_lib.phantom.report import compare, measure_real, report, table


def test_slope_of_a_known_spectrum():
    rng = np.random.default_rng(0)
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(256, 2.0),) * 2))
    f[0, 0] = 1
    image = np.fft.ifft2(np.fft.fft2(rng.standard_normal((256, 256))) * f**-1.5).real  # power ~ f^-3
    assert realism.spectrum_slope(image, 2.0, (0.02, 0.2)) == pytest.approx(-3, abs=0.2)


def test_noise_of_a_tilted_plane():
    x, y = np.meshgrid(np.arange(64.0), np.arange(64.0), indexing="ij")
    noise = np.random.default_rng(0).standard_normal((64, 64)) * 7
    sd, _, frequency = realism.patch_noise(2 * x - y + noise, 2.0, np.ones((64, 64), bool))
    assert sd == pytest.approx(7, rel=0.15)  # the quietest of several patches
    assert frequency == pytest.approx(0.191, rel=0.08)  # mean |f| of white noise: 0.383 / pixel


def test_areas_of_a_disk_with_a_bone_beside_a_couch():
    x = (np.arange(128) - 64) * 2.0
    image = np.where(np.hypot(x[:, None], x[None]) < 90, 40.0, -1000.0)
    image[np.hypot(x[:, None], x[None]) < 20] = 800
    image[:, 4:6] = 200  # the couch
    ct = Volume(image[..., None].astype(np.float32), np.diag([2.0, 2, 5, 1]), "CT", "HU")
    ((body, bone),) = realism.areas_cm2(ct, [0])
    assert body == pytest.approx(np.pi * 81, rel=0.02)
    assert bone == pytest.approx(np.pi * 4, rel=0.15)


def test_rows_say_inside_or_not():
    rows = compare({"a": list(range(101)), "b": [1.0, 2.0], "c": [0.0]}, {"a": [50.0], "b": [9.0]})
    assert [row["inside"] for row in rows] == [True, False]
    assert "1 of 2 real values" in table(rows)


def test_report_draws_a_sheet(tmp_path):
    cohort = make_cohort(tmp_path / "c", patients=1, size=64, slices=6)
    out = report(cohort)
    sheet = matplotlib.image.imread(out / "contact_sheet.png")
    assert sheet[..., :3].std() > 0.1
    with pytest.raises(InputError, match="real scans"):
        measure_real(tmp_path)


def test_a_cohort_without_labels_is_refused(tmp_path):
    cohort = make_cohort(tmp_path / "c", patients=1, size=32, slices=3, format="dicom")
    with pytest.raises(InputError, match="all five"):
        report(cohort, tmp_path / "out", tmp_path)


@pytest.mark.nightly
@pytest.mark.realdata
@pytest.mark.timeout(1800)
def test_most_real_values_lie_inside_the_phantom(tmp_path, realdata):
    cohort = make_cohort(tmp_path / "c", patients=24, slices=24, lesions=3)
    rows = json.loads((report(cohort, tmp_path / "out", realdata) / "realism.json").read_text())
    assert len(rows) > 50
    assert np.mean([row["inside"] for row in rows]) > 0.65  # 40 patients: 45 of 57, docs/phantom_realism.md
