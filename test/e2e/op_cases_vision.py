"""Cases of norms, attention, resizing, shuffles, 3-D ops and recurrent nets; see op_cases."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from op_cases import Case, Function
from torch import Tensor, nn

from support.nets import Calls

CASES: list[Case] = []
IMAGE = (1, 6, 9, 8)
VOLUME = (1, 3, 4, 6, 5)


def _module(
    name: str, make: Callable[[], nn.Module], *shapes: tuple[int, ...], **more: int
) -> None:
    CASES.append(Case(name, make, shapes, **more))


def _function(name: str, fn: Function, *shapes: tuple[int, ...], **more: int) -> None:
    CASES.append(Case(name, lambda: Calls(fn), shapes, **more))


def _affine(module: nn.Module) -> nn.Module:
    """Give a norm weights that are not all one."""
    for parameter in module.parameters():
        parameter.data.uniform_(-1, 1.5)
    return module


class _Heads(nn.Module):
    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=self.need_weights)[0]  # type: ignore[no-any-return]


class _Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", (torch.arange(25).reshape(5, 5) % 3) > 0)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, self.mask)


class _First(nn.Module):
    """The output of a recurrent net without its states."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(*inputs)[0]  # type: ignore[no-any-return]


# Interpolation.
for _mode in ("nearest", "nearest-exact", "bilinear"):
    for _label, _options in {
        "2x": {"scale_factor": 2},
        "size": {"size": (5, 13)},
        "factor": {"scale_factor": 1.7},
    }.items():
        _function(
            f"resize_{_mode}_{_label}",
            lambda x, m=_mode, o=_options: F.interpolate(x, mode=m, **o),
            IMAGE,
        )
_function(
    "resize_corners",
    lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
    IMAGE,
)
_function("resize_cubic", lambda x: F.interpolate(x, (7, 16), mode="bicubic"), IMAGE, quantizable=0)
_function("resize_linear_1d", lambda x: F.interpolate(x, 9, mode="linear"), (2, 3, 4))
_function("resize_nearest_1d", lambda x: F.interpolate(x, scale_factor=3), (2, 3, 4))
_function("resize_nearest_3d", lambda x: F.interpolate(x, scale_factor=2), VOLUME)
_function(
    "resize_trilinear", lambda x: F.interpolate(x, (6, 4, 7), mode="trilinear"), VOLUME, tolerance=2
)

for _label, _options in {
    "linear_down": {"size": (4, 5), "mode": "bilinear"},
    "linear_up": {"size": (13, 5), "mode": "bilinear", "align_corners": True},
    "cubic": {"size": (5, 17), "mode": "bicubic"},
}.items():
    _function(
        f"resize_smooth_{_label}",
        lambda x, o=_options: F.interpolate(x, antialias=True, **o),
        IMAGE,
        quantizable=0,
    )

# Grids and patches.
for _mode in ("bilinear", "nearest", "bicubic"):
    for _border in ("zeros", "border", "reflection"):
        _function(
            f"grid_sample_{_mode}_{_border}",
            lambda x, grid, m=_mode, b=_border: F.grid_sample(x, grid, m, b, align_corners=False),
            IMAGE,
            (1, 4, 5, 2),
            quantizable=0,
        )
_function(
    "grid_sample_corners",
    lambda x, grid: F.grid_sample(x, grid, align_corners=True),
    IMAGE,
    (1, 4, 5, 2),
    quantizable=0,
)
_function(
    "grid_sample_3d",
    lambda x, grid: F.grid_sample(x, grid, align_corners=False),
    VOLUME,
    (1, 2, 3, 4, 3),
    quantizable=0,
)
_function("affine_grid", lambda t: F.affine_grid(t, [2, 3, 4, 5], False), (2, 2, 3), quantizable=0)
_function(
    "affine_grid_3d", lambda t: F.affine_grid(t, [2, 1, 3, 4, 5], True), (2, 3, 4), quantizable=0
)
_function("im2col", lambda x: F.unfold(x, (3, 2), padding=1, stride=2), IMAGE, quantizable=0)
_function("im2col_dilated", lambda x: F.unfold(x, 3, dilation=2), IMAGE, quantizable=0)
_function("col2im", lambda x: F.fold(x, (5, 6), (3, 2), padding=1), (2, 18, 35), quantizable=0)
_function(
    "col2im_apart", lambda x: F.fold(x, (5, 6), 2, stride=3, dilation=2), (8, 2), quantizable=0
)

