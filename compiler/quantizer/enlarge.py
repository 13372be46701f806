"""More calibration inputs from few, for what learns from them and has the float model to ask.

Eight inputs span little of what a model will meet, and weights that are rounded for those alone do
badly on others. What the float model computes is known for any input, so mixtures of two inputs
(Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017), with images mirrored at random,
serve as well as real ones do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor

Item = tuple[Tensor, ...]

_IMAGE_RANK = 4


def enlarged(items: Sequence[Item], count: int) -> list[Item]:
    """Return `items`, and mixtures of them until there are `count`; the same ones on every call.

    Inputs of floats are mixed, two items by one share; inputs of other dtypes, and those whose
    shape differs in the two, are the first item's. Items of inputs that cannot be mixed are not
    repeated.
    """
    found = list(items)
    if len(items) < 2 or not any(x.is_floating_point() for x in items[0]):
        return found
    generator = torch.Generator().manual_seed(0)
    for _ in repeat(None, count - len(items)):
        first, second = torch.randperm(len(items), generator=generator)[:2].tolist()
        share = float(torch.rand((), generator=generator))
        pairs = zip(items[first], items[second], strict=True)
        found.append(tuple(_mixed(a, b, share, generator) for a, b in pairs))
    return found


def _mixed(a: Tensor, b: Tensor, share: float, generator: torch.Generator) -> Tensor:
    if not a.is_floating_point() or a.shape != b.shape:
        return a
    return torch.lerp(_mirrored(a, generator), _mirrored(b, generator), share)


def _mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return an image with its rows, its columns, both or neither reversed; else `x` itself."""
    if x.ndim != _IMAGE_RANK:
        return x
    chosen = torch.rand(2, generator=generator) < 0.5
    return x.flip([dim for dim, flips in zip((2, 3), chosen.tolist(), strict=True) if flips])
