"""nn.Module to ExportedProgram, with messages a user can act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram

from tosaic.errors import InputError
from tosaic.frontend.normal import normalize
from tosaic.graph.frames import raising_frame, user_frames_recorded
from tosaic.graph.passes import Watch


def export_model(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any],
    *,
    dynamic_shapes: Any = None,
    watch: Watch | None = None,
) -> ExportedProgram:
    """Return `model` exported on `example_inputs` (tensors of any shape and dtype), in normal form.

    An ExportedProgram that is in normal form is returned as it is. `watch` is told of each graph
    pass.

    Raises:
        InputError: the model is in training mode, torch.export refuses it, or it has a loop that
            cannot be unrolled.
    """
    if isinstance(model, ExportedProgram):
        return normalize(model, watch)
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            f"Expected a torch.nn.Module or an ExportedProgram, got {type(model).__name__}."
        )
    if not isinstance(model, torch.fx.GraphModule) and _trains(model):
        raise InputError(
            f"{type(model).__name__} is in training mode, where dropout and batch norm depend on "
            "the batch. Call model.eval() before compiling."
        )
    try:
        with torch.no_grad(), user_frames_recorded():
            program = torch.export.export(
                model, tuple(example_inputs), dynamic_shapes=dynamic_shapes, strict=False
            )
    except Exception as error:  # torch.export raises many types, all about the user's model
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0].rstrip(".") if lines else type(error).__name__
        advice = (
            "Shapes and branches of a program cannot depend on its data; use torch.where, or masks "
            "of the full size."
            if "data-dependent" in reason
            else "Run torch.export.export(model, example_inputs) yourself for its full report."
        )
        frame = raising_frame(error)
        where = f" at {frame[0]}:{frame[1]}" if frame is not None else ""
        raise InputError(
            f"torch.export cannot trace {type(model).__name__}{where}: {reason}. {advice}"
        ) from error
    return normalize(program, watch)


def _trains(model: torch.nn.Module) -> bool:
    """Return whether a module that computes otherwise in training is in training mode.

    What this misses (functional dropout, say) is refused when its op is lowered.
    """
    kinds = (
        torch.nn.modules.batchnorm._NormBase,
        torch.nn.modules.dropout._DropoutNd,
        torch.nn.RNNBase,
    )
    return any(module.training and isinstance(module, kinds) for module in model.modules())
