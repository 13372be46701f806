"""What all command-line tools share: how problems are printed, and exit codes.

A user's mistake is one paragraph on stderr and exit code 1. A traceback means a bug in tosaic.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tosaic.errors import Diagnostic, TosaicError

_COLOURS = {"error": "bold red", "warning": "bold magenta", "note": "bold cyan"}


def stderr() -> Console:
    """Return the console for problems; long lines are not wrapped, so that editors find them."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def stdout() -> Console:
    """Return the console for what was asked for."""
    return Console(soft_wrap=True, highlight=False)


def table(*columns: str, title: str | None = None) -> Table:
    """Return a table without lines around it; a column named ``>x`` is set to the right."""
    made = Table(box=None, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return made


def show(table: Table) -> None:
    """Print a table to stdout."""
    out = stdout()
    if not out.is_terminal:
        out.width = 160  # a file or pipe has none to fold columns for
    out.print(table)


def quiet_torch() -> None:
    """Silence notes about optional CUDA parts of torchao and deprecations inside torch."""
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)


def print_problem(message: str, *, where: str = "", severity: str = "error") -> None:
    """Print ``where: severity: message`` to stderr, with colour on a terminal."""
    text = Text(f"{where}: " if where else "")
    text.append(f"{severity}: ", _COLOURS.get(severity, "bold"))
    stderr().print(text.append(message))


def print_diagnostic(diagnostic: Diagnostic, file: str, lines: Sequence[str] = ()) -> None:
    """Print `diagnostic`; one inside input `file` (whose text is `lines`) shows its line."""
    if diagnostic.file != file or not diagnostic.line:
        print_problem(diagnostic.message, where=diagnostic.where, severity=diagnostic.severity)
        return
    line, column = diagnostic.line, diagnostic.column
    where = f"{file}:{line}:{column}" if column else f"{file}:{line}"
    print_problem(diagnostic.message, where=where, severity=diagnostic.severity)
    if line <= len(lines) and diagnostic.severity != "note":
        shown = lines[line - 1].rstrip()
        caret = "\n" + " " * (column - 1) + "^" if column else ""
        # A line can hold a whole weight tensor.
        if len(shown) <= 240:
            stderr().print(Text(shown + caret))


def run(command: click.Command) -> NoReturn:
    """Run `command` on the process's arguments and exit."""
    sys.exit(_exit_code(command))


def _exit_code(command: click.Command) -> int:
    try:
        result = command.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        print_problem(error.format_message())
        return 1
    except click.Abort:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain again at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except TosaicError as error:
        if os.environ.get("TOSAIC_FULL_TRACEBACK") == "1":
            raise
        print_problem(str(error))
        return 1
    return result if isinstance(result, int) else 0
