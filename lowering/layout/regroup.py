"""Chains of reshapes and transposes as one transpose of regrouped dims."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, attr_ints
from tosaic.dialects.types import is_static, shape_of


@dataclass(frozen=True, order=True)
class _Atom:
    """A factor of a dim; sorted by `place`, atoms are in the order of the source's dims."""

    place: tuple[int, ...]
    size: int

    def split(self, outer: int) -> tuple[_Atom, _Atom]:
        return _Atom((*self.place, 0), outer), _Atom((*self.place, 1), self.size // outer)


_Dims = list[list[_Atom]]  # per dim, outermost factor first
_MAX_RANK = 6  # TOSA 1.0, level 8K


@dataclass(frozen=True)
class Move:
    """``reshape(transpose(reshape(source, sizes), perm), shape)``, with as few `sizes` as can be.

    No size is 1 and no two neighbours stay neighbours: `perm` is empty where nothing moves.
    """

    source: ir.Value
    sizes: tuple[int, ...]
    perm: tuple[int, ...]

    @classmethod
    def to(cls, value: ir.Value) -> Move | None:
        """Return the longest chain that ends in `value` and is one transpose; None if there is
        none, or shapes are dynamic or empty."""
        chain = list(_chain(value))
        for n in range(len(chain), 0, -1):
            found = _composed(chain[n - 1].operands[0], reversed(chain[:n]))
            if found is not None and len(found.perm) <= _MAX_RANK:
                return found
        return None

    def build(self, b: Builder, shape: Sequence[int]) -> ir.Value:
        """Build it from the source, with the result's dims as `shape`."""
        if not self.perm:
            return b.reshape(self.source, shape)
        return b.reshape(b.transpose(b.reshape(self.source, self.sizes), self.perm), shape)


def _chain(value: ir.Value) -> Any:
    """Yield the reshapes and transposes that lead to `value`, last one first."""
    while not isinstance(value.owner, ir.Block):
        op = value.owner
        if op.name not in ("tosa.reshape", "tosa.transpose"):
            return
        yield op
        value = op.operands[0]


def _composed(source: ir.Value, ops: Any) -> Move | None:
    shape = shape_of(source)
    if not is_static(shape) or 0 in shape:
        return None
    dims: _Dims = [[_Atom((n,), size)] if size > 1 else [] for n, size in enumerate(shape)]
    for op in ops:
        if op.name == "tosa.transpose":
            dims = [dims[p] for p in attr_ints(op, "perms")]
            continue
        grouped = _regrouped(dims, shape_of(op.results[0]))
        if grouped is None:
            return None
        dims = grouped
    return _reduced(source, list(itertools.chain.from_iterable(dims)))


def _regrouped(dims: _Dims, shape: Sequence[int]) -> _Dims | None:
    """Return the atoms under a reshape to `shape`; None where a dim would cut across an atom."""
    left = list(itertools.chain.from_iterable(reversed([d[::-1] for d in dims])))  # a stack
    out: _Dims = []
    for size in shape:
        group: list[_Atom] = []
        rest = size
        while rest > 1:
            atom = left.pop()
            if atom.size > rest and atom.size % rest == 0:
                atom, inner = atom.split(rest)
                left.append(inner)
            if rest % atom.size:
                return None
            group.append(atom)
            rest //= atom.size
        out.append(group)
    return out


def _reduced(source: ir.Value, atoms: list[_Atom]) -> Move:
    rank = {atom: n for n, atom in enumerate(sorted(atoms))}
    runs: list[list[int]] = []
    for number in (rank[atom] for atom in atoms):
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    sizes = [atom.size for atom in sorted(atoms)]
    ordered = sorted(runs)
    products = [math.prod(sizes[number] for number in run) for run in ordered]
    perm = tuple(ordered.index(run) for run in runs)
    return Move(source, tuple(products), perm if len(perm) > 1 else ())
