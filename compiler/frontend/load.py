"""Reading programs that torch.export.save wrote."""

from __future__ import annotations

import importlib
import logging

import torch
from torch.export import ExportedProgram

from tosaic.emit.files import read_bytes
from tosaic.errors import InputError

# Registers the quantize and dequantize ops that a PT2E-quantised program is made of.
_QUANTIZED_OPS = "torch.ao.quantization.fx._decomposed"


def load_program(path: str) -> ExportedProgram:
    """Return the program in the .pt2 file `path`, quantised or not.

    Raises:
        InputError: the file cannot be read, or was not written by torch.export.save.
    """
    read_bytes(path)  # a missing file is reported in the user's words, not torch's
    importlib.import_module(_QUANTIZED_OPS)
    # On a bad file torch logs a traceback before it raises; the message below says it better.
    logging.getLogger("torch.export").setLevel(logging.CRITICAL)
    try:
        return torch.export.load(path)
    except Exception as error:  # torch raises whatever the archive's reader happens to hit
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise InputError(
            f"'{path}' is not a program that this PyTorch ({torch.__version__}) loads: {reason}. "
            "Write it with torch.export.save."
        ) from error
