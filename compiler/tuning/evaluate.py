"""`tosaic.evaluate`: what a model is worth on data, in float, fake-quantised and in integers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from tosaic.api import CompiledProgram, compile_program, is_quantized, quantize_program
from tosaic.emit.manifest import array_dtype
from tosaic.errors import InputError
from tosaic.frontend import export_model
from tosaic.quantizer.recipe import QuantRecipe
from tosaic.stages import Options
from tosaic.targets import Target
from tosaic.targets import target as find_target
from tosaic.tuning.data import Batch, Slot, batches
from tosaic.tuning.metrics import Metric, chosen_metrics, confusion, is_classification, sqnr_db

if TYPE_CHECKING:
    from torchao.quantization.pt2e.quantizer import Quantizer

Array = npt.NDArray[Any]
Run = Callable[[Sequence[Array]], Sequence[Array]]

FORMS = ("float", "fake_quant", "integer")
_PARALLEL = ("float", "fake_quant", "jit")  # what many threads can run at once
_CHUNK = 32  # calls per thread that are under way together


@dataclass(frozen=True)
class FormResult:
    """One form of a model on a data set.

    `sqnr_db` is against the float form with the mean over samples removed, `sqnr_plain_db` without;
    None where there is no float form. `confusion` is [true class][given class], where the data is
    of classes. `seconds` is of running alone.
    """

    metrics: dict[str, float]
    sqnr_db: float | None
    sqnr_plain_db: float | None
    confusion: tuple[tuple[int, ...], ...] | None
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """A model on `count` samples, by form ("float", "fake_quant", "integer")."""

    count: int
    forms: dict[str, FormResult]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def evaluate(
    model: torch.nn.Module | ExportedProgram | CompiledProgram,
    data: Iterable[Any],
    example_inputs: Sequence[Any] = (),
    *,
    quantize: str | QuantRecipe | Quantizer | None = None,
    calibration: Iterable[Any] = (),
    target: str | Target = "tosa-1.0-int",
    forms: Sequence[str] = FORMS,
    metrics: Sequence[str] | Mapping[str, Metric] | None = None,
    executor: str = "jit",
    jobs: int | None = None,
) -> Evaluation:
    """Run `model` over `data` in each of its forms and return how well each does.

    A float model without `quantize` has the form "float" alone, a compiled program "integer" alone,
    and a program that is quantised already all but "float".

    Args:
        model: a module in eval mode, an ExportedProgram, or what `tosaic.compile` returned.
        data: pairs of (inputs, labels), as a PyTorch Dataset or DataLoader has them: arrays or
            tensors of one sample or of many; labels are class numbers, anything that a metric of
            yours reads, or None. It is read once.
        example_inputs: as `tosaic.compile` takes them.
        quantize: a recipe or a PT2E quantiser, as `tosaic.compile` takes it.
        calibration: as `tosaic.compile` takes it.
        target: what the integer form is compiled for.
        forms: which forms to run, of those the model has.
        metrics: names of metrics ("top1", "top5"), or functions of (output, labels) by name; of
            several outputs they get a tuple. By default top1 and top5 where labels are classes.
        executor: what runs the integer form; all give the same numbers.
        jobs: samples that run side by side (other executors than the JIT take one after another);
            by default one per processor.

    Raises:
        InputError: the data or an argument does not fit the model.
        TosaicError: the model cannot be compiled.
    """
    made = _forms(model, example_inputs, quantize, calibration, find_target(target), forms)
    return judge(collect(made.runs(executor), batches(data, made.slots), jobs=jobs), metrics)


@dataclass(frozen=True)
class _Forms:
    """The forms of a model that are wanted, and what all of them take."""

    slots: list[Slot]
    eager: dict[str, Callable[..., Any]]
    compiled: CompiledProgram | None

    def runs(self, executor: str) -> dict[str, tuple[Run, bool]]:
        """Return how each form is run, and whether many threads may do so at once."""
        out: dict[str, tuple[Run, bool]] = {
            name: (eager_run(function), name in _PARALLEL) for name, function in self.eager.items()
        }
        if self.compiled is not None:
            out["integer"] = (compiled_run(self.compiled, executor), executor in _PARALLEL)
        return out


def _forms(
    model: torch.nn.Module | ExportedProgram | CompiledProgram,
    example_inputs: Sequence[Any],
    recipe: str | QuantRecipe | Quantizer | None,
    calibration: Iterable[Any],
    target: Target,
    wanted: Sequence[str],
) -> _Forms:
    unknown = next((form for form in wanted if form not in FORMS), None)
    if unknown is not None or not wanted:
        raise InputError(
            f"There is no form '{unknown or ''}' of a model; choose from {', '.join(FORMS)}."
        )
    if isinstance(model, CompiledProgram):
        slots = [
            Slot(info.shape, np.dtype(np.float32) if info.scale else array_dtype(info))
            for info in model.manifest.inputs
        ]
        made = _Forms(slots, {}, model if "integer" in wanted else None)
        return _checked(made, wanted, "a compiled program")
    program = export_model(model, example_inputs)
    examples = _examples(program, example_inputs)
    slots = [Slot.of(example) for example in examples]
    eager: dict[str, Callable[..., Any]] = {}
    quantized = program if is_quantized(program) else None
    if quantized is None and "float" in wanted:
        eager["float"] = program.module(check_guards=False)
    if quantized is None and recipe is not None:
        quantized = quantize_program(program, examples, recipe, calibration)
    if quantized is not None and "fake_quant" in wanted:
        eager["fake_quant"] = quantized.module(check_guards=False)
    compiled = None
    if quantized is not None and "integer" in wanted:
        compiled = compile_program(quantized, target, Options())
    told = "a float model without a recipe" if quantized is None else "a quantised program"
    return _checked(_Forms(slots, eager, compiled), wanted, told)


def _checked(made: _Forms, wanted: Sequence[str], told: str) -> _Forms:
    if not made.eager and made.compiled is None:
        raise InputError(
            f"There is nothing to evaluate: {told} has no form {' or '.join(wanted)}. Give a "
            "recipe (quantize=, --quantize), or choose another form."
        )
    return made


def _examples(program: ExportedProgram, given: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    if given:
        return tuple(given)
    stored = program.example_inputs
    if stored is None:
        raise InputError("The program has no example inputs stored in it. Pass example_inputs.")
    return (*stored[0], *stored[1].values())


def compiled_run(program: CompiledProgram, executor: str = "jit") -> Run:
    """Return a function that runs `program`, made ready now."""
    program.executor(executor)
    return lambda inputs: program.run(*inputs, executor=executor)


def eager_run(function: Callable[..., Any]) -> Run:
    """Return a function that runs a module, without gradients."""

    def run(inputs: Sequence[Array]) -> list[Array]:
        with torch.no_grad():
            results = function(*map(torch.from_numpy, inputs))
        leaves = torch.utils._pytree.tree_leaves(results)
        return [leaf.numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]

    return run


@dataclass(frozen=True)
class Collected:
    """Outputs by form, each [samples, ...], the samples' labels, and seconds of running by form."""

    outputs: dict[str, list[Array]]
    labels: Array | None
    seconds: dict[str, float]
    count: int


