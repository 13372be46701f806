"""Plain TOSA: the specification's profiles, without a device behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tosaic.backends.backend import Artifact, Artifacts, NoOptions
from tosaic.targets import Target, by_name

if TYPE_CHECKING:
    from tosaic.clock import Clock
    from tosaic.program import Program
    from tosaic.stages import Options

_INT = ("int16", "int4", "doubleround", "inexactround", "variable", "controlflow")
_FP = ("bf16", "fp8e4m3", "fp8e5m2", "fft", "variable", "controlflow")


def _tosa(name: str, profiles: tuple[str, ...], extensions: tuple[str, ...]) -> Target:
    # A set would lose the order that messages and the flatbuffer show.
    unique = tuple(dict.fromkeys(extensions))
    return Target(name=name, backend="tosa", profiles=profiles, extensions=unique)


_TARGETS = (
    _tosa("tosa-1.0-int", ("pro_int",), _INT),
    _tosa("tosa-1.0-fp", ("pro_fp",), _FP),
    _tosa("tosa-1.0-int+fp", ("pro_int", "pro_fp"), _INT + _FP),
)


class TosaBackend:
    """The flatbuffer, and nothing beside it."""

    name = "tosa"
    targets = by_name(_TARGETS, tosa="tosa-1.0-int+fp")
    options: type[Any] = NoOptions
    costs: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()

    def check(self, target: Target, options: Options) -> None:
        """Take everything."""

    def legalize(self, target: Target) -> str:
        """Pack 4-bit weights where the target has them."""
        pack = "tosaic-pack-int4," if "int4" in target.extensions else ""
        return f"{pack}tosaic-legalize"

    def finish(self, program: Program, target: Target, options: Options, clock: Clock) -> Artifacts:
        """Serialise each entry."""
        from tosaic.emit import serialize  # noqa: PLC0415  (targets are listed without MLIR)

        out = {}
        for entry in program.entries:
            module = program.alone(entry.name)
            with clock("emit"):
                out[entry.name] = Artifact(module, serialize(module, target=target))
        return Artifacts(out)


BACKEND = TosaBackend()
