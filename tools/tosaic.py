"""tosaic: compile a PyTorch model, run what came out, look into it.

Nothing but argument handling and printing: each command calls the library. torch is imported by
the commands that need it, so that the others start at once.
"""

from __future__ import annotations

import dataclasses
import io
import math
import re
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.markup import escape
from rich.status import Status

from tosaic.collector import collector_paused
from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import (
    Manifest,
    dequantize,
    deserialize,
    read_bytes,
    write_bytes,
)
from tosaic.emit.functions import MAIN, entry_functions, tensor_names
from tosaic.errors import InputError
from tosaic.executors import all_executors, make_executor
from tosaic.program import Program
from tosaic.quantizer.recipe import find_recipe
from tosaic.stages import IO_DTYPES, LAYOUTS, Options, fixed_dims, stages
from tosaic.targets import all_targets
from tosaic.targets import target as find_target
from tosaic.tools import console
from tosaic.tools.arrays import Array, read_inputs, samples
from tosaic.tools.evaluate import evaluate_command
from tosaic.tools.explain import explain_command
from tosaic.tools.numerics import numerics_command
from tosaic.tools.program_files import as_stored, manifest_of, slot_of, tosa_file, tosa_files
from tosaic.tools.repair import repair_command
from tosaic.tools.tosaic_translate import READERS
from tosaic.tools.tune import tune_command

if TYPE_CHECKING:
    from tosaic.api import CompiledProgram

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_TOP = 10


@click.group(context_settings=_HELP)
@click.version_option(package_name="tosaic")
def command() -> None:
    """Compile PyTorch models for Arm NPUs and microcontrollers."""


# --- compile -------------------------------------------------------------------------------------


@command.command("compile")
@click.argument("model")
@click.option("--target", default="tosa-1.0-int", show_default=True, help="See `tosaic targets`.")
@click.option("--quantize", "recipe", metavar="RECIPE", help="A recipe's name, or a .toml file.")
@click.option(
    "--calibration",
    multiple=True,
    metavar="[ENTRY=]NPZ",
    help="Samples of every input, on the leading axis.",
)
@click.option("-o", "--output", "folder", required=True, metavar="DIR", help="Where files go.")
@click.option("--name", help="Stem of the files' names.  [default: the factory's name]")
@click.option("--io-layout", default="nchw", show_default=True, metavar="|".join(LAYOUTS))
@click.option("--io-dtype", default="auto", show_default=True, metavar="|".join(IO_DTYPES))
@click.option("--dim", "dims", multiple=True, metavar="x.0=4", help="Size of a dynamic dim.")
@click.option("--input-shape", multiple=True, metavar="1x3x8x8", help="One per input, [:dtype].")
@click.option("--inputs", metavar="NPZ", help="Example inputs, in place of --input-shape.")
@click.option("--max-arena", type=int, metavar="BYTES", help="Fail if Cortex-M needs more memory.")
@click.option("--option", "own", multiple=True, metavar="NAME=VALUE", help="Of the target's own.")
@click.option("--report", is_flag=True, help="Show the slowest layers by source line.")
@click.option("--print-stages", is_flag=True, help="Show the graph passes, and pipelines by stage.")
@click.option("--dump-ir", metavar="DIR", help="Write the program after each pass or stage to DIR.")
def compile_command(
    model: str,
    target: str,
    recipe: str | None,
    calibration: tuple[str, ...],
    folder: str,
    name: str | None,
    io_layout: str,
    io_dtype: str,
    dims: tuple[str, ...],
    input_shape: tuple[str, ...],
    inputs: str | None,
    max_arena: int | None,
    own: tuple[str, ...],
    report: bool,
    print_stages: bool,
    dump_ir: str | None,
) -> None:
    """Compile MODEL, which is FILE.py:FACTORY or FILE.pt2.

    FACTORY is a function that returns an nn.Module in eval mode, or (module, example inputs), or
    it is a module itself. Example inputs may also be called example_inputs in its file.

    FACTORY may return a dict of models by name instead, each (module, example inputs): a program
    with an entry each. Each has calibration data of its own: --calibration ENTRY=NPZ.
    """
    # Before torch is imported and a model is loaded: what cannot work.
    sizes = _sizes(dims)
    chosen = find_target(target)
    own_options = _own_options(own) | ({} if max_arena is None else {"max_arena": max_arena})
    options = Options(io_layout, io_dtype, fixed_dims(sizes), own_options)
    options.check(chosen)
    if recipe:
        find_recipe(recipe)
    if recipe and not calibration:
        raise InputError(
            f"--quantize {recipe} finds ranges from sample inputs. Pass them with --calibration "
            "data.npz: one array per input, samples along the leading axis."
        )
    if calibration and not recipe:
        raise InputError("--calibration is used by quantisation only. Add --quantize int8.")
    if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
        raise InputError(f"--name '{name}' is not a plain file name. Use letters, digits, - and _.")
    with _Stages() as progress:
        progress("load")
        console.quiet_torch()
        import torch

        from tosaic.api import compile as compile_model
        from tosaic.tools import user_model

        user = user_model.load_models(model)
        if MAIN not in user and (input_shape or inputs):
            raise InputError(
                "--input-shape and --inputs are for one model. Of several give each its own in the "
                'factory\'s dict: {"name": (module, example inputs)}.'
            )
        files_of = user_model.files_by_entry(calibration, user, "--calibration")
        given: dict[str, Any] = {}
        items: dict[str, Any] = {}
        for entry, one in user.items():
            file = files_of.get(entry)
            examples = user_model.example_inputs(one, input_shape, inputs, file)
            given[entry] = (one.model, examples)
            if file is not None:
                slots, arrays = user_model.calibration_slots(file, one, examples)
                batches = samples(file, slots, arrays)
                items[entry] = (tuple(map(torch.from_numpy, batch)) for batch in batches)
        program = compile_model(
            *given.get(MAIN, (given,)),
            target=chosen,
            quantize=recipe,
            calibration=items.get(MAIN, items),
            io_layout=io_layout,
            io_dtype=io_dtype,
            dims=sizes,
            options=own_options,
            dump_ir=dump_ir,
            progress=progress,
        )
        progress("save")
        files = program.save(folder, name=name or next(iter(user.values())).name)
    if print_stages:
        _print_graph_passes(in_parts=recipe is not None)
        quantized = "quantize" in program.report.seconds
        for stage, text in stages(chosen, options, quantized=quantized):
            console.stdout().print(f"{stage}: --pass-pipeline='{text}'", markup=False)
    _print_summary(program, files)
    if report:
        _print_layers(program)


