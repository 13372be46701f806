"""Short-time Fourier transforms as convolutions by windowed waves, and the windows themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import element_of, shape_of
from tosaic.lowering.ops import Complex, Lowering, Refusal, lowers, part_type
from tosaic.lowering.torch_to_tosa.complex import lowers_always, seen
from tosaic.lowering.torch_to_tosa.fft import inverse_waves, waves
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import part, stacked, static_shape
from tosaic.lowering.torch_to_tosa.windows import fit_window, pad_or_crop
from tosaic.lowering.tosa.evaluate import known_value

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Frames:
    """Frames of `size` elements `hop` apart, under `window`, with `count` frequencies each."""

    size: int
    hop: int
    window: Array
    count: int
    factor: float

    @classmethod
    def of(cls, ctx: Lowering, *, normalized: int, onesided: int) -> _Frames:
        """Read `(x, n_fft, hop?, win_length?, window?, …)`; a short window is in the middle."""
        size = ctx.integer(1)
        hop = size // 4 if ctx.is_none(2) else ctx.integer(2)
        length = size if ctx.is_none(3) else ctx.integer(3)
        window: npt.NDArray[Any] | None = np.ones(length)
        if not ctx.is_none(4):
            window = known_value(ctx.tensor(4))
        if window is None:
            raise Refusal("its window is computed by the model; make it a constant (a buffer)")
        before = (size - window.size) // 2
        wide = np.pad(window.astype(np.float64), (before, size - window.size - before))
        whole = not ctx.is_none(onesided) and not ctx.flag(onesided)
        count = size if whole else size // 2 + 1
        return cls(size, hop, wide, count, size**-0.5 if ctx.flag(normalized) else 1.0)


@lowers_always("torch.aten.stft")
def stft(ctx: Lowering) -> ir.Value | Complex:
    """`stft(x, n_fft, hop?, win_length?, window?, normalized, onesided?, return_complex?)`."""
    b, frames = ctx.b, _Frames.of(ctx, normalized=5, onesided=6)
    if part_type(ctx.op.operands[0]) is not None:
        raise Refusal("of a complex signal it has no lowering; transform its parts")
    x = ctx.tensor(0)
    *batch, length = static_shape(x)
    line = b.reshape(x, [int(np.prod(batch)), 1, length, 1])
    line, pad = fit_window(b, line, (1, frames.size), (1, frames.hop), (1, 1), (0, 0), (0, 0))
    cos, sin = waves(frames.size, frames.count)
    kernel = np.concatenate([cos, -sin]) * frames.window * frames.factor
    element = element_of(x)
    y = b.conv2d(
        line,
        b.const(kernel.reshape(-1, 1, frames.size, 1), element),
        b.const(np.zeros(len(kernel)), element),
        pad=pad,
        stride=(1, frames.hop),
    )
    times = shape_of(y)[2]
    both = b.reshape(b.transpose(y, (0, 1, 3, 2)), [*batch, 2 * frames.count, times])
    parts = [part(b, both, len(batch), k * frames.count, frames.count) for k in (0, 1)]
    if part_type(ctx.op.results[0]) is None:
        return stacked(b, parts, len(batch) + 2)
    return Complex(*parts)


@lowers_always("torch.aten.istft")
def istft(ctx: Lowering) -> ir.Value:
    """`istft(x, n_fft, hop?, win_length?, window?, center, normalized, onesided?, length?, …)`.

    Frames are added up where they overlap, and divided by what their squared windows add up to.
    """
    b, frames = ctx.b, _Frames.of(ctx, normalized=6, onesided=7)
    if part_type(ctx.op.results[0]) is not None:
        raise Refusal("a complex signal has no lowering; leave out return_complex")
    *batch, _, times = static_shape(seen(ctx, 0).tensor(0))
    half = frames.size // 2 + 1  # of a whole spectrum PyTorch reads no more either
    z = [part(b, seen(ctx, k).tensor(0), len(batch), 0, half) for k in (0, 1)]
    spectra = b.reshape(b.concat(z, len(batch)), [int(np.prod(batch)), 1, 2 * half, times])
    kernel = inverse_waves(frames.size, half) * frames.window[:, None]
    kernel *= 1 / (frames.size * frames.factor)
    element = element_of(z[0])
    y = b.transpose_conv2d(
        b.transpose(spectra, (0, 1, 3, 2)),
        b.const(kernel.reshape(1, 1, frames.size, 2 * half), element),
        b.const(np.zeros(1), element),
        out_pad=(0, 0, 0, 0),
        stride=(1, frames.hop),
    )
    length = shape_of(y)[2]
    weight = np.zeros(length)
    for n in range(times):
        weight[n * frames.hop :][: frames.size] += frames.window**2
    start = frames.size // 2 if ctx.flag(5) else 0
    wanted = ctx.out_shape()[-1]
    inside = weight[start : start + wanted]
    if (inside < 1e-11).any():
        raise Refusal("its windows leave gaps between the frames; take a smaller hop")
    line = part(b, b.reshape(y, [*batch, length]), len(batch), start, inside.size)
    line = (Term(b, line) * Term(b, b.const(1 / inside, element))).value
    return b.reshape(pad_or_crop(b, line, len(batch), 0, wanted - inside.size), ctx.out_shape())


# --- windows -------------------------------------------------------------------------------------


def _cosines(*factors: float) -> Callable[[Array], Array]:
    """Return the sum of ``factors[k] * cos(2 pi k t)``."""
    return lambda t: np.sum([f * np.cos(2 * np.pi * k * t) for k, f in enumerate(factors)], 0)


def _kaiser(beta: float = 12.0) -> Callable[[Array], Array]:
    return lambda t: np.i0(beta * np.sqrt(np.maximum(0, 1 - (2 * t - 1) ** 2))) / np.i0(beta)


def _hamming(alpha: float = 0.54, beta: float = 0.46) -> Callable[[Array], Array]:
    return _cosines(alpha, -beta)


# Name -> the window on [0, 1], perhaps with parameters.
_WINDOWS: dict[str, Callable[..., Callable[[Array], Array]]] = {
    "hann": lambda: _cosines(0.5, -0.5),
    "hamming": _hamming,
    "blackman": lambda: _cosines(0.42, -0.5, 0.08),
    "bartlett": lambda: lambda t: 1 - np.abs(2 * t - 1),
    "kaiser": _kaiser,
}
_FORMS = (
    *("hann_window", "hann_window.periodic", "blackman_window", "blackman_window.periodic"),
    *("bartlett_window", "bartlett_window.periodic", "hamming_window", "hamming_window.periodic"),
    *("hamming_window.periodic_alpha", "hamming_window.periodic_alpha_beta"),
    *("kaiser_window", "kaiser_window.periodic", "kaiser_window.beta"),
)


@lowers(*(f"torch.aten.{form}" for form in _FORMS))
def window(ctx: Lowering) -> ir.Value:
    """`hann_window(length, periodic, parameters…)`: a constant."""
    name, _, form = aten_name(ctx).removeprefix("torch.aten.").partition(".")
    length = ctx.integer(0)
    periodic = not form or ctx.flag(1)
    count = {"periodic_alpha": 1, "periodic_alpha_beta": 2, "beta": 1}.get(form, 0)
    shape = _WINDOWS[name.removesuffix("_window")](*(ctx.real(2 + n) for n in range(count)))
    steps = max(1, length if periodic else length - 1)
    values = shape(np.arange(length) / steps) if length > 1 else np.ones(length)
    return ctx.b.const(values, ctx.out_element())
