"""The operators that the compiler takes, and what each is tested with.

A row names an operator; its samples come from OpInfos of PyTorch's own test suite and from
opinfo_samples. A row also says which refusals are right: a refusal that is not listed here counts
as a failure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.utils._pytree as pytree
from opinfo_driver import Sample, Tolerance
from opinfo_samples import HAND
from torch.testing._internal.common_device_type import toleranceOverride
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_utils import SEED
from torch.testing._internal.opinfo.core import DecorateInfo, OpInfo

# `name` is an operator with an OpInfo of that name (or nn.functional.name, linalg.name);
# `name=a,b:variant` has these; `name=` has samples written by hand only.
FAMILIES = {
    "elementwise unary": """
        abs neg ceil floor
        round=round,round:decimals_0,round:decimals_3,round:decimals_neg_3
        trunc frac sign sgn sqrt rsqrt reciprocal square exp exp2 expm1 log log2 log10 log1p
        sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc erfinv sigmoid logit
        relu relu6 hardtanh hardsigmoid hardswish silu mish gelu elu selu celu leaky_relu prelu
        softplus softsign tanhshrink softshrink hardshrink threshold log_sigmoid=logsigmoid
        bitwise_not logical_not isnan isinf isfinite isposinf isneginf nan_to_num
        clamp clamp_min clamp_max
        to=to,bfloat16,bool,byte,char,double,float,half,int,long,short
        clone alias= detach= fill contiguous
        signbit positive sinc deg2rad rad2deg rrelu
        """,
    "binary and ternary": """
        add sub rsub mul div=div:no_rounding_mode,div:floor_rounding,div:trunc_rounding,true_divide
        floor_divide remainder fmod pow=pow,__rpow__,float_power atan2 hypot maximum minimum
        fmax fmin max_of_two=max:binary min_of_two=min:binary
        eq ne lt le gt ge
        logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor
        bitwise_left_shift bitwise_right_shift
        where lerp addcmul addcdiv copysign heaviside masked_fill xlogy logaddexp logaddexp2
        isclose ldexp
        reversed=__radd__,__rand__,__rdiv__,__rmatmul__,__rmod__,__rmul__,__ror__,__rsub__,__rxor__
        """,
    "reductions": """
        sum mean prod amax amin
        max=max:reduction_no_dim,max:reduction_with_dim
        min=min:reduction_no_dim,min:reduction_with_dim
        argmax argmin any all var=var,var:unbiased std=std,std:unbiased
        var_mean=var_mean,var_mean:unbiased std_mean=std_mean,std_mean:unbiased
        norm=norm,norm:fro,norm:inf linalg_vector_norm=linalg.vector_norm
        logsumexp cumsum cumprod cummax cummin count_nonzero nansum nanmean aminmax
        """,
    "shape and layout": """
        view view_as reshape reshape_as flatten unflatten permute transpose t
        squeeze=squeeze,squeeze:multiple unsqueeze expand expand_as repeat
        repeat_interleave tile cat stack
        split=split,split:list_args split_with_sizes chunk unbind select slice slice_scatter
        select_scatter narrow flip roll rot90 movedim diagonal diag_embed tril triu
        as_strided unfold pixel_shuffle pixel_unshuffle channel_shuffle
        constant_pad_nd=constant_pad_nd,pad:constant reflection_pad=pad:reflect
        replication_pad=pad:replicate,pad:replicate_negative circular_pad=pad:circular
        hstack vstack dstack broadcast_to ravel meshgrid=meshgrid:list_of_tensors
        """,
    "index": """
        gather scatter scatter_add
        scatter_reduce=scatter_reduce:sum,scatter_reduce:mean,scatter_reduce:prod
        scatter_reduce_extreme=scatter_reduce:amax,scatter_reduce:amin
        index=__getitem__ index_put index_select index_add index_copy masked_select
        embedding embedding_bag take take_along_dim one_hot topk sort argsort
        searchsorted bucketize nonzero
        """,
    "linear algebra": """
        mm bmm matmul addmm=addmm,addmm:decomposed baddbmm addmv mv dot outer einsum linear bilinear
        conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
        scaled_dot_product_attention multi_head_attention=multi_head_attention_forward
        fft= rfft= irfft=
        """,
    "norm, pool, resize, vision": """
        batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm
        max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
        adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d lp_pool=
        interpolate_nearest=interpolate:nearest interpolate_nearest_exact=interpolate:nearest-exact
        interpolate_linear=interpolate:linear interpolate_bilinear=interpolate:bilinear
        interpolate_trilinear=interpolate:trilinear interpolate_bicubic=interpolate:bicubic
        interpolate_area=interpolate:area
        upsample=upsample_nearest,upsample_bilinear grid_sampler=grid_sample
        affine_grid= im2col=nn.functional.unfold col2im=
        """,
    "activations and losses with structure": """
        softmax=softmax,softmax:with_dtype log_softmax=log_softmax,log_softmax:with_dtype
        _safe_softmax=torch.ops.aten._safe_softmax.default glu softmin=softmin,softmin:with_dtype
        normalize cosine_similarity RNN= LSTM= GRU=
        """,
    "creation": """
        full full_like zeros ones zeros_like ones_like empty empty_like arange=arange linspace eye
        scalar_tensor new_full new_ones new_zeros new_empty tensor_constants=
        rand= rand_like randn randn_like randint bernoulli dropout
        """,
}

DTYPES = (
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
    torch.complex64,
)

# What a user accepts as a reason, and the words that the message has.
_DATA = "known only when|data-dependent"
_COMPLEX = "complex"
_RANDOM = "random numbers|training mode"
_REFUSALS: dict[str, str] = {
    "masked_select": _DATA,
    "nonzero": _DATA,
    **dict.fromkeys(("rand", "rand_like", "randn", "randn_like", "randint", "bernoulli"), _RANDOM),
    **dict.fromkeys(("dropout", "rrelu"), _RANDOM),
    "index": _DATA,
    "one_hot": _DATA,
    "repeat_interleave": f"{_DATA}|is computed",
    "narrow": f"{_DATA}|Pending unbacked",
    "as_strided": "'as_strided_' at",  # the form in place alone
    **dict.fromkeys(("view", "reshape"), "MAX_RANK"),  # to more than the 6 dims of TOSA's tensors
    # A dim of a tensor without dims; the torch dialect refuses it.
    "count_nonzero": "expected (dim )?to be in",
    **dict.fromkeys(
        ("batch_norm", "scaled_dot_product_attention", "multi_head_attention"),
        f"{_RANDOM}|at random",
    ),
    # They change the table of the embedding while they read it.
    **dict.fromkeys(("embedding", "embedding_bag"), "writes to|embedding_renorm"),
    # Products of integers that are not known to fit int32.
    **dict.fromkeys(("prod", "cumprod", "scatter_reduce"), "cannot be shown to fit int32"),
    # Every element is compared with every other: thousands of them are too many.
    **dict.fromkeys(("sort", "argsort"), "comparisons, more than"),
    # Floats that are not known to fit int32.
    "to": "the range of the int64 result",
    # Some samples have a complex number or tensor beside real ones.
    **dict.fromkeys(("addcdiv", "addcmul", "where"), _COMPLEX),
    **dict.fromkeys(("fft", "rfft", "irfft"), _COMPLEX),
}
# Rows whose values are not defined.
_UNDEFINED = ("empty", "empty_like", "new_empty")
# As torch.testing.assert_close has them; f64 is computed in f32.
_TOLERANCES = {
    torch.float16: Tolerance(1e-3, 1e-5),
    torch.bfloat16: Tolerance(1.6e-2, 1e-5),
    torch.float32: Tolerance(1.3e-6, 1e-5),
    torch.float64: Tolerance(1.3e-6, 1e-5),
}
# More than that, with the reason.
_EXTRA: dict[str, dict[torch.dtype, Tolerance]] = {
    # The reference model's POW is right to two or three units in the last place.
    "pow": {torch.float32: Tolerance(3e-6, 1e-5)},
    # Halves between the two products of attention, and from step to step of a recurrent net.
    **{
        name: {torch.float16: Tolerance(3e-3, 3e-3), torch.bfloat16: Tolerance(3e-2, 2e-2)}
        for name in (
            *("scaled_dot_product_attention", "multi_head_attention"),
            *("RNN", "LSTM", "GRU"),
        )
    },
}

# Conversions that PyTorch leaves undefined for floats beyond the integers.
_TO_INTEGERS = ("byte", "char", "int", "long", "short")
_PREFIXES = ("", "nn.functional.", "linalg.")
# TOSA's tensors have up to 6 dims.
_MAX_RANK = 6
# Elements of a sample's tensors together; OpInfo has some of a million, which shows nothing more.
_MAX_ELEMENTS = 20000


@dataclass(frozen=True)
class Row:
    """One operator of the table."""

    family: str
    name: str
    infos: tuple[OpInfo, ...]

    @property
    def defined(self) -> bool:
        """Whether the values of the result are."""
        return self.name not in _UNDEFINED

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The dtypes of its samples."""
        if not self.infos:
            return HAND[self.name].dtypes
        supported = set().union(*(info.supported_dtypes("cpu") for info in self.infos))
        return tuple(dtype for dtype in DTYPES if dtype in supported)

    def accepted_refusal(self, dtype: torch.dtype) -> str:
        """Return the pattern of messages with which a sample may be refused; "" for none."""
        return _COMPLEX if dtype.is_complex else _REFUSALS.get(self.name, "")

    def tolerances(self) -> dict[torch.dtype, Tolerance]:
        """Return what float results may differ by: the largest that PyTorch's own tests allow."""
        merged = dict(_TOLERANCES)
        own = [_EXTRA.get(self.name, {}), *(_overrides(info) for info in self.infos)]
        for dtype, more in (item for table in own for item in table.items()):
            if dtype in merged:
                merged[dtype] = _larger(merged[dtype], more)
        merged[torch.float64] = _larger(merged[torch.float64], merged[torch.float32])
        return merged

    def samples(self, dtype: torch.dtype, limit: int) -> list[Sample]:
        """Return at most `limit` samples for each source, spread over what it has."""
        torch.manual_seed(0)
        found = []
        for info in self.infos:
            if dtype in info.supported_dtypes("cpu"):
                found += _spread(list(_of_info(info, dtype)), limit)
                if dtype == torch.float32:
                    found += _other_forms(info, found[-1:])
        if self.name in HAND and dtype in HAND[self.name].dtypes:
            found += _spread(list(HAND[self.name].make(dtype)), limit)
        return found


