"""tosaic-opt: mlir-opt for tosaic's passes, with mlir-opt's flags.

Every registered pass and pipeline is a flag, upstream passes too; their order is the order they run
in. What happens to the IR is `tosaic.lowering.pipeline.Pipeline`, the same as in the compiler.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from tosaic.dialects.bindings import PassManager, ir, make_context
from tosaic.emit.files import read_bytes, write_bytes
from tosaic.emit.functions import bytecode
from tosaic.errors import CompileError, Diagnostic, InputError, PipelineError
from tosaic.lowering.passes import all_passes, diagnostic_at
from tosaic.lowering.pipeline import Pipeline, all_pipelines
from tosaic.tools import console
from tosaic.tools.pass_docs import UPSTREAM, first_paragraph, pass_docs, pipeline_docs
from tosaic.tools.verify_diagnostics import unmet_expectations

_BYTECODE_MAGIC = b"ML\xefR"
_STDIN = "<stdin>"
_MARKER = re.compile(r"^// -----[ \t]*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags, apart from passes and files."""

    split_input_file: bool
    verify_diagnostics: bool
    allow_unregistered_dialect: bool
    emit_bytecode: bool
    mlir_print_ir_before_all: bool
    mlir_print_ir_after_all: bool
    mlir_print_debuginfo: bool
    mlir_print_op_generic: bool
    mlir_elide_elementsattrs_if_larger: int | None
    mlir_timing: bool

    def configure(self, manager: PassManager) -> None:
        """Set printing and timing on `manager`."""
        if self.mlir_print_ir_before_all or self.mlir_print_ir_after_all:
            manager.enable_ir_printing(
                print_before_all=self.mlir_print_ir_before_all,
                print_after_all=self.mlir_print_ir_after_all,
                enable_debug_info=self.mlir_print_debuginfo,
                print_generic_op_form=self.mlir_print_op_generic,
                large_elements_limit=self.mlir_elide_elementsattrs_if_larger,
            )
        if self.mlir_timing:
            manager.enable_timing()


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One module to run on: all of the input, or what is between two ``// -----`` lines.

    `source` is padded with empty lines, so that MLIR counts lines as the whole file does; `path` is
    given where MLIR can read the file itself.
    """

    source: str | bytes
    file: str
    path: str | None = None

    def parse(self, context: ir.Context) -> ir.Module:
        """Parse, with locations that name the file where MLIR's bindings allow it."""
        if self.path is not None:
            return ir.Module.parseFile(self.path, context)
        return ir.Module.parse(self.source, context)

    @property
    def lines(self) -> list[str]:
        """Return the text's lines (none for bytecode)."""
        return self.source.split("\n") if isinstance(self.source, str) else []


