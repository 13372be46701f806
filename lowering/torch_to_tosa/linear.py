"""Matrix products: by a constant as a 1x1 convolution, by an activation as MATMUL."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, element_of, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import broadcast, part, static_shape

_FORWARDING = {
    "tosa.transpose",
    "tosa.reshape",
    "tosa.slice",
    "quant.dcast",
    "quant.scast",
    "tosa.cast",
    "torch_c.to_builtin_tensor",
    "torch_c.from_builtin_tensor",
}


def is_constant(value: ir.Value) -> bool:
    """Return whether `value` is a constant, possibly cast or moved around."""
    owner = value.owner
    while not isinstance(owner, ir.Block) and owner.name in _FORWARDING:
        owner = owner.operands[0].owner
    return not isinstance(owner, ir.Block) and owner.name in ("tosa.const", "torch.vtensor.literal")


def product(b: Builder, x: ir.Value, weight: ir.Value, bias: ir.Value | None) -> ir.Value:
    """Return ``x @ weight.T + bias`` for `x` [..., K] and `weight` [N, K].

    A constant weight makes a 1x1 convolution with the rows of `x` along W, which is what Ethos-U
    computes fastest; rank-4 `x` needs no reshape.
    """
    shape = shape_of(x)
    n, k = shape_of(weight)
    if not is_constant(weight):
        rows = matmul(b, x, b.transpose(weight, (1, 0)))
        return rows if bias is None else b.add(rows, bias)
    if not is_float(element_of(x)):
        raise Refusal("integer matrix products by a constant have no lowering yet")
    if bias is None:
        bias = b.const(np.zeros(n), element_of(x))
    rows = x if len(shape) == 4 else b.reshape(x, as_rows(shape))
    y = b.conv2d(rows, b.reshape(weight, [n, 1, 1, k]), bias)
    return y if len(shape) == 4 else b.reshape(y, [*shape[:-1], n])


def as_rows(shape: list[int]) -> list[int]:
    """Return the NHWC shape that lays the rows of [..., K] along W."""
    rows = DYNAMIC if DYNAMIC in shape[:-1] else int(np.prod(shape[:-1]))
    return [1, 1, rows, shape[-1]]


def matmul(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return ``torch.matmul(x, y)`` for ranks of at least 2, batch dims broadcast."""
    x, y = b.equal_ranks(x, y)
    a, c = shape_of(x), shape_of(y)
    if DYNAMIC in a[:-2] + c[:-2] and len(a) > 3:
        raise Refusal("batch dims of a matrix product are dynamic; specialise the shapes")
    batch = [
        max(p, q) if DYNAMIC not in (p, q) else DYNAMIC for p, q in zip(a[:-2], c[:-2], strict=True)
    ]
    x = _batched(b, x, batch)
    y = _batched(b, y, batch)
    out = b.matmul(x, y)
    return out if len(a) == 3 else b.reshape(out, [*batch, a[-2], c[-1]])


def _batched(b: Builder, x: ir.Value, batch: list[int]) -> ir.Value:
    shape = shape_of(x)
    repeats = [
        t // d if DYNAMIC not in (t, d) else 1 for d, t in zip(shape[:-2], batch, strict=True)
    ]
    x = b.tile(x, [*repeats, 1, 1])
    if len(shape) == 3:
        return x
    total = DYNAMIC if DYNAMIC in batch else int(np.prod(batch))
    return b.reshape(x, [total, *shape[-2:]])


@lowers("torch.aten.linear", quantized=Quantized.WEIGHTED, weight=1, bias=2)
def linear(ctx: Lowering) -> ir.Value:
    """`linear(input, weight, bias?)`; input [..., K] or [K]."""
    x = ctx.tensor(0)
    if len(shape_of(x)) == 1:
        row = product(ctx.b, ctx.b.reshape(x, [1, *shape_of(x)]), ctx.tensor(1), ctx.optional(2))
        return ctx.b.reshape(row, ctx.out_shape())
    return product(ctx.b, x, ctx.tensor(1), ctx.optional(2))


@lowers(
    "torch.aten.addmm",
    quantized=Quantized.WEIGHTED,
    activations=(1,),
    weight=2,
    weight_axis=1,
    bias=0,
)
def addmm(ctx: Lowering) -> ir.Value:
    """`addmm(bias, mat1, mat2, beta, alpha)` = beta*bias + alpha*(mat1 @ mat2)."""
    b, bias, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1), ctx.tensor(2)
    beta, alpha = ctx.scalar(3), ctx.scalar(4)
    fusable = is_constant(y) and beta == alpha == 1 and len(shape_of(bias)) == 1
    if fusable and shape_of(bias)[0] == shape_of(y)[1]:
        return product(b, x, b.transpose(y, (1, 0)), bias)
    out = _mm(b, x, y)
    if alpha != 1:
        out = b.mul(out, b.splat(out, alpha))
    if beta != 1:
        bias = b.mul(bias, b.splat(bias, beta))
    return b.add(out, bias)


