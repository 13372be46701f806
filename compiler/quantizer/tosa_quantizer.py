"""A torchao PT2E quantiser whose knowledge of ops is the op table."""

from __future__ import annotations

import dataclasses
import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

from tosaic.composites.inner import Inner
from tosaic.graph.facts import INNER, table_name
from tosaic.lowering.ops import OpEntry, Quantized, op_table
from tosaic.quantizer.islands import Island, find_islands
from tosaic.quantizer.observers import UNBOUNDED, Bounds
from tosaic.quantizer.parts import to_parts
from tosaic.quantizer.recipe import QuantRecipe, Scheme
from tosaic.quantizer.select import selections
from tosaic.quantizer.specs import activation_spec, dtype_of, fixed_spec, weight_spec

_KEY = "quantization_annotation"
_DEFAULT = QuantRecipe()
_OF_STREAM = (Quantized.SUM, Quantized.SHARED)


@dataclass(frozen=True)
class Decision:
    """How an op is quantised: the dtypes it reads and writes, and why it is not, or unusually."""

    kind: Quantized
    reads: tuple[str, ...] = ()
    writes: str = ""
    weights: str = ""
    note: str = ""


@dataclass(frozen=True)
class TosaQuantizer(Quantizer):  # type: ignore[misc]
    """Annotate every op that the table says can be quantised, as `recipe` says.

    Biases stay float and become int32 (int48 for int16 activations) when lowered. A convolution or
    matrix product with the batch norm and the activation behind it is one unit: only its output is
    quantised, and so is a function of one tensor written as several elementwise ops. Ops that move
    data share their input's parameters. Composites, and divisions, that
    have no int16 form are int8 whatever the recipe says. With `training`, rounding is simulated and
    ranges follow the data, for prepare_qat_pt2e.
    """

    recipe: QuantRecipe = _DEFAULT
    training: bool = False

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Write `model` in the ops that are quantised as one each."""
        return to_parts(model, training=self.training)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Annotate `model` in place and return it.

        Raises:
            InputError: an override of the recipe selects nothing in `model`.
        """
        self.decide(model)
        return model

    def decide(self, model: GraphModule) -> dict[Node, Decision]:
        """Annotate `model` in place and return what was decided of each op, and why.

        Raises:
            InputError: as `annotate`.
        """
        annotator = _Annotator(self, selections(model, self.recipe))
        for island in find_islands(model, annotator.table, annotator.scheme):
            annotator.islands |= dict.fromkeys(island.members, island)
        for node in model.graph.nodes:
            annotator.visit(node)
        for node in model.graph.nodes:
            annotator.settle(node)
        return annotator.decisions

    def validate(self, model: GraphModule) -> None:
        """Accept every model: what was not annotated is reported when it is lowered."""


