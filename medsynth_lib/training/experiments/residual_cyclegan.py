"""What the residual and the discriminator of pairs buy in CECT→CT (002)."""

from medsynth_lib.training.experiments.grid import Cell, Experiment

PARTS = Experiment(
    name="residual-cyclegan",
    title="Residual CycleGAN CECT→CT: with and without residual and D_C",
    question=(
        "002 adds two things to CycleGAN: generators that predict a change, and a discriminator of (CECT, CT) pairs. "
        "What does each buy, where contrast agent shows and where nothing should change?"
    ),
    stands_beside="no published table: 002 leaves its experiments (10 pairs of heads, 8 to train on) for later",
    cells=(
        Cell("both", "residual, D_C", "residual_cyclegan", {"residual": True, "pair_discriminator": True}),
        Cell("residual", "residual, no D_C", "residual_cyclegan", {"residual": True, "pair_discriminator": False}),
        Cell("pairs", "no residual, D_C", "residual_cyclegan", {"residual": False, "pair_discriminator": True}),
        Cell("neither", "neither", "residual_cyclegan", {"residual": False, "pair_discriminator": False}),
    ),
    scores=("enhancement",),
)
