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
from tosaic.frontend.normal import normalize
from tosaic.lowering.ops import Quantized
from tosaic.quantizer.parts import to_parts
from tosaic.quantizer.plan import decide
from tosaic.quantizer.recipe import find_recipe
from tosaic.tools.bench.models import load_models

HERE = Path(__file__).parent
BLOCKS = sorted(file.stem for file in HERE.glob("*.pt2"))
# In every run; the others are nightly's.
QUICK = ("bert_sdpa", "gpt2_eager", "t5_encoder", "timm_convnext_block", "torchvision_raft_block")
MARKED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BLOCKS]
CALIBRATION, HELD_OUT = range(16), range(100, 116)
# Least decibels of int8 and of the recipe `transformer`, some 2 below what was measured.
LEAST = {
    "bert_eager": (17.0, 27.0),
    "bert_sdpa": (17.0, 27.0),
    "gemma_eager": (20.0, 27.0),
    "gpt2_eager": (19.0, 33.0),
    "llama_sdpa": (20.0, 27.0),
    "mamba_mixer": (14.5, 14.5),  # a recurrence in int8; its one sum is the output
    "qwen2_eager": (20.0, 28.0),
    "t5_encoder": (22.0, 33.0),
    "timm_convnext": (22.0, 22.0),  # no norm reads a sum but through a layer
    "timm_convnext_block": (29.0, 29.0),
    "timm_efficientnet_block": (23.0, 23.0),
    "timm_levit_attention": (16.5, 16.5),
    "timm_mobilevit_block": (25.0, 25.0),
    "timm_swin": (27.0, 27.5),
    # The class token, which alone is read, is small beside the tokens that share its scale.
    "timm_vit": (11.0, 18.5),
    "torchvision_fcos_head": (22.5, 22.5),
    "torchvision_mobilenetv3_block": (23.0, 23.0),
    "torchvision_raft_block": (29.0, 29.0),
    "torchvision_swin_block": (22.5, 22.5),  # its norms are behind the branches
    "whisper_layer": (22.5, 50.0),
}
# Sums along the residual stream: two of a layer, and what is added to the embeddings before.
RESIDUAL = {
    "bert_sdpa": 2 + 4,
    "gemma_eager": 4,
    "gpt2_eager": 1 + 4,
    "llama_sdpa": 4,
    "qwen2_eager": 4,
    "t5_encoder": 4,
    "timm_vit": 1 + 4,
    "whisper_layer": 2,
}


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
    int8, transformer = LEAST[name]
    assert decibels(name, "int8") >= int8
    assert decibels(name, "transformer") >= transformer


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_residual_stream_is_int16(name: str) -> None:
    program = load_program(str(HERE / f"{name}.pt2"))
    model = to_parts(normalize(program).module(check_guards=False))
    sums = [
        unit.name
        for unit in decide(model, find_recipe("transformer")).integer_units()
        if unit.kind is Quantized.SUM and unit.writes is not None and unit.writes.dtype == "int16"
    ]
    assert len(sums) == RESIDUAL[name], sums


@pytest.mark.parametrize("name", BLOCKS)
def test_a_file_names_no_folder_of_its_maker(name: str) -> None:
    with zipfile.ZipFile(HERE / f"{name}.pt2") as archive:
        for entry in archive.namelist():
            data = archive.read(entry)
            for folder in (b"/home/", b"/root/", b"/tmp/", b"/usr/", b"site-packages"):
                assert folder not in data, f"{entry} holds {folder.decode()}"
