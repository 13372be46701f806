"""Quantisation-aware training: a model that rounds as the target will, to be trained on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torchao.quantization.pt2e import allow_exported_model_train_eval
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

from tosaic.errors import InputError
from tosaic.frontend.export import export_model
from tosaic.quantizer.convert import convert
from tosaic.quantizer.recipe import Override, QuantRecipe, find_recipe
from tosaic.quantizer.tosa_quantizer import TosaQuantizer


def prepare_training(
    model: torch.nn.Module,
    example_inputs: Sequence[Any],
    *,
    recipe: str | QuantRecipe = "int8",
    dynamic_shapes: Any = None,
) -> GraphModule:
    """Return `model` ready to be trained with the rounding of `recipe` simulated.

    A batch norm behind a convolution stays one in training, and its scale is in the weights that
    are rounded. Train the result as any module; `train()` and `eval()` work, and its parameters
    are copies. Batches of other sizes than the examples' take `dynamic_shapes`, as torch.export
    does. `finish_training` makes a program of it.

    Raises:
        InputError: torch.export refuses the model, there is no such recipe, or it clusters weights.
    """
    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if isinstance(model, ExportedProgram) or not isinstance(model, torch.nn.Module):
        raise InputError(
            f"Training takes a torch.nn.Module, got {type(model).__name__}. Pass the model itself."
        )
    settings: tuple[QuantRecipe | Override, ...] = (chosen, *chosen.overrides)
    if any(part.clusters or part.sparsity for part in settings):
        raise InputError(
            "The recipe clusters or prunes weights, which is done to trained ones. Train with a "
            "recipe without clusters and sparsity, then compile the trained model by this one."
        )
    training = model.training
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = _exported(model.train(), example_inputs, dynamic_shapes)
            graph = program.module(check_guards=False)
            prepared = prepare_qat_pt2e(graph, TosaQuantizer(chosen, training=True))
    finally:
        model.train(training)
    return allow_exported_model_train_eval(prepared)  # type: ignore[no-any-return]


def finish_training(
    prepared: GraphModule, example_inputs: Sequence[Any], *, dynamic_shapes: Any = None
) -> ExportedProgram:
    """Return a trained model quantised, for `tosaic.compile`; `prepared` is used up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared.eval()
        return export_model(
            convert(prepared, trained=True), example_inputs, dynamic_shapes=dynamic_shapes
        )


def _exported(
    model: torch.nn.Module, example_inputs: Sequence[Any], dynamic_shapes: Any
) -> ExportedProgram:
    try:
        return torch.export.export(
            model, tuple(example_inputs), dynamic_shapes=dynamic_shapes, strict=False
        )
    except Exception as error:  # torch.export raises many types, all about the user's model
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"torch.export cannot trace {type(model).__name__} for training: {reason[0]}. Run "
            "torch.export.export(model.train(), example_inputs) yourself for its full report."
        ) from error