# Shuffles and pads.
_module("pixel_shuffle", lambda: nn.PixelShuffle(2), (2, 8, 3, 4))
_module("pixel_unshuffle", lambda: nn.PixelUnshuffle(2), (2, 2, 4, 6))
_module("channel_shuffle", lambda: nn.ChannelShuffle(3), IMAGE)
_function("reflection_pad", lambda x: torch.ops.aten.reflection_pad2d(x, [1, 2, 3, 0]), IMAGE)
_function("replication_pad", lambda x: torch.ops.aten.replication_pad2d(x, [1, 2, 3, 0]), IMAGE)
_function("circular_pad", lambda x: torch.ops.aten._pad_circular(x, [1, 2, 3, 0]), IMAGE)

# Norms.
_module("group_norm", lambda: _affine(nn.GroupNorm(3, 6)), (2, 6, 9, 8), tolerance=2)
_module("group_norm_1d", lambda: nn.GroupNorm(2, 6, affine=False), (2, 6, 9), tolerance=2)
_module("instance_norm", lambda: _affine(nn.InstanceNorm2d(6, affine=True)), IMAGE, tolerance=2)
_module("instance_norm_plain", lambda: nn.InstanceNorm1d(6), (2, 6, 15), tolerance=2)
_module("instance_norm_3d", lambda: nn.InstanceNorm3d(3), VOLUME, tolerance=2)
_module(
    "instance_norm_tracked",
    lambda: nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
    IMAGE,
)
_module("rms_norm", lambda: _affine(nn.RMSNorm(12)), (2, 5, 12), tolerance=2)
_module("batch_norm_3d", lambda: nn.BatchNorm3d(3), VOLUME)
_function("cosine_similarity", F.cosine_similarity, IMAGE, IMAGE, tolerance=3)

# Volumes, dilation, pools.
_module("conv_3d", lambda: nn.Conv3d(3, 4, 3, padding=1), VOLUME)
_module("conv_3d_stride", lambda: nn.Conv3d(3, 4, (2, 3, 3), stride=(2, 1, 2)), VOLUME)
_module("conv_3d_dilated", lambda: nn.Conv3d(3, 4, 2, dilation=2, padding="same"), VOLUME)
_module("conv_3d_grouped", lambda: nn.Conv3d(4, 6, 3, groups=2), (2, 4, 3, 4, 5))
_module("conv_transpose_3d", lambda: nn.ConvTranspose3d(3, 4, 3, 2, 1, 1), VOLUME)
_module("conv_transpose_dilated", lambda: nn.ConvTranspose2d(6, 4, 3, 2, dilation=2), IMAGE)
_module(
    "conv_transpose_dilated_grouped",
    lambda: nn.ConvTranspose1d(6, 4, 3, 2, 1, 1, groups=2, dilation=3),
    (2, 6, 7),
)
_module("conv_reflect", lambda: nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect"), IMAGE)
_module("max_pool_dilated", lambda: nn.MaxPool2d(3, 2, 1, dilation=2), IMAGE)
_module("max_pool_3d", lambda: nn.MaxPool3d(3, 2, 1, ceil_mode=True), VOLUME)
_function("max_pool_no_indices", lambda x: F.max_pool2d(x, 2, return_indices=True)[0], IMAGE)
_function(
    "max_pool_indices",
    lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1],
    IMAGE,
    quantizable=0,
)
_function(
    "adaptive_max_pool_indices",
    lambda x: F.adaptive_max_pool2d(x, (4, 3), return_indices=True)[1],
    IMAGE,
    quantizable=0,
)
_function("lp_pool", lambda x: F.lp_pool2d(x, 2, 3, 2), IMAGE, quantizable=0)
_function("local_response_norm", lambda x: F.local_response_norm(x, 3), IMAGE, quantizable=0)
_module("avg_pool_3d", lambda: nn.AvgPool3d(2, padding=1), VOLUME, tolerance=2)
_module("avg_pool_3d_out", lambda: nn.AvgPool3d(3, 2, 1, count_include_pad=False), VOLUME)
_module("adaptive_avg_pool_3d", lambda: nn.AdaptiveAvgPool3d((2, 3, 5)), VOLUME)
_module("adaptive_avg_pool_3d_one", lambda: nn.AdaptiveAvgPool3d(1), VOLUME)
_module("adaptive_max_pool", lambda: nn.AdaptiveMaxPool2d((3, 4)), IMAGE)
_module("adaptive_max_pool_uneven", lambda: nn.AdaptiveMaxPool2d((4, 3)), IMAGE)
_module("adaptive_max_pool_1d", lambda: nn.AdaptiveMaxPool1d(2), (2, 3, 6))
_module("adaptive_max_pool_3d", lambda: nn.AdaptiveMaxPool3d(2), VOLUME)

