"""Two compiled programs on the same inputs: the first tensor in which they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from tosaic.dialects.bindings import func, ir, make_context
from tosaic.dialects.locations import SourceSite, source_site
from tosaic.dialects.types import constant_value, has_no_elements, is_static, shape_of
from tosaic.emit import Manifest
from tosaic.emit.flatbuffer import site_of_text
from tosaic.emit.functions import bytecode, entry_function
from tosaic.errors import InputError
from tosaic.executors import make_executor
from tosaic.executors.executor import Array
from tosaic.lowering.signature import set_signature, signature_attrs

_CONSTANTS = ("tosa.const", "tosa.const_shape")


@dataclass(frozen=True)
class TensorDifference:
    """A tensor that both programs compute, and how far apart the two are.

    Attributes:
        name: The op of the user's model that it belongs to; empty in a file without locations.
        operator: The TOSA operator that writes it, such as ``CONV2D``.
        file, line: The place in the user's source.
        shape, dtype: Of the tensor.
        differing: Share of its elements that differ, in 0..1.
        largest: The largest difference.
        sqnr_db: Of the new against the old, infinite where they are equal.
        constants_differ: Whether constants that the operator reads (weights, multipliers, zero
            points) differ, or what it is told by attributes does.
    """

    name: str
    operator: str
    file: str
    line: int
    shape: tuple[int, ...]
    dtype: str
    differing: float
    largest: float
    sqnr_db: float
    constants_differ: bool

    @property
    def where(self) -> str:
        """The place in the user's source, as ``file:line``."""
        return f"{self.file}:{self.line}" if self.file else ""

    def __str__(self) -> str:
        named = f"{self.operator} of '{self.name}'" if self.name else self.operator
        return f"{named} at {self.where}" if self.where else named