def collect(
    runs: Mapping[str, tuple[Run, bool]], data: Iterable[Batch], *, jobs: int | None = None
) -> Collected:
    """Run `data` through each of `runs`; those that say so, in many threads.

    Raises:
        InputError: the data is empty, or has labels for some samples only.
    """
    jobs = len(os.sched_getaffinity(0)) if jobs is None else jobs
    if jobs < 1:
        raise InputError(f"jobs={jobs} must be 1 or more.")
    results: dict[str, list[Sequence[Array]]] = {name: [] for name in runs}
    seconds = dict.fromkeys(runs, 0.0)
    labels: list[Array | None] = []
    count = 0
    with one_torch_thread(), ThreadPoolExecutor(jobs) as threads:
        for chunk in _chunks(data, jobs * _CHUNK):
            for name, (run, parallel) in runs.items():
                start = time.perf_counter()
                calls = [batch.inputs for batch in chunk]
                outputs = [*(threads.map(run, calls) if parallel else map(run, calls))]
                seconds[name] += time.perf_counter() - start
                results[name] += map(_counted, outputs, chunk)
            labels += [batch.labels for batch in chunk]
            count += sum(batch.count for batch in chunk)
    if not count:
        raise InputError("The data set is empty, so there is nothing to evaluate.")
    whole = {name: _joined(parts) for name, parts in results.items()}
    return Collected(whole, _all_labels(labels), seconds, count)


def judge(
    found: Collected, metrics: Sequence[str] | Mapping[str, Metric] | None = None
) -> Evaluation:
    """Return the figures of collected outputs; see `evaluate`.

    Raises:
        InputError: a metric does not exist or does not fit the data.
    """
    labels, first = found.labels, next(iter(found.outputs.values()))
    functions = chosen_metrics(metrics, first, labels)
    classified = is_classification(first, labels)
    forms = {}
    for name, outputs in found.outputs.items():
        shown: Any = outputs[0] if len(outputs) == 1 else tuple(outputs)
        reference = found.outputs.get("float") if name != "float" else None
        forms[name] = FormResult(
            {key: float(metric(shown, labels)) for key, metric in functions.items()},
            None if reference is None else sqnr_db(reference, outputs, mean_removed=True),
            None if reference is None else sqnr_db(reference, outputs, mean_removed=False),
            _as_tuples(confusion(outputs[0], labels))
            if classified and labels is not None
            else None,
            found.seconds[name],
        )
    return Evaluation(found.count, forms)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute each op in one thread.

    The same sums in the same order on every machine; and where many samples run side by side, or
    ops are small, also the fastest.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _chunks(stream: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    iterator = iter(stream)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _counted(outputs: Sequence[Array], batch: Batch) -> list[Array]:
    """Return the outputs of the samples that count; one without a batch axis is a sample whole."""
    size = batch.inputs[0].shape[0] if batch.inputs[0].ndim else 1
    return [out[: batch.count] if out.shape[:1] == (size,) else out[None] for out in outputs]


def _joined(parts: Sequence[Sequence[Array]]) -> list[Array]:
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _all_labels(parts: Sequence[Array | None]) -> Array | None:
    known = [part for part in parts if part is not None]
    if known and len(known) < len(parts):
        raise InputError(
            "Some samples of the data have labels and some have None. Give all or none."
        )
    return np.concatenate(known) if known else None


def _as_tuples(matrix: npt.NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, row)) for row in matrix)
