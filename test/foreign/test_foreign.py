"""Blocks of transformers, timm and torchvision: compiled in float and in integers, and right.

generate.py says which they are and how the files are remade.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from spellings.spelling import structured
from torch import Tensor

import tosaic
from tosaic.frontend.load import load_program
from tosaic.tools.bench.models import load_models

HERE = Path(__file__).parent
BLOCKS = sorted(file.stem for file in HERE.glob("*.pt2"))
# In every run; the others are nightly's.
QUICK = ("bert_eager", "llama_eager", "timm_convnext_block", "torchvision_raft_block")
MARKED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BLOCKS]
CALIBRATION, HELD_OUT = range(16), range(100, 116)
# Least decibels in int8, and how many below int8 the recipe `transformer` may be by chance.
LEAST, SLACK = 20.0, 0.5


def sample(program: torch.export.ExportedProgram, seed: int) -> tuple[Tensor, ...]:
    """Return inputs of the program: structured floats, and masks that hide a part of the tokens."""
    assert program.example_inputs is not None
    inputs = []
    for x in program.example_inputs[0]:
        if x.is_floating_point():
            inputs.append(structured(seed, *x.shape))
        else:
            half = x.shape[-1] // 2
            inputs.append((torch.arange(x.shape[-1])[None] < half + seed % half).to(x.dtype))
    return tuple(inputs)


def eager(name: str, samples: list[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    module = load_program(str(HERE / f"{name}.pt2")).module(check_guards=False)
    with torch.no_grad():
        results = [module(*x) for x in samples]
    return [r if isinstance(r, tuple) else (r,) for r in results]


def decibels(name: str, recipe: str) -> float:
    """Return the SQNR of the worst output of the integer program."""
    program = load_program(str(HERE / f"{name}.pt2"))
    held_out = [sample(program, seed) for seed in HELD_OUT]
    calibration = [sample(program, seed) for seed in CALIBRATION]
    compiled = tosaic.compile(
        program, held_out[0], target="tosa-1.0-int", quantize=recipe, calibration=calibration
    )
    real = [torch.stack(values) for values in zip(*eager(name, held_out), strict=True)]
    results = zip(*(compiled.run(*x) for x in held_out), strict=True)
    integer = [torch.stack([torch.from_numpy(v) for v in values]) for values in results]
    sqnr_db = load_models().sqnr_db
    return min(float(sqnr_db(r, i)) for r, i in zip(real, integer, strict=True))


@pytest.mark.parametrize("name", MARKED)
def test_float_equals_eager(name: str) -> None:
    program = load_program(str(HERE / f"{name}.pt2"))
    inputs = sample(program, HELD_OUT[0])
    # Masks are integers.
    real = all(x.is_floating_point() for x in inputs)
    compiled = tosaic.compile(program, target="tosa-1.0-fp" if real else "tosa-1.0-int+fp")
    results = compiled.run(*inputs)
    for got, expected in zip(results, eager(name, [inputs])[0], strict=True):
        torch.testing.assert_close(torch.from_numpy(got), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MARKED)
def test_integers_are_near_float(name: str) -> None:
    int8 = decibels(name, "int8")
    assert int8 >= LEAST
    assert decibels(name, "transformer") >= int8 - SLACK


@pytest.mark.parametrize("name", BLOCKS)
def test_a_file_names_no_folder_of_its_maker(name: str) -> None:
    with zipfile.ZipFile(HERE / f"{name}.pt2") as archive:
        for entry in archive.namelist():
            data = archive.read(entry)
            for folder in (b"/home/", b"/root/", b"/tmp/", b"/usr/", b"site-packages"):
                assert folder not in data, f"{entry} holds {folder.decode()}"
