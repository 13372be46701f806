"""Compiled programs on disk: the .tosa file, the manifest beside it, and arrays for its inputs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.emit import Manifest, TensorInfo, quantize, read_bytes
from tosaic.errors import InputError
from tosaic.tools.arrays import Array, Slot


def tosa_file(path: str) -> Path:
    """Return `path`, or the one .tosa file in it where it is a folder."""
    if not Path(path).is_dir():
        return Path(path)
    found = sorted(Path(path).glob("*.tosa"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(f"'{path}' should hold one .tosa file to choose it; there are: {names}.")
    return found[0]


def manifest_of(path: Path, module: ir.Module) -> Manifest:
    """Return the manifest beside the program, else what the program itself says (no scales)."""
    own = Manifest.from_module(module)
    beside = path.with_suffix(".json")
    if not beside.exists():
        return own
    manifest = Manifest.from_json(read_bytes(beside).decode(errors="replace"))
    if _bare(manifest.held) != _bare(own):
        raise InputError(
            f"'{beside}' describes other inputs and outputs than '{path}' has. Compile again, or "
            "remove it to run on the program's own dtypes."
        )
    return manifest


def _bare(manifest: Manifest) -> list[tuple[Any, ...]]:
    return [(i.shape, i.dtype) for i in (*manifest.inputs, *manifest.outputs)]


def slot_of(info: TensorInfo) -> Slot:
    """Return what an array for an input must be: of its dtype, or real where it is quantised."""
    real = () if info.scale is None else ("float32",)
    return Slot(info.name, info.shape, (info.dtype, *real))


def as_stored(info: TensorInfo, array: Array, path: str) -> Array:
    """Return `array` as the program takes it, the same object where it is that already."""
    if str(array.dtype) == info.dtype:
        return array
    if not np.isfinite(array).all():
        raise InputError(
            f"'{path}' has NaN or infinity for input '{info.name}', which has no integer form. "
            "Remove it or repair the data."
        )
    return quantize(dataclasses.replace(info, shape=array.shape), array)
