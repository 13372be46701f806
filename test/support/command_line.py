"""For tests of the command line: the tool run in this process, a small model, images for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tosaic.tools import tosaic as cli

TINY = f"{Path(__file__).parents[2] / 'examples' / 'tiny_cnn.py'}:tiny_cnn"


class Result(NamedTuple):
    """What a run of the tool ended in."""

    code: int
    out: str
    err: str

    @property
    def problem(self) -> str:
        """The error, after the lines that tell which stage is running."""
        lines = [line for line in self.err.splitlines() if not line.endswith(" …")]
        return "\n".join(lines)


class Tool:
    """``tosaic`` in this process: torch is imported once."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture
        patch.setattr(sys, "path", list(sys.path))

    def __call__(self, *arguments: object) -> Result:
        self._patch.setattr(sys, "argv", ["tosaic", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        assert isinstance(exit_.value.code, int)
        return Result(exit_.value.code, *self._capture.readouterr())


def save_images(path: Path, count: int) -> Path:
    """Write `count` images for TINY to `path`, an .npz file, and return it."""
    images = np.random.default_rng(count).standard_normal((count, 3, 16, 16))
    np.savez(path, image=images.astype(np.float32))
    return path
