"""Transformers and recurrent nets: accuracy and cycles beside ExecuTorch's stored figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tosaic
from support.models import model_of, quantized
from tosaic.tools.bench import models as bench

PEER = json.loads((Path(bench.__file__).parent / "data" / "executorch-1.5.1.json").read_text())
DEIT = pytest.param("deit_tiny", marks=pytest.mark.slow)
NETS = ("llama_block", "lstm", "deit_tiny_d2", DEIT)
RECIPES = ("int8", "transformer")
# name -> most cycles, as a share of ExecuTorch's; with both recipes.
SHARES = {
    "deit_tiny": {"ethos-u55-128": 0.70, "ethos-u85-256": 0.25},
    "deit_tiny_d2": {"ethos-u55-128": 0.25, "ethos-u85-256": 0.10},
    "llama_block": {"ethos-u55-128": 0.85, "ethos-u85-256": 0.40},
    "lstm": {"ethos-u55-128": 0.55, "ethos-u85-256": 0.48},
}
# recipe -> name -> least decibels above ExecuTorch's int8.
GAINS = {
    "int8": {"deit_tiny": 3.0, "deit_tiny_d2": 5.0, "llama_block": 9.0, "lstm": 6.5},
    "transformer": {"deit_tiny": 15.0, "deit_tiny_d2": 17.0, "llama_block": 18.0, "lstm": 6.5},
}


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NETS)
def test_cycles(name: str, recipe: str, target: str) -> None:
    program = tosaic.compile(quantized(name, recipe), target=target)
    peer = PEER["models"][name][target]["vela_estimate"][target]["cycles_total"]
    assert program.report.vela is not None
    assert program.report.vela.cycles_total <= SHARES[name][target] * peer


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NETS)
def test_accuracy(name: str, recipe: str) -> None:
    program = tosaic.compile(quantized(name, recipe), target="tosa-1.0-int")
    held_out = bench.held_out_inputs(name)
    with torch.no_grad():
        real = torch.stack([model_of(name)(x) for x in held_out])
    integer = torch.stack([torch.from_numpy(program.run(x)[0]) for x in held_out])
    peer = PEER["models"][name]["ethos-u55-128"]["sqnr_db"]
    assert bench.load_models().sqnr_db(real, integer) >= peer + GAINS[recipe][name]


@pytest.mark.parametrize("name", ["llama_block", "lstm"])
def test_jit_and_runtime_equal_reference_in_every_bit(name: str) -> None:
    program = tosaic.compile(quantized(name), target="tosa-1.0-int")
    for x in bench.held_out_inputs(name)[:2]:
        (expected,) = program.run(x, executor="reference")
        for executor in ("jit", "runtime"):
            np.testing.assert_array_equal(program.run(x, executor=executor)[0], expected, executor)
