"""The runtime on simulated boards: the same bits as on the host, and what they cost."""

import shutil

import numpy as np
import pytest

import tosaic
from support.models import bench, integer_program, model_of, quantized, stored
from support.tosa_cases import CASES, module_of, random_inputs
from tosaic.dialects.bindings import ir, make_context
from tosaic.executors import make_executor
from tosaic.executors.qemu import BOARDS
from tosaic.tools.bench.runtime_tiny import PEERS, measure

TOOLS = ("qemu-system-arm", "arm-none-eabi-gcc", "cmake")
MODELS = ("ds_cnn", "resnet8", "deep_autoencoder", "mobilenet_v1_025")
# One of each family; on the host all run.
OPERATORS = (
    "avg_pool2d_i16_(3, 2)_(2, 1)",
    "resize_BILINEAR_i16_(4, 2, 4, 2)_(-1, -1)",
    "rescale_i16_i8_DOUBLE_ROUND_1",
    "table_i16",
    "concat_i8",
    "pad_i16",
    "transpose_i16",
    "many",
)
FLOAT_OPERATORS = (
    "ceil_f32",
    "cos_f32",
    "erf_f32",
    "exp_f32",
    "floor_f32",
    "log_f32",
    "pow_f32",
    "rsqrt_f32",
    "sigmoid_f32",
    "sin_f32",
    "tanh_f32",
    "conv2d_f32_3_2_2",
    "depthwise_f32_m3",
    "avg_pool2d_f32_(3, 2)_(2, 1)",
    "resize_BILINEAR_f32_(2, 3, 3, 2)_(0, 0)",
    "reduce_product_f32_1",
    "clamp_f32",
    "cast_half_even",
)

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS),
    reason="needs apt packages qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi "
    "libstdc++-arm-none-eabi-newlib and cmake",
)
every_board = pytest.mark.parametrize("board", BOARDS)


@every_board
@pytest.mark.parametrize("name", MODELS)
def test_models_equal_the_host(board, name):
    program = integer_program(name)
    q = stored(program, bench.held_out_inputs(name)[0])
    executor = make_executor(board, program.module)
    (got,) = executor.run([q])
    np.testing.assert_array_equal(got, program.run(q, executor="jit")[0])
    cost = executor.measurement
    assert cost.arena_bytes < 110_000
    assert 0 < cost.stack_bytes < 4096
    assert 0.9 < sum(cost.operators.values()) / cost.invoke_instructions < 1.1


@every_board
def test_the_header_tells_the_arena_that_the_board_needs(board):
    program = tosaic.compile(quantized("ds_cnn"), target=board.removeprefix("qemu-"))
    executor = make_executor(board, program.module)
    executor.run([np.zeros(program.manifest.inputs[0].shape, np.int8)])
    assert executor.measurement.arena_bytes == program.firmware.arena_bytes


@every_board
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_equal_the_host(board, name):
    case = next(c for c in CASES if c.name == name)
    with make_context(), ir.Location.unknown():
        module = module_of(case)
        inputs = random_inputs(case)
        got, wanted = (make_executor(e, module).run(inputs) for e in (board, "runtime"))
    for g, w in zip(got, wanted, strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_array_equal(g, w)


@pytest.mark.slow
@every_board
def test_float_operators_follow_the_host(board):
    for case in (c for c in CASES if c.name in FLOAT_OPERATORS):
        with make_context(), ir.Location.unknown():
            module = module_of(case)
            inputs = random_inputs(case)
            got, wanted = (make_executor(e, module).run(inputs) for e in (board, "runtime"))
        for g, w in zip(got, wanted, strict=True):
            assert g.dtype == w.dtype
            tolerance = 1e-6 if g.dtype == np.float32 else 0
            np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance, err_msg=case.name)


@pytest.mark.slow
@every_board
def test_a_float_model_follows_the_host(board):
    x = bench.held_out_inputs("ds_cnn")[0]
    target = board.removeprefix("qemu-") + "-float"
    program = tosaic.compile(model_of("ds_cnn"), (x,), target=target)
    (got,), (wanted,) = (program.run(x, executor=e) for e in (board, "runtime"))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    assert program.firmware.arena_bytes < 100_000


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_firmware_is_small_and_starts_fast(name):
    cost, text = measure(name)
    peer = PEERS[name]
    assert text < 30_000
    assert cost.init_instructions < peer.init / 10  # although the peer checks nothing
    assert cost.invoke_instructions < peer.invoke
    assert cost.arena_bytes < peer.arena
