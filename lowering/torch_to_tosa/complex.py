"""Complex numbers as pairs of tensors, their real and imaginary parts; TOSA has none.

Between ops a pair is one `builtin.unrealized_conversion_cast` to the complex torch type. Ops that
move elements, or are linear, are lowered part by part; products by the four products of parts; what
is left has a lowering here. A program's own inputs and outputs are real.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeAlias

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import i, shape_of
from tosaic.lowering.ops import Complex, Lowering, OpEntry, Refusal, lowers, part_type
from tosaic.lowering.torch_to_tosa.formula import Term, atan2, exp, sqrt
from tosaic.lowering.torch_to_tosa.movement import CONVERSIONS
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import broadcast, part, stacked
from tosaic.lowering.torch_to_tosa.promotion import operand as real_operand

Result: TypeAlias = "ir.Value | Complex"
_TABLE: dict[str, Callable[[Lowering], Result]] = {}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A complex number in a formula."""

    re: Term
    im: Term

    @property
    def values(self) -> Complex:
        """The two tensors."""
        return Complex(self.re.value, self.im.value)

    def __add__(self, other: Pair) -> Pair:
        return Pair(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Pair) -> Pair:
        return Pair(self.re - other.re, self.im - other.im)

    def __mul__(self, other: Pair) -> Pair:
        return Pair(
            self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re
        )

    def times(self, factor: Term | float) -> Pair:
        """Return this times a real number."""
        return Pair(self.re * factor, self.im * factor)

    def conjugate(self) -> Pair:
        """Return the mirror image at the real axis."""
        return Pair(self.re, -self.im)

    def square(self) -> Term:
        """Return the square of the distance from 0."""
        return self.re * self.re + self.im * self.im

    def inverse(self) -> Pair:
        """Return ``1 / self``."""
        return self.conjugate().times(1 / self.square())


def touches(op: Any) -> bool:
    """Return whether a tensor that `op` reads or makes is complex."""
    values = [*op.operands, *op.results]
    for operand in op.operands:
        owner = operand.owner
        if not isinstance(owner, ir.Block) and owner.name == "torch.prim.ListConstruct":
            values += owner.operands
    return any(part_type(value) is not None for value in values)


def operand(ctx: Lowering, index: int) -> Pair:
    """Return operand `index`, complex, real or a number, as a pair of the result's type."""
    b = ctx.b
    if _is_complex(ctx, index):
        return Pair(*(Term(b, seen(ctx, k).tensor(index)) for k in (0, 1)))
    element = seen(ctx, 0).out_element()
    real = Term(b, seen(ctx, 0).converted(index, element))
    return Pair(real, real.like(0.0))


def _is_complex(ctx: Lowering, index: int) -> bool:
    return part_type(ctx.op.operands[index]) is not None


def seen(ctx: Lowering, first: int, second: int | None = None) -> Lowering:
    """Return `ctx` with part `first` of complex operands; of operand 1 perhaps the `second`."""
    return dataclasses.replace(ctx, parts=(first, first if second is None else second))


# --- ops that the real lowering serves -----------------------------------------------------------

_MOVING = (
    *("_unsafe_view", "alias", "cat", "chunk", "clone", "contiguous", "detach", "detach_"),
    *("expand", "expand_as", "fft_fftshift", "fft_ifftshift", "flatten", "flip", "gather"),
    *("index", "index_select", "lift_fresh", "lift_fresh_copy", "mT", "movedim", "narrow"),
    *("numpy_T", "permute"),
    *("repeat", "reshape", "roll", "select", "slice", "split", "split_with_sizes", "squeeze"),
    *("stack", "swapaxes", "t", "tile", "transpose", "unbind", "unflatten", "unfold"),
    *("unsqueeze", "view", "view_as"),
)
_LINEAR = ("cumsum", "mean", "neg", "sum")
_BY_PART = {f"torch.aten.{name}" for name in (*_MOVING, *_LINEAR)} | {"torch.prim.ListUnpack"}
_PRODUCTS = {f"torch.aten.{name}" for name in ("bmm", "dot", "kron", "matmul", "mm", "mv", "outer")}


