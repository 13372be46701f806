"""Where a quantised model loses accuracy: float, fake-quantised and integers, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule

from tosaic.api import lower_program
from tosaic.clock import Clock, Progress
from tosaic.collector import collector_paused
from tosaic.emit import Manifest, TensorInfo, dequantize
from tosaic.emit import quantize as quantize_array
from tosaic.errors import InputError
from tosaic.executors import make_executor
from tosaic.executors.executor import Array
from tosaic.frontend import export_model
from tosaic.quantizer.recipe import QuantRecipe, find_recipe
from tosaic.reports.numerics_graph import (
    FloatGraph,
    QuantizedGraph,
    QuantizedTensor,
    fake_quantized,
    isolated,
    quantized_tensors,
    tensor_name,
    unquantized,
    with_taps,
)
from tosaic.reports.numerics_layers import (
    LayerNumerics,
    Statistics,
    Values,
    first_useless,
)
from tosaic.stages import Options
from tosaic.targets import Target
from tosaic.targets import target as find_target

if TYPE_CHECKING:
    from torchao.quantization.pt2e.quantizer import Quantizer

_SAMPLES = 16


@dataclass(frozen=True)
class Numerics:
    """A quantised model's layers in float, fake-quantised and as integers.

    Attributes:
        layers: One per quantised activation, in the program's order.
        first: The layer that breaks first, None where none does: the first that is wrong by
            itself, else the first whose signal is lost to errors that add up.
        reason: A sentence on why, empty where none breaks.
        target, executor: What the integers were compiled for, and run by.
        samples: How many inputs were looked at.
        reference: "float" where the model's own weights were at hand, else "stored weights": the
            quantised program without its casts, so that what rounding weights costs is not seen.
        exact: Whether the program whose layers were read gave the same outputs, bit for bit, as
            the one that `compile` makes. Where not, reading them changed how ops were fused, and
            figures of integers are of that other program.
    """

    layers: tuple[LayerNumerics, ...]
    first: LayerNumerics | None
    reason: str
    target: str
    executor: str
    samples: int
    reference: str
    exact: bool

    @property
    def verdict(self) -> str:
        """The result as a sentence or two."""
        if self.first is None:
            return "No layer breaks."
        broken = [layer for layer in self.layers if layer.cause and layer is not self.first]
        others = [f"'{layer.name}' ({layer.cause}, {layer.local_db:.1f} dB)" for layer in broken]
        also = f" Alone, these break too: {', '.join(others)}." if others else ""
        place = f" at {self.first.where}" if self.first.where else ""
        module = f" (module {self.first.module})" if self.first.module else ""
        return f"'{self.first.name}'{module}{place} breaks first: {self.reason}.{also}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for JSON: `points` left out, ratios that are not finite as None."""
        layers = [_plain(asdict(replace(layer, points=()))) for layer in self.layers]
        return {
            "verdict": self.verdict,
            "first": None if self.first is None else self.first.name,
            "reason": self.reason,
            "target": self.target,
            "executor": self.executor,
            "samples": self.samples,
            "reference": self.reference,
            "exact": self.exact,
            "layers": layers,
        }


