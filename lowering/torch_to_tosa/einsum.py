"""Einsum: two tensors at a time, as batched matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import shape_of
from tosaic.lowering.ops import Lowering, Refusal, lowers
from tosaic.lowering.torch_to_tosa.diagonals import diagonal_of
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type
from tosaic.lowering.torch_to_tosa.linear import summed_products
from tosaic.lowering.torch_to_tosa.pieces import static_shape


@lowers("torch.aten.einsum", precise=True)
def einsum(ctx: Lowering) -> ir.Value:
    """`einsum(equation, tensors, path?)`, two tensors at a time, as batched matrix products."""
    b, values = ctx.b, ctx.tensors(1)
    given, result = equation_terms(ctx.text(0), [len(static_shape(v)) for v in values])
    element = compute_type(ctx.out_element())
    terms = [
        _without_repeats(b, _Term(Term(b, value).converted(element).value, letters))
        for value, letters in zip(values, given, strict=True)
    ]
    term = terms[0]
    for n, other in enumerate(terms[1:], 2):
        needed = set(result).union(*(later.letters for later in terms[n:]))
        term = _contracted(b, term, other, needed)
    x, left = _summed_out(b, term, set(result))
    x = b.transpose(x, [left.index(letter) for letter in result])
    return Term(b, b.reshape(x, ctx.out_shape())).converted(ctx.out_element()).value


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


def _without_repeats(b: Builder, term: _Term) -> _Term:
    """Return the diagonal along the dims that share a letter, until none do."""
    x, letters = term
    letter = next((c for c in letters if letters.count(c) > 1), None)
    if letter is None:
        return term
    pair = [n for n, c in enumerate(letters) if c == letter][:2]
    rest = [n for n in range(len(letters)) if n not in pair]
    line = diagonal_of(b, b.transpose(x, [*rest, *pair]), 0)
    return _without_repeats(b, _Term(line, "".join(letters[n] for n in rest) + letter))


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

    out = summed_products(
        b, arranged(left, batch, rows, inside), arranged(right, batch, inside, columns)
    )
    order = [*batch, *rows, *columns]
    return _Term(b.reshape(out, [sizes[c] for c in order]), "".join(order))
