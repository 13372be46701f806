"""The runtime's shared library: built with CMake when first needed, and its C interface.

The structures and functions are those of runtime.h and describe.h in runtime/include/tosaic.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tosaic.errors import ToolError

_SOURCES = Path(__file__).resolve().parents[2]
_LIBRARY = "TOSAIC_RUNTIME_LIBRARY"

OK = 0
ARENA_TOO_SMALL = 5
ALIGNMENT = 16


class Tensor(ctypes.Structure):
    """`tosaic_tensor`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("shape", ctypes.POINTER(ctypes.c_int32)),
        ("bytes", ctypes.c_uint32),
        ("type", ctypes.c_uint8),
        ("rank", ctypes.c_uint8),
        ("constant", ctypes.c_uint8),
        ("reserved", ctypes.c_uint8),
    )


class Place(ctypes.Structure):
    """`tosaic_place`."""

    _fields_ = (
        ("graph", ctypes.c_uint32),
        ("node", ctypes.c_uint32),
        ("op", ctypes.c_uint32),
    )


class Config(ctypes.Structure):
    """`tosaic_config`."""

    _fields_ = (
        ("model", ctypes.c_void_p),
        ("model_size", ctypes.c_size_t),
        ("plan", ctypes.c_void_p),
        ("plan_size", ctypes.c_size_t),
        ("arena", ctypes.c_void_p),
        ("arena_size", ctypes.c_size_t),
        ("operators", ctypes.c_void_p),
        ("custom", ctypes.c_void_p),
        ("custom_context", ctypes.c_void_p),
        ("max_iterations", ctypes.c_uint32),
        ("trusted", ctypes.c_bool),
        ("failed", ctypes.POINTER(Place)),
    )


class Node(ctypes.Structure):
    """`tosaic_described_node`."""

    _fields_ = (
        ("op", ctypes.c_uint32),
        ("attributes", ctypes.POINTER(ctypes.c_int32)),
        ("operands", ctypes.POINTER(ctypes.c_uint16)),
        ("inputs", ctypes.c_uint16),
        ("outputs", ctypes.c_uint16),
        ("merged", ctypes.c_uint16),
        ("chained", ctypes.c_uint16),
    )


@cache
def library(kernels: str = "") -> ctypes.CDLL:
    """Return the loaded library, built first where it is not up to date.

    With `kernels`, a set of runtime/kernels, it computes as always but takes the scratch memory of
    that set, to plan for a processor that has it. The environment variable TOSAIC_RUNTIME_LIBRARY
    names one that is built already.

    Raises:
        ToolError: there are no sources or no compiler, or the build fails.
    """
    out = ctypes.CDLL(str(library_path(kernels)))
    config, model, index = ctypes.POINTER(Config), ctypes.c_void_p, ctypes.c_size_t
    words = ctypes.POINTER(ctypes.c_uint32)
    for name, result, arguments in (
        ("tosaic_status_text", ctypes.c_char_p, (ctypes.c_int,)),
        ("tosaic_arena_size", ctypes.c_int, (config, ctypes.POINTER(ctypes.c_size_t))),
        ("tosaic_model_init", ctypes.c_int, (config, ctypes.POINTER(model))),
        ("tosaic_model_invoke", ctypes.c_int, (model,)),
        ("tosaic_model_reset", None, (model,)),
        ("tosaic_model_input_count", ctypes.c_size_t, (model,)),
        ("tosaic_model_output_count", ctypes.c_size_t, (model,)),
        ("tosaic_model_input", ctypes.POINTER(Tensor), (model, ctypes.c_size_t)),
        ("tosaic_model_output", ctypes.POINTER(Tensor), (model, ctypes.c_size_t)),
        ("tosaic_describe_plan_words", ctypes.c_size_t, (model,)),
        ("tosaic_describe_plan", ctypes.c_size_t, (model, words)),
        ("tosaic_describe_sample", ctypes.c_uint32, (ctypes.c_void_p, ctypes.c_size_t)),
        ("tosaic_describe_device_arena", ctypes.c_size_t, (model,)),
        ("tosaic_describe_operator_name", ctypes.c_char_p, (ctypes.c_size_t,)),
        ("tosaic_describe_operator_uses", ctypes.c_size_t, (model, ctypes.c_size_t)),
        ("tosaic_describe_node", ctypes.c_bool, (model, index, index, ctypes.POINTER(Node))),
        ("tosaic_describe_output", ctypes.c_uint16, (model, index, index)),
        ("tosaic_describe_tensor", ctypes.POINTER(Tensor), (model, index, index)),
        ("tosaic_describe_kind", ctypes.c_uint8, (model, index, index)),
    ):
        function = getattr(out, name)
        function.restype, function.argtypes = result, arguments
    return out


def all_operators(loaded: ctypes.CDLL) -> int:
    """Return the address of the table of all operators."""
    return ctypes.addressof(ctypes.c_char.in_dll(loaded, "tosaic_all_operators"))


def library_path(kernels: str = "") -> Path:
    """Return the shared library's file, built first where it is not up to date; see `library`."""
    given = os.environ.get(_LIBRARY)
    preset = f"host-{kernels}" if kernels else "host"
    return Path(given) if given else build(preset) / "libtosaic_runtime.so"


@cache
def build(preset: str, target: str = "all") -> Path:
    """Build `target` in `preset` of CMakePresets.json and return its folder; see `cmake`."""
    return cmake(preset, _SOURCES / "build" / preset, target=target)


def cmake(preset: str, folder: Path, *definitions: str, target: str = "all") -> Path:
    """Build `preset`, with more CMake variables (``-DNAME=VALUE``), in `folder` and return it.

    Raises:
        ToolError: there are no sources or no CMake, or the build fails.
    """
    tool = shutil.which("cmake")
    if not (_SOURCES / "CMakeLists.txt").is_file():
        raise ToolError(
            f"The runtime's C sources are not in {_SOURCES}: they come with a source checkout, not "
            f"with a wheel. Build the library there and name it in {_LIBRARY}."
        )
    if tool is None:
        raise ToolError(
            "The embedded runtime is built with CMake, which is not on PATH. Install cmake and a "
            f"C++ compiler, or name a built library in {_LIBRARY}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:  # of two test processes one builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_configured(folder):
            python = f"-DTOSAIC_PYTHON={sys.executable}"
            _run([tool, "--preset", preset, "-B", str(folder), python, *definitions])
        _run([tool, "--build", str(folder), "--target", target, "--parallel", "2"])
    return folder


def _is_configured(folder: Path) -> bool:
    """Return whether `folder` is configured, since the presets changed last."""
    cache, presets = folder / "CMakeCache.txt", _SOURCES / "CMakePresets.json"
    return cache.is_file() and cache.stat().st_mtime >= presets.stat().st_mtime


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=_SOURCES, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
        raise ToolError(
            f"Building the embedded runtime failed: {(lines or ['no reason given'])[0].strip()}. "
            f"Run `{' '.join(command)}` in {_SOURCES} to see all."
        )