def read_chunks(path: str, *, split: bool) -> list[Chunk]:
    """Read `path` ('-' is stdin), which holds text or bytecode.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    file = _STDIN if path == "-" else path
    data = sys.stdin.buffer.read() if path == "-" else read_bytes(path)
    if data.startswith(_BYTECODE_MAGIC):
        return [Chunk(data, file)]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{file}' is neither MLIR text nor MLIR bytecode (byte {error.start} is not UTF-8). "
            "tosaic-translate reads .tosa and .pt2 files."
        ) from None
    if split:
        return [Chunk(part, file) for part in _split(text)]
    return [Chunk(text, file, None if path == "-" else path)]


def _split(text: str) -> Iterator[str]:
    start = 0
    for end, after in [*(m.span() for m in _MARKER.finditer(text)), (len(text), 0)]:
        yield "\n" * text.count("\n", 0, start) + text[start:end]
        start = after


class Reporter:
    """Collects what MLIR and our passes report about one chunk, in order."""

    def __init__(self, context: ir.Context) -> None:
        """Attach to `context`, which from now on reports errors here and not in exceptions."""
        self.diagnostics: list[Diagnostic] = []
        self._file = ""
        context.emit_error_diagnostics = True
        context.attach_diagnostic_handler(self._handle)

    def start(self, chunk: Chunk) -> None:
        """Forget the last chunk's problems."""
        self.diagnostics = []
        self._file = chunk.file

    def add(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Add `diagnostics`; text that was parsed from memory has '-' for its file."""
        for d in diagnostics:
            if d.file == "-":
                where = d.where.replace(f"-:{d.line}", f"{self._file}:{d.line}")
                d = dataclasses.replace(d, file=self._file, where=where)  # noqa: PLW2901
            self.diagnostics.append(d)

    @property
    def failed(self) -> bool:
        """Whether there is an error among the diagnostics."""
        return any(d.severity == "error" for d in self.diagnostics)

    def _handle(self, raw: Any) -> bool:
        severity = str(raw.severity).rpartition(".")[2].lower()
        # An MLIR diagnostic lives for this call only: take out all that is needed.
        self.add([diagnostic_at(raw.location, str(raw.message), severity)])
        for note in raw.notes:
            if not str(note.message).startswith("see current operation"):
                self.add([diagnostic_at(note.location, str(note.message), "note")])
        return True


def process(chunk: Chunk, pipeline: Pipeline, context: ir.Context, options: Options) -> bytes:
    """Parse `chunk`, run `pipeline`, and return the module as text or bytecode.

    Raises:
        CompileError: one of the three failed; MLIR has told the diagnostic handler why.
    """
    try:
        module = chunk.parse(context)
    except ir.MLIRError as error:
        raise CompileError(f"'{chunk.file}' does not parse.") from error
    pipeline.run(module, configure=options.configure)
    if options.emit_bytecode:
        return bytecode(module.operation)
    text: str = module.operation.get_asm(
        enable_debug_info=options.mlir_print_debuginfo,
        print_generic_op_form=options.mlir_print_op_generic,
        large_elements_limit=options.mlir_elide_elementsattrs_if_larger,
    )
    return text.rstrip("\n").encode() + b"\n"


def run_all(
    chunks: Sequence[Chunk], pipeline: Pipeline, context: ir.Context, options: Options
) -> bytes | None:
    """Process every chunk and print its problems; return the output, or None if there was an error.

    With ``--verify-diagnostics`` an error is a problem not expected, or an expected one missing.
    """
    reporter = Reporter(context)
    outputs, good = [], True
    for chunk in chunks:
        reporter.start(chunk)
        try:
            outputs.append(process(chunk, pipeline, context, options))
        except CompileError as error:
            known = bool(reporter.diagnostics)
            reporter.add(error.diagnostics)
            if not options.verify_diagnostics and error.diagnostics:
                console.print_problem(error.summary)
            elif not known and not error.diagnostics:
                reporter.add([Diagnostic(error.summary, chunk.file)])
        problems = reporter.diagnostics
        if options.verify_diagnostics:
            problems = unmet_expectations(chunk.lines, chunk.file, problems)
            good &= not problems
        else:
            good &= not reporter.failed
        for problem in problems:
            console.print_diagnostic(problem, chunk.file, chunk.lines)
    separator = b"" if options.emit_bytecode else b"// -----\n"
    return separator.join(outputs) if good else None


# --- the command line ------------------------------------------------------------------------


def flag_to_pipeline_text(flag: str, context: ir.Context, own_flags: Sequence[str]) -> str:
    """Return the pipeline text for a pass flag: ``--name`` or ``--name=k=v k=v``.

    Raises:
        PipelineError: neither tosaic nor MLIR has such a pass, or it does not take the options.
    """
    name, _, options = flag.removeprefix("--").partition("=")
    if name in all_pipelines():
        if options:
            raise PipelineError(f"Pipeline '{name}' takes no options, but got '{options}'.")
        return name
    text = f"{name}{{{options}}}" if options else name
    if name in all_passes():
        return text
    reasons = []
    for candidate in (text, f"func.func({text})"):
        try:
            with context:
                PassManager("builtin.module").add(candidate)
        except ValueError as error:
            reasons.append(str(error))
        else:
            return candidate
    if "does not refer to a registered pass" in reasons[-1]:
        known = [*all_passes(), *all_pipelines(), *(f.removeprefix("--") for f in own_flags)]
        near = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(f'--{n}' for n in near)}?" if near else ""
        raise PipelineError(
            f"There is no flag, pass or pipeline '--{name}'.{hint} "
            "--help lists the flags, --list-passes the passes."
        )
    # Known, but refused: the function-anchored try gives the reason without the anchor's.
    reason = re.sub(r"^.*?(error|Parser>): ", "", reasons[-1].strip().partition("\n")[0])
    raise PipelineError(f"MLIR does not take '--{name}={options}': {reason}.")


def _normalised(arguments: Sequence[str]) -> list[str]:
    """Accept ``-canonicalize`` for ``--canonicalize``, as LLVM's tools do."""
    return [re.sub(r"^-(?=[a-zA-Z][\w-]+)", "--", argument) for argument in arguments]


def _list_passes(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    out = console.stdout()

    def entry(name: str, text: str) -> None:
        out.print(f"  --{name}", markup=False)
        indent = " " * 6
        if text:
            out.print(click.wrap_text(text, 100, indent, indent), markup=False)

    out.print("Passes (flags, or names in --pass-pipeline):\n")
    for doc in pass_docs():
        entry(doc.name, first_paragraph(doc.text))
        for option in doc.options:
            out.print(f"        {option.name}=<{option.kind}>  [{option.default}]", markup=False)
    out.print("\nPipelines:\n")
    for pipeline in pipeline_docs():
        entry(pipeline.name, first_paragraph(pipeline.text))
        out.print(click.wrap_text(f"= {','.join(pipeline.passes)}", 100, " " * 8, " " * 10))
    out.print(f"\n{click.wrap_text(UPSTREAM, 100)}", markup=False)
    context.exit()


def _flag(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(f"--{name}", is_flag=True, help=text)


class _Command(click.Command):
    """Normalises single dashes before click reads ``-canonicalize`` as seven short flags."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _normalised(args))


@click.command(
    cls=_Command,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
    epilog="Every pass and named pipeline is a flag too: --list-passes.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PASS FLAGS] [INPUT]")
@click.option("-o", "output", default="-", metavar="FILE", help="Output file ('-': stdout).")
@click.option("--pass-pipeline", metavar="TEXT", help="'builtin.module(a,b{k=v},func.func(c))'.")
@_flag("dump-pass-pipeline", "Print the pipeline as text for --pass-pipeline, and stop.")
@_flag("split-input-file", "Run on each part between '// -----' lines by itself.")
@_flag("verify-diagnostics", "Check problems against expected-error comments in the input.")
@_flag("allow-unregistered-dialect", "Accept ops of dialects that are not known.")
@_flag("emit-bytecode", "Write MLIR bytecode.")
@_flag("mlir-print-ir-before-all", "Print the IR to stderr before each pass.")
@_flag("mlir-print-ir-after-all", "Print the IR to stderr after each pass.")
@_flag("mlir-print-debuginfo", "Print locations.")
@_flag("mlir-print-op-generic", "Print ops in their generic form.")
@click.option(
    "--mlir-elide-elementsattrs-if-larger",
    type=int,
    metavar="N",
    help="Print constants of more than N elements as '...'.",
)
@_flag("mlir-timing", "Print how long each pass took to stderr.")
@click.option(
    "--list-passes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_passes,
    help="List all passes with their options, and all pipelines.",
)
@click.pass_context
def command(
    click_context: click.Context,
    /,
    arguments: tuple[str, ...],
    output: str,
    pass_pipeline: str | None,
    dump_pass_pipeline: bool,
    **flags: Any,
) -> int:
    """Run MLIR passes on INPUT ('-' or nothing: stdin), which is MLIR text or bytecode."""
    options = Options(**flags)
    files = [a for a in arguments if not a.startswith("--")]
    pass_flags = [a for a in arguments if a.startswith("--")]
    if len(files) > 1:
        raise InputError(f"One input file at a time; got {', '.join(files)}.")
    context = make_context()
    context.allow_unregistered_dialects = options.allow_unregistered_dialect
    if pass_pipeline is not None and pass_flags:
        raise PipelineError(
            f"--pass-pipeline and pass flags ({' '.join(pass_flags)}) do not mix: their order "
            "would not be clear. Write all passes in one of the two."
        )
    if pass_pipeline is None:
        own = [name for p in click_context.command.params for name in p.opts]
        texts = [flag_to_pipeline_text(flag, context, own) for flag in pass_flags]
        pass_pipeline = f"builtin.module({','.join(texts)})"
    pipeline = Pipeline.parse(pass_pipeline)
    # A pass that MLIR refuses is known before any input is read.
    pipeline.pass_manager(context)
    if dump_pass_pipeline:
        click.echo(str(pipeline))
        return 0
    chunks = read_chunks(files[0] if files else "-", split=options.split_input_file)
    if options.emit_bytecode and len(chunks) > 1:
        raise InputError("--emit-bytecode writes one module; --split-input-file gave several.")
    result = run_all(chunks, pipeline, context, options)
    if result is None:
        return 1
    if output == "-":
        sys.stdout.buffer.write(result)
        sys.stdout.buffer.flush()
    else:
        write_bytes(output, result)
    return 0


def main() -> None:
    """Entry point of ``tosaic-opt``."""
    console.run(command)