# Attention and products.
HEADS = (1, 4, 5, 8)
_function("sdpa", F.scaled_dot_product_attention, HEADS, HEADS, HEADS, tolerance=3)
_function(
    "sdpa_causal",
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3),
    HEADS,
    HEADS,
    HEADS,
    tolerance=3,
)
_function(
    "sdpa_grouped",
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
    (1, 4, 5, 8),
    (1, 2, 6, 8),
    (1, 2, 6, 8),
    tolerance=3,
)
_module("sdpa_bool_mask", _Masked, HEADS, HEADS, HEADS, tolerance=3)
_function(
    "sdpa_float_mask", F.scaled_dot_product_attention, HEADS, HEADS, HEADS, (5, 5), tolerance=3
)
_module("multi_head_attention", lambda: _Heads(True), (2, 5, 16), tolerance=4)
_module("multi_head_attention_no_weights", lambda: _Heads(False), (2, 5, 16), tolerance=4)
_module(
    "transformer_encoder_layer",
    lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
    (2, 5, 16),
    tolerance=8,
)
_function("glu", lambda x: F.glu(x, 1), IMAGE)
_function("softmin", lambda x: F.softmin(x, 1), IMAGE, tolerance=2)
_function("einsum", lambda a, b: torch.einsum("bij,bjk->bik", a, b), (2, 3, 4), (2, 4, 5))
_function(
    "einsum_heads", lambda a, b: torch.einsum("bthd,bshd->bhts", a, b), (2, 3, 2, 4), (2, 5, 2, 4)
)
_function("einsum_dots", lambda a, b: torch.einsum("...i,ij->...j", a, b), (2, 3, 4), (4, 5))
_function(
    "einsum_three",
    lambda a, b, c: torch.einsum("ij,jk,kl->li", a, b, c),
    (2, 3),
    (3, 4),
    (4, 5),
    tolerance=2,
)
_function("einsum_diagonal", lambda a: torch.einsum("bii->bi", a), (2, 4, 4), quantizable=0)
_function("einsum_trace", lambda a, b: torch.einsum("ii,j->j", a, b), (4, 4), (3,), quantizable=0)
_function("mv", torch.mv, (3, 4), (4,))
_function("dot", torch.dot, (4,), (4,))
_function("outer", torch.outer, (3,), (4,))
_function("inner", torch.inner, (3, 4), (2, 4))
_function("baddbmm", torch.baddbmm, (2, 3, 5), (2, 3, 4), (2, 4, 5), tolerance=2)
_function(
    "addbmm",
    lambda a, b, c: torch.addbmm(a, b, c, beta=0.5, alpha=2),
    (3, 5),
    (2, 3, 4),
    (2, 4, 5),
    tolerance=2,
)
_function("addmv", torch.addmv, (3,), (3, 4), (4,), tolerance=2)
_function("addr", torch.addr, (3, 4), (3,), (4,), tolerance=2)
_module("bilinear", lambda: nn.Bilinear(4, 5, 6), (3, 4), (3, 5), tolerance=2)

# Recurrent nets; int8 states are rounded at every step.
for _net in (nn.LSTM, nn.GRU, nn.RNN):
    _label = _net.__name__.lower()
    _module(_label, lambda n=_net: _First(n(4, 5)), (3, 2, 4), tolerance=1)
_module(
    "lstm_two_way",
    lambda: _First(nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True)),
    (2, 2, 4),
    tolerance=1,
)
_module(
    "gru_two_way",
    lambda: _First(nn.GRU(4, 5, 2, batch_first=True, bidirectional=True, bias=False)),
    (2, 2, 4),
    tolerance=1,
)
_module(
    "lstm_projected",
    lambda: _First(nn.LSTM(4, 6, 2, proj_size=3, bidirectional=True)),
    (3, 2, 4),
    tolerance=1,
)
_module("gru_state", lambda: _First(nn.GRU(4, 5)), (3, 2, 4), (1, 2, 5), tolerance=1)
_module("rnn_relu", lambda: _First(nn.RNN(4, 5, nonlinearity="relu")), (3, 2, 4), tolerance=1)
_module("lstm_cell", lambda: _First(nn.LSTMCell(4, 5)), (2, 4), tolerance=1)
_module("gru_cell", lambda: nn.GRUCell(4, 5), (2, 4), (2, 5), tolerance=1)
_module("rnn_cell", lambda: nn.RNNCell(4, 5), (2, 4), (2, 5), tolerance=1)
