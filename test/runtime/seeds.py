"""Seeds for the fuzzers: `python test/runtime/seeds.py FOLDER` writes small real models there.

Each is a file of its own, and most are one with their plan as well.

They are made anew from the op cases, so that they follow the format and the operators.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from programs import PROGRAMS

from support.tosa_cases import CASES, module_of
from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import serialize
from tosaic.errors import ToolError
from tosaic.runtime import Model

_LARGEST = 16 << 10


def write_seeds(folder: Path) -> list[Path]:
    """Write the seeds to `folder`, made if missing, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    context = make_context()
    with context, ir.Location.unknown():
        modules = {c.name: module_of(c) for c in CASES}
        modules |= {name: ir.Module.parse(text) for name, text in PROGRAMS.items()}
    for name, module in modules.items():
        data = serialize(module, locations=False)
        if len(data) <= _LARGEST:
            path = folder / f"{name.translate(str.maketrans('(), ', '____'))}.tosa"
            path.write_bytes(data)
            out.append(path)
            with suppress(ToolError):  # custom operators, and those there are no kernels for
                plan = Model(data).plan()
                path = path.with_suffix(".planned")
                # The mark at the end is one that load_and_run.cc knows.
                path.write_bytes(data + plan + len(plan).to_bytes(4, "little") + b"PLAN")
                out.append(path)
    return out


if __name__ == "__main__":
    print(f"{len(write_seeds(Path(sys.argv[1])))} seeds")
