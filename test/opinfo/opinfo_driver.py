"""Runs samples of an op through the compiler and compares both executors with eager PyTorch.

Several samples share one program, so that tracing and compiling are paid once. Where a program of
several does not compile or run, each sample gets one of its own, and its own outcome.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy.typing as npt
import torch
import torch.utils._pytree as pytree
from torch import Tensor

import tosaic
from tosaic.errors import TosaicError

Array = npt.NDArray[Any]
TARGET = "tosa-1.0-int+fp"
EXECUTORS = ("reference", "jit")
BATCH = 8
# A broken pass is reported as an error of the compiler, but it is not a refusal.
_BUG = "This is a bug in tosaic"
# The refusal of int64 that may not fit int32; the message asks for what `bounded` then does.
_UNBOUNDED = "cannot be shown to fit int32"
# Formulas of these are computed in f32.
_IN_F32 = (torch.float16, torch.bfloat16, torch.float64)
# f64 is computed in f32, int64 in int32; bf16 comes out as f32, as numpy has no such type.
_STORED = {
    torch.float64: torch.float32,
    torch.int64: torch.int32,
    torch.bfloat16: torch.float32,
}


@dataclass(frozen=True)
class Sample:
    """One call: `fn(*args, **kwargs)`, whose tensors become the program's inputs."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    def __str__(self) -> str:
        def show(x: Any) -> Any:
            return f"{_short(x.dtype)}{list(x.shape)}" if isinstance(x, Tensor) else x

        arguments = pytree.tree_map(show, (self.args, self.kwargs))
        return f"{self.label}({', '.join(map(str, arguments[0]))}, {arguments[1]})"


@dataclass(frozen=True)
class Tolerance:
    """What floats may differ by: ``|result - expected| <= atol + rtol * |expected|``."""

    rtol: float
    atol: float


Tolerances = Mapping[torch.dtype, Tolerance]


