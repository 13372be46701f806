"""tosaic-translate: one file format into another, by extension.

.pt2 (torch.export.save) ──► .mlir .mlirbc (torch dialect)   .mlir .mlirbc ◄──► .tosa
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from tosaic.dialects.bindings import ir, make_context
from tosaic.emit.files import read_bytes, write_bytes
from tosaic.errors import CompileError, InputError
from tosaic.lowering.pipeline import Pipeline, mlir_diagnostics
from tosaic.stages import Options, stages
from tosaic.targets import target
from tosaic.tools import console


def _read_mlir(path: str, context: ir.Context) -> ir.Module:
    read_bytes(path)  # a missing file is reported in the user's words, not MLIR's
    try:
        return ir.Module.parseFile(path, context)
    except ir.MLIRError as error:
        raise CompileError(f"'{path}' does not parse.", mlir_diagnostics(error)) from None


def _read_tosa(path: str, context: ir.Context) -> ir.Module:
    from tosaic.emit import deserialize

    return deserialize(read_bytes(path), context)


def _read_pt2(path: str, context: ir.Context) -> ir.Module:
    # torch takes over a second to import, and only this format needs it.
    from tosaic.frontend import import_program
    from tosaic.frontend.load import load_program

    return import_program(load_program(path), context)


def _as_text(module: ir.Module) -> bytes:
    # With locations: they are where every later message gets the user's file and line from.
    return str(module.operation.get_asm(enable_debug_info=True)).encode()


def _as_bytecode(module: ir.Module) -> bytes:
    from tosaic.emit.functions import bytecode

    return bytecode(module.operation)


def _as_tosa(module: ir.Module) -> bytes:
    from tosaic.emit import serialize

    return serialize(module)


READERS: dict[str, Callable[[str, ir.Context], ir.Module]] = {
    ".mlir": _read_mlir,
    ".mlirbc": _read_mlir,
    ".tosa": _read_tosa,
    ".pt2": _read_pt2,
}
WRITERS: dict[str, Callable[[ir.Module], bytes]] = {
    ".mlir": _as_text,
    ".mlirbc": _as_bytecode,
    ".tosa": _as_tosa,
}


def translate(source: str, destination: str) -> None:
    """Read `source`, write `destination`.

    Raises:
        InputError: an extension that is not known, or a file that cannot be used.
        CompileError: the program does not parse or import.
    """
    source_format = _extension(source, READERS, "input")
    format_ = _extension(destination, WRITERS, "output")
    module = READERS[source_format](source, make_context())
    if (source_format, format_) == (".pt2", ".tosa"):
        for _, text in stages(target("tosa"), Options(), quantized=True):
            Pipeline.parse(text).run(module)
    write_bytes(destination, WRITERS[format_](module))


def _extension(path: str, known: Mapping[str, object], role: str) -> str:
    extension = Path(path).suffix.lower()
    if extension not in known:
        raise InputError(
            f"The {role} file '{path}' has an extension that tosaic-translate does not know. "
            f"Please use one of {', '.join(known)}."
        )
    return extension


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.option("-o", "output", required=True, metavar="FILE", help="Output file.")
def command(source: str, output: str) -> None:
    """Translate SOURCE (.mlir, .mlirbc, .tosa, .pt2) to FILE (.mlir, .mlirbc, .tosa)."""
    translate(source, output)


def main() -> None:
    """Entry point of ``tosaic-translate``."""
    console.run(command)
