"""Discrete Fourier transforms: RFFT2D and FFT2D for large powers of two, else a product by waves.

A product by a constant matrix runs on every target, and for short lines it is what hardware for
matrices does fastest. Along several dims a transform is one after the other. TOSA computes the same
sum as PyTorch does, without the factor that `norm` puts in front.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, shape_of, tensor
from tosaic.lowering.ops import (
    Complex,
    Lowering,
    Quantized,
    Refusal,
    Trait,
    lowers,
    normalize_dim,
    part_type,
)
from tosaic.lowering.torch_to_tosa.complex import lowers_always, seen
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import last, part, rolled, static_shape
from tosaic.lowering.torch_to_tosa.resize import along
from tosaic.lowering.torch_to_tosa.windows import pad_or_crop

_FEW = 128  # up to which a product is taken for powers of two as well
_MOST = 4096  # a matrix of this size squared is what a program may hold
_LEVEL_8K = 8192  # TOSA 1.0, level 8K: the longest line of FFT2D

Array = npt.NDArray[np.float64]


def waves(size: int, count: int) -> tuple[Array, Array]:
    """Return cos and sin of ``2 pi k n / size`` as [count, size]: k below count, n below size."""
    # Whole turns are taken off as integers.
    turns = np.outer(np.arange(count), np.arange(size)) % size * (2 * np.pi / size)
    return np.cos(turns), np.sin(turns)


def _by_op(size: int) -> bool:
    return _FEW < size <= _LEVEL_8K and size & (size - 1) == 0


def _refuse_long(size: int) -> None:
    if size > _MOST:
        raise Refusal(
            f"a Fourier transform of {size} elements, no power of two up to {_LEVEL_8K}, needs too "
            "large a matrix; pad the input to a power of two"
        )


def _op(
    b: Builder, name: str, values: list[ir.Value], count: int, axis: int, **more: ir.Attribute
) -> Complex:
    """Return `tosa.fft2d` or `tosa.rfft2d` along `axis` of `values`, which has `count` then."""
    lines = [last(b, v, axis) for v in values]
    rows = [b.reshape(line, [shape_of(line)[0], 1, shape_of(line)[1]]) for line, _ in lines]
    wanted = tensor([shape_of(rows[0])[0], 1, count], element_of(rows[0]))
    made = b.op(f"tosa.{name}", rows, [wanted, wanted], **more).results
    back = lines[0][1]
    return Complex(*(back(b.reshape(v, [shape_of(v)[0], count])) for v in made))


def spectrum(b: Builder, x: ir.Value, axis: int, count: int) -> Complex:
    """Return the first `count` frequencies of real `x` along `axis`."""
    size = shape_of(x)[axis]
    if _by_op(size) and count == size // 2 + 1:
        return _op(b, "rfft2d", [x], count, axis)
    if _by_op(size):
        return turned(b, Complex(x, b.mul(x, b.splat(x, 0))), axis, inverse=False)
    _refuse_long(size)
    cos, sin = waves(size, count)
    both = along(b, x, axis, np.concatenate([cos, -sin]))
    return Complex(part(b, both, axis, 0, count), part(b, both, axis, count, count))


def turned(b: Builder, z: Complex, axis: int, *, inverse: bool) -> Complex:
    """Return all frequencies of complex `z` along `axis`; `inverse` turns the other way."""
    size = shape_of(z.re)[axis]
    if _by_op(size):
        return _op(b, "fft2d", [z.re, z.im], size, axis, inverse=ir.BoolAttr.get(inverse))
    _refuse_long(size)
    cos, sin = waves(size, size)
    sin = -sin if inverse else sin
    both = along(b, b.concat([z.re, z.im], axis), axis, np.block([[cos, sin], [-sin, cos]]))
    return Complex(part(b, both, axis, 0, size), part(b, both, axis, size, size))


def inverse_spectrum(b: Builder, z: Complex, axis: int, size: int) -> ir.Value:
    """Return the `size` real elements of which `z` holds the frequencies up to the middle."""
    have, half = shape_of(z.re)[axis], size // 2 + 1
    z = Complex(*(pad_or_crop(b, v, axis, 0, half - have) for v in (z.re, z.im)))
    if _by_op(size):
        # The other half are the conjugates, in reverse.
        rest = [b.reverse(part(b, v, axis, 1, half - 2), axis) for v in (z.re, z.im)]
        whole = Complex(b.concat([z.re, rest[0]], axis), b.concat([z.im, b.negate(rest[1])], axis))
        return turned(b, whole, axis, inverse=True).re
    _refuse_long(size)
    matrix = inverse_waves(size, half)
    return along(b, b.concat([z.re, z.im], axis), axis, matrix)


def conjugate(b: Builder, z: Complex) -> Complex:
    """Return the conjugate of `z`."""
    return Complex(z.re, b.negate(z.im))


def inverse_waves(size: int, count: int) -> Array:
    """Return the [size, 2 * count] matrix from the parts of `count` frequencies to elements.

    Of a half spectrum every frequency but the first and the middle one stands for two.
    """
    cos, sin = waves(size, count)
    if count < size:
        twice = np.full((count, 1), 2.0)
        twice[0] = 1
        if size % 2 == 0:
            twice[-1] = 1
        cos, sin = cos * twice, sin * twice
    return np.asarray(np.concatenate([cos, -sin]).T)


# --- what the ops have in common -----------------------------------------------------------------


@dataclass(frozen=True)
class _Transform:
    """`(x, n?, dim, norm?)`, or `(x, s?, dims?, norm?)` along several dims: what an op is to do.

    `sizes` are what the dims are cut or filled to, None for as they are.
    """

    ctx: Lowering
    axes: list[int]
    sizes: list[int | None]
    norm: str
    inverse: bool

    @classmethod
    def of(cls, ctx: Lowering) -> _Transform:
        """Read an op; the names of inverse ones start with an i."""
        rank = len(ir.RankedTensorType(part_type(ctx.op.operands[0]) or ctx.tensor(0).type).shape)
        norm = "backward" if ctx.is_none(3) else ctx.text(3)
        inverse = aten_name(ctx).startswith("torch.aten.fft_i")
        if ctx.is_scalar(2):
            size = None if ctx.is_none(1) else ctx.integer(1)
            return cls(ctx, [ctx.dim(2, rank)], [size], norm, inverse)
        given = [] if ctx.is_none(1) else ctx.ints(1)
        if not ctx.is_none(2):
            axes = [normalize_dim(d, rank) for d in ctx.ints(2)]
        else:
            axes = list(range(rank - len(given) if given else 0, rank))
        sizes = [None if size == -1 else size for size in given] or [None] * len(axes)
        return cls(ctx, axes, sizes, norm, inverse)

    @property
    def element(self) -> ir.Type:
        """The float type that is computed in."""
        result = part_type(self.ctx.op.results[0])
        wanted = self.ctx.out_type() if result is None else result
        return ir.RankedTensorType(wanted).element_type

    def input(self, axes: int) -> list[ir.Value]:
        """Return the one or two parts of operand 0, fitted along the first `axes` of the dims."""
        ctx = self.ctx
        if part_type(ctx.op.operands[0]) is None:
            parts = [Term(ctx.b, ctx.tensor(0)).converted(self.element).value]
        else:
            parts = [seen(ctx, k).tensor(0) for k in (0, 1)]
        for axis, size in zip(self.axes[:axes], self.sizes[:axes], strict=True):
            static_shape(parts[0])
            if size is not None:
                missing = size - shape_of(parts[0])[axis]
                parts = [pad_or_crop(ctx.b, v, axis, 0, missing) for v in parts]
        return parts

    def result(self, parts: Sequence[ir.Value], sizes: Iterable[int]) -> list[ir.Value]:
        """Return `parts` times the factor for a transform of lines of `sizes`."""
        count = math.prod(sizes)
        if self.norm == "ortho":
            factor = count**-0.5
        else:
            factor = 1 / count if self.inverse == (self.norm == "backward") else 1.0
        b = self.ctx.b
        return [v if factor == 1 else (Term(b, v) * factor).value for v in parts]


# --- the ops -------------------------------------------------------------------------------------


def _several(name: str) -> list[str]:
    return [f"torch.aten.fft_{name}{dims}" for dims in ("", "2", "n")]


@lowers_always(*_several("fft"), *_several("ifft"))
def fft(ctx: Lowering) -> Complex:
    """`fft(x, n?, dim, norm?)`, `ifft`; `fft2` and `fftn` along several dims."""
    b, plan = ctx.b, _Transform.of(ctx)
    parts = plan.input(len(plan.axes))
    axes = list(plan.axes)
    if len(parts) == 2:
        z = Complex(*parts)
    else:
        z = spectrum(b, parts[0], axes[0], shape_of(parts[0])[axes[0]])
        z = conjugate(b, z) if plan.inverse else z
        del axes[0]
    for axis in axes:
        z = turned(b, z, axis, inverse=plan.inverse)
    return Complex(*plan.result((z.re, z.im), (shape_of(z.re)[axis] for axis in plan.axes)))


@lowers_always(*_several("rfft"), "torch.aten.fft_ihfft")
def rfft(ctx: Lowering) -> Complex:
    """`rfft(x, n?, dim, norm?)`: half of the spectrum; `ihfft`: its conjugate."""
    b, plan = ctx.b, _Transform.of(ctx)
    (x,) = plan.input(len(plan.axes))
    *others, axis = plan.axes
    sizes = [shape_of(x)[k] for k in plan.axes]
    z = spectrum(b, x, axis, sizes[-1] // 2 + 1)
    z = conjugate(b, z) if plan.inverse else z
    for other in others:
        z = turned(b, z, other, inverse=False)
    return Complex(*plan.result((z.re, z.im), sizes))


@lowers_always(*_several("irfft"), "torch.aten.fft_hfft")
def irfft(ctx: Lowering) -> ir.Value:
    """`irfft(x, n?, dim, norm?)`: of half a spectrum; `hfft`: of its conjugate."""
    b, plan = ctx.b, _Transform.of(ctx)
    parts = plan.input(len(plan.axes) - 1)
    z = Complex(parts[0], parts[1] if len(parts) == 2 else b.mul(parts[0], b.splat(parts[0], 0)))
    z = z if plan.inverse else conjugate(b, z)
    *others, axis = plan.axes
    for other in others:
        z = turned(b, z, other, inverse=True)
    size = plan.sizes[-1] or 2 * (shape_of(z.re)[axis] - 1)
    sizes = [*(shape_of(z.re)[other] for other in others), size]
    (found,) = plan.result([inverse_spectrum(b, z, axis, size)], sizes)
    return found


@lowers(
    "torch.aten.fft_fftshift",
    "torch.aten.fft_ifftshift",
    quantized=Quantized.SHARED,
    traits=Trait.MOVES,
)
def fftshift(ctx: Lowering) -> ir.Value:
    """`fftshift(x, dims?)`: the first element to the middle; `ifftshift`: back."""
    x = ctx.tensor(0)
    shape = static_shape(x)
    dims = range(len(shape)) if ctx.is_none(1) else ctx.ints(1)
    for axis in (normalize_dim(d, len(shape)) for d in dims):
        back = aten_name(ctx).endswith("ifftshift")
        x = rolled(ctx.b, x, axis, -(shape[axis] // 2) if back else shape[axis] // 2)
    return x


@lowers("torch.aten.fft_fftfreq", "torch.aten.fft_rfftfreq")
def fftfreq(ctx: Lowering) -> ir.Value:
    """`fftfreq(n, spacing)`: the frequencies of a spectrum, `rfftfreq` of half of one."""
    half = aten_name(ctx).endswith("rfftfreq")
    numbers = (np.fft.rfftfreq if half else np.fft.fftfreq)(ctx.integer(0), ctx.real(1))
    return ctx.b.const(numbers, ctx.out_element())