@dataclass(frozen=True)
class ProgramComparison:
    """Two programs side by side.

    `tensors` are those that both compute, in the new program's order; `only_old` and `only_new`
    name operators without a partner, as "RESCALE of 'conv2d'". `inputs_differ` where the two store
    the same inputs differently (another scale or dtype).
    """

    tensors: tuple[TensorDifference, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    samples: int
    inputs_differ: bool

    @property
    def first(self) -> TensorDifference | None:
        """The first tensor that differs, None where none does."""
        return next((tensor for tensor in self.tensors if tensor.differing), None)

    @property
    def verdict(self) -> str:
        """The result as a sentence or two."""
        first = self.first
        alike = f"{len(self.tensors)} tensors on {self.samples} input(s)"
        apart = ""
        if self.only_old or self.only_new:
            apart = (
                f" {len(self.only_old)} operators of the old program and {len(self.only_new)} of "
                "the new have no partner, so their tensors are not compared."
            )
        if first is None:
            return f"The programs agree in every bit of {alike}.{apart}"
        if first.constants_differ:
            why = "constants or attributes of this operator differ"
        elif self.inputs_differ:
            why = "the programs store their inputs with different scales, and so all behind them"
        else:
            why = "its own constants are equal, so an operator without a partner before it differs"
        return (
            f"{first} is the first of {alike} to differ: in {100 * first.differing:.1f} % of its "
            f"elements, by up to {first.largest:g} ({first.sqnr_db:.1f} dB); {why}.{apart}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for JSON; a ratio that is not finite is None."""
        tensors = [asdict(tensor) for tensor in self.tensors]
        for tensor in tensors:
            if not math.isfinite(tensor["sqnr_db"]):
                tensor["sqnr_db"] = None
        return {
            "verdict": self.verdict,
            "first": None if self.first is None else str(self.first),
            "samples": self.samples,
            "inputs_differ": self.inputs_differ,
            "tensors": tensors,
            "only_old": list(self.only_old),
            "only_new": list(self.only_new),
        }


def compare_programs(
    old: ir.Module,
    new: ir.Module,
    data: Sequence[tuple[Sequence[Array], Sequence[Array]]],
    *,
    executor: str = "jit",
) -> ProgramComparison:
    """Compare every tensor that two programs (static TOSA, as `deserialize` returns it) compute.

    Each item of `data` is one input to both: arrays as the old stores them, and as the new does.
    Tensors are matched by the op of the user's model (unless one of the programs was written
    without locations), the operator that writes them, shape and type, in order.

    Raises:
        InputError: there are no inputs, or they do not fit.
        ToolError: the executor cannot take a program.
    """
    if not data:
        raise InputError("There is no input to compare the programs on. Give at least one sample.")
    first, second = _Exposed(old, executor), _Exposed(new, executor)
    pairs = _matched(first.tensors, second.tensors)
    sums = [_Sums() for _ in pairs]
    for given, given_new in data:
        before, after = first.run(given), second.run(given_new)
        for (n, m), total in zip(pairs, sums, strict=True):
            total.add(before[n], after[m])
    taken_old, taken_new = {n for n, _ in pairs}, {m for _, m in pairs}
    return ProgramComparison(
        tuple(
            _difference(first.tensors[n], second.tensors[m], total)
            for (n, m), total in zip(pairs, sums, strict=True)
        ),
        tuple(t.label for n, t in enumerate(first.tensors) if n not in taken_old),
        tuple(t.label for n, t in enumerate(second.tensors) if n not in taken_new),
        len(data),
        not all(np.array_equal(a, b) for pair in data for a, b in zip(*pair, strict=True)),
    )


@dataclass(frozen=True)
class _Tensor:
    """A value of a program; `told` is what its operator is told by attributes and constants."""

    site: SourceSite
    operator: str
    shape: tuple[int, ...]
    dtype: str
    told: tuple[Any, ...]

    def key(self, *, named: bool) -> tuple[Any, ...]:
        """Return what tensors of two programs must have alike to correspond."""
        return self.site.name if named else "", self.operator, self.shape, self.dtype

    @property
    def label(self) -> str:
        return f"{self.operator} of '{self.site.name}'" if self.site.name else self.operator


class _Exposed:
    """A program that returns all it computes."""

    def __init__(self, module: ir.Module, executor: str) -> None:
        with make_context():
            copy = ir.Module.parse(bytecode(module.operation))
            function = entry_function(copy)
            values = list(_values(function))
            self.tensors = [_described(value) for value in values]
            _return_also(function, values)
            self._outputs = len(Manifest.from_module(copy).held.outputs) - len(values)
            self._executor = make_executor(executor, copy)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return the values of `tensors`."""
        return self._executor.run(inputs)[self._outputs :]


def _values(function: Any) -> Iterator[ir.Value]:
    for op in function.regions[0].blocks[0].operations:
        if op.operation.name.startswith("tosa.") and op.operation.name not in _CONSTANTS:
            for value in op.operation.results:
                if not isinstance(value.type, ir.RankedTensorType):
                    continue
                shape = shape_of(value)
                if is_static(shape) and not has_no_elements(shape):
                    yield value


def _described(value: ir.Value) -> _Tensor:
    op = value.owner
    site = source_site(op.location)
    if site.name.startswith("loc("):  # as the flatbuffer's reader leaves it
        site = site_of_text(site.name, ir.Context())
    constants = (constant_value(operand) for operand in op.operands)
    told: list[Any] = [c.tobytes() for c in constants if c is not None]
    told += [(name, str(op.attributes[name])) for name in op.attributes]
    element = str(ir.RankedTensorType(value.type).element_type)
    operator = op.name.removeprefix("tosa.").upper()
    return _Tensor(site, operator, tuple(shape_of(value)), element, tuple(told))


def _return_also(function: Any, values: Sequence[ir.Value]) -> None:
    arguments, results = signature_attrs(function)
    block = function.regions[0].blocks[0]
    end = block.operations[len(block.operations) - 1]
    with ir.InsertionPoint(end), end.location:
        func.ReturnOp([*end.operands, *values])
    end.operation.erase()
    set_signature(function, arguments, [*results, *({} for _ in values)])


def _matched(old: Sequence[_Tensor], new: Sequence[_Tensor]) -> list[tuple[int, int]]:
    """Return pairs of places whose tensors correspond, in the new program's order."""
    named = all(any(tensor.site.name for tensor in side) for side in (old, new))
    keys_old, keys_new = ([tensor.key(named=named) for tensor in side] for side in (old, new))
    blocks = SequenceMatcher(None, keys_old, keys_new, autojunk=False).get_matching_blocks()
    return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]


class _Sums:
    """How far apart two tensors are, over samples."""

    def __init__(self) -> None:
        self.elements = self.differing = 0
        self.largest = self.signal = self.noise = 0.0

    def add(self, old: Array, new: Array) -> None:
        """Count one sample in."""
        before, after = old.astype(np.float64), new.astype(np.float64)
        apart = np.abs(after - before)
        self.elements += apart.size
        self.differing += int(np.count_nonzero(apart))
        self.largest = max(self.largest, float(apart.max()))
        self.signal += float(np.square(before).sum())
        self.noise += float(np.square(apart).sum())


def _difference(old: _Tensor, new: _Tensor, sums: _Sums) -> TensorDifference:
    ratio = math.inf
    if sums.noise:
        ratio = 10 * math.log10(sums.signal / sums.noise) if sums.signal else -math.inf
    return TensorDifference(
        new.site.name,
        new.operator,
        new.site.file,
        new.site.line,
        new.shape,
        new.dtype,
        sums.differing / sums.elements,
        sums.largest,
        ratio,
        old.told != new.told,
    )
