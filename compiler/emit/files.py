"""Writing files so that a reader never sees half of one.

The content goes to a temporary name in the same folder, is flushed to disk, and is then renamed
over the destination.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from tosaic.errors import InputError, ToolError, TosaicError


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8 to `path` in one step; see `write_bytes`."""
    return write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write `data` to `path` in one step, making its folder if needed, and return the path.

    On failure the old file, if any, is left as it was.

    Raises:
        InputError: the place cannot be written (permission, a folder in the way, bad name).
        ToolError: the disk is full or fails.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of `path`.

    Raises:
        InputError: it is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read '{path}': {_reason(error)}.") from error


def _explained(path: Path, error: OSError) -> TosaicError:
    text = f"Cannot write '{path}': {_reason(error)}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return ToolError(f"{text} Nothing was left half written; free some space and run again.")
    return InputError(f"{text} Choose another output path.")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
