"""`tosaic.compile`: PyTorch models in, a program for the target out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.export import ExportedProgram

from tosaic.backends import backend_of
from tosaic.clock import Clock, Progress, run_stage
from tosaic.collector import collector_paused
from tosaic.compiled import CompiledProgram, Report, assembled
from tosaic.dialects.bindings import ir, make_context
from tosaic.dump import Dump
from tosaic.emit import Manifest, validate
from tosaic.emit.functions import MAIN, argument_attributes, entry_functions
from tosaic.errors import InputError
from tosaic.frontend import export_model, import_program
from tosaic.given import Model, Recipe, given_entries
from tosaic.graph.passes import Watch
from tosaic.program import Program, join
from tosaic.quantizer.recipe import QuantRecipe, find_recipe
from tosaic.quantizer.shared import check_shared
from tosaic.stages import Options, fixed_dims, stages
from tosaic.targets import Target
from tosaic.targets import target as find_target

if TYPE_CHECKING:
    from torchao.quantization.pt2e.quantizer import Quantizer

__all__ = ["CompiledProgram", "Report", "compile", "compile_entries", "compile_program"]


@collector_paused()
def compile(
    model: Model | Mapping[str, Model | tuple[Model, Sequence[Any]]],
    example_inputs: Sequence[Any] = (),
    *,
    target: str | Target = "tosa-1.0-int",
    quantize: Recipe | Mapping[str, Recipe | None] | None = None,
    calibration: Iterable[Any] | Mapping[str, Iterable[Any]] = (),
    io_layout: str = "nchw",
    io_dtype: str = "auto",
    dynamic_shapes: Any = None,
    dims: Mapping[str, int] | None = None,
    max_arena: int | None = None,
    options: Mapping[str, Any] | None = None,
    dump_ir: str | Path | None = None,
    progress: Progress = lambda stage: None,
) -> CompiledProgram:
    """Compile `model` for `target`.

    Several models, or one on inputs of several shapes, become one program with an entry each:
    ``{"encode": (model_a, inputs_a), "decode": (model_b, inputs_b)}``. Entries share weights that
    are one tensor in PyTorch, wherever the target's artifacts can, and get the same integers for
    them. `quantize`, `calibration` and `dynamic_shapes` are then by entry, too; a recipe that is
    given without a name is for all.

    Args:
        model: a module in eval mode, or an ExportedProgram (perhaps quantised by PT2E already); or
            a dict of such, each alone or with its example inputs.
        example_inputs: tensors of the shapes and dtypes the program will take; not needed with an
            ExportedProgram that is not to be quantised.
        target: a target's name (`tosaic.targets.all_targets()` lists them) or a `Target`.
        quantize: a recipe: its name ("int8", "a16w8" …), a .toml file or a `QuantRecipe`; or a PT2E
            quantiser; None compiles the model as it is.
        calibration: representative inputs, each a tensor or a tuple of tensors.
        io_layout: "nchw" or "nhwc", the order of rank-4 inputs and outputs.
        io_dtype: the element type of a quantised model's inputs and outputs: "auto" (as quantised),
            "int8", "uint8", "int16" or "float32".
        dynamic_shapes: which dims of the inputs vary, as torch.export takes it.
        dims: sizes for dynamic dims, by symbol or by place: ``{"x.0": 4}`` is dim 0 of input x; of
            several entries ``{"decode/x.0": 4}`` is for one of them.
        max_arena: the most bytes of arena that a Cortex-M program may need; no limit by default.
            Above it, chains of convolutions are cut in stripes of rows where that makes it fit.
        options: the target's own options by name, such as `max_arena`; see its backend.
        dump_ir: a folder for what the program is after each graph pass that changed it (.fx) and
            after each stage in MLIR (.mlir), as numbered files.
        progress: called with each stage's name as it starts.

    Raises:
        TosaicError: with the op, the user's source line, the reason and what to do.
    """
    chosen = find_target(target)
    own = dict(options or {}) | ({} if max_arena is None else {"max_arena": max_arena})
    chosen_options = Options(io_layout, io_dtype, fixed_dims(dims or {}), own)
    chosen_options.check(chosen)
    entries = given_entries(model, example_inputs, quantize, calibration, dynamic_shapes)
    clock = Clock(progress)
    dump = None if dump_ir is None else Dump(Path(dump_ir))
    watch = None if dump is None else dump.graph
    sources = {}
    for name, given in entries.items():
        with clock("export"):
            sources[name] = export_model(
                given.model,
                given.example_inputs,
                dynamic_shapes=given.dynamic_shapes,
                watch=watch,
            )
    programs = dict(sources)
    jobs = {name: given for name, given in entries.items() if given.quantize is not None}
    if jobs:
        with clock("calibrate"):
            programs |= _quantized_together(sources, jobs, watch)
    for name in jobs:
        _refuse_left_float(programs[name], chosen, _the_model(name))
    check_shared(sources, programs)
    return compile_entries(programs, chosen, chosen_options, clock, dump)


def compile_program(
    program: ExportedProgram, target: Target, options: Options, clock: Clock | None = None
) -> CompiledProgram:
    """Compile an exported program, quantised or not, for `target`."""
    return compile_entries({MAIN: program}, target, options, clock)


@collector_paused()
def compile_entries(
    programs: Mapping[str, ExportedProgram],
    target: Target,
    options: Options,
    clock: Clock | None = None,
    dump: Dump | None = None,
) -> CompiledProgram:
    """Compile exported programs, quantised or not, to one with each as an entry."""
    clock = clock or Clock()
    module, manifests = lower_entries(programs, target, options, clock, dump)
    with clock("validate"):
        validate(module, target)
    artifacts = backend_of(target).finish(Program(module), target, options, clock)
    return assembled(target, manifests, artifacts, clock.seconds)


def lower_program(
    program: ExportedProgram, target: Target, options: Options, clock: Clock
) -> tuple[ir.Module, Manifest]:
    """Return an exported program in the TOSA that `target` takes, and its inputs and outputs.

    It is not checked yet by TOSA's validator, and not compiled further.
    """
    module, manifests = lower_entries({MAIN: program}, target, options, clock)
    return module, manifests[MAIN]


def lower_entries(
    programs: Mapping[str, ExportedProgram],
    target: Target,
    options: Options,
    clock: Clock,
    dump: Dump | None = None,
) -> tuple[ir.Module, dict[str, Manifest]]:
    """Return one module with all `programs` as entries, as `lower_program` returns one."""
    with clock("import"):
        context = make_context()
        imported = {name: import_program(p, context) for name, p in programs.items()}
        module = imported[MAIN] if list(imported) == [MAIN] else join(imported)
    if dump is not None:
        dump.module("import", module)
    if not options.dims:
        _refuse_dynamic(module, target)
    for name, program in programs.items():
        _check_arithmetic(program, target, _the_model(name))
    quantized = any(map(is_quantized, programs.values()))
    for stage, text in stages(target, options, quantized=quantized):
        with clock(stage):
            run_stage(module, text)
        if dump is not None:
            dump.module(stage, module)
    manifests = {entry.name: entry.manifest for entry in Program(module).entries}
    run_stage(module, "tosaic-drop-empty")
    return module, manifests


def _the_model(entry: str) -> str:
    """Return how messages call the model of an entry."""
    return "the model" if entry == MAIN else f"entry '{entry}'"


def _refuse_left_float(program: ExportedProgram, target: Target, model: str) -> None:
    integer = is_quantized(program) or not _has_float_input(program)
    if not integer and not target.takes_float:
        raise InputError(
            f"The recipe leaves every op of {model} in float, and target {target.name} "
            "computes in integers only; 'tosaic explain' says why of each op. Change the "
            "recipe or the model, or choose a float target such as tosa-1.0-fp or "
            "cortex-m55-float."
        )


def _check_arithmetic(program: ExportedProgram, target: Target, model: str) -> None:
    quantized = is_quantized(program)
    if not quantized and not target.takes_float and _has_float_input(program):
        raise InputError(
            f"Target {target.name} computes in integers only and {model} is float. Quantise it "
            '(quantize="int8" with calibration data; --quantize int8 on the command line), or '
            "choose a float target such as tosa-1.0-fp or cortex-m55-float."
        )
    if quantized and not target.takes_integers:
        raise InputError(
            f"{model[0].upper()}{model[1:]} is quantised and target {target.name} computes in "
            "float only. Compile the model before quantisation, or for a target with integers "
            "such as tosa-1.0-int+fp."
        )


def quantize_program(
    program: ExportedProgram,
    example_inputs: Sequence[Any],
    recipe: str | QuantRecipe | Quantizer,
    calibration: Iterable[Any],
    dynamic_shapes: Any = None,
    watch: Watch | None = None,
) -> ExportedProgram:
    """Return `program` quantised by a recipe or a PT2E quantiser; see `compile`."""
    # Importing torchao takes longer than compiling: only who quantises pays for it.
    from tosaic.quantizer import quantize as quantize_model  # noqa: PLC0415

    return quantize_model(
        program,
        example_inputs,
        calibration,
        quantizer=_quantizer(recipe),
        dynamic_shapes=dynamic_shapes,
        watch=watch,
    )


def _quantized_together(
    programs: Mapping[str, ExportedProgram], given: Mapping[str, Any], watch: Watch | None
) -> dict[str, ExportedProgram]:
    """Return the programs of the entries that are `given` a recipe, quantised."""
    from tosaic.quantizer.prepare import quantize_together  # noqa: PLC0415

    jobs = [
        (programs[name], entry.calibration, _quantizer(entry.quantize))
        for name, entry in given.items()
    ]
    return dict(zip(given, quantize_together(jobs, watch), strict=True))


def _quantizer(recipe: str | QuantRecipe | Quantizer) -> Quantizer:
    from tosaic.quantizer import TosaQuantizer  # noqa: PLC0415

    known = find_recipe(recipe) if isinstance(recipe, str) else recipe
    return TosaQuantizer(known) if isinstance(known, QuantRecipe) else known


def _refuse_dynamic(module: ir.Module, target: Target) -> None:
    functions = entry_functions(module)
    dims = [
        f"{f'{entry}/' if len(functions) > 1 else ''}{a['tosaic.name'].value}.{n} "
        f"({str(dim.value).partition(':')[2].replace('..', ' to ')})"
        for entry, function in functions.items()
        for a in argument_attributes(function)
        for n, dim in enumerate(a.get("tosaic.dims", ()))
        if ":" in str(dim.value)
    ]
    if dims:
        place = dims[0].split()[0]
        raise InputError(
            f"The program has dynamic dims: {', '.join(dims)}. Target {target.name} takes TOSA "
            f"{target.tosa_version}, where every size is known. Fix them: dims={{'{place}': 4}}, "
            f"or --dim {place}=4 on the command line."
        )


def is_quantized(program: ExportedProgram) -> bool:
    """Whether PT2E has quantised `program`."""
    return any(
        getattr(node.target, "namespace", "") == "quantized_decomposed"
        for node in program.graph.nodes
    )


def _has_float_input(program: ExportedProgram) -> bool:
    values = [n.meta.get("val") for n in program.graph.nodes if n.op == "call_function"]
    return any(isinstance(v, torch.Tensor) and v.is_floating_point() for v in values)