def _of_info(info: OpInfo, dtype: torch.dtype) -> Iterator[Sample]:
    for sample in _seeded(info.reference_inputs("cpu", dtype, set_seed=False)):
        fn = _WITHOUT_ORDER.get(info.name, info.op)
        made = Sample(fn, (sample.input, *sample.args), dict(sample.kwargs), info.name)
        leaves = pytree.tree_leaves((made.args, made.kwargs))
        tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
        if (
            sum(x.numel() for x in tensors) > _MAX_ELEMENTS
            or max(map(_rank, tensors), default=0) > _MAX_RANK
        ):
            continue
        if info.name not in _TO_INTEGERS or all(map(_fits_int32, tensors)):
            yield made


def _seeded(samples: Iterator[Any]) -> Iterator[Any]:
    """Yield `samples`, each with the seed that OpInfo gives it.

    OpInfo's own way seeds every kind of device, which keeps a stack trace for each that is missing.
    """
    while True:
        torch.default_generator.manual_seed(SEED)
        random.seed(SEED)
        np.random.seed(SEED)
        try:
            yield next(samples)
        except StopIteration:
            return


def _rank(x: torch.Tensor) -> int:
    return x.dim()


def _topk(x: torch.Tensor, k: int, dim: int = -1, *more: Any, **flags: Any) -> Any:
    """Return what `topk` finds; of equal elements any may be told."""
    values, places = torch.topk(x, k, dim, *more, **flags)
    return values, x.gather(dim, places)


