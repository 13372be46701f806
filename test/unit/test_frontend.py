"""Import: names, locations, constants, in-place ops, and what cannot be imported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tosaic
from tosaic.dialects.bindings import make_context
from tosaic.errors import InputError
from tosaic.frontend import export_model, import_program
from tosaic.frontend.load import load_program
from tosaic.quantizer import quantize


def imported_text(model: nn.Module, *inputs: Tensor) -> str:
    module = import_program(export_model(model.eval(), inputs), make_context())
    return str(module.operation.get_asm(enable_debug_info=True))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"features": self.conv(image).relu_()}


def test_names_and_the_users_line():
    text = imported_text(Block(), torch.zeros(1, 3, 6, 6))
    assert 'tosaic.name = "image"' in text
    assert 'tosaic.name = "features"' in text
    assert 'loc("conv2d"' in text
    assert "test_frontend.py" in text
    assert "site-packages" not in text


def test_in_place_ops_do_not_retrace(monkeypatch):
    def retrace(*_: object) -> None:
        raise AssertionError("the graph was traced again")

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", retrace)
    text = imported_text(Block(), torch.zeros(1, 3, 6, 6))
    assert "torch.aten.relu " in text
    assert "relu_" not in text.partition("#loc")[0]


def test_in_place_ops_on_shared_memory():
    class Shared(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = x * 2
            flat = y.view(6)
            flat.add_(1.0)
            return y, flat

    x = torch.arange(6.0).reshape(3, 2)
    program = tosaic.compile(Shared(), (x,), target="tosa-1.0-fp")
    for result, expected in zip(program.run(x), Shared()(x), strict=True):
        np.testing.assert_array_equal(result, expected.numpy())


def test_python_bools_stand_for_tensors():
    class Bools(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
            return x + True, x * False, mask + True, mask.sum() + True, torch.add(True, True)

    inputs = torch.arange(3.0), torch.tensor([True, False, True])
    program = tosaic.compile(Bools(), inputs, target="tosa-1.0-int+fp")
    for result, expected in zip(program.run(*inputs), Bools()(*inputs), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_device_arguments_and_assertions_are_ignored():
    class Devices(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.to("cpu").to(torch.float32) + torch.ones(1, 4, device=x.device)

    x = torch.randn(3, 4)
    (result,) = tosaic.compile(Devices(), (x,), target="tosa-1.0-fp").run(x)
    np.testing.assert_array_equal(result, (x + 1).numpy())


def test_a_quantised_program_survives_the_disk(tmp_path):
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), torch.randn(1, 3, 8, 8)
    path = tmp_path / "model.pt2"
    torch.export.save(quantize(model, (x,), [x]), path)
    program = tosaic.compile(load_program(str(path)), target="tosa-1.0-int")
    assert program.manifest.outputs[0].dtype == "int8"


def test_dynamic_dims_are_named_with_their_ranges_and_can_be_fixed():
    batch = torch.export.Dim("batch", min=1, max=16)
    model, x = nn.Linear(4, 2).eval(), torch.randn(2, 4)
    options = {"target": "tosa-1.0-fp", "dynamic_shapes": {"input": {0: batch}}}
    with pytest.raises(InputError, match=r"input\.0 \(1 to 16\).*--dim input\.0=4"):
        tosaic.compile(model, (x,), **options)
    program = tosaic.compile(model, (x,), dims={"input.0": 5}, **options)
    assert program.manifest.outputs[0].shape == (5, 2)


class WritesBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x + self.count


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class ReturnsNumber(nn.Module):
    def forward(self, x: Tensor) -> float:
        return 3.0


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (WritesBuffer(), ["'count'", "state"]),
        (Branches(), ["test_frontend.py", "data-dependent"]),
        (ReturnsNumber(), ["3.0", "no tensor"]),
        (nn.Dropout(), ["training mode", "eval()"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_imported(model, parts):
    with pytest.raises(InputError) as caught:
        tosaic.compile(model, (torch.ones(2, 2),), target="tosa-1.0-fp")
    assert all(part in str(caught.value) for part in parts), caught.value
