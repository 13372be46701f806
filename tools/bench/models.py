"""Load the model set in test/models from its path, with the inputs every bench uses.

The set lives with the tests, and ``test`` as a package name belongs to the standard library, so it
is loaded under a name of its own. Peers' interpreters load this file too, so that all sides measure
the same weights on the same inputs: it needs nothing but Python and torch.
"""

from __future__ import annotations

import importlib.util
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "CALIBRATION_COUNT",
    "HELD_OUT_COUNT",
    "PACKAGE",
    "calibration_inputs",
    "held_out_inputs",
    "load_models",
    "weights_crc32",
]

PACKAGE = "tosaic_models"
CALIBRATION_COUNT = 8
HELD_OUT_COUNT = 16
_HELD_OUT_SEED_OFFSET = 1_000_003


def load_models(repository: Path | None = None) -> ModuleType:
    """Import test/models as `PACKAGE`, once per process.

    Args:
        repository: Root of a source tree of this project; by default the one that holds this file.

    Raises:
        FileNotFoundError: There is no test/models there (an installed package does not carry it).
    """
    if PACKAGE in sys.modules:
        return sys.modules[PACKAGE]
    root = Path(__file__).resolve().parents[2] if repository is None else repository
    init = root / "test" / "models" / "__init__.py"
    if not init.is_file():
        raise FileNotFoundError(f"no {init}: the benches need a source tree of the project")
    spec = importlib.util.spec_from_file_location(
        PACKAGE, init, submodule_search_locations=[str(init.parent)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[PACKAGE]
        raise
    return module


def calibration_inputs(name: str, seed: int = 0) -> list[Tensor]:
    """The `CALIBRATION_COUNT` inputs every compared compiler calibrates on."""
    models = load_models()
    shape = models.MODELS[name].input_shape
    inputs: list[Tensor] = models.structured_inputs(shape, CALIBRATION_COUNT, seed)
    return inputs


def held_out_inputs(name: str, seed: int = 0) -> list[Tensor]:
    """The `HELD_OUT_COUNT` inputs accuracy is judged on; calibration has not seen them."""
    models = load_models()
    shape = models.MODELS[name].input_shape
    inputs: list[Tensor] = models.structured_inputs(
        shape, HELD_OUT_COUNT, seed + _HELD_OUT_SEED_OFFSET
    )
    return inputs


def weights_crc32(model: nn.Module) -> str:
    """Checksum of all parameters and buffers in order: equal when two sides measured one model."""
    crc = 0
    for tensor in model.state_dict().values():
        crc = zlib.crc32(tensor.detach().contiguous().numpy().tobytes(), crc)
    return f"{crc:08x}"
