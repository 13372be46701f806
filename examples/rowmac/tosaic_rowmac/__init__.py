"""A backend for a device that does not exist: rows of multipliers that run dense int8 networks.

What a backend needs is here: targets with a device of its own, an option, a pipeline with passes of
its own (passes.py), and an artifact, a list of the steps that the device would run.
"""

import json
from dataclasses import dataclass, field

from tosaic.backends import Artifact, Artifacts
from tosaic.errors import InputError
from tosaic.targets import Target, by_name


@dataclass(frozen=True)
class RowMac:
    """The device: so many multiply-accumulates in a cycle."""

    macs: int

    def __str__(self):
        return f"{self.macs} MACs per cycle"


@dataclass(frozen=True)
class RowMacOptions:
    """`max_steps` is the most steps that a program may have."""

    max_steps: int | None = field(default=None, metadata={"what": "limits programs for rowmac"})


class RowMacBackend:
    """Implements tosaic.backends.Backend; it needs no base class."""

    name = "rowmac"
    targets = by_name(
        Target(name=f"rowmac-{macs}", backend="rowmac", device=RowMac(macs)) for macs in (4, 16)
    )
    options = RowMacOptions
    costs = ("cycles",)
    endings = (".steps.json",)

    def check(self, target, options):
        most = options.own.get("max_steps")
        if most is not None and most < 1:
            raise InputError(f"max_steps={most} must be 1 or more.")

    def legalize(self, target):
        return "tosaic-legalize,rowmac-check,rowmac-number-steps"

    def finish(self, program, target, options, clock):
        # What needs MLIR is imported here: listing targets stays light.
        from tosaic.emit import serialize
        from tosaic_rowmac.passes import steps_of

        most = RowMacOptions(**options.own).max_steps
        made = {}
        for entry in program.entries:
            module = program.alone(entry.name)
            with clock("emit"):
                flatbuffer = serialize(module, target=target)
            with clock("steps"):
                steps = steps_of(module)
            if most is not None and len(steps) > most:
                raise InputError(
                    f"Entry '{entry.name}' has {len(steps)} steps, and max_steps allows {most}."
                )
            cycles = sum(-(-step["macs"] // target.device.macs) for step in steps)
            made[entry.name] = Artifact(
                module,
                flatbuffer,
                files=lambda stem, steps=steps: {
                    f"{stem}.steps.json": json.dumps(steps, indent=1).encode()
                },
                costs={"cycles": cycles},
                summary=[("cycles", f"{cycles:,} in {len(steps)} steps")],
                result=steps,
            )
        return Artifacts(made)


BACKEND = RowMacBackend()