def _mm(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    if is_constant(y) and is_float(element_of(x)):
        return product(b, x, b.transpose(y, (1, 0)), None)
    return matmul(b, x, y)


@lowers("torch.aten.mm", quantized=Quantized.RESCALED, activations=(0, 1))
def mm(ctx: Lowering) -> ir.Value:
    """`mm(a, b)`."""
    return ctx.b.reshape(_mm(ctx.b, ctx.tensor(0), ctx.tensor(1)), ctx.out_shape())


@lowers("torch.aten.bmm", "torch.aten.matmul", quantized=Quantized.RESCALED, activations=(0, 1))
def batched(ctx: Lowering) -> ir.Value:
    """`bmm(a, b)` and `matmul(a, b)`, which also takes vectors."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    if len(shape_of(x)) == 1:
        x = b.reshape(x, [1, *shape_of(x)])
    if len(shape_of(y)) == 1:
        y = b.reshape(y, [*shape_of(y), 1])
    if len(shape_of(y)) == 2:
        return b.reshape(_mm(b, x, y), ctx.out_shape())
    return b.reshape(matmul(b, x, y), ctx.out_shape())


@lowers(
    "torch.aten.mv",
    "torch.aten.dot",
    "torch.aten.vdot",
    quantized=Quantized.RESCALED,
    activations=(0, 1),
)
def by_vector(ctx: Lowering) -> ir.Value:
    """`mv(matrix, vector)` and `dot(vector, vector)`."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    rows = x if len(shape_of(x)) == 2 else b.reshape(x, [1, *shape_of(x)])
    return b.reshape(_mm(b, rows, b.reshape(y, [*shape_of(y), 1])), ctx.out_shape())


@lowers("torch.aten.outer", "torch.aten.ger", quantized=Quantized.RESCALED, activations=(0, 1))
def outer(ctx: Lowering) -> ir.Value:
    """`outer(x, y)`: every product of an element of each."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    return b.mul(b.reshape(x, [*shape_of(x), 1]), b.reshape(y, [1, *shape_of(y)]))


@lowers("torch.aten.inner", quantized=Quantized.RESCALED, activations=(0, 1))
def inner(ctx: Lowering) -> ir.Value:
    """`inner(x, y)`: sums of products over the last dim of both."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    if not shape_of(x) or not shape_of(y):
        return b.mul(x, y)
    left, right = (b.reshape(v, [as_rows(shape_of(v))[2], shape_of(v)[-1]]) for v in (x, y))
    return b.reshape(_mm(b, left, b.transpose(right, (1, 0))), ctx.out_shape())


@lowers("torch.aten.cross", "torch.aten.linalg_cross")
def cross(ctx: Lowering) -> ir.Value:
    """`cross(x, y, dim)` of vectors of three."""
    b, out = ctx.b, ctx.out_shape()
    axis = out.index(3) if ctx.is_none(2) else ctx.dim(2, len(out))
    x, y = (broadcast(b, ctx.tensor(n), out) for n in (0, 1))
    x, y = (b.cast(v, ctx.out_element()) for v in (x, y))

    def turned(v: ir.Value, by: int) -> ir.Value:
        return b.concat([part(b, v, axis, by, 3 - by), part(b, v, axis, 0, by)], axis)

    return b.sub(b.mul(turned(x, 1), turned(y, 2)), b.mul(turned(x, 2), turned(y, 1)))


@lowers("torch.aten.kron", quantized=Quantized.RESCALED, activations=(0, 1))
def kron(ctx: Lowering) -> ir.Value:
    """`kron(x, y)`: each element of x times all of y."""
    b = ctx.b
    x, y = b.equal_ranks(*(b.cast(ctx.tensor(n), ctx.out_element()) for n in (0, 1)))
    left = [n for size in static_shape(x) for n in (size, 1)]
    right = [n for size in static_shape(y) for n in (1, size)]
    return b.reshape(b.mul(b.reshape(x, left), b.reshape(y, right)), ctx.out_shape())


# Name -> the product that is added to; all are `(sum, x, y, beta, alpha)`.
_SUMS: dict[str, Callable[[Builder, ir.Value, ir.Value], ir.Value]] = {
    "torch.aten.baddbmm": matmul,
    "torch.aten.addbmm": lambda b, x, y: b.reduce("tosa.reduce_sum", matmul(b, x, y), 0),
    "torch.aten.addmv": lambda b, x, y: b.reshape(
        _mm(b, x, b.reshape(y, [*shape_of(y), 1])), shape_of(x)[:1]
    ),
    "torch.aten.addr": lambda b, x, y: b.mul(
        b.reshape(x, [*shape_of(x), 1]), b.reshape(y, [1, *shape_of(y)])
    ),
}


@lowers(*_SUMS)
def add_product(ctx: Lowering) -> ir.Value:
    """`baddbmm(sum, x, y, beta, alpha)` = beta*sum + alpha*(x @ y), and its kin."""
    b, total = ctx.b, ctx.tensor(0)
    beta, alpha = ctx.scalar(3), ctx.scalar(4)
    out = _SUMS[aten_name(ctx)](b, ctx.tensor(1), ctx.tensor(2))
    if alpha != 1:
        out = b.mul(out, b.splat(out, alpha))
    if beta != 1:
        total = b.mul(total, b.splat(total, beta))
    return b.reshape(out if beta == 0 else b.add(total, out), ctx.out_shape())


@lowers("torch.aten.bilinear")
def bilinear(ctx: Lowering) -> ir.Value:
    """`bilinear(x, y, weight, bias?)`: x and y [..., I], [..., J], weight [O, I, J]."""
    b, x, y, weight = ctx.b, ctx.tensor(0), ctx.tensor(1), ctx.tensor(2)
    count, size, other = shape_of(weight)
    rows = as_rows(shape_of(x))[2]
    x, y = b.reshape(x, [rows, size, 1]), b.reshape(y, [rows, 1, other])
    pairs = b.reshape(b.mul(x, y), [rows, size * other])
    out = product(b, pairs, b.reshape(weight, [count, size * other]), ctx.optional(3))
    return b.reshape(out, ctx.out_shape())


@lowers("torch.aten.einsum")
def einsum(ctx: Lowering) -> ir.Value:
    """`einsum(equation, tensors, path?)`, two tensors at a time, as batched matrix products."""
    given, result = equation_terms(ctx.text(0), [len(shape_of(v)) for v in ctx.tensors(1)])
    b, values = ctx.b, ctx.tensors(1)
    terms = []
    for value, term in zip(values, given, strict=True):
        if len(set(term)) != len(term):
            raise Refusal("an einsum over a diagonal has no lowering; use torch.diagonal first")
        if DYNAMIC in shape_of(value):
            raise Refusal("an einsum needs static shapes; specialise them")
        terms.append((value, term))
    x, left = terms[0]
    for n, (y, right) in enumerate(terms[1:], 2):
        needed = set(result).union(*(term for _, term in terms[n:]))
        x, left = _contracted(b, _Term(x, left), _Term(y, right), needed)
    x, left = _summed_out(b, _Term(x, left), set(result))
    x = b.transpose(x, [left.index(letter) for letter in result])
    return b.reshape(x, ctx.out_shape())


def equation_terms(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of each operand's dims and of the result's; "..." gets capitals."""
    text = equation.replace(" ", "")
    given, arrow, result = text.partition("->")
    parts = given.split(",")
    if len(parts) != len(ranks):
        raise Refusal(f"the equation '{equation}' does not fit its {len(ranks)} operands")
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in text]
    width = max(
        (rank - len(part) + 3 for part, rank in zip(parts, ranks, strict=True) if "..." in part),
        default=0,
    )
    rest = "".join(reversed(spare[:width]))
    terms = [
        part.replace("...", rest[width - (rank - len(part) + 3) :] if "..." in part else "")
        for part, rank in zip(parts, ranks, strict=True)
    ]
    if arrow:
        return terms, result.replace("...", rest)
    letters = "".join(terms)
    once = sorted(c for c in set(letters) if letters.count(c) == 1 and c not in rest)
    return terms, rest + "".join(once)


class _Term(NamedTuple):
    """A tensor of an einsum and the letters of its dims."""

    value: ir.Value
    letters: str


def _summed_out(b: Builder, term: _Term, keep: set[str]) -> _Term:
    """Sum over the letters that nothing else has."""
    x, letters = term
    for axis, letter in enumerate(letters):
        if letter not in keep:
            x = b.reduce("tosa.reduce_sum", x, axis)
    kept = [n for n, letter in enumerate(letters) if letter in keep]
    shape = shape_of(x)
    return _Term(b.reshape(x, [shape[n] for n in kept]), "".join(letters[n] for n in kept))


def _contracted(b: Builder, left: _Term, right: _Term, needed: set[str]) -> _Term:
    """Multiply two terms and sum over the letters that are not `needed` further on."""
    left = _summed_out(b, left, needed | set(right.letters))
    right = _summed_out(b, right, needed | set(left.letters))
    sizes: dict[str, int] = {}
    for value, letters in (left, right):
        for letter, size in zip(letters, shape_of(value), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    batch = [c for c in left.letters if c in right.letters and c in needed]
    inside = [c for c in left.letters if c in right.letters and c not in needed]
    rows = [c for c in left.letters if c not in right.letters]
    columns = [c for c in right.letters if c not in left.letters]

    def arranged(term: _Term, *groups: list[str]) -> ir.Value:
        order = [c for group in groups for c in group]
        x = b.transpose(term.value, [term.letters.index(c) for c in order])
        wanted = [sizes[c] for c in order]
        x = b.tile(x, [w // h for w, h in zip(wanted, shape_of(x), strict=True)])
        return b.reshape(x, [math.prod(sizes[c] for c in group) for group in groups])

    out = matmul(b, arranged(left, batch, rows, inside), arranged(right, batch, inside, columns))
    order = [*batch, *rows, *columns]
    return _Term(b.reshape(out, [sizes[c] for c in order]), "".join(order))