@collector_paused()
def numerics(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any] = (),
    *,
    quantize: str | QuantRecipe | Quantizer | None = None,
    calibration: Iterable[Any] = (),
    data: Iterable[Any] | None = None,
    target: str | Target = "tosa-1.0-int",
    executor: str = "jit",
    samples: int = _SAMPLES,
    progress: Progress = lambda stage: None,
) -> Numerics:
    """Compare `model` in float, fake-quantised and compiled, layer by layer.

    Args:
        model: a module in eval mode or a float ExportedProgram, with `quantize`; or an
            ExportedProgram that PT2E quantised, without.
        example_inputs: as `tosaic.compile` takes them.
        quantize: a recipe or a PT2E quantiser, as `tosaic.compile` takes it.
        calibration: inputs that ranges are found from, each a tensor or a tuple of tensors.
        data: inputs to judge by, of the same form; best others than those of `calibration`, which
            serve where there are none.
        target: what to compile for. Vela is not run: an NPU's integers are those of its TOSA.
        executor: what runs the integers, as in `CompiledProgram.run`.
        samples: how many of `data` to look at, at most.
        progress: called with each stage's name as it starts.

    Raises:
        TosaicError: there is nothing to judge by or nothing quantised, or as `tosaic.compile`.
    """
    chosen, clock = find_target(target), Clock(progress)
    with clock("export"):
        program = export_model(model, example_inputs)
    items = list(calibration)
    given = list(islice(items if data is None else data, samples))
    if not given:
        raise InputError(
            "There is no input to judge by. Pass some: data=[inputs, …], or --data heldout.npz on "
            "the command line."
        )
    if quantize is None:
        return compare(program, None, given, chosen, executor, clock)
    recipe = find_recipe(quantize) if isinstance(quantize, str) else quantize
    with clock("calibrate"):
        # torchao is slow to import: nobody pays for it who only reads a report.
        from tosaic.quantizer import quantize as quantize_model  # noqa: PLC0415

        original = _float_graph(program, recipe, items)
        quantized = quantize_model(program, example_inputs, items, quantizer=_quantizer(recipe))
    return compare(quantized, original, given, chosen, executor, clock)


def compare(
    quantized: ExportedProgram,
    original: GraphModule | None,
    data: Sequence[Any],
    target: Target,
    executor: str = "jit",
    clock: Clock | None = None,
) -> Numerics:
    """Compare a quantised program in all its forms on `data`.

    `original` is the graph it was made from, as PT2E prepared it; its nodes are found by name.
    Without it float is the quantised program without casts of activations.

    Raises:
        TosaicError: nothing in it is quantised, or it cannot be compiled for `target`.
    """
    clock = clock or Clock()
    with clock("compile"):
        program = _Runner(quantized, target, executor)
        read = _Runner(with_taps(quantized), target, executor)
    graph = quantized.module(check_guards=False)
    tensors = quantized_tensors(graph)
    if not tensors:
        raise InputError(
            "The program has no quantised activation, so there is nothing to compare. Quantise it: "
            'quantize="int8", or --quantize int8 on the command line.'
        )
    outputs = len(program.manifest.outputs)
    reader = QuantizedGraph(graph)
    reference = _Reference(original, reader, tensors)
    statistics = {tensor.key: Statistics(tensor) for tensor in tensors}
    exact = True
    with clock("run"):
        for number, item in enumerate(data):
            inputs = _tensors(item, number, program.manifest)
            expected = program.run(inputs)
            got = read.run(inputs)
            exact &= all(map(np.array_equal, expected, got[:outputs]))
            stored = {
                tensor.key: _stored(tensor, info, array)
                for tensor, info, array in zip(
                    tensors, read.manifest.outputs[outputs:], got[outputs:], strict=True
                )
            }
            for key, values in _values(tensors, reader, reference, inputs, stored):
                statistics[key].add(values)
    layers = tuple(s.result() for s in statistics.values())
    broken = next(((layer, layer.reason) for layer in layers if layer.cause), None)
    first, reason = broken or first_useless(layers) or (None, "")
    return Numerics(layers, first, reason, target.name, executor, len(data), reference.kind, exact)


def format_numerics(report: Numerics) -> str:
    """Return what a person should know beside the table: verdict and caveats, a line each."""
    lines = [report.verdict]
    if report.reference != "float":
        lines.append(
            "Float is the quantised program without its casts: what rounding its weights costs is "
            "not seen. Give the float model with a recipe to see it."
        )
    if not report.exact:
        lines.append(
            "Reading the layers changed how the program's ops are fused: its outputs differ from "
            f"the compiled program's, so integers are of a program near the one for {report.target}"
            ", not of itself."
        )
    return "\n".join(lines)


