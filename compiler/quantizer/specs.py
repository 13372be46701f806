"""What PT2E is told of a tensor: its dtype, range of integers, and how its parameters are found."""

from __future__ import annotations

from typing import Any

import torch
from torchao.quantization.pt2e import FakeQuantize
from torchao.quantization.pt2e.quantizer import FixedQParamsQuantizationSpec, QuantizationSpec

from tosaic.quantizer.observers import ACTIVATION_OBSERVERS, UNBOUNDED, Bounds
from tosaic.quantizer.recipe import Scheme
from tosaic.quantizer.relevance import ALL, Relevance
from tosaic.quantizer.weight_observers import WEIGHT_OBSERVERS

# The smallest scale: below it a rescale leaves TOSA's range, and a dead channel divides by zero.
_EPSILON = 2**-16
# An int16 step of the same range is 2**8 times smaller.
_EPSILON_INT16 = _EPSILON / 2**8
_HEADROOM = {"int8": 0.03, "int16": 0.25}
# How far below the largest of its row an element has to be for softmax to give it no step.
_REACH = {"int8": 10.0, "int16": 16.0}
# Of int16 functions: where an operand uses its headroom, up to a cube stays in range. One that does
# not has a corner there, which takes several tables.
_HEADROOM_OF_FUNCTION = 1.0


def fixed_spec(scale: float) -> FixedQParamsQuantizationSpec:
    """How int16 activations of a scale that does not depend on data are quantised."""
    limits = torch.iinfo(torch.int16)
    return FixedQParamsQuantizationSpec(
        dtype=torch.int16,
        scale=scale,
        zero_point=0,
        quant_min=limits.min,
        quant_max=limits.max,
        qscheme=torch.per_tensor_symmetric,
    )


def activation_spec(
    scheme: Scheme,
    dtype: str,
    bounds: Bounds = UNBOUNDED,
    *,
    by_row: bool = False,
    looked_up: bool = False,
    relevant: Relevance = ALL,
    training: bool = False,
) -> QuantizationSpec:
    """How activations stored as `dtype` ("int8", "int16") that stay within `bounds` are quantised.

    `by_row`: what reads them normalises each row; `looked_up`: a table gives them; `relevant`: what
    of them counts. In training, ranges are a moving average of minima and maxima, and rounding is
    simulated.
    """
    wide = dtype == "int16"
    observer = scheme.observer
    if observer == "auto":
        observer = "minmax" if wide else "row_mse" if by_row else "histogram"
    headroom = scheme.headroom
    if headroom is None:
        headroom = _HEADROOM_OF_FUNCTION if wide and looked_up else _HEADROOM[dtype]
    options: dict[str, Any] = {
        "eps": _EPSILON_INT16 if wide else _EPSILON,
        "headroom": headroom,
        "bounds": bounds,
        "depth": relevant.depth,
        "dim": relevant.dim,
        "reach": _REACH[dtype] / relevant.factor,
    }
    if observer == "percentile":
        options["percentile"] = scheme.percentile
    if training:
        maker = FakeQuantize.with_args(
            observer=ACTIVATION_OBSERVERS["moving_average"], **(options | {"headroom": 0.0})
        )
    else:
        maker = ACTIVATION_OBSERVERS[observer].with_args(**options)
    symmetric = wide or scheme.symmetric
    limits = torch.iinfo(torch.int16 if wide else torch.int8)
    return QuantizationSpec(
        dtype=torch.int16 if wide else torch.int8,
        observer_or_fake_quant_ctr=maker,
        quant_min=limits.min,
        quant_max=limits.max,
        qscheme=torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine,
    )


def weight_spec(scheme: Scheme, axis: int, *, training: bool = False) -> QuantizationSpec:
    """How weights with output channels along `axis` are quantised."""
    per_channel, limit = scheme.per_channel, 7 if scheme.weights == "int4" else 127
    kind = scheme.weight_observer
    if kind == "auto":
        narrow = "mse" if scheme.weights == "int4" else "minmax"
        kind = "clustered" if scheme.clusters else narrow
    observer = WEIGHT_OBSERVERS[kind, per_channel]
    options: dict[str, Any] = {"eps": _EPSILON, "follows": training}
    if not training:
        options["fitted"] = scheme.fits_weights
        options["centred"] = scheme.bias_correction
        options["learned"] = scheme.learns_weights
        options["equalised"] = scheme.equalisation
        options["migrated"] = scheme.migration
        options["clusters"] = scheme.clusters
        options["sparsity"] = scheme.sparsity
    if per_channel:
        options["ch_axis"] = axis  # PT2E hands it to observers only, not to what simulates rounding
    if training:
        maker = FakeQuantize.with_args(observer=observer, **options)
    else:
        maker = observer.with_args(**options)
    return QuantizationSpec(
        dtype=torch.int8,
        observer_or_fake_quant_ctr=maker,
        quant_min=-limit,
        quant_max=limit,
        qscheme=torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric,
        ch_axis=axis if per_channel else None,
    )


def dtype_of(spec: QuantizationSpec | FixedQParamsQuantizationSpec) -> str:
    """Return the activation dtype of a specification by name."""
    return "int16" if spec.dtype == torch.int16 else "int8"
