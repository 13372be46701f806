"""Compiles for Cortex-M: the memory plan, the C header, the operator table, the arena's limit."""

import re
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import tosaic
from support.models import QUICK, bench, quantized, stored
from tosaic.backends.cortex_m.memory_plan import plan_memory
from tosaic.backends.cortex_m.schedule import Demand, best_order
from tosaic.errors import CompileError, InputError
from tosaic.quantizer import quantize
from tosaic.runtime import Model

INCLUDE = Path(tosaic.__file__).parents[1] / "runtime" / "include"
# TFLM's, for models of the same shapes (tools/bench/runtime_tiny.py).
PEER_ARENA = {
    "ds_cnn": 27_300,
    "mobilenet_v1_025": 100_756,
    "resnet8": 54_996,
    "deep_autoencoder": 5_172,
}


@cache
def program(name):
    return tosaic.compile(quantized(name), target="cortex-m55", io_layout="nhwc")


@pytest.mark.parametrize("name", QUICK)
def test_the_program_is_right_and_small(name):
    compiled = program(name)
    x = bench.held_out_inputs(name)[0]
    q = stored(compiled, x.permute(0, 2, 3, 1) if x.ndim == 4 else x)
    for executor in ("runtime", "jit"):
        np.testing.assert_array_equal(
            compiled.run(q, executor=executor)[0], compiled.run(q, executor="reference")[0]
        )
    assert compiled.firmware.arena_bytes < PEER_ARENA[name]


@pytest.mark.parametrize("name", QUICK)
def test_the_arena_is_as_small_as_the_order_of_operators_allows(name):
    plan = plan_memory(Model(program(name).flatbuffer))
    assert plan.arena_bytes == max(plan.live)


def test_the_loader_takes_the_plan_and_computes_the_same():
    compiled = program("ds_cnn")
    plan = compiled.firmware.plan
    planned, own = (Model(compiled.flatbuffer, p) for p in (plan, None))
    assert planned.plan() == plan
    assert len(own.plan()) == len(plan)
    q = np.arange(490, dtype=np.int8).reshape(1, 49, 10, 1)
    np.testing.assert_array_equal(planned.run([q])[0], own.run([q])[0])


