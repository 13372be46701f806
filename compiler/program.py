"""A program as a view read off its MLIR module: what it can be called by, and what it is made of.

Everything is in the module, so that tools for MLIR see all of it. Each public function is an entry;
a private one that has a target of its own is a segment; a `tosa.variable` is state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tosaic.dialects.bindings import ir
from tosaic.emit.functions import MAIN, entry_functions, functions_of
from tosaic.emit.manifest import Manifest, TensorInfo, info_of_type
from tosaic.errors import InputError

TARGET = "tosaic.target"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Entry:
    """A function that a user calls: a public ``func.func``, which lives as long as `module`."""

    name: str
    function: Any
    module: ir.Module = field(repr=False)

    @property
    def manifest(self) -> Manifest:
        """Its inputs and outputs."""
        return Manifest.from_function(self.function)


@dataclass(frozen=True)
class Segment:
    """A part that runs elsewhere: a private ``func.func`` with the name of a target on it."""

    function: Any
    target: str
    module: ir.Module = field(repr=False)


@dataclass(frozen=True)
class State:
    """A tensor kept between calls, as a TOSA variable."""

    name: str
    info: TensorInfo
    kept_as: str = "variable"


@dataclass(frozen=True)
class Program:
    """A module in the TOSA dialect, read as a program."""

    module: ir.Module

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its entries, in order."""
        return tuple(Entry(*item, self.module) for item in entry_functions(self.module).items())

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Parts that have a target of their own."""
        return tuple(
            Segment(f, f.attributes[TARGET].value, self.module)
            for f in functions_of(self.module)
            if "sym_visibility" in f.attributes and TARGET in f.attributes
        )

    @property
    def state(self) -> tuple[State, ...]:
        """What it keeps between calls."""
        return tuple(
            State(name, info_of_type(name, op.attributes["type"].value, _shape(op)))
            for op in self.module.body.operations
            if op.operation.name == "tosa.variable"
            for name in [op.attributes["sym_name"].value]
        )

    def alone(self, name: str) -> ir.Module:
        """Return a module with entry `name` as its main: this one where it has no other."""
        if len(entry_functions(self.module)) == 1:
            return self.module
        with self.module.context, ir.Location.unknown():
            copy = ir.Module.create()
            _add(copy, self.module, {name: MAIN})
        return copy


def join(modules: Mapping[str, ir.Module]) -> ir.Module:
    """Return one module with the entry of each of `modules`, of one context, by name.

    What is not an entry (variables, private functions) is there once by its name.
    """
    first = next(iter(modules.values()))
    with first.context, ir.Location.unknown():
        joined = ir.Module.create()
        for name, module in modules.items():
            (old,) = entry_functions(module)
            _add(joined, module, {old: name})
    return joined


def check_names(names: Iterable[str]) -> None:
    """Check names of entries, which become parts of file names and of names in C.

    Raises:
        InputError: there is none, one is not a name in C, or two differ in case only.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(
                f"'{name}' cannot be the name of an entry. Use letters, digits and _, a letter "
                'first, such as "encode".'
            )
        other = seen.setdefault(name.upper(), name)
        if other != name:
            raise InputError(
                f"The entries '{other}' and '{name}' differ in case only; names in C and files "
                "would be the same. Rename one."
            )
    if not seen:
        raise InputError(
            'There is no entry to compile: the dict is empty. Give {"name": (model, inputs), …}.'
        )


def _add(into: ir.Module, module: ir.Module, names: Mapping[str, str]) -> None:
    """Copy into `into` the entries in `names`, renamed, and all that is not an entry."""
    entries = entry_functions(module)
    there = {op.attributes["sym_name"].value for op in into.body.operations}
    for op in module.body.operations:
        symbol = op.attributes["sym_name"].value
        if symbol in entries and symbol not in names:
            continue
        if symbol not in entries and symbol in there:
            continue
        with ir.InsertionPoint(into.body):
            copy = op.operation.clone()
        if symbol in names:
            copy.attributes["sym_name"] = ir.StringAttr.get(names[symbol])


def _shape(op: Any) -> list[int]:
    return list(op.attributes["var_shape"])
