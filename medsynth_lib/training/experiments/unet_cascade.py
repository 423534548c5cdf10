"""The table that 001 left empty: CT→PET in one to six stages."""

from medsynth_lib.training.experiments.grid import Cell, Experiment

STAGES = Experiment(
    name="cascade-stages",
    title="CT→PET U-Net cascade: one to six stages",
    question=(
        "Does a stage that sees the previous one's answer improve it? Every stage adds as many parameters and as much "
        "time, so a gain may be one of size."
    ),
    stands_beside="001 Table 2, which names one to six stages and leaves SSIM, PSNR, MAE and MSE of each empty (“-”)",
    cells=tuple(
        Cell(f"stages-{count}", f"{count} stage{'s' if count > 1 else ''}", "unet_cascade", {"stages": count})
        for count in range(1, 7)
    ),
    metrics=("psnr", "ssim", "mae", "mse", "psnr_body", "ssim_body", "mae_body"),
)
