"""The table of ops: how each torch op is lowered to TOSA and how it is quantised.

`@lowers("torch.aten.conv2d", quantized=Quantized.WEIGHTED)` registers a function; the table drives
torch-to-TOSA, the quantiser's annotation and the support document. It knows nothing of PyTorch:
ops are named as the torch dialect names them.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import (
    DYNAMIC,
    QuantParams,
    constant_value,
    element_of,
    i,
    is_float,
    is_signless_integer,
    tensor,
)


class Quantized(enum.Enum):
    """How an op behaves on quantised tensors; the quantiser and the support document read it."""

    NO = "not quantised"
    WEIGHTED = "weights per channel, accumulates in int32"
    SHARED = "output has the parameters of its input"
    RESCALED = "computed in int32, own output parameters"
    SUM = "computed in int32, own output parameters; in int16 the operands have them too"
    TABLE = "one lookup per element"
    COMPOSITE = "quantised as one unit"
    CLAMP = "fused into its producer's output range"
    READS = "reads integers; its result (a truth value, an index) is not quantised"


class Trait(enum.Flag):
    """What else is known of an op, for passes over FX graphs and over MLIR alike.

    MOVES: each element of the result is one of the operands' (or a constant), which one is told by
    shapes and numbers alone: views, slices, concats, pads; not what compares or computes.
    ELEMENTWISE: each element of the result is computed from those at its place in the operands,
    which are broadcast. CHEAP: in int16 too it is a sum, a product or a limit, never a table.
    JUMPS: elementwise, and not continuous. BY_ROW: it computes along the dims that operand 1 says
    (one dim, or a shape that the last ones have); along all others, each row for itself.
    """

    NONE = 0
    MOVES = enum.auto()
    ELEMENTWISE = enum.auto()
    CHEAP = enum.auto()
    JUMPS = enum.auto()
    BY_ROW = enum.auto()


# Kinds whose ops compute a result that has parameters of its own.
_COMPUTE = (
    *(Quantized.WEIGHTED, Quantized.RESCALED, Quantized.SUM),
    *(Quantized.TABLE, Quantized.COMPOSITE, Quantized.CLAMP),
)


class Refusal(Exception):
    """Raised by a lowering before it builds anything: this form of the op is not supported."""


@dataclass(frozen=True)
class Complex:
    """A complex result: the tensors of its real and imaginary parts."""

    re: ir.Value
    im: ir.Value


Lower = Callable[["Lowering"], "ir.Value | Complex | Sequence[ir.Value | Complex]"]
# (context, quantised operand 0, its parameters, the result's) -> the quantised result.
IntegerLower = Callable[["Lowering", ir.Value, QuantParams, QuantParams], ir.Value]
L = TypeVar("L", Lower, None)


@dataclass(frozen=True)
class OpEntry:
    """One row of the table.

    `activations` are the operands that carry activations; `weight` and `bias` are operands of a
    WEIGHTED op, `weight_axis` is the output channel's axis. `integer` is how a COMPOSITE computes
    in integers as a whole. `integer_bits` are the widths an op is computed in between tensors where
    they are not `widths`' defaults. `output_range` bounds the result whatever the input
    (`range_arguments`: the operands that say so). A `precise` op computes halves (f16, bf16) in
    f32, as PyTorch does, and rounds at the end. `normalizes_rows`: a row of the input (its last
    dim) may have any scale, and the input may have 16 bits whatever the result has. `traits` are
    further facts. `lower` is None for ops that their consumer lowers (list results).
    """

    name: str
    lower: Lower | None
    quantized: Quantized = Quantized.NO
    activations: tuple[int, ...] = (0,)
    weight: int | None = None
    weight_axis: int = 0
    bias: int | None = None
    integer: IntegerLower | None = None
    integer_bits: tuple[int, ...] = ()
    output_range: tuple[float, float] | None = None
    range_arguments: tuple[int, int] | None = None
    precise: bool = False
    normalizes_rows: bool = False
    traits: Trait = Trait.NONE

    @property
    def fuses_clamp(self) -> bool:
        """Whether a clamp that alone reads the result may be part of the op's unit."""
        return self.quantized in _COMPUTE

    @property
    def moves(self) -> bool:
        """Whether it only moves data."""
        return Trait.MOVES in self.traits

    @property
    def elementwise(self) -> bool:
        """Whether it computes element by element, of one tensor or several."""
        of_one = self.quantized in (Quantized.TABLE, Quantized.CLAMP)
        return of_one or Trait.ELEMENTWISE in self.traits

    @property
    def widths(self) -> tuple[int, ...]:
        """The bits that quantised results may have, and operands but for `read_widths`."""
        if self.integer_bits:
            return self.integer_bits
        whole = self.integer is not None or self.quantized is Quantized.COMPOSITE
        return (8,) if whole else (8, 16)

    @property
    def read_widths(self) -> tuple[int, ...]:
        """The bits that quantised operands may have."""
        return (8, 16) if self.normalizes_rows else self.widths