@dataclass
class _Annotator:
    """One walk over a graph, producers first.

    `islands` are those that an op belongs to, `written` is the dtype each quantised value has,
    `fixed` how those are stored whose scale does not depend on data, and `first` the first of those
    that are stored alike.
    """

    quantizer: TosaQuantizer
    selected: dict[Node, list[int]]
    table: dict[str, OpEntry] = field(default_factory=op_table)
    islands: dict[Node, Island] = field(default_factory=dict)
    written: dict[Node, str] = field(default_factory=dict)
    fixed: dict[Node, FixedQParamsQuantizationSpec] = field(default_factory=dict)
    first: dict[tuple[str, str], Node] = field(default_factory=dict)
    residual: set[Node] = field(default_factory=set)
    decisions: dict[Node, Decision] = field(default_factory=dict)

    def visit(self, node: Node) -> None:
        """Annotate `node` if it can be quantised and the recipe wants it."""
        if node.target is operator.getitem:
            self._item(node)
        elif node.op == "call_function" and _KEY not in node.meta:
            island = self.islands.get(node)
            if island is not None and node is not island.last:
                return  # it is annotated with the last
            decision = self._decide(node) if island is None else self._looked_up(island)
            if decision is not None:
                self.decisions[node] = decision

    def _decide(self, node: Node) -> Decision | None:
        entry = self.table.get(table_name(node))
        if entry is None:
            return Decision(Quantized.NO, note="there is no lowering of this op")
        if not _is_float(node) and entry.quantized is not Quantized.READS:
            return Decision(Quantized.NO, note=f"its result is {_dtype_name(node)}")
        if entry.quantized is Quantized.NO:
            return Decision(Quantized.NO, note="this op has no integer form")
        scheme = self.scheme(node)
        if scheme is None:
            return Decision(Quantized.NO, note="the recipe leaves it in float")
        note = ""
        whole = entry.quantized is Quantized.COMPOSITE or len(_activations(node, entry)) > 1
        if whole and 16 not in entry.widths:
            if scheme.activations != "int8":
                note = "it has no int16 form, so it is int8"
            inputs = scheme.inputs if 16 in entry.read_widths else "int8"
            scheme = dataclasses.replace(scheme, activations="int8", inputs=inputs)
        if entry.quantized is Quantized.SHARED:
            return self._shared(node, scheme)
        return self._computed(node, entry, scheme, note)

    def settle(self, node: Node) -> None:
        """Quantise a model input that is read as int8 and as int16 once, to int16."""
        if node.op != "placeholder":
            return
        specs = [
            user.meta[_KEY].input_qspec_map.get(node)
            for user in node.users
            if _KEY in user.meta and user.meta[_KEY].input_qspec_map
        ]
        known = {s.dtype: s for s in specs if isinstance(s, QuantizationSpec)}
        if len(known) > 1:
            wide = known[torch.int16]
            for user in filter(self._normalizes, node.users):
                user.meta[_KEY].input_qspec_map[node] = wide
            node.meta[_KEY] = QuantizationAnnotation(output_qspec=wide, _annotated=True)

    def _item(self, node: Node) -> None:
        """An item of a split shares the parameters of the tensor that was split."""
        source = node.args[0]
        if isinstance(source, Node) and _KEY in source.meta and _is_float(node):
            shared = next(iter(source.meta[_KEY].input_qspec_map), None)
            if shared is not None:
                spec = SharedQuantizationSpec((shared, source))
                node.meta[_KEY] = QuantizationAnnotation(output_qspec=spec, _annotated=True)
                self.written[node] = self.written[source]

    def _computed(self, node: Node, entry: OpEntry, scheme: Scheme, note: str) -> Decision:
        writes, inner = scheme.activations, node.meta.get(INNER)
        if inner is not None:
            # Matrix products go on reading what the recipe says.
            narrow = entry.quantized is Quantized.WEIGHTED and writes == "int8"
            reading = "int8" if narrow else "auto"
            scheme = dataclasses.replace(scheme, activations="int16", inputs=reading)
        inputs: dict[Node, Any] = {
            value: self._read(value, scheme, entry)
            if inner is None or inner.reads is None
            else fixed_spec(inner.reads)
            for value in _activations(node, entry)
            if _is_float(value) and not _is_infinite(value)
        }
        if not inputs:
            return Decision(Quantized.NO, note="none of its operands is a float activation")
        reads, weights = tuple(map(dtype_of, inputs.values())), ""
        if entry.quantized is Quantized.WEIGHTED and entry.weight is not None:
            weight = node.args[entry.weight]
            if isinstance(weight, Node) and _is_parameter(weight):
                training = self.quantizer.training
                inputs[weight] = weight_spec(scheme, entry.weight_axis, training=training)
                weights = scheme.weight_form
            elif isinstance(weight, Node):
                inputs[weight] = self._read(weight, scheme, entry)
                reads += (dtype_of(inputs[weight]),)
        if entry.quantized is Quantized.READS:
            node.meta[_KEY] = QuantizationAnnotation(input_qspec_map=inputs, _annotated=True)
            return Decision(entry.quantized, reads, "", weights, note)
        unit = [node, *self._followers(node, entry)]
        last, result = unit[-1], None
        if inner is None:
            written = self._width(last, entry, scheme)
        else:
            result = last.meta.get(INNER, Inner(leaves=True))
            written = writes if result.leaves else "int16"
            note = note or "inside a unit, which computes in int16"
        for member in unit:
            member.meta[_KEY] = QuantizationAnnotation(_annotated=True)
            self.decisions[member] = Decision(Quantized.CLAMP, note=f"fused into '{node.name}'")
        node.meta[_KEY].input_qspec_map = inputs
        by_row = any(self._normalizes(user) for user in last.users)
        bounds, looked_up = _bounds(last, self.table), entry.quantized is Quantized.TABLE
        spec: Any = self._activation(scheme, written, bounds, by_row=by_row, looked_up=looked_up)
        if result is not None:
            spec = self._inside(last, result, written) or spec
        elif entry.quantized is Quantized.SUM and written == "int16":
            spec = _share_wide(node, inputs) or spec
        last.meta[_KEY].output_qspec = spec
        self.written[last] = written
        return Decision(entry.quantized, reads, written, weights, note)

    def _looked_up(self, island: Island) -> Decision:
        """Quantise the source and the result of an island, and nothing in between."""
        last, scheme = island.last, self.scheme(island.last)
        entry = self.table[table_name(last)]
        assert scheme is not None
        read, written = self._read(island.source, scheme, entry), scheme.activations
        for member in island.members:
            inputs = {island.source: read} if island.source in member.all_input_nodes else {}
            member.meta[_KEY] = QuantizationAnnotation(input_qspec_map=inputs, _annotated=True)
            self.decisions[member] = Decision(
                Quantized.TABLE, note=f"looked up together with '{last.name}'"
            )
        by_row = any(self._normalizes(user) for user in last.users)
        bounds = _bounds(last, self.table)
        last.meta[_KEY].output_qspec = self._activation(
            scheme, written, bounds, by_row=by_row, looked_up=True
        )
        self.written[last] = written
        return Decision(Quantized.TABLE, (dtype_of(read),), written)

    def _inside(self, node: Node, inner: Inner, dtype: str) -> Any:
        """How an op inside a composite stores its result, where that is known by now."""
        if inner.scale is not None and dtype == "int16":
            self.fixed[node] = fixed_spec(inner.scale)
            return self.fixed[node]
        first = self.first.setdefault((inner.alike, dtype), node) if inner.alike else node
        return None if first is node else SharedQuantizationSpec(first)

    def _width(self, last: Node, entry: OpEntry, scheme: Scheme) -> str:
        """int16 for an accumulator that only an int16 sum reads: it costs no more than int8."""
        reader = _only_user(last)
        while reader is not None and self._kind(reader) is Quantized.SHARED:
            reader = _only_user(reader)
        if entry.quantized is not Quantized.WEIGHTED or reader is None:
            return scheme.activations
        theirs = self.scheme(reader)
        if theirs is None or theirs.inputs == "int8" or self._kind(reader) is not Quantized.SUM:
            return scheme.activations
        return theirs.activations

    def _kind(self, node: Node) -> Quantized:
        entry = self.table.get(table_name(node))
        return Quantized.NO if entry is None else entry.quantized

    def _shared(self, node: Node, scheme: Scheme) -> Decision:
        values = [v for v in node.all_input_nodes if _is_float(v)]
        if not values:
            return Decision(Quantized.NO, note="none of its operands is a float activation")
        default = "int16" if INNER in node.meta else scheme.activations
        dtypes = [self.written.get(v, default) for v in values]
        dtype = "int16" if "int16" in dtypes else "int8"
        first = (values[0], node)
        inputs: dict[Node, Any] = {values[0]: self._activation(scheme, dtype)}
        known = {self.fixed.get(v) for v in values}
        if None not in known and len(known) == 1:
            inputs[values[0]] = self.fixed[node] = self.fixed[values[0]]
        for value in values[1:]:
            inputs[value] = SharedQuantizationSpec(first)
        one_result = isinstance(node.meta.get("val"), torch.Tensor)
        node.meta[_KEY] = QuantizationAnnotation(
            input_qspec_map=inputs,
            output_qspec=SharedQuantizationSpec(first) if one_result else None,
            _annotated=True,
        )
        self.written[node] = dtype
        return Decision(Quantized.SHARED, (dtype,) * len(values), dtype)

    def scheme(self, node: Node) -> Scheme | None:
        """What the recipe says of `node`."""
        scheme = self.quantizer.recipe.scheme(self.selected.get(node, ()))
        if scheme is None or scheme.residual != "int16" or not self._is_residual(node):
            return scheme
        return dataclasses.replace(scheme, activations="int16")

    def _is_residual(self, node: Node) -> bool:
        """Whether `node` is a sum that a norm reads or that reads such a sum, or moves one."""
        kind = self._kind(node)
        if node not in self.residual and (
            (kind is Quantized.SUM and self._reaches_norm(node))
            or (kind in _OF_STREAM and not self.residual.isdisjoint(node.all_input_nodes))
        ):
            self.residual.add(node)
        return node in self.residual and kind is Quantized.SUM

    def _reaches_norm(self, node: Node) -> bool:
        """Whether a norm reads `node`, perhaps moved."""
        moved, seen = [node], {node}
        while moved:
            for user in moved.pop().users:
                if self._normalizes(user):
                    return True
                if self._kind(user) is Quantized.SHARED and user not in seen:
                    seen.add(user)
                    moved.append(user)
        return False

    def _read(self, value: Node, scheme: Scheme, entry: OpEntry) -> QuantizationSpec:
        """How an op of `scheme` reads `value`: narrowed, or as it was written."""
        by_row = entry.normalizes_rows
        narrow = scheme.inputs == "int8" or (
            scheme.inputs == "auto" and scheme.activations == "int8" and not by_row
        )
        unknown = scheme.activations if by_row else "int16"
        dtype = "int8" if narrow else self.written.get(value, unknown)
        fixed = self.fixed.get(value)
        if fixed is not None and dtype == "int16":
            return fixed
        return self._activation(scheme, dtype, by_row=by_row)

    def _activation(
        self, scheme: Scheme, dtype: str, bounds: Bounds = UNBOUNDED, **known: bool
    ) -> QuantizationSpec:
        training = self.quantizer.training
        return activation_spec(scheme, dtype, bounds, training=training, **known)

    def _normalizes(self, node: Node) -> bool:
        entry = self.table.get(table_name(node))
        return entry is not None and entry.normalizes_rows

    def _followers(self, node: Node, entry: OpEntry) -> list[Node]:
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
            after = self.table.get(table_name(follower))
            last = out[-1] if out else node
            clamps = after is not None and after.quantized is Quantized.CLAMP
            if clamps and follower.args[0] is last and self._alike(node, follower):
                out.append(follower)
        return out

    def _alike(self, node: Node, follower: Node) -> bool:
        """Return whether the recipe treats two ops the same, so that they can be one unit."""
        return self.scheme(node) == self.scheme(follower)