def test_a_damaged_plan_is_refused_or_harmless():
    compiled = program("ds_cnn")
    q = np.zeros((1, 49, 10, 1), np.int8)
    refused = 0
    for word in range(len(compiled.firmware.plan) // 4):
        for value in (1, 0x7FFFFFF0, 0xFFFFFFFF):
            damaged = np.frombuffer(compiled.firmware.plan, np.uint32).copy()
            damaged[word] = value
            try:
                Model(compiled.flatbuffer, damaged.tobytes()).run([q])
            except tosaic.errors.ToolError:
                refused += 1
    assert refused > 80


def test_the_header_compiles_and_names_the_operators(tmp_path):
    compiled = program("ds_cnn")
    files = compiled.save(tmp_path, name="key-words.v1")
    assert {f.suffix for f in files} == {".tosa", ".json", ".mlir", ".plan", ".h"}
    source = tmp_path / "main.c"
    source.write_text(
        '#include "key-words.v1.h"\n'
        '_Static_assert(KEY_WORDS_V1_INPUT_0_ELEMENTS == 490, "");\n'
        f'_Static_assert(KEY_WORDS_V1_MODEL_BYTES == {len(compiled.flatbuffer)}, "");\n'
        f'_Static_assert(KEY_WORDS_V1_PLAN_BYTES == {len(compiled.firmware.plan)}, "");\n'
        "const tosaic_operator_table *table(void) { return &key_words_v1_operators; }\n"
    )
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{INCLUDE}"]
    subprocess.run(["gcc", *flags, source], check=True)
    assert compiled.firmware.operators == (
        "conv2d_i8",
        "depthwise_conv2d_i8",
        "matmul_i8",
        "rescale",
        "reshape",
        "slice",
    )
    tosaic.compile(quantized("ds_cnn"), target="tosa-1.0-int").save(tmp_path, name="key-words.v1")
    assert not (tmp_path / "key-words.v1.plan").exists()


def test_the_program_of_the_porting_page_compiles(tmp_path):
    program("ds_cnn").save(tmp_path, name="net")
    page = (INCLUDE.parents[1] / "docs" / "porting.md").read_text()
    (code,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    (tmp_path / "main.c").write_text(code)
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{INCLUDE}"]
    subprocess.run(["gcc", *flags, tmp_path / "main.c"], check=True)


def test_too_small_an_arena_fails_the_compile():
    message = r"needs [\d,]+ bytes of arena, [\d,]+ more than the 10,000 allowed"
    with pytest.raises(CompileError, match=message) as caught:
        tosaic.compile(quantized("ds_cnn"), target="cortex-m55", max_arena=10_000)
    assert len(caught.value.diagnostics) == 3
    assert "bytes of tensors are alive at this RESCALE" in str(caught.value)
    assert "mlperf_tiny.py" in str(caught.value)
    with pytest.raises(InputError, match=r"max_arena limits Cortex-M programs; target tosa"):
        tosaic.compile(quantized("ds_cnn"), target="tosa-1.0-int", max_arena=10_000)


class Branches(torch.nn.Module):
    """Two branches with large tensors inside and small ends: one must end before one begins."""

    def __init__(self):
        super().__init__()
        self.wide = torch.nn.ModuleList(torch.nn.Conv2d(4, 32, 1) for _ in range(3))
        self.narrow = torch.nn.ModuleList(torch.nn.Conv2d(32, 2, 1) for _ in range(3))

    def forward(self, x):
        wide = [conv(x) for conv in self.wide]
        return sum(conv(y) for conv, y in zip(self.narrow, wide, strict=True))


def test_operators_run_in_the_order_of_the_smallest_peak():
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    model = quantize(Branches().eval(), (x,), [(x,)])
    plain = tosaic.compile(model, target="tosa-1.0-int", io_layout="nhwc")
    compiled = tosaic.compile(model, target="cortex-m55", io_layout="nhwc")
    before = plan_memory(Model(plain.flatbuffer)).arena_bytes
    assert before > 3 * 32 * 256 > compiled.firmware.tensor_bytes
    assert compiled.firmware.tensor_bytes == compiled.firmware.live_bytes
    q = np.arange(1024, dtype=np.int8).reshape(1, 16, 16, 4)
    np.testing.assert_array_equal(
        compiled.run(q, executor="runtime")[0], plain.run(q, executor="reference")[0]
    )


def test_two_thousand_tensors_are_planned_and_ordered():
    # Pairs of branches of which one has a large tensor inside: sixteen orders of each pair.
    demands, needs = [], []
    for k in range(0, 2000, 4):
        start = [] if k == 0 else [k - 1]
        for step, before, size in ((k, start, 64), (k + 1, start, 1024), (k + 2, [k + 1], 16)):
            reads = 1 << (k + 2 if step == k + 1 else k + 3)
            demands.append(Demand(size, 1 << step, reads, kept=False, given=False))
            needs.append(sum(1 << b for b in before))
        after = 1 << k + 4 | 1 << k + 5 if k + 4 < 2000 else 0
        demands.append(Demand(16, 1 << k + 3, after, kept=not after, given=False))
        needs.append(1 << k | 1 << k + 2)
    order = best_order(demands, needs)
    assert order is not None
    assert sorted(order) == list(range(2000))
    # The large tensor is gone before the other branch begins.
    assert all(order.index(k) > order.index(k + 2) for k in range(0, 2000, 4))


def test_float_models_are_for_the_float_targets():
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.GELU()).eval()
    x = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"cortex-m55 computes in integers only.*cortex-m55-float"):
        tosaic.compile(model, (x,), target="cortex-m55")
    compiled = tosaic.compile(model, (x,), target="cortex-m55-float")
    assert {"conv2d_f32", "erf_f32"} < set(compiled.firmware.operators)
    planned = Model(compiled.flatbuffer, compiled.firmware.plan)
    with torch.no_grad():
        np.testing.assert_allclose(planned.run([x.numpy()])[0], model(x), rtol=1e-5, atol=1e-6)