def _print_graph_passes(*, in_parts: bool) -> None:
    from tosaic.frontend.normal import normal_passes
    from tosaic.graph.passes import describe

    console.stdout().print(f"normal: {describe(normal_passes())}", markup=False)
    if in_parts:
        from tosaic.quantizer.parts import part_passes

        added = part_passes()[len(normal_passes()) :]
        console.stdout().print(f"parts: {describe(added)}", markup=False)


def _sizes(dims: Sequence[str]) -> dict[str, int]:
    """Return ``{"x.0": 4}`` for ``["x.0=4"]``."""
    sizes = {}
    for text in dims:
        place, _, size = text.partition("=")
        if not place or not size.isdigit():
            raise InputError(f"--dim {text} is not of the form INPUT.DIM=SIZE, such as x.0=4.")
        sizes[place] = int(size)
    return sizes


def _own_options(texts: Sequence[str]) -> dict[str, Any]:
    """Return ``{"max_arena": 4096}`` for ``["max_arena=4096"]``; numbers and bools as such."""
    own: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError(f"--option {text} is not of the form NAME=VALUE.")
        number = re.fullmatch(r"-?\d+", value)
        own[name] = int(value) if number else {"true": True, "false": False}.get(value, value)
    return own


def _print_summary(program: CompiledProgram, files: Sequence[Path]) -> None:
    out, report = console.stdout(), program.report
    out.print(f"\n[bold]{report.target}[/bold]")
    for entry, manifest in program.manifests.items():
        _print_entry(entry, program.entries)
        _print_tensors(manifest)
    table = console.table("", "")
    table.show_header = False
    table.add_row("operators", _histogram(report.operators))
    seconds = ", ".join(f"{stage} {value:.2f}" for stage, value in report.seconds.items())
    table.add_row("seconds", f"{sum(report.seconds.values()):.2f} ({seconds})")
    for entry, artifact in program.artifacts.entries.items():
        prefix = f"{entry}: " if len(program.entries) > 1 else ""
        for label, text in artifact.summary:
            table.add_row(f"{prefix}{label}", text)
    for label, text in program.artifacts.summary:
        table.add_row(label, text)
    table.add_row("files", "\n".join(str(file) for file in files))
    console.show(table)


def _print_entry(entry: str, entries: Sequence[str]) -> None:
    """Print the name of one of several entries."""
    if len(entries) > 1:
        console.stdout().print(f"entry [bold]{escape(entry)}[/bold]")


def _print_layers(program: CompiledProgram) -> None:
    for entry, artifact in program.artifacts.entries.items():
        if artifact.layers is None:
            note = f"Target {program.target.name} has no cycle model; choose an Ethos-U for layers."
            console.stdout().print(f"\n{note}", markup=False)
            return
        _print_entry(entry, program.entries)
        console.stdout().print(f"\n{artifact.layers(_TOP)}", markup=False, end="")


