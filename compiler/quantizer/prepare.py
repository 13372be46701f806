"""Post-training quantisation: prepare, calibrate, convert, export."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node
from torch.utils._pytree import tree_leaves
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
from torchao.quantization.pt2e.quantizer import Quantizer

from tosaic.collector import collector_paused
from tosaic.errors import InputError
from tosaic.frontend.export import export_model
from tosaic.frontend.lift import lift
from tosaic.frontend.normal import mark_normal
from tosaic.frontend.reproduce import reproducible
from tosaic.graph.frames import place_of
from tosaic.graph.passes import Watch
from tosaic.quantizer.balance import Balancer
from tosaic.quantizer.convert import convert
from tosaic.quantizer.equalise import equalisable
from tosaic.quantizer.fit_weights import WeightFitter
from tosaic.quantizer.learn_rounding import RoundingLearner
from tosaic.quantizer.migrate import migratable
from tosaic.quantizer.observers import NaNObservedError
from tosaic.quantizer.parts import to_parts
from tosaic.quantizer.round_weights import round_weights
from tosaic.quantizer.shared import share_observers
from tosaic.quantizer.tosa_quantizer import TosaQuantizer


@collector_paused()
def quantize(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any],
    calibration: Iterable[Any],
    *,
    quantizer: Quantizer | None = None,
    dynamic_shapes: Any = None,
    watch: Watch | None = None,
) -> ExportedProgram:
    """Return `model` quantised after training (PT2E), exported on `example_inputs`.

    Each item of `calibration` is one tensor (or array), or one tuple of them, shaped as the
    example inputs are.

    Raises:
        InputError: no calibration data, data with NaN or infinity or of another shape, or what
            `export_model` refuses.
    """
    program = export_model(model, example_inputs, dynamic_shapes=dynamic_shapes, watch=watch)
    (quantised,) = quantize_together([(program, calibration, quantizer or TosaQuantizer())], watch)
    return quantised


def quantize_together(
    given: Sequence[tuple[ExportedProgram, Iterable[Any], Quantizer]], watch: Watch | None = None
) -> list[ExportedProgram]:
    """Return several programs quantised, each by its calibration data and quantiser.

    A weight that is one tensor in several of them is observed by one observer: its integers follow
    from what it is in all of them. Such weights are rounded to nearest, for no one program's data
    says how to round them.

    Raises:
        InputError: as `quantize`.
    """
    jobs = []
    for program, calibration, quantizer in given:
        prepared, items = prepare(program, quantizer, calibration, watch)
        jobs.append((program, prepared, items))
    share_observers([prepared for _, prepared, _ in jobs])
    finishing = [_calibrated(prepared, items) for _, prepared, items in jobs]
    for finish in finishing:
        finish()
    return [mark_normal(lift(convert(prepared), program)) for program, prepared, _ in jobs]


def _calibrated(prepared: GraphModule, calibration: Iterable[Any]) -> Callable[[], None]:
    """Run the calibration data through a prepared graph; return what fits its weights to it."""
    fitter, learns = WeightFitter(prepared), RoundingLearner(prepared).is_needed
    if learns:
        calibration = list(calibration)  # it is read more than once
    if calibrate(fitter if fitter.is_needed else prepared, calibration) == 0:
        raise InputError(
            "Quantisation needs calibration data and got none. Pass a few representative inputs: "
            "calibration=[inputs, …], or --calibration data.npz on the command line."
        )

    def finish() -> None:
        fitter.fit()
        if learns:
            round_weights(prepared, [_tensors(item) for item in calibration])

    return finish


def prepare(
    program: ExportedProgram,
    quantizer: Quantizer,
    calibration: Iterable[Any],
    watch: Watch | None = None,
) -> tuple[GraphModule, Iterable[Any]]:
    """Return PT2E's graph with observers, not calibrated yet, and the calibration items.

    Where the recipe wants it, scales have been moved between its layers.
    """
    with reproducible(program):
        graph = to_parts(program.module(check_guards=False), watch=watch)
    prepared = prepare_pt2e(graph, quantizer)
    balancer = Balancer(prepared, [*equalisable(prepared), *migratable(prepared)])
    if balancer.is_needed:
        calibration = list(calibration)  # it is read more than once
        calibrate(balancer, calibration)
        balancer.balance()
    return prepared, calibration


def calibrate(prepared: Callable[..., Any], calibration: Iterable[Any]) -> int:
    """Run every calibration item through `prepared`; return how many there were."""
    count = 0
    with torch.no_grad():
        for item in calibration:
            inputs = _tensors(item)
            for tensor in inputs:
                if not isinstance(tensor, torch.Tensor):
                    raise InputError(
                        f"Calibration item {count} holds a {type(tensor).__name__}; every item "
                        "must be a tensor or a tuple of tensors."
                    )
                if not tensor.numel():
                    raise InputError(
                        f"Calibration item {count} has no elements: its shape is "
                        f"{list(tensor.shape)}. Leave it out."
                    )
                if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                    raise InputError(
                        f"Calibration item {count} holds NaN or infinity; ranges cannot be found "
                        "from it. Remove it or repair the data."
                    )
            try:
                prepared(*inputs)
            except NaNObservedError:
                module = prepared.module if isinstance(prepared, Interpreter) else prepared
                assert isinstance(module, torch.nn.Module)
                _FirstNaN(module).run(*inputs)
                raise
            except (RuntimeError, ValueError, TypeError, AssertionError) as error:
                shapes = ", ".join(str(tuple(t.shape)) for t in inputs)
                reason = str(error).strip().splitlines()
                raise InputError(
                    f"Calibration item {count} (shapes {shapes}) does not run through the model: "
                    f"{reason[0] if reason else type(error).__name__}. It must match the example "
                    "inputs."
                ) from error
            count += 1
    return count


class _FirstNaN(Interpreter):
    """Runs a model up to the op that makes the first NaN, which need not be an observed one."""

    def run_node(self, n: Node) -> Any:
        """Run a node.

        Raises:
            InputError: its result has NaN; tells its name and place.
        """
        result = super().run_node(n)
        if n.op == "call_function" and any(_has_nan(value) for value in tree_leaves(result)):
            raise InputError(
                f"The calibration data gives NaN in '{n.name}'{place_of(n)}, so no range can be "
                "found. Repair the data, or the model there."
            )
        return result


def _has_nan(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and bool(value.isnan().any())


def _tensors(item: Any) -> tuple[Any, ...]:
    """Return a calibration item as the arguments of the model."""
    parts = item if isinstance(item, list | tuple) else (item,)
    return tuple(torch.from_numpy(p) if isinstance(p, np.ndarray) else p for p in parts)
