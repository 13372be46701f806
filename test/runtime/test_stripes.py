"""Chains of convolutions cut in stripes of rows: the same bits in less memory."""

import numpy as np
import pytest
import torch
from torch import nn

import tosaic
from tosaic.backends.cortex_m.stripes import Rows, _chains, _copy, _rewrite
from tosaic.emit import validate
from tosaic.emit.functions import entry_function
from tosaic.errors import CompileError
from tosaic.executors import make_executor
from tosaic.quantizer import quantize
from tosaic.runtime import Model


class Mixed(nn.Module):
    """Kernels, strides, dilations and paddings of all sorts, above and below unequal."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, (4, 3), padding=(2, 1)),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
            nn.MaxPool2d(3, 1, padding=1),
            nn.Conv2d(8, 16, 3, padding=2, dilation=2),
            nn.Hardswish(),
            nn.AvgPool2d(2, 1),
            nn.Conv2d(16, 4, 1),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.fixture(scope="module")
def mixed():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 23, 12)
    program = tosaic.compile(
        quantize(Mixed().eval(), (x,), [(x,)]), target="cortex-m55", io_layout="nhwc"
    )
    q = np.random.default_rng(0).integers(-128, 128, (1, 23, 12, 3), np.int8)
    return program, q, program.run(q, executor="reference")[0]


def operations(module):
    return list(entry_function(module).regions[0].blocks[0].operations)


def test_any_cut_computes_the_same(mixed):
    program, q, wanted = mixed
    chains = list(_chains(operations(program.module)))
    (chain,) = (chain for chain in chains if len(chain.layers) == 6)
    rng = np.random.default_rng(1)
    for most in (2, 3, 5, 11):
        begin, end = sorted(rng.choice(7, 2, replace=False))
        count = min(most, chain.layers[end - 1].rows)
        module = _copy(program.module)
        _rewrite(module, chain.layers[begin:end], chain.stripes(begin, end, count))
        validate(module, program.target)
        names = [op.operation.name for op in operations(module)]
        assert names.count("tosa.concat") == 1
        np.testing.assert_array_equal(make_executor("runtime", module).run([q])[0], wanted)


def test_rows_that_a_stripe_needs(mixed):
    program, _, _ = mixed
    (chain,) = (c for c in _chains(operations(program.module)) if len(c.layers) == 6)
    # 4 rows high, 2 rows of padding: 24 rows of output from 23.
    first, depthwise = chain.layers[:2]
    assert (first.height, first.rows, depthwise.rows) == (23, 24, 12)
    assert first.needs(Rows(0, 5)) == Rows(0, 6, top=2)
    assert first.needs(Rows(20, 24)) == Rows(18, 23, bottom=2)
    assert depthwise.needs(Rows(6, 12)) == Rows(11, 24)
    (upper, lower) = chain.stripes(0, 2, 2)
    assert upper == [Rows(0, 13, top=2), Rows(0, 12, top=1), Rows(0, 6)]
    assert lower == [Rows(9, 23, bottom=2), Rows(11, 24), Rows(6, 12)]
    _, macs = chain.cost(0, 2, [upper, lower])
    assert macs - chain.macs(0, 2) == first.row_macs  # row 11


def test_a_program_is_cut_to_fit():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 32, 32)
    net = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1, groups=32),
        nn.ReLU(),
        nn.Conv2d(32, 8, 1),
    )
    model = quantize(net.eval(), (x,), [(x,)])
    whole = tosaic.compile(model, target="cortex-m55", io_layout="nhwc")
    cut = tosaic.compile(model, target="cortex-m55", io_layout="nhwc", max_arena=20_000)
    assert whole.firmware.cuts == ()
    assert whole.firmware.arena_bytes > 40_000
    assert cut.firmware.arena_bytes <= 20_000
    assert cut.firmware.tensor_bytes == cut.firmware.live_bytes
    (only,) = cut.firmware.cuts
    assert only.layers in (2, 3)
    assert only.count > 1
    assert 0 < only.again < only.macs
    assert f"in {only.count} stripes" in str(only)
    q = np.random.default_rng(0).integers(-128, 128, whole.manifest.inputs[0].shape, np.int8)
    planned = Model(cut.flatbuffer, cut.firmware.plan)
    np.testing.assert_array_equal(planned.run([q])[0], whole.run(q, executor="jit")[0])
    with pytest.raises(CompileError, match="cutting convolutions in stripes of rows does not"):
        tosaic.compile(model, target="cortex-m55", io_layout="nhwc", max_arena=6_000)