@dataclass(frozen=True)
class Outcome:
    """What became of a sample: "passed", "refused" or "failed", and why."""

    sample: str
    status: str
    reason: str = ""


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass
class _Call:
    """A sample taken apart: its tensors, and how the rest goes around them."""

    sample: Sample
    inputs: list[Tensor]
    places: list[Any]
    spec: Any
    limits: list[tuple[float, float] | None]
    expected: list[Tensor]

    @classmethod
    def of(cls, sample: Sample) -> _Call | None:
        """Return None where PyTorch itself does not take the sample, or returns no tensor."""
        leaves, spec = pytree.tree_flatten((sample.args, sample.kwargs))
        inputs, places = [], []
        for leaf in leaves:
            is_tensor = isinstance(leaf, Tensor)
            places.append(len(inputs) if is_tensor else [leaf])
            if is_tensor:
                inputs.append(_single(leaf.detach().contiguous()))
        call = cls(sample, inputs, places, spec, [_limits(x) for x in inputs], [])
        try:
            with torch.no_grad():
                call.expected = call.apply([x.clone() for x in inputs])
        except Exception:  # OpInfo holds samples that its own tests skip
            return None
        return call if call.expected else None

    @property
    def is_complex(self) -> bool:
        leaves = (x for x in self.places if isinstance(x, list))
        return any(x.is_complex() for x in (*self.inputs, *self.expected)) or any(
            isinstance(x, complex) for (x,) in leaves
        )

    @cached_property
    def in_f32(self) -> list[Tensor]:
        """What f32 gives, rounded once, where PyTorch computes in another type; else nothing."""
        return self.without_rounding(self.inputs)

    def without_rounding(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return what f32 makes of `inputs`, rounded once; nothing of f32 and integers."""
        if not any(x.dtype in _IN_F32 for x in inputs):
            return []
        fn, call = self.sample.fn, self
        if isinstance(fn, torch.nn.Module):  # its parameters are halves too
            call = replace(self, sample=replace(self.sample, fn=copy.deepcopy(fn).float()))
        with torch.no_grad():
            results = call.apply([x.float() if x.dtype in _IN_F32 else x for x in inputs])
        return [x.to(y.dtype) for x, y in zip(results, self.expected, strict=True)]

    @cached_property
    def bias_last(self) -> list[Tensor]:
        """What a convolution of halves gives where it is rounded before its bias is added.

        TOSA defines it so. Where the two nearly cancel, either order leaves little that is right.
        """
        if not self.in_f32 or not re.search(r"conv(_transpose)?[123]d$", self.sample.label):
            return []
        if self.places[:3] != [0, 1, 2]:
            return []  # it has no bias
        x, weight, bias = self.inputs[:3]
        sums = self.without_rounding([x, weight, torch.zeros_like(bias)])
        return [y + bias.reshape(-1, *[1] * (weight.dim() - 2)) for y in sums]

    def apply(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        leaves = [inputs[p] if isinstance(p, int) else p[0] for p in self.places]
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        results = pytree.tree_leaves(self.sample.fn(*args, **kwargs))
        return [x for x in results if isinstance(x, Tensor)]


class _Calls(torch.nn.Module):
    """Several calls as one model. bf16 goes in and out as f32, which holds each of its numbers.

    `bounded` limits numbers to the range that the sample's have.
    """

    def __init__(self, calls: Sequence[_Call], bounded: bool) -> None:
        super().__init__()
        self._calls = calls
        self._bounded = bounded

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        results: list[Tensor] = []
        for call in self._calls:
            own, inputs = inputs[: len(call.inputs)], inputs[len(call.inputs) :]
            given = [x.to(y.dtype) for x, y in zip(own, call.inputs, strict=True)]
            if self._bounded:
                pairs = zip(given, call.limits, strict=True)
                given = [x if limits is None else x.clamp(*limits) for x, limits in pairs]
            results += map(_widened, call.apply(given))
        return tuple(results)


def _single(x: Tensor) -> Tensor:
    """Return `x`; f64 with numbers that f32 has, as programs compute in f32."""
    return x.float().double() if x.dtype == torch.float64 else x


def as_model(sample: Sample, *, constants: bool) -> tuple[torch.nn.Module, list[Tensor]] | None:
    """Return `sample` as a module and its inputs; None where PyTorch does not take it.

    With `constants`, the first tensor alone is an input and the others belong to the model.
    """
    if constants:
        sample = _of_first_tensor(sample)
    call = _Call.of(sample)
    return None if call is None else (_Calls([call], False).eval(), call.inputs)


def _of_first_tensor(sample: Sample) -> Sample:
    leaves, spec = pytree.tree_flatten((sample.args, sample.kwargs))
    places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    if not places:
        return sample

    def apply(x: Tensor) -> Any:
        args, kwargs = pytree.tree_unflatten(
            [x if n == places[0] else leaf for n, leaf in enumerate(leaves)], spec
        )
        return sample.fn(*args, **kwargs)

    return Sample(apply, (leaves[places[0]],), {}, sample.label)


def _limits(x: Tensor) -> tuple[float, float] | None:
    """Return the range of `x`, None for types that need no limit."""
    if x.dtype.itemsize == 1 or x.is_complex() or not x.numel() or not x.isfinite().all():
        return None
    low, high = x.min().item(), x.max().item()
    return low, high


def _widened(x: Tensor) -> Tensor:
    return x.float() if x.dtype == torch.bfloat16 else x


def run(samples: Iterable[Sample], tolerances: Tolerances, *, values: bool = True) -> list[Outcome]:
    """Return the outcome of each of `samples` that PyTorch takes.

    Without `values`, which are undefined then, only shapes and dtypes are compared.
    """
    calls = [call for call in map(_Call.of, samples) if call is not None]
    check = _Check(tolerances, values)
    # A complex number, which is refused, would take its whole batch with it.
    parts = [[x for x in calls if x.is_complex == wanted] for wanted in (False, True)]
    return [
        outcome
        for part in parts
        for start in range(0, len(part), BATCH)
        for outcome in _outcomes(part[start : start + BATCH], check)
    ]


class _Refused(Exception):
    """The compiler says that it does not take the program."""


@dataclass(frozen=True)
class _Check:
    tolerances: Tolerances
    values: bool

    def all(self, results: Sequence[Array], expected: Sequence[Tensor]) -> list[str]:
        """Return what is wrong with `results`."""
        found = [self._one(x, y) for x, y in zip(results, expected, strict=True)]
        return [problem for problem in found if problem]

    def _one(self, result: Array, expected: Tensor) -> str:
        """Return what is wrong with `result`, empty where nothing is."""
        wanted = _STORED.get(expected.dtype, expected.dtype)
        actual = torch.from_numpy(result)
        if not self.values:
            same = actual.shape == expected.shape and actual.dtype == wanted
            return "" if same else f"{actual.dtype}{list(actual.shape)}, PyTorch {expected.dtype}"
        if actual.dtype != wanted:
            return f"is {actual.dtype}, PyTorch's {expected.dtype}"
        tolerance = self.tolerances.get(expected.dtype, Tolerance(0, 0))
        try:
            torch.testing.assert_close(
                actual.to(expected.dtype),
                expected,
                rtol=tolerance.rtol,
                atol=tolerance.atol,
                equal_nan=True,
            )
        except AssertionError as error:
            return " ".join(str(error).split())
        return ""


def _outcomes(calls: Sequence[_Call], check: _Check, *, bounded: bool = False) -> list[Outcome]:
    try:
        results = _results(calls, bounded=bounded)
    except Exception as error:  # whatever it is, it must not end the run
        if _UNBOUNDED in str(error) and not bounded:
            return _outcomes(calls, check, bounded=True)
        if len(calls) > 1:
            return [outcome for call in calls for outcome in _outcomes([call], check)]
        status = "refused" if isinstance(error, _Refused) else "failed"
        return [Outcome(str(calls[0].sample), status, _reason(error))]
    outcomes = []
    for call in calls:
        problems = []
        for name in EXECUTORS:
            own = [results[name].pop(0) for _ in call.expected]
            found = check.all(own, call.expected)
            for other in (call.in_f32, call.bias_last):
                if found and other and not check.all(own, other):
                    found = []  # for f16 and bf16, nearer to the truth than PyTorch is
            problems += [f"{name}: {problem}" for problem in found]
        status = "failed" if problems else "passed"
        outcomes.append(Outcome(str(call.sample), status, "; ".join(problems)))
    return outcomes


def _reason(error: Exception) -> str:
    """Return an error's message in one line, without the command that reproduces it."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(x for x in lines if not x.startswith("To reproduce")) or repr(error)


def _results(calls: Sequence[_Call], *, bounded: bool) -> dict[str, list[Array]]:
    """Compile `calls` as one program and return its outputs by executor."""
    inputs = [_widened(x) for call in calls for x in call.inputs]
    try:
        program = tosaic.compile(_Calls(calls, bounded).eval(), inputs, target=TARGET)
    except TosaicError as error:
        if _BUG in str(error):
            raise
        raise _Refused(str(error)) from error
    return {name: program.run(*inputs, executor=name) for name in EXECUTORS}