_TABLE: dict[str, OpEntry] = {}


def lowers(
    *names: str,
    quantized: Quantized = Quantized.NO,
    activations: tuple[int, ...] = (0,),
    weight: int | None = None,
    weight_axis: int = 0,
    bias: int | None = None,
    integer: IntegerLower | None = None,
    integer_bits: tuple[int, ...] = (),
    output_range: tuple[float, float] | None = None,
    range_arguments: tuple[int, int] | None = None,
    precise: bool = False,
    normalizes_rows: bool = False,
    traits: Trait = Trait.NONE,
) -> Callable[[L], L]:
    """Decorator: enter a lowering under torch-dialect op `names`."""

    def enter(fn: L) -> L:
        for name in names:
            if name in _TABLE:
                raise ValueError(f"{name} has two lowerings")
            _TABLE[name] = OpEntry(
                name,
                fn,
                quantized,
                activations,
                weight,
                weight_axis,
                bias,
                integer,
                integer_bits,
                output_range,
                range_arguments,
                precise,
                normalizes_rows,
                traits,
            )
        return fn

    return enter


@lru_cache(maxsize=1)
def op_table() -> dict[str, OpEntry]:
    """Return the whole table (imports every file of torch_to_tosa on first use)."""
    package = importlib.import_module("tosaic.lowering.torch_to_tosa")
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(info.name)
    _TABLE.update(importlib.import_module(package.__name__ + ".synonyms").synonyms(_TABLE))
    return _TABLE


_VTENSOR = re.compile(r"!torch\.vtensor<\[([^\]]*)\],\s*(\w+)>")
_ELEMENTS = {"si8": "i8", "ui8": "i8", "si16": "i16", "si32": "i32", "si64": "i64"}


@lru_cache(maxsize=65536)
def _parse_vtensor(text: str) -> tuple[tuple[int, ...], str] | None:
    match = _VTENSOR.fullmatch(text)
    if match is None:
        return None
    dims = tuple(DYNAMIC if d == "?" else int(d) for d in match.group(1).split(",") if d)
    return dims, _ELEMENTS.get(match.group(2), match.group(2))


def builtin_type(value: ir.Value) -> ir.Type | None:
    """Return the builtin tensor type of a `!torch.vtensor` value, None for any other type."""
    parsed = _parse_vtensor(str(value.type))
    if parsed is None:
        return None
    return tensor(parsed[0], ir.Type.parse(parsed[1]))


_COMPLEX = re.compile(r"(!torch\.vtensor<\[[^\]]*\],\s*)complex<(f\d+)>>")


def part_type(value: ir.Value) -> ir.Type | None:
    """Return the builtin type of either part of a complex `!torch.vtensor`, else None."""
    text = str(value.type)
    match = _COMPLEX.fullmatch(text) if "complex" in text else None
    parsed = _parse_vtensor(f"{match.group(1)}{match.group(2)}>") if match else None
    return None if parsed is None else tensor(parsed[0], ir.Type.parse(parsed[1]))


def _is_half(element: ir.Type) -> bool:
    return is_float(element) and element.width < 32


def is_unsigned(value: ir.Value) -> bool:
    """Return whether `value` is a `!torch.vtensor` of uint8."""
    return str(value.type).endswith(",ui8>")


# What makes a number of a tensor of one element.
_NUMBERS_OF_TENSORS = ("torch.aten.item", "torch.aten._local_scalar_dense")


