"""Ops of our own, for composites that PyTorch has no op for; their functions here define them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_library: Any = torch.library  # its functions carry no types
_LIBRARY = _library.Library("tosaic", "DEF")  # its ops live as long as it does
_LIBRARY.define("masked_softmax(Tensor x, Tensor hidden, int dim) -> Tensor")


def _masked_softmax(x: Tensor, hidden: Tensor, dim: int) -> Tensor:
    """Softmax of `x` over `dim` among what is not `hidden` (bool, of the same shape).

    What is hidden is 0; so is a row of which all is.
    """
    weights = torch.softmax(x.masked_fill(hidden, -torch.inf), dim)
    return weights.masked_fill(hidden.all(dim, keepdim=True), 0.0)


_LIBRARY.impl("masked_softmax", _masked_softmax, "CompositeImplicitAutograd")
masked_softmax = torch.ops.tosaic.masked_softmax.default