def lower_complex(entry: OpEntry, ctx: Lowering) -> Result | list[Result]:
    """Lower an op on complex numbers."""
    name = aten_name(ctx)
    if name in _TABLE:
        return _TABLE[name](ctx)
    family = ".".join(name.split(".")[:3])
    if entry.lower is None or family not in _BY_PART | _PRODUCTS:
        raise Refusal(
            "it has no lowering for complex numbers; compute with the real and imaginary parts "
            "(torch.view_as_real)"
        )
    if family in _BY_PART:
        parts = [entry.lower(seen(ctx, k)) for k in (0, 1)]
        if isinstance(parts[0], ir.Value):
            return Complex(*parts)
        return [Complex(*pair) for pair in zip(*parts, strict=True)]
    return _product(ctx, entry)


def _product(ctx: Lowering, entry: OpEntry) -> Complex:
    assert entry.lower is not None
    left, right = (part_type(v) is not None for v in ctx.op.operands[:2])

    def of(first: int, second: int) -> Term:
        assert entry.lower is not None
        return Term(ctx.b, entry.lower(seen(ctx, first, second)))

    if not right:
        return Complex(of(0, 0).value, of(1, 0).value)
    if not left:
        return Complex(of(0, 0).value, of(0, 1).value)
    return Complex((of(0, 0) - of(1, 1)).value, (of(0, 1) + of(1, 0)).value)


# --- ops with a lowering of their own ------------------------------------------------------------


def lowers_complex(*names: str) -> Callable[[Callable[[Lowering], Result]], Any]:
    """Decorator: enter how ops compute on complex numbers."""

    def enter(fn: Callable[[Lowering], Result]) -> Callable[[Lowering], Result]:
        for name in names:
            _TABLE[name] = fn
        return fn

    return enter


def lowers_always(*names: str) -> Callable[[Callable[[Lowering], Result]], Any]:
    """Decorator: enter ops whose lowering knows itself what is complex."""

    def enter(fn: Callable[[Lowering], Result]) -> Any:
        lowers(*names)(fn)
        return lowers_complex(*names)(fn)

    return enter


def _scaled(ctx: Lowering, index: int, alpha: int) -> Pair:
    factor = ctx.scalar(alpha)
    value = operand(ctx, index)
    return value if factor == 1 else value.times(factor)


@lowers_complex(*(f"torch.aten.where.{form}" for form in ("self", "ScalarOther", "ScalarSelf")))
def where(ctx: Lowering) -> Result:
    """`where(condition, x, y)`."""
    condition = real_operand(ctx, 0, i(1))
    x, y = operand(ctx, 1), operand(ctx, 2)
    return Pair(condition.where(x.re, y.re), condition.where(x.im, y.im)).values


@lowers_complex("torch.aten.mH", "torch.aten.adjoint", "torch.aten.matrix_H")
def adjoint(ctx: Lowering) -> Result:
    """The conjugate of the transpose."""
    x = operand(ctx, 0)
    perms = list(range(len(shape_of(x.re.value))))
    perms[-2:] = perms[:-3:-1]
    return Pair(*(Term(ctx.b, ctx.b.transpose(t.value, perms)) for t in (x.re, -x.im))).values


@lowers_complex("torch.aten.add.Tensor", "torch.aten.add.Scalar")
def add(ctx: Lowering) -> Result:
    """`add(x, y, alpha)`."""
    return (operand(ctx, 0) + _scaled(ctx, 1, 2)).values


@lowers_complex("torch.aten.sub.Tensor", "torch.aten.sub.Scalar")
def sub(ctx: Lowering) -> Result:
    """`sub(x, y, alpha)`."""
    return (operand(ctx, 0) - _scaled(ctx, 1, 2)).values


@lowers_complex("torch.aten.rsub.Scalar")
def rsub(ctx: Lowering) -> Result:
    """`rsub(x, y, alpha)`."""
    return (operand(ctx, 1) - _scaled(ctx, 0, 2)).values


@lowers_complex("torch.aten.mul.Tensor", "torch.aten.mul.Scalar")
def mul(ctx: Lowering) -> Result:
    """`mul(x, y)`; with a real factor both parts are scaled."""
    x, y = operand(ctx, 0), operand(ctx, 1)
    if not _is_complex(ctx, 1):
        return x.times(y.re).values
    return (x * y if _is_complex(ctx, 0) else y.times(x.re)).values


