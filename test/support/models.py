"""The model set of test/models, made, quantised and compiled once per process."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

import tosaic
from tosaic.emit import quantize as stored_of
from tosaic.quantizer import TosaQuantizer, find_recipe, quantize
from tosaic.tools.bench import models as bench

QUICK = ("ds_cnn", "resnet8", "deep_autoencoder", "mobilenet_v1_025")
CONVOLUTIONAL = [n for n, m in bench.load_models().MODELS.items() if m.convolutional]
# Models that take minutes run in `make nightly`.
every_model = pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CONVOLUTIONAL]
)


@cache
def model_of(name: str) -> torch.nn.Module:
    model: torch.nn.Module = bench.load_models().build(name)
    return model


@cache
def quantized(name: str, recipe: str = "int8") -> torch.export.ExportedProgram:
    """Return the model `name` quantised with the recipe of that name."""
    inputs = bench.calibration_inputs(name)
    quantizer = TosaQuantizer(find_recipe(recipe))
    return quantize(model_of(name), inputs[:1], inputs, quantizer=quantizer)


@cache
def integer_program(name: str) -> tosaic.CompiledProgram:
    """Return the model `name` in int8, compiled for tosa-1.0-int."""
    return tosaic.compile(quantized(name), target="tosa-1.0-int")


def stored(program: tosaic.CompiledProgram, x: torch.Tensor) -> Any:
    """`x` as integers: given in the program's own dtype, outputs come back as integers too."""
    return stored_of(program.manifest.inputs[0], x.numpy())