class _Stages:
    """Shows the running stage: a spinner on a terminal, else a line each on stderr."""

    def __init__(self) -> None:
        self._console = console.stderr()
        self._status: Status | None = None
        self._stage = ""
        self._start = 0.0

    def __enter__(self) -> _Stages:
        if self._console.is_terminal:
            self._status = Status("", console=self._console)
            self._status.start()
        return self

    def __call__(self, stage: str) -> None:
        self._finish()
        self._stage, self._start = stage, time.perf_counter()
        if self._status is not None:
            self._status.update(stage)
        else:
            self._console.print(f"{stage} …")

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._finish()
        if self._status is not None:
            self._status.stop()

    def _finish(self) -> None:
        if self._stage and self._status is not None:
            seconds = time.perf_counter() - self._start
            self._console.print(f"[green]✓[/green] {self._stage:<10} {seconds:6.2f} s")


# --- run -----------------------------------------------------------------------------------------


@command.command("run")
@click.argument("program")
@click.option("--inputs", required=True, metavar="NPZ", help="One array per input, or samples.")
@click.option("--entry", metavar="NAME", help="Which entry to run, of a program with several.")
@click.option("--executor", default="jit", show_default=True, metavar="|".join(all_executors()))
@click.option("-o", "--output", metavar="NPZ", help="Write the outputs here, by name.")
def run_command(
    program: str, inputs: str, entry: str | None, executor: str, output: str | None
) -> None:
    """Run PROGRAM (a .tosa file, or the folder it was compiled to) on this machine.

    Float arrays for quantised inputs are quantised as the manifest (.json beside the .tosa) says,
    and the outputs are then floats too. Arrays in the program's own dtypes give its own outputs.
    An array with more samples than the program's batch runs one after another.
    """
    path = tosa_file(program, entry)
    module = deserialize(read_bytes(path), make_context())
    manifest = manifest_of(path, module)
    slots = [slot_of(info) for info in manifest.inputs]
    given = read_inputs(inputs, slots)
    stored = [
        as_stored(info, array, inputs) for info, array in zip(manifest.inputs, given, strict=True)
    ]
    real = any(a is not s for a, s in zip(given, stored, strict=True))
    runner = make_executor(executor, module)
    results = [
        manifest.from_held(runner.run(manifest.to_held(item)))
        for item in samples(inputs, slots, stored)
    ]
    if not results:
        raise InputError(f"'{inputs}' holds no samples, so there is nothing to run.")
    named = {}
    for info, parts in zip(manifest.outputs, zip(*results, strict=True), strict=True):
        array = np.concatenate(parts) if parts[0].ndim else np.stack(parts)
        whole = dataclasses.replace(info, shape=array.shape)
        named[info.name] = dequantize(whole, array) if real else array
    _print_arrays(named, len(results))
    if output is not None:
        write_bytes(output, _npz(named))
        console.stdout().print(f"Written to {output}", markup=False)


def _npz(arrays: dict[str, Array]) -> bytes:
    # numpy.savez takes names as keyword arguments, and not all names can be one.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


def _print_arrays(arrays: dict[str, Array], runs: int) -> None:
    table = console.table(
        "output", "dtype", "shape", ">min", ">mean", ">max", title=f"{runs} run(s)"
    )
    for name, array in arrays.items():
        numbers = [array.min(), array.mean(), array.max()] if array.size else []
        shown = [f"{float(value):.6g}" for value in numbers]
        table.add_row(name, str(array.dtype), _dims(array.shape), *shown)
    console.show(table)


# --- inspect -------------------------------------------------------------------------------------


@command.command("inspect")
@click.argument("program")
@click.option("--entry", metavar="NAME", help="Only this entry, of a program with several.")
@click.option("--mlir", is_flag=True, help="Print the program as MLIR text too, weights elided.")
def inspect_command(program: str, entry: str | None, mlir: bool) -> None:
    """Show inputs, outputs, ops and sizes of PROGRAM: .tosa, .mlir, .mlirbc, .pt2 or a folder."""
    for path in tosa_files(program, entry):
        _inspect(path, mlir=mlir)


