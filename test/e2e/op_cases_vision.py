"""Cases of norms, attention, resizing, shuffles, 3-D ops and recurrent nets; see op_cases."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from op_cases import Case, Function, _Wrapped
from torch import Tensor, nn

CASES: list[Case] = []
IMAGE = (1, 6, 9, 8)
VOLUME = (1, 3, 4, 6, 5)


def _module(
    name: str, make: Callable[[], nn.Module], *shapes: tuple[int, ...], **more: int
) -> None:
    CASES.append(Case(name, make, shapes, **more))


def _function(name: str, fn: Function, *shapes: tuple[int, ...], **more: int) -> None:
    CASES.append(Case(name, lambda: _Wrapped(fn), shapes, **more))


def _affine(module: nn.Module) -> nn.Module:
    """Give a norm weights that are not all one."""
    for parameter in module.parameters():
        parameter.data.uniform_(-1, 1.5)
    return module


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
_function("cosine_similarity", F.cosine_similarity, IMAGE, IMAGE, quantizable=0)