@lowers_complex("torch.aten.div.Tensor", "torch.aten.div.Scalar")
def div(ctx: Lowering) -> Result:
    """`div(x, y)`."""
    x, y = operand(ctx, 0), operand(ctx, 1)
    if not _is_complex(ctx, 1):
        return x.times(1 / y.re).values
    return (x * y.inverse()).values


@lowers_complex("torch.aten.reciprocal")
def reciprocal(ctx: Lowering) -> Result:
    """`1 / x`."""
    return operand(ctx, 0).inverse().values


@lowers_complex("torch.aten.square", "torch.aten.pow.Tensor_Scalar")
def power(ctx: Lowering) -> Result:
    """`x ** n` for small whole n."""
    exponent = 2.0 if aten_name(ctx).endswith("square") else ctx.real(1)
    if exponent not in (1, 2, 3, 4):
        raise Refusal(f"the power {exponent:g} of complex numbers has no lowering; use 1 to 4")
    x = operand(ctx, 0)
    return reduce(Pair.__mul__, [x] * int(exponent)).values


@lowers_complex("torch.aten.exp")
def exponential(ctx: Lowering) -> Result:
    """The exponential: a turn by the imaginary part."""
    x = operand(ctx, 0)
    return _turned(exp(x.re), x.im).values


def _turned(size: Term, angle: Term) -> Pair:
    return Pair(size * angle.apply("cos"), size * angle.apply("sin"))


@lowers_complex("torch.aten.abs")
def magnitude(ctx: Lowering) -> Result:
    """The root of the sum of squares, as which it loses numbers beyond 1e19 and below 1e-19."""
    return sqrt(operand(ctx, 0).square()).value


@lowers_complex(*CONVERSIONS)
def converted(ctx: Lowering) -> Result:
    """A real number as a complex one, or the real part of a complex one."""
    if part_type(ctx.op.result) is not None:
        x, shape = operand(ctx, 0).values, seen(ctx, 0).out_shape()
        return Complex(*(broadcast(ctx.b, y, shape) for y in (x.re, x.im)))
    return Term(ctx.b, seen(ctx, 0).tensor(0)).converted(ctx.out_element()).value


@lowers_always("torch.aten.angle")
def angle(ctx: Lowering) -> Result:
    """`angle(x)`; of a real number 0 or pi."""
    x = operand(ctx, 0)
    return atan2(x.im, x.re).value


@lowers_always("torch.aten._conj", "torch.aten.conj", "torch.aten.conj_physical")
def conj(ctx: Lowering) -> Result:
    """The conjugate; of a real number itself."""
    return operand(ctx, 0).conjugate().values if _is_complex(ctx, 0) else ctx.tensor(0)


@lowers_always("torch.aten.resolve_conj", "torch.aten.resolve_neg")
def resolved(ctx: Lowering) -> Result:
    """Nothing: conjugates are computed where they are asked for."""
    return operand(ctx, 0).values if _is_complex(ctx, 0) else ctx.tensor(0)


@lowers_always("torch.aten.real", "torch.aten.imag")
def real(ctx: Lowering) -> Result:
    """One of the parts."""
    if not _is_complex(ctx, 0):
        return ctx.tensor(0)
    return seen(ctx, 1 if aten_name(ctx).endswith("imag") else 0).tensor(0)


@lowers_always("torch.aten.view_as_real")
def view_as_real(ctx: Lowering) -> Result:
    """The parts along a new last dim."""
    x = operand(ctx, 0).values
    return stacked(ctx.b, [x.re, x.im], len(shape_of(x.re)))


@lowers_always("torch.aten.view_as_complex")
def view_as_complex(ctx: Lowering) -> Result:
    """A pair from the last dim."""
    b, x = ctx.b, ctx.tensor(0)
    axis = len(shape_of(x)) - 1
    return Complex(*(b.reshape(part(b, x, axis, k, 1), shape_of(x)[:-1]) for k in (0, 1)))


@lowers_always("torch.aten.complex")
def made(ctx: Lowering) -> Result:
    """`complex(real, imag)`."""
    shape = seen(ctx, 0).out_shape()
    return Complex(*(broadcast(ctx.b, ctx.tensor(n), shape) for n in (0, 1)))


@lowers_always("torch.aten.polar")
def polar(ctx: Lowering) -> Result:
    """`polar(abs, angle)`."""
    size, turn = (Term(ctx.b, ctx.tensor(n)) for n in (0, 1))
    return _turned(size, turn).values
