"""The one exception family of tosaic.

A message is one paragraph: which op, where in the user's source, why, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TosaicError(Exception):
    """Base of everything tosaic raises for bad input; the command line exits 1 on it."""


class InputError(TosaicError):
    """A file, option, tensor or argument that the user gave cannot be used."""


class PipelineError(TosaicError):
    """A pass pipeline's text is wrong: unknown pass, unknown option, bad nesting."""


class ToolError(TosaicError):
    """A tool that tosaic stands on (serializer, Vela, reference model) refused the program."""


@dataclass(frozen=True)
class Diagnostic:
    """One problem, placed in the user's source as far as the op's location tells."""

    message: str
    where: str
    file: str = ""
    line: int = 0
    column: int = 0
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class CompileError(TosaicError):
    """A pass could not continue; carries every problem it found, in program order.

    `reproducer` is a shell command that shows the failure again, empty where there is none.
    """

    def __init__(self, summary: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        """Join `summary` and the diagnostics into the message."""
        self.summary = summary
        self.diagnostics = tuple(diagnostics)
        self.reproducer = ""
        super().__init__(summary, *self.diagnostics)

    def __str__(self) -> str:
        """Return the summary, each problem, and how to see the failure again."""
        lines = [self.summary, *(f"  {d}" for d in self.diagnostics)]
        if self.reproducer:
            lines.append(f"  To reproduce: {self.reproducer}")
        return "\n".join(lines)


class UnsupportedError(CompileError):
    """An op (or a form of it) has no lowering for the target."""
