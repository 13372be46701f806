"""What the quantiser makes of a graph before it annotates it: the same function, in other ops."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tosaic.quantizer.parts import to_parts


def graph_of(model: nn.Module, *inputs: Tensor) -> tuple[torch.fx.GraphModule, Counter[str]]:
    """Return the regrouped graph of `model` and its ops, which compute what the model does."""
    model = model.eval()
    graph = to_parts(torch.export.export(model, inputs).module(check_guards=False))
    with torch.no_grad():
        torch.testing.assert_close(graph(*inputs), model(*inputs), rtol=1e-5, atol=1e-5)
    names = (str(n.target).removeprefix("aten.") for n in graph.graph.nodes if n.op[:4] == "call")
    return graph, Counter(names)


class Rms(nn.Module):
    def __init__(self, weighted: bool, squared: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8) + 0.5) if weighted else None
        self.squared = squared

    def forward(self, x: Tensor) -> Tensor:
        square = x.pow(2) if self.squared == "pow" else x * x
        y = x * torch.rsqrt(square.mean(-1, keepdim=True) + 1e-5)
        return y if self.weight is None else self.weight * y


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("squared", ["pow", "product"])
def test_rms_norm_by_hand_is_one_op(weighted: bool, squared: str) -> None:
    _, ops = graph_of(Rms(weighted, squared), torch.randn(2, 5, 8))
    assert ops == {"rms_norm.default": 1}


class OverRows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-5)


def test_an_rms_norm_over_another_dim_is_one_between_permutations() -> None:
    _, ops = graph_of(OverRows(), torch.randn(2, 5, 8))
    assert ops == {"rms_norm.default": 1, "permute.default": 2}


class Normalize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1)


def test_unit_length_is_an_rms_norm() -> None:
    _, ops = graph_of(Normalize(), torch.randn(3, 8))
    assert ops == {"rms_norm.default": 1}


class Rotary(nn.Module):
    sines: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sines", torch.randn(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * 0.5 + torch.cat((-second, first), -1) * self.sines


def test_rotary_positions_need_no_rotated_copy() -> None:
    _, ops = graph_of(Rotary(), torch.randn(2, 4, 8))
    assert ops["neg.default"] == 0 and ops["cat.default"] == 1
    assert ops["sub.Tensor"] == ops["add.Tensor"] == 1


class OtherWayRound(Rotary):
    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * 0.5 + torch.cat((-first, second), -1) * self.sines


def test_halves_in_place_are_no_rotation() -> None:
    _, ops = graph_of(OtherWayRound(), torch.randn(2, 4, 8))
    assert ops["neg.default"] == 1


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.places = nn.Parameter(torch.randn(1, 5, 6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.places


def test_a_constant_is_added_to_constant_parts_beforehand() -> None:
    _, ops = graph_of(Tokens(), torch.randn(1, 4, 6))
    assert ops == {"add.Tensor": 1, "cat.default": 1}


class Grouped(nn.Module):
    """Four query heads share two heads of keys and values."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.how == "flag":
            return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return F.scaled_dot_product_attention(q, self.copied(k), self.copied(v))

    @staticmethod
    def copied(x: Tensor) -> Tensor:
        n, heads, length, size = x.shape
        return x[:, :, None].expand(n, heads, 2, length, size).reshape(n, 4, length, size)


@pytest.mark.parametrize("how", ["flag", "copies"])
def test_shared_heads_are_not_copied(how: str) -> None:
    q, kv = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 5, 8)
    graph, ops = graph_of(Grouped(how), q, kv, kv + 1)
    assert ops["expand.default"] == 0 and ops["matmul.default"] == 2
    products = [n for n in graph.graph.nodes if n.target is torch.ops.aten.matmul.default]
    assert [tuple(n.meta["val"].shape) for n in products] == [(1, 2, 10, 5), (1, 2, 10, 8)]


class Masked(nn.Module):
    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)  # type: ignore[arg-type]


def test_a_mask_of_large_negatives_hides() -> None:
    later = torch.full((5, 5), -1e9).triu(1)
    _, ops = graph_of(Masked(later), torch.randn(1, 2, 5, 8))
    assert ops["tosaic.masked_softmax.default"] == 1 and ops["add.Tensor"] == 0
    _, ops = graph_of(Masked(later + torch.eye(5)), torch.randn(1, 2, 5, 8))
    assert ops["tosaic.masked_softmax.default"] == ops["add.Tensor"] == 1
    _, ops = graph_of(Masked(torch.randn(5, 5)), torch.randn(1, 2, 5, 8))
    assert ops["softmax.int"] == ops["add.Tensor"] == 1


