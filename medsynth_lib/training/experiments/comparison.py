"""Every system on its own task, and the paired ones on real patients."""

from medsynth_lib.training.experiments.grid import Cell, Experiment

_PET_CT_PAPER = {"psnr": 20.99, "ssim": 0.696}
_PET_CT_DATA = (
    "000 names no cohort, scales each image by its own range, and reports a validation set; 001, 002 and 004 report no "
    "figure of image quality."
)

ALL_SYSTEMS = Experiment(
    name="systems",
    title="Every system on the task of its lesson",
    question="How far is each system ahead of the baselines of its own task? Rows of different tasks do not compare.",
    stands_beside="the one pair of figures in 000 §5.2, and 003 Table 4.2 Exp-4",
    cells=(
        Cell("pix2pix", "pix2pix", "pix2pix", paper=_PET_CT_PAPER, paper_row="000 §5.2"),
        Cell("unet-cascade", "U-Net", "unet_cascade"),
        Cell("cyclegan", "CycleGAN", "cyclegan"),
        Cell("residual-cyclegan", "residual CycleGAN", "residual_cyclegan"),
        Cell(
            "medusis",
            "Med-USIS",
            "medusis",
            paper={"psnr": 18.77, "ssim_003": 0.9984},
            paper_row="003 Table 4.2, Exp-4",
        ),
    ),
    paper_data=f"{_PET_CT_DATA} 003's SSIM is computed with data_range 255 on images in [0, 1].",
)

STS = Experiment(
    name="sts",
    title="Real patients: CT→PET, MR→CT and PET→CT",
    question="Do the paired systems beat the baselines on real scans of limbs (TCIA Soft-tissue-Sarcoma)?",
    stands_beside="000 §5.2 for PET→CT; nothing for the others",
    cells=(
        Cell("ct-pet", "CT→PET, U-Net", "unet_cascade", task={"source": "CT", "target": "PET"}),
        Cell("mr-ct", "MR→CT, pix2pix", "pix2pix", task={"source": "MR", "target": "CT"}),
        Cell(
            "pet-ct",
            "PET→CT, pix2pix",
            "pix2pix",
            task={"source": "PET", "target": "CT"},
            paper=_PET_CT_PAPER,
            paper_row="000 §5.2",
        ),
    ),
    paper_data=_PET_CT_DATA,
    needs_data=True,
)
