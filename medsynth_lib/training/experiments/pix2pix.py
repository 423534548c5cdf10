"""What each loss term of PET→CT buys (000)."""

from medsynth_lib.training.experiments.grid import Cell, Experiment

_NONE = {"adversarial_weight": 0.0, "ssim_weight": 0.0, "gradient_weight": 0.0}

TERMS = Experiment(
    name="pix2pix-terms",
    title="Pix2pix PET→CT: what each loss term buys",
    question="How much do the adversarial, the SSIM and the gradient-difference term add to L1 alone?",
    stands_beside="000 §5.2, one pair of numbers for the whole model; the report has no table of terms",
    cells=(
        Cell("l1", "L1", "pix2pix", _NONE),
        Cell("gan", "L1 + GAN", "pix2pix", {**_NONE, "adversarial_weight": 1.0}),
        Cell(
            "ssim",
            "L1 + GAN + SSIM",
            "pix2pix",
            {**_NONE, "adversarial_weight": 1.0, "ssim_weight": 100.0},
            paper={"psnr": 20.99, "ssim": 0.696},
            paper_row="000 §5.2",
        ),
        Cell(
            "gradient",
            "L1 + GAN + SSIM + gradient",
            "pix2pix",
            {"adversarial_weight": 1.0, "ssim_weight": 100.0, "gradient_weight": 100.0},
        ),
    ),
    paper_data=(
        "000 names no cohort ([Insert Dataset Source]), scales each image to [0, 1] by its own range, and scores a "
        "validation set whose split it does not describe; ours are of a fixed window in HU, over held-out patients."
    ),
)
