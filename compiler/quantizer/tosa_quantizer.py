"""A torchao PT2E quantiser whose knowledge of ops is the op table."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    MinMaxObserver,
    PerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

from tosaic.errors import InputError
from tosaic.lowering.ops import OpEntry, Quantized, op_table
from tosaic.quantizer.decompose import decompose
from tosaic.quantizer.observers import ACTIVATION_OBSERVERS, UNBOUNDED, Bounds

_KEY = "quantization_annotation"
# The smallest scale: below it a rescale leaves TOSA's range, and a dead channel divides by zero.
_EPSILON = 2**-16


def table_name(node: Node) -> str:
    """Return the op-table name of an FX node's op, in-place forms as their functional ones."""
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None:
        return ""
    name = "torch." + str(schema.name).replace("::", ".")
    name = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    return f"{name}.{schema.overload_name}" if schema.overload_name else name


@dataclass(frozen=True)
class TosaQuantizer(Quantizer):  # type: ignore[misc]
    """Annotate every op that the table says can be quantised.

    Activations are int8 per tensor, asymmetric; weights int8 symmetric, per channel unless
    `per_channel` is off; biases stay float and become int32 when lowered. A convolution or matrix
    product with the batch norm and the activation behind it is one unit: only its output is
    quantised. Ops that move data share their input's parameters.

    `observer` is how activation ranges are found: "histogram" (least squared error) or "minmax".
    `headroom` widens them by a fraction: a few calibration inputs never show the whole range, and a
    value cut off costs far more than a step that is a little coarser. What an op cannot exceed
    (ReLU6, sigmoid) is not widened.
    """

    per_channel: bool = True
    observer: str = "histogram"
    headroom: float = 0.03

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InputError: there is no such observer, or the headroom is negative.
        """
        if self.observer not in ACTIVATION_OBSERVERS:
            known = " or ".join(ACTIVATION_OBSERVERS)
            raise InputError(f"observer='{self.observer}' is unknown; choose {known}.")
        if not self.headroom >= 0:
            raise InputError(f"headroom={self.headroom} must be zero or more, as a fraction.")

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Take composites apart whose parts are quantised one by one."""
        return decompose(model)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Annotate `model` in place and return it."""
        table = op_table()
        for node in model.graph.nodes:
            if node.target is operator.getitem:
                self._annotate_item(node)
                continue
            entry = table.get(table_name(node))
            if entry is not None and _KEY not in node.meta and _is_float(node):
                self._annotate(node, entry, table)
        return model

    def validate(self, model: GraphModule) -> None:
        """Accept every model: what was not annotated is reported when it is lowered."""

    def activation(self, bounds: Bounds = UNBOUNDED) -> QuantizationSpec:
        """How activations that stay within `bounds` are quantised."""
        return QuantizationSpec(
            dtype=torch.int8,
            observer_or_fake_quant_ctr=ACTIVATION_OBSERVERS[self.observer].with_args(
                eps=_EPSILON, headroom=self.headroom, bounds=bounds
            ),
            quant_min=-128,
            quant_max=127,
            qscheme=torch.per_tensor_affine,
        )

    def weight(self, axis: int) -> QuantizationSpec:
        """How weights with output channels along `axis` are quantised."""
        per_channel = self.per_channel
        observer = PerChannelMinMaxObserver if per_channel else MinMaxObserver
        return QuantizationSpec(
            dtype=torch.int8,
            observer_or_fake_quant_ctr=observer.with_args(eps=_EPSILON),
            quant_min=-127,
            quant_max=127,
            qscheme=torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric,
            ch_axis=axis if per_channel else None,
        )

    def _annotate_item(self, node: Node) -> None:
        """An item of a split shares the parameters of the tensor that was split."""
        source = node.args[0]
        if isinstance(source, Node) and _KEY in source.meta and _is_float(node):
            shared = next(iter(source.meta[_KEY].input_qspec_map), None)
            if shared is not None:
                spec = SharedQuantizationSpec((shared, source))
                node.meta[_KEY] = QuantizationAnnotation(output_qspec=spec, _annotated=True)

    def _annotate(self, node: Node, entry: OpEntry, table: dict[str, OpEntry]) -> None:
        if entry.quantized is Quantized.NO:
            return
        if entry.quantized is Quantized.SHARED:
            self._annotate_shared(node)
            return
        inputs: dict[Node, Any] = {
            value: self.activation() for value in _activations(node, entry) if _is_float(value)
        }
        if not inputs:
            return
        if entry.quantized is Quantized.WEIGHTED and entry.weight is not None:
            weight = node.args[entry.weight]
            if isinstance(weight, Node):
                constant = _is_parameter(weight)
                inputs[weight] = self.weight(entry.weight_axis) if constant else self.activation()
        unit = [node, *_followers(node, entry, table)]
        for inner in unit[:-1]:
            inner.meta[_KEY] = QuantizationAnnotation(_annotated=True)
        for inner in unit[1:]:
            inner.meta[_KEY] = QuantizationAnnotation(_annotated=True)
        node.meta[_KEY] = QuantizationAnnotation(input_qspec_map=inputs, _annotated=True)
        unit[-1].meta[_KEY].output_qspec = self.activation(_bounds(unit[-1], table))

    def _annotate_shared(self, node: Node) -> None:
        values = [v for v in node.all_input_nodes if _is_float(v)]
        if not values:
            return
        first = (values[0], node)
        inputs: dict[Node, Any] = {values[0]: self.activation()}
        for value in values[1:]:
            inputs[value] = SharedQuantizationSpec(first)
        one_result = isinstance(node.meta.get("val"), torch.Tensor)
        node.meta[_KEY] = QuantizationAnnotation(
            input_qspec_map=inputs,
            output_qspec=SharedQuantizationSpec(first) if one_result else None,
            _annotated=True,
        )


def _bounds(node: Node, table: dict[str, OpEntry]) -> Bounds:
    """Return what the result of `node` cannot leave, whatever its input."""
    entry = table[table_name(node)]
    if entry.range_arguments is None:
        return entry.output_range or UNBOUNDED
    limits = [node.args[n] if n < len(node.args) else None for n in entry.range_arguments]
    low, high = (float(v) if isinstance(v, int | float) else None for v in limits)
    return (
        UNBOUNDED[0] if low is None else low,
        UNBOUNDED[1] if high is None else high,
    )


def _activations(node: Node, entry: OpEntry) -> list[Node]:
    values = [node.args[n] for n in entry.activations if n < len(node.args)]
    return [v for v in values if isinstance(v, Node)]


def _followers(node: Node, entry: OpEntry, table: dict[str, OpEntry]) -> list[Node]:
    """Return the ops fused behind `node`: a batch norm after weights, then one activation."""
    if entry.quantized is Quantized.CLAMP:
        return []
    out: list[Node] = []
    follower = _only_user(node)
    weighted = entry.quantized is Quantized.WEIGHTED
    if weighted and follower is not None and table_name(follower) == "torch.aten.batch_norm":
        out.append(follower)
        follower = _only_user(follower)
    if follower is not None and _KEY not in follower.meta:
        after = table.get(table_name(follower))
        last = out[-1] if out else node
        if after is not None and after.quantized is Quantized.CLAMP and follower.args[0] is last:
            out.append(follower)
    return out


def _only_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_parameter(node: Node) -> bool:
    """Return whether `node` is a parameter or buffer, perhaps viewed (a transposed weight)."""
    while node.op == "call_function" and len(node.all_input_nodes) == 1:
        node = node.all_input_nodes[0]
    return bool(node.op == "get_attr")


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32
