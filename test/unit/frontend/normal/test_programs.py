"""Normal form of whole programs: the model set, blocks of other packages, their decompositions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.export import ExportedProgram

from support.normal_form import assert_normalizes, exported
from tosaic.frontend.load import load_program
from tosaic.tools.bench.models import load_models

FOREIGN = Path(__file__).parents[3] / "foreign"
BLOCKS = sorted(file.stem for file in FOREIGN.glob("*.pt2"))
MODELS = load_models().MODELS
QUICK = ("ds_cnn", "deep_autoencoder", "deit_tiny_d2", "llama_block", "lstm")
SOME = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
FORMS = ("exported", "core", "decomposed")


def in_form(program: ExportedProgram, form: str) -> ExportedProgram:
    """Return `program` as it is, functional, or in core ATen ops."""
    if form == "exported":
        return program
    decomposed: ExportedProgram = program.run_decompositions(*([{}] if form == "core" else []))
    return decomposed


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_other_packages(name: str, form: str) -> None:
    program = in_form(load_program(str(FOREIGN / f"{name}.pt2")), form)
    assert program.example_inputs is not None
    assert_normalizes(program, program.example_inputs[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SOME)
def test_the_model_set(name: str, form: str) -> None:
    x = torch.randn(MODELS[name].input_shape)
    assert_normalizes(in_form(exported(MODELS[name].factory(), x), form), (x,))