class Classifier(nn.Module):
    """A block whose output is read at one token."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.fc = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).reshape(1, 6, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 6, 8)
        x = x + y
        x = x + F.gelu(self.fc(x))
        return x[:, 2]


def test_only_the_token_that_is_read_is_computed() -> None:
    graph, _ = graph_of(Classifier(), torch.randn(1, 6, 8))
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for node in graph.graph.nodes:
        if isinstance(node.meta.get("val"), Tensor):
            shapes.setdefault(str(node.target), []).append(tuple(node.meta["val"].shape))
    assert shapes["aten.gelu.default"] == [(1, 1, 8)]
    assert shapes["aten.softmax.int"] == [(1, 2, 1, 6)]
    assert shapes["aten.linear.default"] == [(1, 6, 24), (1, 1, 8)]  # keys are of all tokens


class TwoReaders(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(x)
        return y[:, 1] + y[:, 2]


def test_slices_of_different_parts_stay() -> None:
    _, ops = graph_of(TwoReaders(), torch.randn(2, 4))
    assert ops["relu.default"] == 1


class Recurrent(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, *state: Tensor) -> Tensor:
        if not state:
            return self.net(x)[0]
        return self.net(x, state if len(state) > 1 else state[0])[0]


@pytest.mark.parametrize(
    ("net", "states", "products"),
    [
        (nn.LSTM(4, 3), 0, 1 + 4),  # of all inputs; of each state but the first, which is zero
        (nn.LSTM(4, 3), 2, 1 + 5),
        (nn.LSTM(4, 3, 2, bidirectional=True), 0, 4 * (1 + 4)),
        (nn.LSTM(4, 3, proj_size=2), 0, 1 + 4 + 5),
        (nn.GRU(4, 3), 0, 1 + 4),
        (nn.GRU(4, 3, bias=False), 1, 1 + 5),
        (nn.RNN(4, 3), 0, 1 + 4),
        (nn.RNN(4, 3, nonlinearity="relu"), 1, 1 + 5),
    ],
    ids=str,
)
def test_recurrent_nets_have_one_function(net: nn.Module, states: int, products: int) -> None:
    inputs = (torch.randn(5, 2, 4), *(torch.randn(1, 2, 3) for _ in range(states)))
    _, ops = graph_of(Recurrent(net), *inputs)
    assert ops["linear.default"] == products
    assert ops["sigmoid.default"] == 0
    relu = getattr(net, "nonlinearity", "") == "relu"
    assert (ops["tanh.default"] > 0, ops["relu.default"] > 0) == (not relu, relu)


@pytest.mark.parametrize("cell", [nn.LSTMCell(4, 3), nn.GRUCell(4, 3), nn.RNNCell(4, 3)], ids=str)
def test_recurrent_cells_have_one_function(cell: nn.Module) -> None:
    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
            return self.cell(x, (h, c))[1] if isinstance(cell, nn.LSTMCell) else self.cell(x, h)

    _, ops = graph_of(Step(), torch.randn(2, 4), torch.randn(2, 3), torch.randn(2, 3))
    assert ops["linear.default"] == 2 and ops["sigmoid.default"] == 0


class Residual(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x.abs() + x, -1) - x


def test_paths_of_a_deep_residual_net_are_not_counted() -> None:
    """Thrice as many at each block, where what softmax reads may be a mask."""
    _, ops = graph_of(nn.Sequential(*(Residual() for _ in range(30))), torch.rand(4, 4))
    assert ops["softmax.int"] == 30


class FewerRows(nn.Module):
    """A shift makes several rows of one."""

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return F.softmax(x - shift, -1)


def test_a_shift_that_makes_more_rows_is_kept() -> None:
    _, ops = graph_of(FewerRows(), torch.randn(1, 4), torch.randn(3, 1))
    assert ops == {"sub.Tensor": 1, "softmax.int": 1}


class OneCosine(nn.Module):
    """A rotation by one angle for each token."""

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def test_a_rotation_by_one_angle_stays_as_it_is() -> None:
    _, ops = graph_of(OneCosine(), torch.randn(2, 4, 8), torch.rand(4, 1), torch.rand(4, 1))
    assert ops["cat.default"] == 1 and ops["mul.Tensor"] == 4
