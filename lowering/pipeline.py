"""Pipelines: text ↔ value ↔ MLIR PassManager, mixing tosaic's passes with upstream's.

MLIR's own parser does not know passes defined in Python, so the text is split here and handed to
`PassManager.add` piece by piece. Named pipelines are functions that return pipeline text.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tosaic.dialects.bindings import PassManager, ir
from tosaic.errors import CompileError, Diagnostic, PipelineError, TosaicError
from tosaic.lowering.passes import Pass, all_passes, diagnostic_at, make_pass

_ANCHOR = "builtin.module"
_NAMED: dict[str, Callable[[], str]] = {}


def register_pipeline(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Decorator: make the pipeline text returned by a function available under `name`."""

    def wrap(fn: Callable[[], str]) -> Callable[[], str]:
        _NAMED[name] = fn
        return fn

    return wrap


def all_pipelines() -> dict[str, Callable[[], str]]:
    """Return every named pipeline."""
    all_passes()
    return dict(sorted(_NAMED.items()))


@dataclass(frozen=True)
class Pipeline:
    """A list of passes on ``builtin.module``: tosaic passes, and upstream ones as text."""

    elements: tuple[Pass | str, ...]

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """Parse ``builtin.module(a,b{x=1},func.func(c))`` or just its inside.

        Raises:
            PipelineError: for text that does not parse, unknown passes or options.
        """
        return cls(tuple(_parse_elements(text.strip())))

    def __str__(self) -> str:
        """Return text that parses back to an equal pipeline."""
        return f"{_ANCHOR}({','.join(str(e) for e in self.elements)})"

    def __add__(self, other: Pipeline) -> Pipeline:
        """Return the passes of both, in order."""
        return Pipeline(self.elements + other.elements)

    def pass_manager(self, context: ir.Context) -> PassManager:
        """Build the MLIR pass manager."""
        with context:
            manager = PassManager(_ANCHOR)
            for element in self.elements:
                if isinstance(element, Pass):
                    manager.add(
                        _pass_callback(element),
                        name=type(element).__name__,
                        argument=str(element),
                        description=(type(element).__doc__ or "").split("\n")[0],
                    )
                else:
                    _add_upstream(manager, element)
            return manager

    def run(
        self, module: ir.Module, *, configure: Callable[[PassManager], None] | None = None
    ) -> None:
        """Run on `module` in place; `configure` may set printing or timing first.

        Raises:
            CompileError: a pass failed; carries every diagnostic with the user's locations.
        """
        manager = self.pass_manager(module.context)
        if configure is not None:
            configure(manager)
        try:
            manager.run(module.operation)
        except ir.MLIRError as error:
            raise CompileError("The pass pipeline failed.", mlir_diagnostics(error)) from error


def mlir_diagnostics(error: Any) -> list[Diagnostic]:
    """Return an `MLIRError`'s diagnostics; notes follow their error."""
    out = []
    for info in error.error_diagnostics:
        out.append(diagnostic_at(info.location, str(info.message)))
        out.extend(
            diagnostic_at(note.location, str(note.message), "note")
            for note in info.notes
            if not str(note.message).startswith("see current operation")
        )
    return out


def _pass_callback(element: Pass) -> Callable[[Any, Any], None]:
    def callback(op: Any, _pass: Any) -> None:
        with op.context, ir.Location.unknown():
            try:
                element.run(op)
            except (TosaicError, ir.MLIRError):
                raise
            except Exception as error:
                if os.environ.get("TOSAIC_FULL_TRACEBACK"):
                    raise
                raise CompileError(
                    f"Pass {element.name} broke down ({type(error).__name__}: {error}). This is a "
                    "bug in tosaic, not in your model; please report it with the reproducer. "
                    "TOSAIC_FULL_TRACEBACK=1 shows where."
                ) from error

    return callback


def _add_upstream(manager: PassManager, text: str) -> None:
    name = re.split(r"[{(]", text, maxsplit=1)[0]
    try:
        manager.add(text)
    except ValueError as error:
        known = [*all_passes(), *_NAMED]
        near = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        # The first line says why, after the parser's name; the rest repeats the text.
        reason = re.sub(r"^.*?(error|Parser>): ", "", str(error).strip().partition("\n")[0])
        raise PipelineError(
            f"'{text}' is neither a tosaic pass nor one MLIR accepts on {_ANCHOR}: "
            f"{reason.rstrip('.?') or 'unknown pass'}.{hint} --list-passes lists them all."
        ) from None


def _parse_elements(text: str) -> list[Pass | str]:
    inside = re.fullmatch(rf"{re.escape(_ANCHOR)}\((.*)\)", text, flags=re.DOTALL)
    out: list[Pass | str] = []
    for part in _split(inside.group(1) if inside else text):
        name = re.split(r"[{(]", part, maxsplit=1)[0].strip()
        if name == _ANCHOR:
            out.extend(_parse_elements(part))
        elif name in all_passes():
            out.append(make_pass(name, _parse_options(part[len(name) :].strip(), part)))
        elif name in _NAMED:
            out.extend(_parse_elements(_NAMED[name]()))
        else:
            nested = re.findall(r"tosaic-[\w-]+", part)
            if "(" in part and nested:
                raise PipelineError(
                    f"{nested[0]} runs on {_ANCHOR}, but '{part}' nests it under '{name}'. "
                    f"Write it beside, not inside: {name}(…),{nested[0]}."
                )
            out.append(part)
    return out


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        if char in "({[":
            depth += 1
        elif char in ")}]":
            depth -= 1
            if depth < 0:
                break
        elif char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    if depth:
        raise PipelineError(f"Brackets do not match in pipeline text '{text}'.")
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _parse_options(text: str, whole: str) -> dict[str, str]:
    if not text:
        return {}
    if not (text.startswith("{") and text.endswith("}")):
        raise PipelineError(f"Cannot read the options of '{whole}': write name{{key=value …}}.")
    options = {}
    for item in text[1:-1].split():
        key, _, value = item.partition("=")
        options[key] = value
    return options
