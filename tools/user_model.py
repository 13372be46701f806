"""The MODEL argument: ``model.py:factory`` or a ``.pt2`` file, and the inputs to export it on.

The user's file runs in this process, as an import of it would. What goes wrong in it is told as one
paragraph with the line of their file that was running.
"""

from __future__ import annotations

import difflib
import inspect
import linecache
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from tosaic.emit.files import read_bytes
from tosaic.emit.functions import MAIN
from tosaic.errors import InputError
from tosaic.frontend.load import load_program
from tosaic.program import check_names
from tosaic.tools.arrays import Slot, read_arrays, read_inputs

_MODULE = "__tosaic_model__"
_NAMES = ("example_inputs", "EXAMPLE_INPUTS")
_WANTED = "Return an nn.Module, or (module, example_inputs)"
_HOW = "Pass --input-shape 1x3x224x224 (one per input), or --inputs example.npz"


@dataclass(frozen=True)
class UserModel:
    """What the user named: the model, perhaps its example inputs, and a name for the files."""

    model: nn.Module | ExportedProgram
    example_inputs: tuple[Tensor, ...] | None
    name: str

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs: the parameters of forward, or what the exported program says."""
        if isinstance(self.model, ExportedProgram):
            return [str(name) for name in self.model.graph_signature.user_inputs]
        parameters = inspect.signature(self.model.forward).parameters.values()
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return [p.name for p in parameters if p.kind in kinds]

    def slots(self, example_inputs: Sequence[Tensor]) -> list[Slot]:
        """Return what an array for each of `example_inputs` must be."""
        names = [*self.input_names, *(f"arr_{k}" for k in range(len(example_inputs)))]
        return [
            Slot(name, tuple(value.shape), (str(value.dtype).removeprefix("torch."),))
            for name, value in zip(names, example_inputs, strict=False)
        ]


def load_model(spec: str) -> UserModel:
    """Return the one model that `spec` names.

    Raises:
        InputError: no such file or factory, it returns several, or the user's code raises.
    """
    models = load_models(spec)
    if MAIN not in models:
        raise InputError(
            f"{spec} gave several models ({', '.join(models)}); this command takes one. Write a "
            "factory that returns it."
        )
    return models[MAIN]


def load_models(spec: str) -> dict[str, UserModel]:
    """Return the models that `spec` names by entry; one alone is main.

    Raises:
        InputError: no such file or factory, or the user's code raises.
    """
    if spec.endswith(".pt2"):
        return {MAIN: _load_program(spec)}
    path, colon, name = spec.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise InputError(
            f"MODEL is '{spec}'; it must be FILE.py:FACTORY, where FACTORY is a function that "
            "returns the model, or a program written by torch.export.save to a .pt2 file."
        )
    module = _run_file(path)
    value = _find(module, name, path)
    if not isinstance(value, nn.Module | ExportedProgram | dict):
        value = _call(value, spec)
    if isinstance(value, dict):
        check_names(value)
        return {k: _user_model(v, None, f"{spec}['{k}']", name) for k, v in value.items()}
    inputs = next((getattr(module, n) for n in _NAMES if hasattr(module, n)), None)
    return {MAIN: _user_model(value, inputs, spec, name)}


def _user_model(value: Any, inputs: Any, spec: str, name: str) -> UserModel:
    if isinstance(value, tuple) and len(value) == 2:
        value, inputs = value
    if not isinstance(value, nn.Module | ExportedProgram):
        raise InputError(f"{spec} gave a {type(value).__name__}, not a model. {_WANTED}.")
    if isinstance(value, ExportedProgram) and inputs is None:
        inputs = _inputs_of(value)
    return UserModel(value, None if inputs is None else _as_tensors(inputs, spec), name)


def files_by_entry(texts: Sequence[str], models: Iterable[str], option: str) -> dict[str, str]:
    """Return the files that an option names by entry: ``ENTRY=FILE``, or FILE of the only model.

    Raises:
        InputError: an entry that there is not, one without a file or with two, or no name.
    """
    names = tuple(models)
    if names == (MAIN,):
        if len(texts) > 1:
            raise InputError(f"{option} is given twice, and the model is one. Give it once.")
        return dict.fromkeys(names, texts[0]) if texts else {}
    out: dict[str, str] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or name not in names or name in out:
            raise InputError(
                f"{option} {text} does not name an entry, or one for the second time. The model "
                f"has the entries {', '.join(names)}; give {option} {names[0]}=FILE and so on."
            )
        out[name] = file
    missing = [name for name in names if texts and name not in out]
    if missing:
        raise InputError(f"Entry '{missing[0]}' has no data: add {option} {missing[0]}=FILE.")
    return out


def load_value(spec: str, what: str) -> Any:
    """Return what ``FILE.py:NAME`` names; `what` says in errors what it is for.

    Raises:
        InputError: `spec` has another form, or there is no such file or name.
    """
    path, colon, name = spec.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise InputError(f"{what} is '{spec}'; it must be FILE.py:NAME.")
    return _find(_run_file(path), name, path)


def load_iterable(spec: str, what: str) -> Iterable[Any]:
    """Return the iterable that ``FILE.py:NAME`` names, or what the function of that name returns.

    Raises:
        InputError: as `load_value`, or it is no iterable.
    """
    value = load_value(spec, what)
    if inspect.isroutine(value):
        value = _guarded(value, f"{spec} raises")
    if not hasattr(value, "__iter__") and not hasattr(value, "__getitem__"):
        raise InputError(
            f"{what} {spec} is a {type(value).__name__}. It must be an iterable, or a function "
            "without arguments that returns one."
        )
    iterable: Iterable[Any] = value
    return iterable


def inputs_from_shapes(shapes: Sequence[str]) -> tuple[Tensor, ...]:
    """Return zeros for texts like ``1x3x224x224`` (float32) or ``1x128:int64``."""
    out = []
    for text in shapes:
        found = re.fullmatch(r"(\d+(?:x\d+)*)(?::(\w+))?", text.strip().lower())
        dtype = getattr(torch, (found and found[2]) or "float32", None)
        if found is None or not isinstance(dtype, torch.dtype):
            raise InputError(
                f"--input-shape {text} cannot be read. Write sizes joined by x, such as "
                "1x3x224x224, and :dtype behind them where it is not float32 (1x128:int64)."
            )
        out.append(torch.zeros([int(size) for size in found[1].split("x")], dtype=dtype))
    return tuple(out)


def inputs_from_file(path: str, names: Sequence[str]) -> tuple[Tensor, ...]:
    """Return the arrays of an .npz file as example inputs, in the order of `names`."""
    arrays = read_arrays(path)
    order = [name for name in names if name in arrays]
    keys = order if len(order) == len(arrays) else [f"arr_{k}" for k in range(len(arrays))]
    if sorted(keys) != sorted(arrays):
        raise InputError(
            f"'{path}' holds {', '.join(arrays)}; the model takes {', '.join(names)}. Name the "
            "arrays after the inputs, or save them in order (arr_0, arr_1 and so on)."
        )
    return tuple(_tensor(path, key, arrays[key]) for key in keys)


def inputs_from_calibration(path: str, names: Sequence[str]) -> tuple[Tensor, ...]:
    """Return the first calibration sample, with a batch axis of 1, as example inputs."""
    samples = inputs_from_file(path, names)
    if any(x.ndim == 0 or not len(x) for x in samples):
        raise InputError(f"'{path}' holds no samples: each array needs them along its first axis.")
    return tuple(x[:1] for x in samples)


def example_inputs(
    model: UserModel, shapes: Sequence[str], inputs: str | None, calibration: str | None
) -> tuple[Tensor, ...]:
    """Return inputs to export `model` on, from the first source that has them.

    The order is: `shapes`, the file `inputs`, the user's own, the first sample of `calibration`.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    if shapes and inputs:
        raise InputError("--input-shape and --inputs both say what the model takes. Give one.")
    if shapes:
        return inputs_from_shapes(shapes)
    if inputs:
        return inputs_from_file(inputs, model.input_names)
    if model.example_inputs is not None:
        return model.example_inputs
    if calibration:
        return inputs_from_calibration(calibration, model.input_names)
    raise InputError(
        f"The shapes that the model takes ({', '.join(model.input_names) or 'no inputs'}) are not "
        f"known. {_HOW}; or set example_inputs in the model's file to a tuple of tensors."
    )