_WITHOUT_ORDER = {"topk": _topk}


def _fits_int32(x: torch.Tensor) -> bool:
    return not x.is_floating_point() or bool((x.abs() < 2.0**31).all())


def _other_forms(info: OpInfo, samples: list[Sample]) -> Iterator[Sample]:
    """Yield `samples` with the op's other names, and in place on a copy."""
    in_place = info.inplace_variant
    for sample in samples:
        for alias in info.aliases:
            yield Sample(alias.op, sample.args, sample.kwargs, alias.name)
        if in_place is not None:
            yield Sample(_OnCopy(in_place), sample.args, sample.kwargs, f"{info.name}_")


@dataclass(frozen=True)
class _OnCopy:
    in_place: Any

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self.in_place(x.clone(), *args, **kwargs)


def _spread(samples: list[Sample], limit: int) -> list[Sample]:
    step = max(1, len(samples) / limit)
    return [samples[int(n * step)] for n in range(min(limit, len(samples)))]


def _overrides(info: OpInfo) -> dict[torch.dtype, Tolerance]:
    """Return the tolerances with which PyTorch's tests try `info`."""
    found: dict[torch.dtype, Tolerance] = {}
    for decorator in info.decorators:
        for inner in decorator.decorators if isinstance(decorator, DecorateInfo) else ():
            for dtype, tol in inner.d.items() if isinstance(inner, toleranceOverride) else ():
                found[dtype] = _larger(found.get(dtype, Tolerance(0, 0)), tol)
    return found


def _larger(a: Any, b: Any) -> Tolerance:
    return Tolerance(max(a.rtol, b.rtol), max(a.atol, b.atol))


@cache
def _infos() -> dict[str, OpInfo]:
    return {
        f"{info.name}:{info.variant_test_name}".removesuffix(":"): info for info in reversed(op_db)
    }


def _info(name: str) -> OpInfo:
    return next(_infos()[prefix + name] for prefix in _PREFIXES if prefix + name in _infos())


@cache
def rows() -> dict[str, Row]:
    """Return every row by its name."""
    found = {}
    for family, text in FAMILIES.items():
        for token in text.split():
            name, given, names = token.partition("=")
            infos = [_info(n) for n in (names.split(",") if given else [name]) if n]
            found[name] = Row(family, name, tuple(infos))
    return found