@dataclass(frozen=True)
class Lowering:
    """What a lowering sees: the op's operands as builtin values and Python constants, a builder.

    TOSA has no arithmetic on uint8. Where the lowering computes (`widened`), uint8 operands are i32
    with the value they have, and results that are uint8 are to be i32, of which the driver keeps
    the low 8 bits; where it only moves data, uint8 tensors are i8 with the same bits.

    It has no complex numbers either. A lowering that serves them too sees one part, 0 for real or 1
    for imaginary: `parts` of operand 0 and the others, and of operand 1.

    Where it is `precise`, halves are f32 on both sides.
    """

    op: Any
    b: Builder
    widened: bool = False
    parts: tuple[int, int] | None = None
    precise: bool = False

    # --- operands ------------------------------------------------------------------------------

    def tensor(self, index: int) -> ir.Value:
        """Return operand `index` as a builtin tensor value.

        Raises:
            Refusal: where it is not a ranked tensor.
        """
        return self.builtin(self.op.operands[index], second=index == 1)

    def builtin(self, value: ir.Value, *, second: bool = False) -> ir.Value:
        """Return a `!torch.vtensor` value as a builtin tensor value."""
        owner = value.owner
        if not isinstance(owner, ir.Block) and owner.name in _NUMBERS_OF_TENSORS:
            return self.builtin(owner.operands[0])
        if part_type(value) is not None:
            return self._part(value, second)
        if not isinstance(owner, ir.Block) and owner.name == "torch_c.from_builtin_tensor":
            x = owner.operands[0]
        else:
            wanted = builtin_type(value)
            if wanted is None:
                raise Refusal(f"an operand of type {value.type} is not a ranked dense tensor")
            x = self.b.value("torch_c.to_builtin_tensor", [value], wanted)
        if self.precise and _is_half(element_of(x)):
            return self.b.cast(x, ir.F32Type.get())
        return self._extended(x) if self.widened and is_unsigned(value) else x

    def _part(self, value: ir.Value, second: bool) -> ir.Value:
        owner = value.owner
        if isinstance(owner, ir.Block):
            raise Refusal(
                "it reads a complex input; give the model torch.view_as_real of it, and use "
                "torch.view_as_complex inside"
            )
        if self.parts is None or owner.name != "builtin.unrealized_conversion_cast":
            raise Refusal("it reads a complex tensor, of which TOSA has none")
        return owner.operands[self.parts[second]]

    def _extended(self, x: ir.Value) -> ir.Value:
        """Return the i32 values of i8 bits that are read without a sign."""
        known = constant_value(x)
        if known is not None:
            return self.b.const(known.astype(np.uint8), i(32))
        wide = self.b.cast(x, i(32))
        return self.b.binary("tosa.bitwise_and", wide, self.b.splat(wide, 255))

    def tensors(self, index: int) -> list[ir.Value]:
        """Return the tensors of a list operand."""
        owner = self._owner(index)
        if owner is None or owner.name != "torch.prim.ListConstruct":
            raise Refusal("the list of tensors is not known when compiling")
        values = list(owner.operands)
        if self.parts == (1, 1) and any(part_type(v) is not None for v in values):
            return [self._imaginary(v) for v in values]
        return [self.builtin(v) for v in values]

    def _imaginary(self, value: ir.Value) -> ir.Value:
        """Return the imaginary part of `value`, zeros where it is real."""
        x = self.builtin(value)
        if part_type(value) is not None:
            return x
        return self.b.cast(self.b.compare("tosa.greater", x, x), element_of(x))  # never true

    def is_none(self, index: int) -> bool:
        """Return whether operand `index` is None."""
        owner = self._owner(index)
        return owner is not None and bool(owner.name == "torch.constant.none")

    def optional(self, index: int) -> ir.Value | None:
        """Return operand `index` as a tensor, None where it is None."""
        return None if self.is_none(index) else self.tensor(index)

    def is_scalar(self, index: int) -> bool:
        """Return whether operand `index` is a Python number known when compiling."""
        return self._constant(self.op.operands[index]) is not None

    def scalar(self, index: int) -> float:
        """Return operand `index` as the Python int, float or bool it is.

        Raises:
            Refusal: where it is computed by the model.
        """
        value = self._constant(self.op.operands[index])
        if value is None:
            raise Refusal(
                f"its argument {index} is computed by the model, not known when compiling"
            )
        return value

    def integer(self, index: int) -> int:
        """Return operand `index` as an int."""
        return int(self.scalar(index))

    def real(self, index: int) -> float:
        """Return operand `index` as a float."""
        return float(self.scalar(index))

    def flag(self, index: int) -> bool:
        """Return operand `index` as a bool."""
        return bool(self.scalar(index))

    def text(self, index: int) -> str:
        """Return operand `index` as a string."""
        owner = self._owner(index)
        if owner is None or owner.name != "torch.constant.str":
            raise Refusal(f"its argument {index} is not a constant string")
        return str(owner.attributes["value"].value)

    def ints(self, index: int) -> list[int]:
        """Return a list operand as ints."""
        owner = self._owner(index)
        if owner is None or owner.name != "torch.prim.ListConstruct":
            raise Refusal(f"its argument {index} is not a list known when compiling")
        values = [self._constant(v) for v in owner.operands]
        if any(v is None for v in values):
            raise Refusal(
                f"its argument {index} depends on a dynamic dimension; "
                "compile for static shapes (tosaic-specialize-shapes)"
            )
        return [int(v) for v in values if v is not None]

    def constant(self, index: int) -> npt.NDArray[Any]:
        """Return a tensor operand whose elements are known when compiling.

        Raises:
            Refusal: where they are not.
        """
        value = self.op.operands[index]
        array = constant_value(value)
        if array is None:
            array = constant_value(self.tensor(index))
        if array is None:
            raise Refusal(f"its argument {index} must be a constant of the model")
        return array

    def _owner(self, index: int) -> Any:
        owner = self.op.operands[index].owner
        return None if isinstance(owner, ir.Block) else owner

    @staticmethod
    def _constant(value: ir.Value) -> float | None:
        owner = value.owner
        if isinstance(owner, ir.Block) or not str(owner.name).startswith("torch.constant."):
            return None
        if owner.name not in ("torch.constant.int", "torch.constant.float", "torch.constant.bool"):
            return None
        return owner.attributes["value"].value  # type: ignore[no-any-return]

    # --- results -------------------------------------------------------------------------------

    def out_type(self, index: int = 0) -> ir.Type:
        """Return the builtin tensor type of result `index`."""
        result = self.op.results[index]
        wanted = builtin_type(result) or (part_type(result) if self.parts else None)
        if wanted is None:
            raise Refusal(f"its result type {result.type} is not a ranked tensor")
        if self.widened and is_unsigned(result):
            return tensor(ir.RankedTensorType(wanted).shape, i(32))
        if self.precise and _is_half(ir.RankedTensorType(wanted).element_type):
            return tensor(ir.RankedTensorType(wanted).shape, ir.F32Type.get())
        return wanted

    def out_shape(self, index: int = 0) -> list[int]:
        """Return the shape of result `index`."""
        return list(ir.RankedTensorType(self.out_type(index)).shape)

    def out_element(self, index: int = 0) -> ir.Type:
        """Return the element type of result `index`."""
        return ir.RankedTensorType(self.out_type(index)).element_type

    # --- helpers -------------------------------------------------------------------------------

    def converted(self, index: int, element: ir.Type) -> ir.Value:
        """Return operand `index`, tensor or number, as a tensor of `element`."""
        if not self.is_scalar(index):
            return self.b.cast(self.tensor(index), element)
        value = self.scalar(index)
        if is_signless_integer(element):
            value = int(value)
        rank = max(1, len(self.out_shape()))
        return self.b.const(np.full([1] * rank, value), element)

    def common_element(self, *indices: int) -> ir.Type:
        """Return the element type that PyTorch promotes these tensor operands to."""
        elements = [element_of(self.tensor(n)) for n in indices if not self.is_scalar(n)]
        floats = [e for e in elements if is_float(e)]
        pool = floats or elements
        chosen = max(pool, key=lambda e: e.width)
        if not floats and any(
            self.is_scalar(n) and isinstance(self.scalar(n), float) for n in indices
        ):
            return ir.F32Type.get()
        return chosen

    def dim(self, index: int, rank: int) -> int:
        """Return an int operand as a dim in [0, rank)."""
        return normalize_dim(self.integer(index), rank)

    def refuse(self, reason: str) -> None:
        """Refuse this form of the op."""
        raise Refusal(reason)


def normalize_dim(dim: int, rank: int) -> int:
    """Return `dim` counted from the front."""
    return dim + rank if dim < 0 else dim