def _share_wide(node: Node, inputs: dict[Node, Any]) -> SharedQuantizationSpec | None:
    """Give the int16 operands of a sum, in `inputs`, one set of parameters and return it.

    A sum of one unit needs no rescale, and 16 bits have room for operands of unlike ranges.
    """
    wide = [value for value, spec in inputs.items() if dtype_of(spec) == "int16"]
    if not wide:
        return None
    shared = SharedQuantizationSpec((wide[0], node))
    inputs.update(dict.fromkeys(wide[1:], shared))
    return shared


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


def _only_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_parameter(node: Node) -> bool:
    """Return whether `node` is a parameter or buffer, perhaps viewed (a transposed weight)."""
    while node.op == "call_function" and len(node.all_input_nodes) == 1:
        node = node.all_input_nodes[0]
    return bool(node.op == "get_attr")


def _dtype_name(node: Node) -> str:
    value = node.meta.get("val")
    dtype = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
    return str(dtype).removeprefix("torch.")


def _is_infinite(node: Node) -> bool:
    """Return whether `node` is a constant with infinities: a mask, which no scale can hold."""
    value: Any = node.graph.owning_module if node.op == "get_attr" else None
    for name in str(node.target).split(".") if value is not None else ():
        value = getattr(value, name, None)
    return isinstance(value, torch.Tensor) and not bool(value.isfinite().all())


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32
