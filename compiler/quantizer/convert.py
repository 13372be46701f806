"""From observed ranges to a graph of quantised operators, whose biases are what integers hold."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

from tosaic.graph.facts import table_name
from tosaic.graph.values import attribute, replace_attribute
from tosaic.lowering.ops import op_table

_DEQUANTIZE = (
    torch.ops.quantized_decomposed.dequantize_per_tensor.default,
    torch.ops.quantized_decomposed.dequantize_per_channel.default,
)


def convert(prepared: GraphModule, *, trained: bool = False) -> GraphModule:
    """Return a calibrated or trained graph converted by PT2E; `prepared` is used up.

    PT2E leaves biases in float, while accumulators hold them as integers of the input's scale times
    the weight's. They are rounded to that here, so that the graph simulates what will run.
    """
    if not trained:
        _retarget(prepared, torch.ops.aten.batch_norm.default, _batch_norm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted: GraphModule = convert_pt2e(prepared)
    _retarget(converted, _batch_norm, torch.ops.aten.batch_norm.default)
    table = op_table()
    for node in converted.graph.nodes:
        entry = table.get(table_name(node))
        if entry is not None and entry.weight is not None and entry.bias is not None:
            places = (entry.activations[0], entry.weight, entry.bias)
            if len(node.args) > max(places):
                _round_bias(converted, *(node.args[n] for n in places))
    return converted


def _batch_norm(*args: Any) -> Any:
    """Stand in for a batch norm that no convolution took.

    Where PT2E sees one, it exports the 96 patterns that training may leave around it and looks for
    them, which takes half a minute.
    """
    return torch.ops.aten.batch_norm.default(*args)


def _retarget(model: GraphModule, old: Any, new: Any) -> None:
    for node in model.graph.find_nodes(op="call_function", target=old):
        node.target = new


def _round_bias(model: GraphModule, x: Node, weight: Node, bias: Node | None) -> None:
    if bias is None or bias.op != "get_attr" or len(bias.users) > 1:
        return  # there is none, or it is computed, or shared with a layer of other scales
    if x.target not in _DEQUANTIZE or weight.target not in _DEQUANTIZE:
        return  # the layer stays in float
    value = attribute(model, bias).detach()
    step = _scale(model, x) * _scale(model, weight)
    if value.ndim == 1 and step.numel() in (1, value.numel()):
        replace_attribute(model, bias, ((value.double() / step).round() * step).to(value.dtype))


def _scale(model: GraphModule, dequantize: Node) -> Tensor:
    """Return the scale of what `dequantize` gives: one, or one per channel."""
    scale = dequantize.args[1]
    if isinstance(scale, Node):
        held: Tensor = attribute(model, scale)
        return held.double()
    return torch.tensor(scale, dtype=torch.double)
