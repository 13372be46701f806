"""Recurrent nets in integers: accuracy, what an NPU has to load, states between calls, training."""

import itertools
import re
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tosaic
from tosaic.lowering.ops import Quantized
from tosaic.quantizer import finish_training, prepare_training
from tosaic.tools.bench import models as bench

MODELS = bench.load_models()
SHAPE = (5, 3, 10)
# kind -> options, decibels with int8 and with int16 activations.
KINDS = {
    "lstm": ({}, 24.0, 34.0),
    "gru": ({}, 28.5, 39.0),
    "rnn": ({}, 29.0, 44.0),
    "rnn_relu": ({"nonlinearity": "relu"}, 25.0, 40.0),
}


class Outputs(nn.Module):
    """All outputs of the last of two layers, from zero states."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.net = getattr(nn, kind.partition("_")[0].upper())(10, 20, 2, **KINDS[kind][0])

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[0]


def made(
    kind: str, recipe: str = "int8", target: str = "tosa-1.0-int"
) -> tuple[nn.Module, tosaic.CompiledProgram]:
    torch.manual_seed(0)
    model = Outputs(kind).eval()
    data = MODELS.structured_inputs(SHAPE, 8, 1)
    return model, tosaic.compile(model, data[:1], quantize=recipe, calibration=data, target=target)


@pytest.mark.parametrize("recipe", ["int8", "a16w8"])
@pytest.mark.parametrize("kind", KINDS)
def test_accuracy(kind: str, recipe: str) -> None:
    model, program = made(kind, recipe)
    held_out = MODELS.structured_inputs(SHAPE, 16, 100)
    with torch.no_grad():
        real = torch.stack([model(x) for x in held_out])
    integer = torch.stack([torch.from_numpy(program.run(x)[0]) for x in held_out])
    assert MODELS.sqnr_db(real, integer) >= KINDS[kind][1 if recipe == "int8" else 2]
    np.testing.assert_array_equal(
        program.run(held_out[0])[0], program.run(held_out[0], executor="reference")[0]
    )


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_all_steps_read_the_same_table_and_weights(kind: str) -> None:
    text = made(kind)[1].text
    tables = re.findall(r"tosa\.table %\S+, (%\d+)", text)
    weights = re.findall(r"tosa\.conv2d %\S+, (%\d+)", text)
    # The result of a plain net's function is a layer's state, whose scale the table has.
    assert len(set(tables)) == (2 if kind == "rnn" else 1) and len(tables) >= 10
    assert len(set(weights)) == 2 * 2 and len(weights) == 2 * (1 + 4)


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
@pytest.mark.parametrize("kind", KINDS)
def test_functions_are_parts_of_other_operations(kind: str, target: str) -> None:
    """A table of its own would be loaded from flash each time, which is 2 KB of int16."""
    vela = made(kind, target=target)[1].report.vela
    assert vela is not None
    assert sum(layer.cycles for layer in vela.layers if layer.operator == "LUT") == 0


def test_what_is_said_of_a_cell() -> None:
    """Products read what the recipe says, and so do other layers; in between it is int16."""
    torch.manual_seed(0)
    exported = torch.export.export(Outputs("lstm").eval(), (torch.zeros(SHAPE),))
    quantizer = tosaic.TosaQuantizer()
    graph = quantizer.transform_for_annotation(exported.module(check_guards=False))
    said = {
        (str(node.target).split(".")[1], role.reads, role.writes, role.note)
        for node, role in quantizer.plan(graph).roles().items()
        if role.kind is not Quantized.SHARED
    }
    note, wide, narrow = "inside a unit, which computes in int16", "int16", "int8"
    assert said == {
        ("linear", (narrow,), wide, note),
        ("add", (wide,), wide, note),
        ("add", (wide, wide), wide, note),
        ("mul", (wide,), wide, note),
        ("mul", (wide, wide), wide, note),
        ("mul", (wide, wide), narrow, note),
        ("tanh", (wide,), wide, note),
    }


class Step(nn.Module):
    """One call of an LSTM that is handed its states."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(10, 20)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = self.cell(x, (h, c))
        return out


def test_cell_state_between_calls_has_16_bits() -> None:
    torch.manual_seed(0)
    model = Step().eval()
    data = []
    h, c = torch.zeros(3, 20), torch.zeros(3, 20)
    for x in MODELS.structured_inputs((3, 10), 16, 1):
        data.append((x, h, c))
        with torch.no_grad():
            h, c = model(x, h, c)
    program = tosaic.compile(model, data[0], quantize="int8", calibration=data)
    dtypes = {info.name: info.dtype for info in program.manifest.inputs}
    assert dtypes == {"x": "int8", "h": "int8", "c": "int16"}
    assert [info.dtype for info in program.manifest.outputs] == ["int8", "int16"]
    h = c = np.zeros((3, 20), np.float32)
    real, integer = [], []
    for (x, _, _), (_, _, after) in itertools.pairwise(data):
        h, c = program.run(x, h, c)
        integer.append(torch.from_numpy(c))
        real.append(after)
    assert MODELS.sqnr_db(torch.stack(real), torch.stack(integer)) >= 30


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_training(kind: str) -> None:
    torch.manual_seed(0)
    model = Outputs(kind).eval()
    data = MODELS.structured_inputs(SHAPE, 8, 1)
    trainable = prepare_training(model, data[:1])
    trainable.train()
    optimizer = torch.optim.Adam(trainable.parameters(), lr=0.01)
    losses = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            for x in data:
                optimizer.zero_grad()
                loss = (trainable(x) - 0.1).square().mean()
                loss.backward()
                optimizer.step()
                losses.append(float(loss.detach()))
    before, after = losses[0], losses[-1]
    assert after < before / 4
    (out,) = tosaic.compile(finish_training(trainable, data[:1])).run(data[0])
    assert float(np.square(out - 0.1).mean()) < before / 4
