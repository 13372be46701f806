"""Running parts of a prepared graph, with tensors rounded as they will be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node


def rounded_as(
    x: Tensor, scale: Tensor, zero: Tensor, axis: int | None, limits: tuple[int, int]
) -> Tensor:
    """Return `x` rounded to integers within `limits`, with a scale per index of `axis`, if any."""
    if axis is not None:
        shape = [-1 if dim == axis % x.ndim else 1 for dim in range(x.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (((x / scale).round() + zero).clamp(*limits) - zero) * scale


def call(node: Node, value: Callable[[Node], Any]) -> Any:
    """Return what a call_function node computes on `value` of its inputs, which it never writes."""
    target: Any = node.target
    schema = getattr(target, "_schema", None)

    def given(source: Node) -> Any:
        found = value(source)
        written = schema is not None and schema.is_mutable and isinstance(found, Tensor)
        return found.clone() if written else found

    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), given)
    return target(*args, **kwargs)
