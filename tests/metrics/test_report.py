"""The report: names say what was computed, patients weigh the same, and nothing disappears uncounted."""

import math

import pytest
import torch

from medsynth_lib.errors import InputError
from medsynth_lib.metrics import fidelity
from medsynth_lib.metrics.report import Summary, evaluate_images, slice_records, summarise, table


@pytest.fixture(scope="module")
def batch(image, degraded, tensor):
    targets = [image(161, seed) for seed in range(2)]
    fakes = [degraded(target, seed) for seed, target in enumerate(targets)]
    return tensor(*fakes), tensor(*targets), tensor(*targets) > 0


def test_every_metric_masked_and_not(batch):
    fake, target, body = batch
    scores = evaluate_images(fake, target, body, data_range=1.0)
    names = ["mae", "mse", "rmse", "psnr", "ssim", "ms_ssim", "vif"]
    assert list(scores) == names + [f"{name}_body" for name in names]
    torch.testing.assert_close(scores["vif_body"], fidelity.vif(fake, target, data_range=1.0, mask=body))
    torch.testing.assert_close(scores["ms_ssim"], fidelity.ms_ssim(fake, target, data_range=1.0))
    assert list(evaluate_images(fake, target, data_range=1.0)) == names


@pytest.mark.parametrize(
    ("size", "extra"),
    [
        (160, ["ms_ssim_4_scales", "vif"]),
        (64, ["ms_ssim_3_scales", "vif"]),
        (32, ["ms_ssim_2_scales"]),
        (16, []),
    ],
)
def test_a_metric_that_does_not_fit_is_never_printed_under_its_name(batch, size, extra):
    fake, target, _ = (values[..., :size, :size] for values in batch)
    assert list(evaluate_images(fake, target, data_range=1.0))[5:] == extra


def test_every_patient_weighs_the_same_however_many_slices():
    records = [{"patient": "a", "mae": 10.0}, *[{"patient": "b", "mae": 30.0 + step} for step in (-1, 0, 1)]]
    assert summarise(records) == {
        "mae": Summary(mean=20.0, sd=pytest.approx(math.sqrt(200)), patients=2, slices=4, excluded=0)
    }


def test_values_that_are_not_finite_are_left_out_and_counted():
    records = [
        {"patient": "a", "psnr": 20.0},
        {"patient": "a", "psnr": math.inf},
        {"patient": "b", "psnr": 24.0},
        {"patient": "c", "psnr": math.nan},
    ]
    assert summarise(records)["psnr"] == Summary(22.0, pytest.approx(math.sqrt(8)), patients=2, slices=2, excluded=2)


def test_one_patient_has_no_sd_and_none_no_mean():
    one = summarise([{"patient": "a", "mae": 3.0}, {"patient": "a", "mae": 5.0}])["mae"]
    assert (one.mean, one.patients, str(one)) == (4.0, 1, "4")
    assert math.isnan(one.sd)
    none = summarise([{"patient": "a", "mae": math.nan}])["mae"]
    assert (none.patients, none.excluded, str(none)) == (0, 1, "–")


def test_from_batch_to_records(batch):
    scores = evaluate_images(*batch, data_range=1.0)
    records = slice_records(scores, ["a", "b"])
    assert [record["patient"] for record in records] == ["a", "b"]
    assert records[1]["ssim_body"] == scores["ssim_body"][1].item()
    with pytest.raises(InputError, match="one patient per slice"):
        slice_records(scores, ["a"])


def test_a_record_without_patient_is_refused():
    with pytest.raises(InputError, match="names no patient"):
        summarise([{"mae": 1.0}])


def test_the_sd_sets_the_digits():
    assert str(Summary(153.26, 12.34, 5, 9, 0)) == "153 ± 12"
    assert str(Summary(0.81234, 0.01239, 5, 9, 0)) == "0.812 ± 0.012"
    assert str(Summary(1533.4, 120.0, 5, 9, 0)) == "1533 ± 120"
    assert str(Summary(0.9999999999, 1e-14, 5, 9, 0)) == "1.000"
    assert [str(Summary(mean, math.nan, 1, 1, 0)) for mean in (30.3987, 0.25, 1533.4)] == ["30.40", "0.25", "1533"]


def test_tables_show_every_method_and_no_patient():
    methods = {
        name: summarise(
            {"patient": f"SECRET{i}", "mae_body": base + i, "ms_ssim_4_scales": 0.5, "psnr": 20.0 + i} for i in range(3)
        )
        for name, base in (("pix2pix", 50.0), ("identity", 300.0))
    }
    text = table(methods, unit="HU")
    header, rule, pix2pix, identity, _, footnote = text.splitlines()
    assert header == "| | MAE [HU] [body] | MS-SSIM, 4 scales | PSNR [dB] |"
    assert rule.count("---") == 4
    assert pix2pix == "| pix2pix | 51.0 ± 1.0 | 0.5 | 21.0 ± 1.0 |"
    assert identity.startswith("| identity | 301.0 ± 1.0 |")
    assert "n = 3 patients, 3 slices" in footnote
    assert "SECRET" not in text


def test_a_method_may_lack_a_metric():
    rows = {"one": summarise([{"patient": "a", "mae": 1.0}]), "two": summarise([{"patient": "a", "ssim": 0.5}])}
    assert "| one | 1 | – |" in table(rows)
    assert "| two | – | 0.5 |" in table(rows)


def test_records_of_patients_are_not_called_slices():
    records = [{"patient": "P1", "suvmax_error": 1.0, "miou": 0.5}, {"patient": "P2", "suvmax_error": math.nan}]
    text = table({"method": summarise(records)}, unit="SUVbw", per_slice=False)
    assert text.splitlines()[0] == "| | SUVmax error [SUVbw] | mIoU |"
    assert text.endswith("Mean ± sd over n = 1 patients; left out per cell, as there is no value: 0–1.")
