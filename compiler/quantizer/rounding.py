"""Running parts of a prepared graph, with tensors rounded as they will be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

Values = dict[Node, Any]  # of one calibration item


def rounded_as(
    x: Tensor, scale: Tensor, zero: Tensor, axis: int | None, limits: tuple[int, int]
) -> Tensor:
    """Return `x` rounded to integers within `limits`, with a scale per index of `axis`, if any."""
    if axis is not None:
        shape = [-1 if dim == axis % x.ndim else 1 for dim in range(x.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (((x / scale).round() + zero).clamp(*limits) - zero) * scale


def rounder(observer: Any) -> Callable[[Tensor], Tensor]:
    """Return what rounds a tensor as a calibrated `observer` would have it."""
    scale, zero = observer.calculate_qparams()
    axis = getattr(observer, "ch_axis", None) if scale.numel() > 1 else None
    limits = (observer.quant_min, observer.quant_max)
    return lambda x: rounded_as(x, scale, zero, axis, limits)


class Simulation(Interpreter):
    """Runs a calibrated model without showing its observers anything.

    With `rounds`, tensors are rounded where the observers are, else left as they are.
    """

    def __init__(self, prepared: GraphModule, *, rounds: bool) -> None:
        super().__init__(prepared)
        self._rounds = rounds
        self._rounders: dict[Any, Callable[[Tensor], Tensor]] = {}

    def run_node(self, n: Node) -> Any:
        """Run a node; an observer rounds, or does nothing."""
        if n.op == "call_function":
            return call(n, self.env.__getitem__)
        if n.op != "call_module":
            return super().run_node(n)
        value = self.env[n.all_input_nodes[0]]
        if not self._rounds:
            return value
        if n.target not in self._rounders:
            self._rounders[n.target] = rounder(self.fetch_attr(str(n.target)))
        return self._rounders[n.target](value)


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