def _inspect(path: Path, *, mlir: bool) -> None:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise InputError(f"'{path}' has an extension that is not known. Give one of {known}.")
    if path.suffix.lower() == ".pt2":
        console.quiet_torch()
    module = reader(str(path), make_context())
    out = console.stdout()
    out.print(f"[bold]{escape(str(path))}[/bold]")
    if path.suffix.lower() == ".tosa":
        _print_tensors(manifest_of(path, module))
    else:
        _print_signature(module)
    operators: Counter[str] = Counter()
    constants = 0

    def visit(op: Any) -> Any:
        nonlocal constants
        name = str(op.name)
        if name == "torch.operator":
            name = str(op.attributes["name"].value)
        if name.startswith(("tosa.", "torch.aten.", "torch.quantized_")):
            operators[name] += 1
        if name in _CONSTANTS:
            constants += _size(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    table = console.table("", "")
    table.show_header = False
    table.add_row("operators", _histogram(dict(sorted(operators.items()))))
    table.add_row("constants", f"{constants / 1024:.1f} KiB")
    if "tosa.fbs_version" in module.operation.attributes:
        version = module.operation.attributes["tosa.fbs_version"].value
        table.add_row("TOSA version", str(version))
    stream = path.with_name(f"{path.stem}_vela.npz")
    if path.suffix.lower() == ".tosa" and stream.exists():
        table.add_row("Ethos-U", _command_stream(stream))
    console.show(table)
    if mlir:
        text = module.operation.get_asm(large_elements_limit=16, enable_debug_info=False)
        out.print(str(text), markup=False)


_CONSTANTS = ("tosa.const", "torch.vtensor.literal")


def _size(op: Any) -> int:
    """Return how many bytes a constant's elements take, packed as its element type says."""
    name = "values" if "values" in op.attributes else "value"
    shaped = ir.RankedTensorType(op.attributes[name].type)
    digits = re.search(r"\d+", str(shaped.element_type))
    return math.prod(int(dim) for dim in shaped.shape) * int(digits[0] if digits else 8) // 8


def _command_stream(path: Path) -> str:
    try:
        with np.load(path, allow_pickle=False) as file:
            # The two streams are stored as numpy voids or bytes; their length is all we want.
            sizes = {k: file[k].nbytes for k in ("cmd_data", "weight_data")}
            scratch = int(file["scratch_size"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"'{path}' is not a Vela command stream that tosaic reads ({error}). Compile again."
        ) from error
    return (
        f"command stream {sizes['cmd_data'] / 1024:.1f} KiB, weights "
        f"{sizes['weight_data'] / 1024:.1f} KiB, arena {scratch / 1024:.1f} KiB"
    )


def _print_signature(module: ir.Module) -> None:
    entries = entry_functions(module)
    for entry, function in entries.items():
        _print_entry(entry, tuple(entries))
        types = function.function_type.value
        table = console.table("", "name", "type")
        for role, names, values in zip(
            ("input", "output"),
            tensor_names(function),
            (types.inputs, types.results),
            strict=True,
        ):
            for name, value in zip(names, values, strict=True):
                table.add_row(role, name, str(value))
        console.show(table)
    for part in Program(module).segments:
        line = f"segment {part.function.sym_name.value} on {part.target}"
        console.stdout().print(line, markup=False)
    for kept in Program(module).state:
        line = f"state {kept.name}: {kept.info.dtype} {_dims(kept.info.shape)}, {kept.kept_as}"
        console.stdout().print(line, markup=False)


# --- targets and doctor --------------------------------------------------------------------------


@command.command("targets")
def targets_command() -> None:
    """List every target that --target takes."""
    table = console.table("target", "TOSA", "profiles", "device")
    for name, value in all_targets().items():
        alias = name if name == value.name else f"{name} (= {value.name})"
        profiles = ", ".join(profile.removeprefix("pro_") for profile in value.profiles)
        table.add_row(alias, value.tosa_version, profiles, str(value.device or "-"))
    console.show(table)


@command.command("doctor")
def doctor_command() -> int:
    """Check that every tool is there in the version tested and works; exit code 1 if not."""
    from tosaic.tools.doctor import checks

    console.quiet_torch()
    bad = 0
    for check in checks():
        mark = "[red]✗[/red]" if check.problem else "[green]✓[/green]"
        line = f"{mark} {check.what:<24} {escape(check.found)}"
        console.stdout().print(line if not check.problem else f"{line}  {escape(check.problem)}")
        bad += bool(check.problem)
    if bad:
        console.print_problem(
            f"{bad} of the checks failed. Install tosaic into a fresh environment: the versions it "
            "pins are tested together."
        )
    return 1 if bad else 0


# --- printing ------------------------------------------------------------------------------------


def _print_tensors(manifest: Manifest) -> None:
    table = console.table("", "name", "dtype", "shape", ">scale", ">zero point")
    for role, tensors in (("input", manifest.inputs), ("output", manifest.outputs)):
        for info in tensors:
            scaled = [] if info.scale is None else [f"{info.scale:.6g}", str(info.zero_point)]
            table.add_row(role, info.name, info.dtype, _dims(info.shape), *scaled)
    console.show(table)


def _histogram(operators: dict[str, int]) -> str:
    most = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {name}" for name, count in most) or "none"


def _dims(shape: Sequence[int]) -> str:
    return "x".join("?" if dim < 0 else str(dim) for dim in shape) or "scalar"


command.add_command(evaluate_command)
command.add_command(explain_command)
command.add_command(numerics_command)
command.add_command(repair_command)
command.add_command(tune_command)


def main() -> None:
    """Entry point of ``tosaic``."""
    with collector_paused():
        console.run(command)
