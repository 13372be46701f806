"""What may come of a generated program: the right values, or a TosaicError; nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from random_programs import Program
from torch import Tensor

import tosaic
from tosaic.errors import TosaicError
from tosaic.quantizer import quantize

TOLERANCE = 1e-4  # relative to the output's largest, beside 1e-5
NUDGE = {"float": 1e-6, "int8": 2**-7}  # of the inputs: how far rounding may move a value
KINDS = ("float", "int8")


@dataclass(frozen=True)
class Verdict:
    """`status` is "passed", "refused" (a TosaicError) or "failed"; `cause` tells failures apart."""

    status: str
    cause: str = ""
    reason: str = ""


def _nudged(program: Program, by: float) -> list[list[Tensor]]:
    """Return the outputs for inputs that are a little off: what jumps there cannot be compared."""
    results = []
    for sign in (1, -1):
        inputs = [
            x * (1 + sign * by) + sign * by / 8 if x.dtype == torch.float32 else x
            for x in program.inputs
        ]
        results.append(program.run(inputs))
    return results


def _stored(inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return [x.int() if x.dtype == torch.int64 else x for x in inputs]  # narrowed


def _check_float(program: Program) -> None:
    compiled = tosaic.compile(program.module(), program.inputs, target="tosa-1.0-fp")
    results = compiled.run(*_stored(program.inputs))
    wanted = program.run()
    near = _nudged(program, NUDGE["float"])
    assert len(results) == len(wanted), f"{len(results)} outputs of {len(wanted)}"
    for n, (got, want) in enumerate(zip(results, wanted, strict=True)):
        expected = want.numpy()
        assert got.shape == expected.shape, f"output {n} is {got.shape}, not {expected.shape}"
        assert (got.dtype.kind == "f") == (expected.dtype.kind == "f"), f"{n}: {got.dtype}"
        largest = np.abs(np.nan_to_num(expected.astype(np.float64), posinf=0, neginf=0)).max()
        bound = TOLERANCE * largest + 1e-5
        if any(not _close(other[n].numpy(), expected, bound) for other in near):
            continue
        assert _close(got, expected, bound), f"output {n} is\n{got}\nnot\n{expected}"


def _close(a: np.ndarray, b: np.ndarray, bound: float) -> bool:
    if b.dtype.kind != "f":
        return bool((a.astype(np.int64) == b.astype(np.int64)).all())
    return bool(np.allclose(a, b, rtol=0, atol=bound, equal_nan=True))


def _check_int8(program: Program) -> None:
    """Integers are at most half again as far from float as fake quantisation is, and two steps."""
    fake = quantize(program.module(), program.inputs, [program.inputs])
    compiled = tosaic.compile(fake, target="tosa-1.0-int")
    results = compiled.run(*_stored(program.inputs))
    wanted, near = program.run(), _nudged(program, NUDGE["int8"])
    with torch.no_grad():
        faked = fake.module(check_guards=False)(*(x.clone() for x in program.inputs))
    assert len(results) == len(wanted), f"{len(results)} outputs of {len(wanted)}"
    for n, (got, want) in enumerate(zip(results, wanted, strict=True)):
        info = compiled.manifest.outputs[n]
        real = want.numpy()
        assert got.shape == real.shape, f"output {n} is {got.shape}, not {real.shape}"
        if real.dtype.kind != "f" or info.scale is None:
            continue
        largest = np.abs(real).max()
        if any(not _close(other[n].numpy(), real, 0.1 * largest) for other in near):
            continue
        given, allowed = (float(np.abs(x - real).mean()) for x in (got, faked[n].detach().numpy()))
        allowed = 1.5 * allowed + 2 * info.scale
        assert given <= allowed, f"output {n} is {given:.3g} off, {allowed:.3g} allowed"


def judge(program: Program, kind: str) -> Verdict:
    """Compile `program` in `kind`, run it, compare."""
    try:
        with _quiet():
            (_check_float if kind == "float" else _check_int8)(program)
    except TosaicError as error:
        return Verdict("refused", type(error).__name__, str(error))
    except AssertionError as error:
        if traceback.extract_tb(error.__traceback__)[-1].filename == __file__:
            return Verdict("failed", "wrong values", str(error))
        return _raised(error)
    except Exception as error:
        return _raised(error)
    return Verdict("passed")


def _raised(error: Exception) -> Verdict:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/tosaic" in f.filename or _is_ours(f.filename)]
    last = (ours or frames)[-1]
    where = f"{os.path.relpath(last.filename)}:{last.name}"
    text = "".join(traceback.format_exception(error))
    said = re.sub(r"\d+", "…", f"{error}".partition("\n")[0])[:80]
    return Verdict("failed", f"{type(error).__name__} in {where}: {said}", text)


def _is_ours(path: str) -> bool:
    root = os.path.dirname(os.path.dirname(tosaic.__file__))
    return path.startswith(root) and "site-packages" not in path and "test/generated" not in path


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