def _values(
    tensors: Sequence[QuantizedTensor],
    graph: QuantizedGraph,
    reference: _Reference,
    inputs: Sequence[Tensor],
    stored: dict[str, Tensor],
) -> Iterator[tuple[str, Values]]:
    """Yield one sample's values of each activation, given the integers of the program."""
    real = reference.values(inputs)
    fake = graph.values(inputs, fake_quantized)
    alone = graph.values(inputs, isolated(real))
    program = {t.key: t.read.dequantize(stored[t.key]).float() for t in tensors}
    expected = graph.values(inputs, isolated(program))
    for tensor in tensors:
        key = tensor.key
        yield key, Values(real[key], *alone[key], *fake[key], stored[key], expected[key][1])


class _Reference:
    """The float values of quantised activations."""

    def __init__(
        self,
        original: GraphModule | None,
        graph: QuantizedGraph,
        tensors: Sequence[QuantizedTensor],
    ) -> None:
        self._graph = graph
        self._tensors = tensors
        nodes = original.graph.nodes if original is not None else ()
        known = {tensor_name(node) for node in nodes}
        # A quantiser that renames ops leaves no way to find them.
        complete = all(tensor.name in known for tensor in tensors)
        self._float = FloatGraph(original) if original is not None and complete else None

    @property
    def kind(self) -> str:
        return "float" if self._float is not None else "stored weights"

    def values(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the value of each activation by its key."""
        if self._float is None:
            seen = self._graph.values(inputs, unquantized)
            return {tensor.key: seen[tensor.key][0] for tensor in self._tensors}
        values = self._float.values(inputs, {tensor.name for tensor in self._tensors})
        return {tensor.key: values[tensor.name] for tensor in self._tensors}


class _Runner:
    """A program lowered for a target, and run on this machine."""

    def __init__(self, program: ExportedProgram, target: Target, executor: str) -> None:
        module, self.manifest = lower_program(program, target, Options(), Clock())
        self._executor = make_executor(executor, module)

    def run(self, inputs: Sequence[Tensor]) -> list[Array]:
        """Return all outputs, as they are stored, for real inputs."""
        arrays = [
            quantize_array(info, value.detach().cpu().numpy())
            for info, value in zip(self.manifest.inputs, inputs, strict=True)
        ]
        return self.manifest.from_held(self._executor.run(self.manifest.to_held(arrays)))


def _stored(tensor: QuantizedTensor, info: TensorInfo, array: Array) -> Tensor:
    """Return the integers of an activation as PT2E stores them, whatever the program does."""
    if info.scale is None and array.dtype.kind in "iu":
        return torch.from_numpy(array)
    real = torch.from_numpy(dequantize(info, array)).double()
    return (real / tensor.written.scale).round() + tensor.written.zero_point


def _float_graph(
    program: ExportedProgram, recipe: QuantRecipe | Quantizer, calibration: Iterable[Any]
) -> GraphModule:
    from tosaic.quantizer.prepare import prepare  # noqa: PLC0415

    return prepare(program, _quantizer(recipe), calibration)[0]


def _quantizer(recipe: QuantRecipe | Quantizer) -> Quantizer:
    from tosaic.quantizer import TosaQuantizer  # noqa: PLC0415

    return TosaQuantizer(recipe) if isinstance(recipe, QuantRecipe) else recipe


def _tensors(item: Any, number: int, manifest: Manifest) -> tuple[Tensor, ...]:
    """Return an item of the data as tensors, after comparing it with what the program takes."""
    parts = item if isinstance(item, list | tuple) else (item,)
    inputs = tuple(torch.from_numpy(p) if isinstance(p, np.ndarray) else p for p in parts)
    if len(inputs) != len(manifest.inputs):
        names = ", ".join(info.name for info in manifest.inputs)
        raise InputError(
            f"Data item {number} has {len(inputs)} tensor(s); the program takes "
            f"{len(manifest.inputs)} ({names}). Make every item a tensor or a tuple of tensors."
        )
    for info, value in zip(manifest.inputs, inputs, strict=True):
        if not bool(value.isfinite().all()):
            raise InputError(
                f"Data item {number} holds NaN or infinity in '{info.name}', which has no integer "
                "form. Remove it or repair the data."
            )
    return inputs


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    del fields["points"]
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }
