"""Cases of Fourier transforms and complex numbers between real inputs and outputs; see op_cases."""

from __future__ import annotations

import torch
from op_cases import Case, Function

from support.nets import Calls

CASES: list[Case] = []
SIGNAL = (2, 3, 20)
_WINDOW = torch.hann_window(12)


def _function(name: str, fn: Function, *shapes: tuple[int, ...]) -> None:
    CASES.append(Case(name, lambda: Calls(fn), shapes or (SIGNAL,), quantizable=False))


# Transforms of 20 are products with a matrix; those of 256 are TOSA's own.
for _size in (20, 256):
    for _name, _fn in {
        "rfft": lambda x: torch.view_as_real(torch.fft.rfft(x)),
        "fft": lambda x: torch.view_as_real(torch.fft.fft(x, norm="ortho")),
        "power": lambda x: torch.fft.rfft(x).abs() ** 2,
        "filter": lambda x: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(x.flip(-1))),
    }.items():
        _function(f"{_name}_{_size}", _fn, (2, 3, _size))
for _name, _fn in {
    "rfft_cut": lambda x: torch.view_as_real(torch.fft.rfft(x, n=9, dim=-1)),
    "rfft_padded": lambda x: torch.fft.rfft(x, n=5, dim=1).real,
    "rfft2": lambda x: torch.fft.rfft2(x).imag,
    "irfft2": lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=(3, 20)),
    "fftn": lambda x: torch.fft.fftn(x).real,
    "hfft": lambda x: torch.fft.hfft(torch.fft.rfft(x)),
    "ihfft": lambda x: torch.view_as_real(torch.fft.ihfft(x).resolve_conj()),
    "fftshift": lambda x: torch.fft.fftshift(x, (1, 2)),
    "fnet": lambda x: torch.fft.fft(torch.fft.fft(x), dim=1).real,
    "stft": lambda x: torch.stft(x[0], 12, 4, window=_WINDOW, return_complex=True).abs(),
    "stft_short_window": lambda x: torch.view_as_real(
        torch.stft(x[0], 12, 4, 10, torch.ones(10), center=False, return_complex=True)
    ),
    "istft": lambda x: torch.istft(
        torch.stft(x[0], 12, 3, window=_WINDOW, return_complex=True), 12, 3, window=_WINDOW
    ),
}.items():
    _function(_name, _fn)

# Pairs of reals seen as complex numbers; rotary positions are written like this.
for _name, _fn in {
    "multiply": lambda x, y: x * y,
    "multiply_real": lambda x, y: x * y.real,
    "divide": lambda x, y: x / y,
    "add_alpha": lambda x, y: torch.add(x, y, alpha=2),
    "conjugate": lambda x, y: x.conj() * y,
    "exp": lambda x, y: x.exp() - y,
    "matmul": lambda x, y: x @ y.mT,
    "join": lambda x, y: torch.cat([x, y], 1)[:, ::2],
    "where": lambda x, y: torch.where(x.real > 0, x, y),
    "join_real": lambda x, y: torch.stack([x, y.real.to(x.dtype), y]),
    "where_real": lambda x, y: torch.where(x.imag > y.imag, x.real, y),
    "adjoint": lambda x, y: x + y.mH.mT,
    "sum": lambda x, y: (x + y).sum(1),
    "polar": lambda x, y: torch.polar(x.abs(), y.angle()),
}.items():
    _function(
        f"complex_{_name}",
        lambda x, y, fn=_fn: torch.view_as_real(
            fn(torch.view_as_complex(x), torch.view_as_complex(y)).resolve_conj()
        ),
        (2, 3, 4, 2),
        (2, 3, 4, 2),
    )
_function("complex_angle", lambda x: torch.view_as_complex(x).angle(), (3, 4, 2))
