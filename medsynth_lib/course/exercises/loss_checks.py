"""What the exercises of several lessons ask of a loss: its value, and where its gradients go."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from medsynth_lib.course.exercise import Misconception


def expect_value(loss: Tensor, right: Tensor, known: Mapping[str, Tensor], data: str = "images") -> None:
    """That the scalar ``loss`` is ``right`` to 1e-4 of it.

    Args:
        known: hint → the value that this wrong idea gives on the test ``data``.

    Raises:
        Misconception: ``loss`` is one of ``known``.
        AssertionError: it is another number.
    """
    for hint, value in known.items():
        if torch.allclose(loss, value, rtol=1e-4):
            raise Misconception(hint)
    assert torch.allclose(loss, right, rtol=1e-4), f"Expected {right:.4f} on the test {data}, got {loss:.4f}."


def expect_only_discriminator_learns(loss: Tensor, discriminator: nn.Module, fake: Tensor, output: str) -> None:
    """That gradients of ``loss`` reach the weights of ``discriminator``, whose outputs are called ``output``, and not
    ``fake``, which stands for the generator.

    Raises:
        Misconception: where they go astray.
    """
    loss.backward()
    if fake.grad is not None and fake.grad.abs().sum() > 0:
        raise Misconception(
            "The value is right, but its gradient reaches the generator, which would learn to be caught. "
            "Detach the fake before you show it."
        )
    if discriminator.weight.grad is None or discriminator.weight.grad.abs().sum() == 0:
        raise Misconception(f"No gradient reaches the discriminator: compute its {output} with gradients on.")
