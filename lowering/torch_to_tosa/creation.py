"""Tensors made from numbers. Random ones are refused: a program computes the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import is_float, is_static, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.promotion import number, operand


def _static_shape(ctx: Lowering) -> list[int]:
    shape = ctx.out_shape()
    if not is_static(shape):
        raise Refusal("its shape has a dynamic dim; specialise the shapes")
    return shape


def _made(ctx: Lowering, values: npt.NDArray[Any]) -> ir.Value:
    """Return a constant of the result's type; floats become integers towards zero."""
    element = ctx.out_element()
    if not is_float(element) and values.dtype.kind == "f" and np.isfinite(values).all():
        values = np.trunc(values)
    return ctx.b.const(values, element)


# Names -> what fills them: a number, or the operand that says it.
def _filled(names: tuple[str, ...], number: float) -> None:
    @lowers(*(f"torch.aten.{name}" for name in names))
    def lower(ctx: Lowering) -> ir.Value:
        """A tensor of zeros or ones; an empty one has zeros."""
        return _made(ctx, np.full(_static_shape(ctx), number))


_filled(("zeros", "zeros_like", "new_zeros", "zero"), 0)
_filled(("ones", "ones_like", "new_ones"), 1)
# What is in memory is not defined; zeros are as good as anything.
_filled(("empty.memory_format", "empty_like", "new_empty", "empty_strided", "new_empty_strided"), 0)


def _filled_with(names: tuple[str, ...], index: int) -> None:
    @lowers(*(f"torch.aten.{name}" for name in names))
    def lower(ctx: Lowering) -> ir.Value:
        """A tensor of one number."""
        return _made(ctx, np.full(_static_shape(ctx), number(ctx, index)))


_filled_with(("full", "full_like", "fill.Scalar"), 1)
_filled_with(("new_full",), 2)


@lowers("torch.aten.scalar_tensor", "torch.prim.NumToTensor.Scalar")
def scalar_tensor(ctx: Lowering) -> ir.Value:
    """A tensor without dims of a number."""
    return _made(ctx, np.array(number(ctx, 0)))


@lowers("torch.aten.fill.Tensor", "torch.aten.copy")
def fill(ctx: Lowering) -> ir.Value:
    """`fill(x, value)` and `copy(x, source)`: operand 1 in the shape and type of x."""
    b, shape = ctx.b, _static_shape(ctx)
    value = operand(ctx, 1, ctx.out_element()).value
    own = [1] * (len(shape) - len(shape_of(value))) + shape_of(value)
    return b.tile(
        b.reshape(value, own), [1 if n == m else m for n, m in zip(own, shape, strict=True)]
    )


@lowers("torch.aten.detach_", "torch.aten.lift_fresh", "torch.aten.lift")
def lifted(ctx: Lowering) -> ir.Value:
    """What `torch.tensor([...])` inside a model does to its constant: nothing."""
    return ctx.tensor(0)


# --- ranges --------------------------------------------------------------------------------------


def _range(ctx: Lowering, start: float, step: float) -> ir.Value:
    (count,) = _static_shape(ctx)
    if not is_float(ctx.out_element()):
        start, step = int(start), int(step)  # as PyTorch does before it counts
    return _made(ctx, start + np.arange(count) * step)


@lowers("torch.aten.arange")
def arange(ctx: Lowering) -> ir.Value:
    """`arange(end)`."""
    return _range(ctx, 0, 1)


@lowers("torch.aten.arange.start")
def arange_start(ctx: Lowering) -> ir.Value:
    """`arange(start, end)`."""
    return _range(ctx, number(ctx, 0), 1)


@lowers("torch.aten.arange.start_step")
def arange_step(ctx: Lowering) -> ir.Value:
    """`arange(start, end, step)`."""
    return _range(ctx, number(ctx, 0), number(ctx, 2))


def _spaced(ctx: Lowering) -> npt.NDArray[np.float64]:
    (count,) = _static_shape(ctx)
    return np.linspace(number(ctx, 0), number(ctx, 1), count)


@lowers("torch.aten.linspace")
def linspace(ctx: Lowering) -> ir.Value:
    """`linspace(start, end, steps)`."""
    return _made(ctx, _spaced(ctx))


@lowers("torch.aten.logspace")
def logspace(ctx: Lowering) -> ir.Value:
    """`logspace(start, end, steps, base)`."""
    return _made(ctx, np.power(ctx.real(3), _spaced(ctx)))


@lowers("torch.aten.eye", "torch.aten.eye.m")
def eye(ctx: Lowering) -> ir.Value:
    """A matrix with ones on its diagonal."""
    rows, columns = _static_shape(ctx)
    return _made(ctx, np.eye(rows, columns))


def _triangle(name: str, indices: Any) -> None:
    @lowers(f"torch.aten.{name}_indices")
    def lower(ctx: Lowering) -> ir.Value:
        """The indices of a triangle of a matrix."""
        rows, columns, offset = (ctx.integer(n) for n in range(3))
        return _made(ctx, np.stack(indices(rows, offset, columns)))


_triangle("tril", np.tril_indices)
_triangle("triu", np.triu_indices)


# --- refused -------------------------------------------------------------------------------------

_RANDOM = (
    *("rand", "randn", "rand_like", "randn_like", "randint", "randint.low", "randint_like"),
    *("randint_like.low_dtype", "randperm", "bernoulli", "bernoulli.p", "bernoulli.Tensor"),
    *("multinomial", "normal_functional", "normal.float_float", "normal.Tensor_Tensor"),
    *("normal.Tensor_float", "uniform", "exponential", "poisson", "rrelu_with_noise"),
    *("rrelu_with_noise_functional", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"),
)


@lowers(*(f"torch.aten.{name}" for name in _RANDOM), quantized=Quantized.NO)
def random(ctx: Lowering) -> ir.Value:
    """Refused: random numbers; give them to the model as an input."""
    if "dropout" in str(ctx.op) and not ctx.flag(2):
        return ctx.tensor(0)  # not training
    raise Refusal(
        "it draws random numbers, and a compiled program computes the same every time; call "
        "model.eval() where it is for training only, else pass the numbers in as an input"
    )