def calibration_slots(
    path: str, model: UserModel, inputs: Sequence[Tensor]
) -> tuple[list[Slot], list[Any]]:
    """Return the slots of `inputs` and the arrays of `path` that go into them."""
    slots = model.slots(inputs)
    return slots, read_inputs(path, slots)


def _load_program(path: str) -> UserModel:
    program = load_program(path)
    return UserModel(program, _inputs_of(program), Path(path).stem)


def _inputs_of(program: ExportedProgram) -> tuple[Tensor, ...] | None:
    stored = program.example_inputs
    if stored is None:
        return None
    values = (*stored[0], *stored[1].values())
    return values if all(isinstance(v, Tensor) for v in values) else None


def _run_file(path: str) -> ModuleType:
    source = read_bytes(path)
    file = str(Path(path).resolve())
    module = ModuleType(_MODULE)
    module.__file__ = file
    sys.modules[_MODULE] = module
    sys.path.insert(0, str(Path(file).parent))  # as `python model.py` has it
    _guarded(lambda: exec(compile(source, file, "exec"), module.__dict__), f"'{path}' does not run")
    return module


def _find(module: ModuleType, name: str, path: str) -> Any:
    if hasattr(module, name):
        return getattr(module, name)
    known = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (isinstance(value, nn.Module) or getattr(value, "__module__", "") == _MODULE)
    ]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else f" It defines: {', '.join(known) or 'nothing'}."
    raise InputError(f"'{path}' has no '{name}'.{hint}")


def _call(factory: Any, spec: str) -> Any:
    if not callable(factory):
        raise InputError(f"{spec} is a {type(factory).__name__}, not a function. {_WANTED}.")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise InputError(
            f"{spec} cannot be called without arguments: {error}. Give it defaults, or write a "
            "function that fills them in."
        ) from error
    except ValueError:
        pass  # a builtin without a signature
    return _guarded(factory, f"{spec} raises")


def _guarded(work: Callable[[], Any], what: str) -> Any:
    """Run the user's code; what it raises becomes one paragraph with the line it comes from."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")
        raise InputError(
            f"{_user_line(error)}{what}: {reason}. Repair it and run again."
        ) from error


def _user_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    libraries = ("<", str(Path(__file__).parent), *map(sysconfig.get_path, kinds))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(libraries):
            code = linecache.getline(frame.filename, frame.lineno or 0).strip()
            return f"{frame.filename}:{frame.lineno}: {f'`{code}`: ' if code else ''}"
    return ""


def _as_tensors(value: Any, spec: str) -> tuple[Tensor, ...]:
    values = value if isinstance(value, list | tuple) else (value,)
    bad = next((v for v in values if not isinstance(v, Tensor)), None)
    if bad is not None:
        raise InputError(
            f"The example inputs of {spec} hold a {type(bad).__name__}; they must be one tensor or "
            "a tuple of tensors."
        )
    return tuple(values)


def _tensor(path: str, key: str, array: Any) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"'{path}' has dtype {array.dtype} in '{key}'; inputs hold numbers or bools."
        )
    return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array)
