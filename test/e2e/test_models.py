"""The model set from PyTorch to TOSA and through Vela, judged by numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tosaic
from support.models import CONVOLUTIONAL, every_model, integer_program, model_of, quantized, stored
from tosaic.emit import validate
from tosaic.tools.bench import models as bench

NPUS = ("ethos-u55-128", "ethos-u85-256")
PEER = json.loads((Path(bench.__file__).parent / "data" / "executorch-1.5.1.json").read_text())
# Most cycles, as a share of ExecuTorch's, and least decibels above it.
MOST_CYCLES = {
    "mobilenet_v2": {"ethos-u55-128": 0.98, "ethos-u85-256": 0.92},
    "mobilenet_v3_small": {"ethos-u55-128": 0.97, "ethos-u85-256": 0.80},
}
LEAST_GAIN = 1.0
END_TO_END_LSB = 3  # one per op, mostly rounded away by the ops behind it


def transposes(program: tosaic.CompiledProgram) -> int:
    return program.report.operators.get("TRANSPOSE", 0)


@every_model
def test_jit_equals_reference_in_every_bit(name: str) -> None:
    program = integer_program(name)
    for x in bench.held_out_inputs(name)[:2]:
        q = stored(program, x)
        (jit,) = program.run(q, executor="jit")
        (reference,) = program.run(q, executor="reference")
        assert jit.dtype == np.int8 and np.unique(jit).size > 1
        np.testing.assert_array_equal(jit, reference)


@every_model
def test_integers_follow_fake_quantisation_end_to_end(name: str) -> None:
    program, fake = integer_program(name), quantized(name).module(check_guards=False)
    output = program.manifest.outputs[0]
    assert output.scale is not None
    for x in bench.held_out_inputs(name):
        (real,) = program.run(x)
        with torch.no_grad():
            error = np.abs(real - fake(x).numpy()).max() / output.scale
        assert error < END_TO_END_LSB + 0.01


@every_model
def test_no_transpose_inside(name: str) -> None:
    """The one transpose that may be is the input's, from NCHW."""
    assert transposes(integer_program(name)) <= 1
    channels_last = tosaic.compile(quantized(name), target="tosa-1.0-int", io_layout="nhwc")
    assert transposes(channels_last) == 0


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("target", NPUS)
def test_vela_needs_no_more_cycles_than_for_executorch(name: str, target: str) -> None:
    program = tosaic.compile(quantized(name), target=target)
    validate(program.module, program.target)
    peer = PEER["models"][name][target]["vela_estimate"][target]["cycles_total"]
    share = MOST_CYCLES.get(name, {}).get(target, 1.0)
    assert program.report.vela is not None
    assert program.report.vela.cycles_total <= share * peer


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_accuracy_is_above_executorch(name: str) -> None:
    program, held_out = integer_program(name), bench.held_out_inputs(name)
    with torch.no_grad():
        real = torch.stack([model_of(name)(x) for x in held_out])
    integer = torch.stack([torch.from_numpy(program.run(x)[0]) for x in held_out])
    peer = PEER["models"][name]["ethos-u55-128"]["sqnr_db"]
    assert bench.load_models().sqnr_db(real, integer) >= peer + LEAST_GAIN


@every_model
def test_float_follows_eager(name: str) -> None:
    model = model_of(name)
    x = bench.held_out_inputs(name)[0]
    program = tosaic.compile(model, (x,), target="tosa-1.0-fp")
    assert transposes(program) <= 1
    with torch.no_grad():
        eager = model(x).numpy()
    for executor in ("jit", "reference", "runtime"):
        (out,) = program.run(x, executor=executor)
        assert np.abs(out - eager).max() <= 1e-4 * np.abs(eager).max(), executor
