"""Tensors inside of others: CONCAT and SLICE without copies, and with less memory."""

import numpy as np
import pytest
import torch
from torch import nn

import tosaic
from tosaic.backends.cortex_m import memory_plan
from tosaic.backends.cortex_m.views import Block
from tosaic.quantizer import quantize
from tosaic.runtime import Model
from tosaic.runtime.model import Concat, Slice
from tosaic.tools.bench.runtime_memory import NETS


class Steps(nn.Module):
    """What an unrolled recurrent network does: steps in time are sliced, computed, joined."""

    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(32, 16)

    def forward(self, x):
        state = x[:, 0, :16]
        out = []
        for step in x.unbind(1):
            state = torch.tanh(self.cell(torch.cat([step[:, :16], state], -1)))
            out.append(state)
        return torch.stack(out, 1)


NETS = {
    "halves": NETS["halves of an image"],
    "unet": NETS["U-Net, transposed convolutions"],
    "steps": (Steps, (1, 4, 32)),
}


@pytest.mark.parametrize("name", NETS)
def test_plans_with_views_compute_the_same(name):
    make, shape = NETS[name]
    torch.manual_seed(0)
    x = torch.randn(shape)
    model = quantize(make().eval(), (x,), [(x,)])
    program = tosaic.compile(model, target="cortex-m55", io_layout="nhwc")
    loaded = Model(program.flatbuffer)
    plan = memory_plan.plan_memory(loaded)
    plain = memory_plan.plan_memory(loaded, views=False)
    assert plan.data != plain.data
    assert plan.arena_bytes == max(plan.live) <= plain.arena_bytes
    if name == "unet":
        assert plan.arena_bytes < 0.9 * plain.arena_bytes
    q = np.random.default_rng(0).integers(-128, 128, program.manifest.inputs[0].shape, np.int8)
    (wanted,) = program.run(q, executor="reference")
    for data in (plan.data, plain.data):
        planned = Model(program.flatbuffer, data)
        for _ in range(2):
            np.testing.assert_array_equal(planned.run([q])[0], wanted)


class Moves:
    """Stands for a model of int8 tensors with these shapes and moves."""

    def __init__(self, shapes, moves):
        self._shapes, self._moves = shapes, moves

    def moves(self):
        return self._moves

    def tensor_shape(self, tensor):
        return self._shapes[tensor]

    def tensor_bytes(self, tensor):
        return int(np.prod(self._shapes[tensor]))


def block(tensor, first, last, size, written=None):
    return Block({tensor: 0}, first, last, first if written is None else written, size)


def places(moves, blocks, steps):
    merged = memory_plan.with_views(moves, blocks, steps)
    return {tensor: at for b in merged if len(b.tensors) > 1 for tensor, at in b.tensors.items()}


def test_pieces_lie_in_a_concat_of_outermost_dims():
    model = Moves({0: (1, 2, 16), 1: (1, 3, 16), 2: (1, 5, 16)}, [Concat(2, 2, (0, 1), 1)])
    blocks = [block(0, 0, 2, 32), block(1, 1, 2, 48), block(2, 2, 3, 80)]
    assert places(model, blocks, 4) == {2: 0, 0: 0, 1: 32}
    # Not one that is read later: the output may be written over by then.
    assert places(model, [block(0, 0, 3, 32), *blocks[1:]], 4) == {2: 0, 1: 32}
    # Nor one whose memory was larger before.
    assert places(model, [block(0, 0, 2, 128), *blocks[1:]], 4) == {2: 0, 1: 32}


def test_one_input_of_a_concat_of_channels_lies_at_the_end():
    model = Moves({0: (2, 16), 1: (2, 32), 2: (2, 48)}, [Concat(2, 2, (0, 1), 1)])
    blocks = [block(0, 1, 2, 32), block(1, 1, 2, 64), block(2, 2, 3, 96)]
    assert places(model, blocks, 4) == {2: 0, 1: 32}
    # A long life would keep the whole output's memory busy.
    early = [block(0, 1, 2, 32), block(1, 0, 2, 64), block(2, 2, 3, 96), block(3, 0, 0, 112)]
    assert places(model, early, 4) == {2: 0, 0: 64}


def test_a_slice_lies_in_its_input_where_nothing_is_written_over():
    shapes = {0: (1, 4, 16), 1: (1, 2, 16)}
    model = Moves(shapes, [Slice(1, 1, 0, (0, 1, 0))])
    assert places(model, [block(0, 0, 2, 64), block(1, 1, 3, 32)], 4) == {0: 0, 1: 16}
    # The input is written over while the slice is needed; or the slice while the input is.
    assert places(model, [block(0, 0, 2, 64, 2), block(1, 1, 3, 32)], 4) == {}
    assert places(model, [block(0, 0, 2, 64), block(1, 1, 3, 32, 2)], 4) == {}
    scattered = Moves({0: (1, 4, 16), 1: (1, 4, 8)}, [Slice(1, 1, 0, (0, 0, 8))])
    assert places(scattered, [block(0, 0, 2, 64), block(1, 1, 3, 32)], 4) == {}
