"""Med-USIS: MR images from label maps, learnt without a single pair (or, as an upper bound, with pairs)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.errors import TrainingError
from medsynth_lib.losses.adversarial import AdversarialLoss
from medsynth_lib.losses.gradient_penalty import r1_penalty
from medsynth_lib.losses.mask import MaskExtractor, mask_loss
from medsynth_lib.losses.segmentation import balanced_cross_entropy
from medsynth_lib.networks.oasis import OasisGenerator
from medsynth_lib.networks.segmentator import Segmentator
from medsynth_lib.networks.wavelet import WaveletGenerator
from medsynth_lib.networks.wavelet_discriminator import WaveletDiscriminator
from medsynth_lib.precision import full_precision
from medsynth_lib.systems.base import System, frozen

#: ``config.generator`` → the network, and its base width in the thesis.
GENERATORS = {"wavelet": (WaveletGenerator, 16), "oasis": (OasisGenerator, 64)}


@dataclass(frozen=True)
class MedUSISConfig:
    """Med-USIS as in thesis 003, at 256x256; every row of its Tables 4.1 to 4.4 is one setting of this.

    Args:
        classes: in the encoding of LABELS, whatever a region shows of them.
        size: side of the image, which the discriminator is built for.
        generator: ``wavelet`` or ``oasis``; ``generator_channels=None`` is that network's width in the thesis.
        noise_channels: 0 for the one-to-one mapping of Table 4.4.
        truncation: a: ``translate`` draws noise from [-a, a] (Table 4.3, whose best FID is at 2); ``None`` from all
            numbers. Training always does.
        paired: the segmentator learns from real images too; needs pairs (``Profile.paired``).
        segmentation_weight, mask_weight: λ_seg and λ_mask of eq. 3.1; 0 leaves a term out.
        segmentation_warmup: steps in which λ_seg rises from 0 to its value (ours; in the thesis it is constant). Else
            generator and segmentator may agree on wrong tissues before the discriminator knows the right ones.
        mask_threshold: where a generated image's body begins, as a part of its intensity range.
        antialias: blur the discriminator's features before every stride, as `WaveletDiscriminator`.
        r1_weight, r1_interval: γ of R1, and k: it is computed every k-th step, with k times the weight (Karras et al.
            2020, appendix B, whose 16 is the default; the thesis is silent on both).
        learning_rate: of the generator; the thesis has one rate for all.
    """

    classes: int = 38
    target_channels: int = 1
    size: int = 256
    generator: str = "wavelet"
    generator_channels: int | None = None
    blocks: int = 6
    hidden_channels: int = 128
    noise_channels: int = 64
    truncation: float | None = 2.0
    segmentator_channels: int = 128
    segmentator_depth: int = 6
    discriminator_multiplier: float = 2
    discriminator_channels: int = 512
    antialias: bool = True
    paired: bool = False
    segmentation_weight: float = 1.0
    segmentation_warmup: int = 0
    mask_weight: float = 1.0
    mask_threshold: float = 0.15
    r1_weight: float = 10.0
    r1_interval: int = 16
    learning_rate: float = 1e-4
    segmentator_learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.0, 0.999)

    def __post_init__(self) -> None:
        rules = {
            "generator": (self.generator in GENERATORS, f"one of {', '.join(GENERATORS)}"),
            "truncation": (self.truncation is None or self.truncation > 0, "above 0, or None"),
            "r1_interval": (self.r1_interval >= 1, "1 or more"),
            "segmentation_warmup": (self.segmentation_warmup >= 0, "0 or more"),
            "paired": (self.segmentation_weight > 0 or not self.paired, "pairs are learnt by the segmentator alone"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise TrainingError("impossible setting of Med-USIS", where=name, rule=rule, seen=getattr(self, name))


class MedUSIS(System):
    """A generator of images from label maps, that a discriminator must take for real and a segmentator must read back.

    With m = the labels in ``batch.source`` (class numbers in [-1, 1], made one-hot here), x = ``batch.target``, the MR
    of *other* patients, z ~ N(0, 1), E the mask extractor and S, D, G the networks, in this order:

    Generator (eq. 3.1): λ_seg CE(S(G(m, z)), m) + softplus(−D(G(m, z))) + λ_mask ‖E(m) − E(G(m, z))‖².
    Segmentator (eq. 3.6): CE(S(G(m, z)), m), class-balanced (eq. 3.3, 3.4): it cooperates, so that what the generator
    paints can be read; only the discriminator has seen real images.
    Discriminator (eq. 3.2): softplus(D(G(m, z))) + softplus(−D(x)); and, every k-th step, k · R1(x) as a phase of its
    own. One generator forward serves all.

    The segmentator has C + 1 outputs. In §3.1.3 the last one means "this pixel is synthetic", as in OASIS; the thesis'
    own equations, which sum to C and show S generated images only, never ask for it. Here, unpaired, it is never right.
    ``config.paired`` (Exp 1 to 4 of Table 4.1), whose loss the thesis does not write down, is OASIS's: S then learns
    CE(S(x), m) + CE(S(G(m, z)), C + 1), an adversary that knows which tissue belongs where, and the generator's loss is
    as before. The labels' foreground stands for m in E(m): class numbers are no grey values.

    Source: thesis 003, §3.1, after USIS (Eskandar et al. 2023) and OASIS (Sushko et al. 2021, eq. 1–2).
    """

    name = "medusis"

    def __init__(self, config: MedUSISConfig | None = None):
        config = config or MedUSISConfig()
        super().__init__(config)
        network, width = GENERATORS[config.generator]
        self.generator = network(
            config.classes,
            config.target_channels,
            base_channels=config.generator_channels or width,
            noise_channels=config.noise_channels,
            blocks=config.blocks,
            hidden_channels=config.hidden_channels,
        )
        self.segmentator = Segmentator(
            config.target_channels,
            config.classes,
            base_channels=config.segmentator_channels,
            depth=config.segmentator_depth,
        )
        self.discriminator = WaveletDiscriminator(
            config.target_channels,
            config.size,
            multiplier=config.discriminator_multiplier,
            max_channels=config.discriminator_channels,
            antialias=config.antialias,
        )
        self.adversarial = AdversarialLoss("logistic")
        self.label_mask = MaskExtractor(threshold=0.5)
        self.image_mask = MaskExtractor(threshold=config.mask_threshold, softness=0.05)

    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        return {name: (getattr(self, name),) for name in ("generator", "segmentator", "discriminator")}

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        config, target = self.config, batch.target
        labels = self.class_numbers(batch.source)
        fake_target = self.generator(self.one_hot(labels), self.noise(len(labels)))

        with frozen(self.segmentator, self.discriminator):
            yield "generator", self._generator_terms(labels, fake_target, step)

        fake_target = fake_target.detach()
        if config.segmentation_weight:
            yield "segmentator", self._segmentator_terms(labels, fake_target, target)

        fake_logits, real_logits = self.discriminator(fake_target), self.discriminator(target)
        yield "discriminator", self.adversarial.discriminator(real_logits, fake_logits)

        if config.r1_weight and step % config.r1_interval == 0:
            weight = config.r1_weight * config.r1_interval
            yield "discriminator", {"r1": r1_penalty(self.discriminator, target, weight)}

    def _generator_terms(self, labels: Tensor, fake_target: Tensor, step: int) -> LossTerms:
        config = self.config
        terms = {"adversarial": self.adversarial.generator(self.discriminator(fake_target))}
        if config.segmentation_weight:
            read = balanced_cross_entropy(self.segmentator(fake_target), labels)
            risen = min(1.0, (step + 1) / (config.segmentation_warmup + 1))
            terms["segmentation"] = config.segmentation_weight * risen * read
        if config.mask_weight:
            foreground = (labels > 0).to(torch.float32)[:, None]
            image = (full_precision(fake_target).mean(dim=1, keepdim=True) + 1) / 2
            terms["mask"] = config.mask_weight * mask_loss(self.label_mask(foreground), self.image_mask(image))
        return terms

    def _segmentator_terms(self, labels: Tensor, fake_target: Tensor, target: Tensor) -> LossTerms:
        logits = self.segmentator(fake_target)
        if not self.config.paired:
            return {"fake": balanced_cross_entropy(logits, labels)}
        synthetic = torch.full_like(labels, self.config.classes)
        return {
            "fake": F.cross_entropy(full_precision(logits), synthetic),
            "real": balanced_cross_entropy(self.segmentator(target), labels),
        }

    def class_numbers(self, source: Tensor) -> Tensor:
        """``(B, 1, H, W)`` in [-1, 1] as LABELS are encoded → class numbers ``(B, H, W)``, int64."""
        last = self.config.classes - 1
        return ((full_precision(source[:, 0]) + 1) / 2 * last).round().clamp(0, last).long()

    def one_hot(self, labels: Tensor) -> Tensor:
        """Class numbers ``(B, H, W)`` → ``(B, classes, H, W)`` of 0 and 1 (eq. 3.9), laid out as the generator is."""
        weight = next(self.generator.parameters())
        layout = torch.contiguous_format if weight.is_contiguous() else torch.channels_last
        numbers = torch.arange(self.config.classes, device=labels.device)
        return (labels[..., None] == numbers).movedim(-1, 1).to(weight.dtype, memory_format=layout)

    def noise(self, count: int, seed: int | None = None, truncation: float | None = None) -> Tensor:
        """``(count, noise_channels)`` numbers ~ N(0, 1), or of the part of it within [-truncation, truncation].

        The same ones for the same ``seed`` on every device; without one they come from torch's own generator, whose
        state a checkpoint keeps. (003 §4.4.3)
        """
        device, shape = next(self.generator.parameters()).device, (count, self.config.noise_channels)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        drawn = torch.empty(shape, device=device if seed is None else "cpu")
        if truncation is None:
            drawn.normal_(generator=generator)
        else:
            nn.init.trunc_normal_(drawn, a=-truncation, b=truncation, generator=generator)
        return drawn.to(device)

    def translate(self, source: Tensor, noise: Tensor | None = None) -> Tensor:
        """One image per label map; a new look at every call, or that of ``noise``.

        Args:
            source: LABELS as encoded, ``(B, 1, H, W)`` in [-1, 1].
            noise: from ``self.noise``: one vector per image, or one (``(1, noise_channels)``) that all share, as the
                slices of one patient should. ``None`` draws with the config's truncation.
        """
        if noise is None:
            noise = self.noise(len(source), truncation=self.config.truncation)
        return self.generator(self.one_hot(self.class_numbers(source)), noise.expand(len(source), -1))

    def shapes(self, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        side = self.config.size
        return (1, side, side), (self.config.target_channels, side, side)
