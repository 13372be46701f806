"""What is quantised together, and how: the one decision that everything else reads.

`decide` looks at a graph and a recipe and changes nothing. Annotation (annotate.py), reports,
tuning, and the check of what was lowered (tosaic-check-units) all read the `Plan` it returns.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node

from tosaic.composites.inner import Inner
from tosaic.graph.facts import INNER, only_user, table_name
from tosaic.lowering.ops import OpEntry, Quantized, Trait, op_table
from tosaic.quantizer.lookups import Lookup, find_lookups
from tosaic.quantizer.observers import UNBOUNDED, Bounds
from tosaic.quantizer.recipe import QuantRecipe, Scheme
from tosaic.quantizer.relevance import ALL, Relevance, relevance
from tosaic.quantizer.select import selections

ANNOTATION = "quantization_annotation"  # metadata of a node: what PT2E is told of it
_OF_STREAM = (Quantized.SUM, Quantized.SHARED)


@dataclass(frozen=True)
class Stored:
    """How a value is stored between units.

    Attributes:
        dtype: "int8" or "int16".
        scheme: What the recipe says of the unit that stores or reads it so.
        bounds: What the values cannot leave, whatever the data.
        by_row: Whether what reads it normalises each row.
        looked_up: Whether a table gives it.
        relevant: Which part of its range counts for what reads it.
        scale: Where it is known without data.
        like: The value whose parameters it has, or (value, reader): those it is read with.
    """

    dtype: str
    scheme: Scheme
    bounds: Bounds = UNBOUNDED
    by_row: bool = False
    looked_up: bool = False
    relevant: Relevance = ALL
    scale: float | None = None
    like: Node | tuple[Node, Node] | None = None

    @property
    def is_own(self) -> bool:
        """Whether data tells its parameters, and no other value's are to be the same."""
        return self.scale is None and self.like is None


@dataclass(frozen=True)
class Weights:
    """The stored weights of a unit: the node that holds them, their output channels' axis."""

    node: Node
    axis: int
    scheme: Scheme


@dataclass(frozen=True, eq=False)
class Unit:
    """Ops that are computed as one, between integers; or one op that stays in float.

    `members` are in the graph's order, and the last has the result. `main` is the op that the unit
    is about: the one with weights, say. `reads` says of each (op, value it reads) how; `writes`
    is None where the result is not quantised (a truth value, or all of the unit). `note` tells why
    it is in float, or what is unusual.
    """

    kind: Quantized
    main: Node
    members: tuple[Node, ...]
    reads: dict[tuple[Node, Node], Stored] = field(default_factory=dict)
    writes: Stored | None = None
    weights: Weights | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The unit's name: its main op's."""
        return self.main.name

    @property
    def is_integer(self) -> bool:
        """Whether it computes in integers."""
        return self.kind is not Quantized.NO


@dataclass(frozen=True)
class Role:
    """What one op is in its unit: the main one, with what the unit reads and writes, or a part.

    `kind` is None of an op that is fused into the one before it.
    """

    kind: Quantized | None
    reads: tuple[str, ...] = ()
    writes: str = ""
    weights: str = ""
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """The units of a graph by op, in its order, and how values are stored that none writes.

    These are model inputs that are read in several ways, and the items of results that are lists.
    """

    units: dict[Node, Unit]
    values: dict[Node, Stored]

    def integer_units(self) -> Iterator[Unit]:
        """Return each unit that computes in integers, once, in the graph's order."""
        unique = {id(unit): unit for unit in self.units.values() if unit.is_integer}
        return iter(unique.values())

    def roles(self) -> dict[Node, Role]:
        """Return what each op is, in the graph's order."""
        return {node: role_of(node, unit) for node, unit in self.units.items()}


def role_of(node: Node, unit: Unit) -> Role:
    """Return what `node` is in its unit."""
    if node is unit.main:
        reads = tuple({value: stored.dtype for (_, value), stored in unit.reads.items()}.values())
        writes = "" if unit.writes is None else unit.writes.dtype
        weights = "" if unit.weights is None else unit.weights.scheme.weight_form
        return Role(unit.kind, reads, writes, weights, unit.note)
    return part_of(unit.main, unit.members[-1])


def part_of(main: Node, last: Node) -> Role:
    """Return what an op other than `main` is in a unit that ends with `last`."""
    if main is last:
        return Role(Quantized.TABLE, note=f"looked up together with '{main.name}'")
    return Role(None, note=f"fused into '{main.name}'")


def decide(model: GraphModule, recipe: QuantRecipe) -> Plan:
    """Return how `recipe` quantises `model`, which is in the ops that are quantised as one each.

    Raises:
        InputError: an override of the recipe selects nothing in `model`.
    """
    decider = _Decider(recipe, selections(model, recipe))
    for lookup in find_lookups(model, decider.table, decider.scheme):
        decider.lookups |= dict.fromkeys(lookup.members, lookup)
    for node in model.graph.nodes:
        decider.visit(node)
    for op in ("placeholder", "get_attr"):
        for node in model.graph.find_nodes(op=op):
            if op == "placeholder" or all(user.op == "output" for user in node.users):
                decider.settle(node)
    units = decider.units
    return Plan({node: units[node] for node in model.graph.nodes if node in units}, decider.values)


@dataclass
class _Decider:
    """One walk over a graph, producers first.

    `lookups` are those that an op belongs to, `written` is the dtype each quantised value has,
    `fixed` the scale of those whose scale does not depend on data, and `first` the first of those
    that are stored alike.
    """

    recipe: QuantRecipe
    selected: dict[Node, list[int]]
    table: dict[str, OpEntry] = field(default_factory=op_table)
    lookups: dict[Node, Lookup] = field(default_factory=dict)
    written: dict[Node, str] = field(default_factory=dict)
    fixed: dict[Node, float] = field(default_factory=dict)
    first: dict[tuple[str, str], Node] = field(default_factory=dict)
    residual: set[Node] = field(default_factory=set)
    units: dict[Node, Unit] = field(default_factory=dict)
    values: dict[Node, Stored] = field(default_factory=dict)

    def visit(self, node: Node) -> None:
        """Decide of `node`, and of what is fused behind it, where that was not done yet."""
        if node.target is operator.getitem:
            self._item(node)
        elif node.op == "call_function" and node not in self.units and ANNOTATION not in node.meta:
            lookup = self.lookups.get(node)
            if lookup is not None and node is not lookup.last:
                return  # it is decided with the last
            unit = self._unit(node) if lookup is None else self._looked_up(lookup)
            self.units |= dict.fromkeys(unit.members, unit)
            if unit.writes is not None:
                self.written[unit.members[-1]] = unit.writes.dtype

    def _unit(self, node: Node) -> Unit:
        entry = self.table.get(table_name(node))
        if entry is None:
            return _in_float(node, "there is no lowering of this op")
        if not _is_float(node) and entry.quantized is not Quantized.READS:
            return _in_float(node, f"its result is {_dtype_name(node)}")
        if entry.quantized is Quantized.NO:
            return _in_float(node, "this op has no integer form")
        scheme = self.scheme(node)
        if scheme is None:
            return _in_float(node, "the recipe leaves it in float")
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
        """Quantise a model input once that is read as int8 and as int16, or is an output too.

        So is a constant that is nothing but an output.
        """
        readers = {
            self.units[user]: stored
            for user in node.users
            if user in self.units
            and (stored := self.units[user].reads.get((user, node))) is not None
            and stored.is_own
        }
        known = {stored.dtype: stored for stored in readers.values()}
        returned = any(user.op == "output" for user in node.users) and _is_float(node)
        default = self.recipe.scheme(())
        if returned and default is not None and not known:
            known[default.activations] = Stored(default.activations, default)
        if len(known) < (1 if returned else 2):
            return
        wide = self.values[node] = known.get("int16") or known["int8"]
        for unit in readers:
            if self._normalizes(unit.main):
                changed = dataclasses.replace(unit, reads=unit.reads | {(unit.main, node): wide})
                self.units |= dict.fromkeys(unit.members, changed)

    def _item(self, node: Node) -> None:
        """An item of a split shares the parameters of the tensor that was split."""
        source = node.args[0]
        unit = self.units.get(source) if isinstance(source, Node) else None
        if unit is None or not unit.reads or not _is_float(node):
            return
        assert isinstance(source, Node)
        stored = next(iter(unit.reads.values()))
        first = next(iter(unit.reads))[1]
        self.values[node] = dataclasses.replace(stored, like=(first, source))
        self.written[node] = self.written[source]

    def _computed(self, node: Node, entry: OpEntry, scheme: Scheme, note: str) -> Unit:
        writes, inner = scheme.activations, node.meta.get(INNER)
        if inner is not None:
            # Matrix products go on reading what the recipe says.
            narrow = entry.quantized is Quantized.WEIGHTED and writes == "int8"
            reading = "int8" if narrow else "auto"
            scheme = dataclasses.replace(scheme, activations="int16", inputs=reading)
        reads = {
            (node, value): self._read(value, scheme, entry)
            if inner is None or inner.reads is None
            else Stored("int16", scheme, scale=inner.reads)
            for value in _activations(node, entry)
            if _is_float(value) and not _is_infinite(value)
        }
        if not reads and not _chooses(entry):
            return _in_float(node, "none of its operands is a float activation")
        weight, weights = None if entry.weight is None else node.args[entry.weight], None
        if entry.quantized is Quantized.WEIGHTED and isinstance(weight, Node):
            if _is_parameter(weight):
                weights = Weights(weight, entry.weight_axis, scheme)
            else:
                reads[node, weight] = self._read(weight, scheme, entry)
        if entry.quantized is Quantized.READS:
            return Unit(entry.quantized, node, (node,), reads, None, weights, note)
        members = (node, *self._followers(node, entry))
        last, result = members[-1], None
        if inner is None:
            written = self._width(last, entry, scheme)
        else:
            result = last.meta.get(INNER, Inner(leaves=True))
            written = writes if result.leaves else "int16"
            note = note or "inside a unit, which computes in int16"
        stored = self._stored(last, scheme, written, looked_up=entry.quantized is Quantized.TABLE)
        if result is not None:
            stored = self._inside(last, result, stored)
        elif entry.quantized is Quantized.SUM and written == "int16":
            stored = _share_wide(node, reads, stored)
        return Unit(entry.quantized, node, members, reads, stored, weights, note)

    def _looked_up(self, lookup: Lookup) -> Unit:
        """Quantise the source and the result of a lookup, and nothing in between."""
        last, scheme = lookup.last, self.scheme(lookup.last)
        assert scheme is not None
        read = self._read(lookup.source, scheme, self.table[table_name(last)])
        reads = {
            (member, lookup.source): read
            for member in lookup.members
            if lookup.source in member.all_input_nodes
        }
        stored = self._stored(last, scheme, scheme.activations, looked_up=True)
        return Unit(Quantized.TABLE, last, lookup.members, reads, stored)

    def _stored(self, last: Node, scheme: Scheme, dtype: str, *, looked_up: bool) -> Stored:
        by_row = any(self._normalizes(user) for user in last.users)
        relevant = relevance(last, self.table)
        return Stored(dtype, scheme, _bounds(last, self.table), by_row, looked_up, relevant)

    def _inside(self, node: Node, inner: Inner, stored: Stored) -> Stored:
        """How an op inside a composite stores its result, where that is known by now."""
        if inner.scale is not None and stored.dtype == "int16":
            self.fixed[node] = inner.scale
            return dataclasses.replace(stored, scale=inner.scale)
        key = (inner.alike, stored.dtype)
        first = self.first.setdefault(key, node) if inner.alike else node
        return stored if first is node else dataclasses.replace(stored, like=first)

    def _width(self, last: Node, entry: OpEntry, scheme: Scheme) -> str:
        """int16 for an accumulator that only an int16 sum reads: it costs no more than int8."""
        reader = only_user(last)
        while reader is not None and self._kind(reader) is Quantized.SHARED:
            reader = only_user(reader)
        if entry.quantized is not Quantized.WEIGHTED or reader is None:
            return scheme.activations
        theirs = self.scheme(reader)
        if theirs is None or theirs.inputs == "int8" or self._kind(reader) is not Quantized.SUM:
            return scheme.activations
        return theirs.activations

    def _kind(self, node: Node) -> Quantized:
        entry = self.table.get(table_name(node))
        return Quantized.NO if entry is None else entry.quantized

    def _shared(self, node: Node, scheme: Scheme) -> Unit:
        values = [v for v in node.all_input_nodes if _is_float(v)]
        if not values:
            return _in_float(node, "none of its operands is a float activation")
        default = "int16" if INNER in node.meta else scheme.activations
        dtypes = [self.written.get(v, default) for v in values]
        wide = "int16" if "int16" in dtypes else "int8"
        stored = Stored(wide, scheme, relevant=relevance(values[0], self.table))
        known = {self.fixed.get(v) for v in values}
        if None not in known and len(known) == 1:
            self.fixed[node] = self.fixed[values[0]]
            stored = dataclasses.replace(stored, scale=self.fixed[node])
        alike = dataclasses.replace(stored, scale=None, like=(values[0], node))
        reads = {(node, value): alike for value in values} | {(node, values[0]): stored}
        self.written[node] = stored.dtype
        one_result = isinstance(node.meta.get("val"), torch.Tensor)
        return Unit(Quantized.SHARED, node, (node,), reads, alike if one_result else None)

    def scheme(self, node: Node) -> Scheme | None:
        """What the recipe says of `node`."""
        scheme = self.recipe.scheme(self.selected.get(node, ()))
        if scheme is None or scheme.residual != "int16" or not self._is_residual(node):
            return scheme
        return dataclasses.replace(scheme, activations="int16")

    def _is_residual(self, node: Node) -> bool:
        """Whether `node` is a sum that leads to a norm or reads such a sum, or moves one."""
        kind = self._kind(node)
        if node not in self.residual and (
            (kind is Quantized.SUM and self._reaches_norm(node))
            or (kind in _OF_STREAM and not self.residual.isdisjoint(node.all_input_nodes))
        ):
            self.residual.add(node)
        return node in self.residual and kind is Quantized.SUM

    def _reaches_norm(self, node: Node) -> bool:
        """Whether a norm reads `node`, perhaps moved, and with more added to it."""
        moved, seen = [node], {node}
        while moved:
            for user in moved.pop().users:
                if self._normalizes(user):
                    return True
                if self._kind(user) in _OF_STREAM and user not in seen:
                    seen.add(user)
                    moved.append(user)
        return False

    def _read(self, value: Node, scheme: Scheme, entry: OpEntry) -> Stored:
        """How an op of `scheme` reads `value`: narrowed, or as it was written."""
        by_row = entry.normalizes_rows
        narrow = scheme.inputs == "int8" or (
            scheme.inputs == "auto" and scheme.activations == "int8" and not by_row
        )
        unknown = scheme.activations if by_row else "int16"
        dtype = "int8" if narrow else self.written.get(value, unknown)
        if value in self.fixed and dtype == "int16":
            return Stored(dtype, scheme, scale=self.fixed[value])
        return Stored(dtype, scheme, by_row=by_row, relevant=relevance(value, self.table))

    def _normalizes(self, node: Node) -> bool:
        entry = self.table.get(table_name(node))
        return entry is not None and entry.normalizes_rows

    def _followers(self, node: Node, entry: OpEntry) -> list[Node]:
        """Return the ops fused behind `node`: a batch norm after weights, then clamps."""
        out: list[Node] = []
        last, follower = node, only_user(node)
        weighted = entry.quantized is Quantized.WEIGHTED
        if weighted and follower is not None and table_name(follower) == "torch.aten.batch_norm":
            out.append(follower)
            last, follower = follower, only_user(follower)
        while entry.fuses_clamp and follower is not None and self._clamps(follower, last):
            # What the recipe treats otherwise is a unit of its own.
            if self.scheme(node) != self.scheme(follower):
                break
            out.append(follower)
            last, follower = follower, only_user(follower)
        return out

    def _clamps(self, node: Node, value: Node) -> bool:
        """Whether `node` limits `value`, and is free to be part of another unit."""
        free = node not in self.lookups and ANNOTATION not in node.meta
        return free and self._kind(node) is Quantized.CLAMP and node.args[0] is value


def _chooses(entry: OpEntry) -> bool:
    """Whether an op may choose between numbers, which need not be tensors."""
    return entry.quantized is Quantized.RESCALED and Trait.JUMPS in entry.traits


def _in_float(node: Node, note: str) -> Unit:
    return Unit(Quantized.NO, node, (node,), note=note)


def _share_wide(node: Node, reads: dict[tuple[Node, Node], Stored], stored: Stored) -> Stored:
    """Give the int16 operands of a sum, in `reads`, one set of parameters, and its result too.

    A sum of one unit needs no rescale, and 16 bits have room for operands of unlike ranges.
    """
    wide = [value for (_, value), read in reads.items() if read.dtype == "int16"]
    if not wide:
        return stored
    like = (wide[0], node)
    for value in wide[1:]:
        reads[node, value] = dataclasses.replace(reads[node, value], scale=None, like=like)
    return dataclasses.replace(stored, like=like)


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
