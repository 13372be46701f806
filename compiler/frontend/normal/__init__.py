"""The normal form of exported programs: what every compile, calibration, training and report sees.

Exporters and people write one function in many ways. Here each has one: a flat graph without
writes, no-ops and synonyms, constants computed, arithmetic and norms in one spelling. Everything
behind decides on that form only.
"""

from __future__ import annotations

from torch.export import ExportedProgram
from torch.fx import GraphModule

from tosaic.composites import Compose
from tosaic.frontend.lift import lift
from tosaic.frontend.normal.algebra import Algebra, CommonSubexpressions
from tosaic.frontend.normal.arguments import Arguments
from tosaic.frontend.normal.check import check_normal
from tosaic.frontend.normal.constants import Constants
from tosaic.frontend.normal.functional import Functional
from tosaic.frontend.normal.movement import Movement
from tosaic.frontend.normal.noops import NoOps
from tosaic.frontend.normal.regions import Regions, without_autocast
from tosaic.frontend.normal.spellings import Spellings
from tosaic.frontend.refuse import refuse
from tosaic.frontend.reproduce import reproducible
from tosaic.graph.facts import calls
from tosaic.graph.passes import GraphPass, Together, Watch, run_passes

__all__ = ["check_normal", "local_passes", "mark_normal", "normal_passes", "normalize"]


_IS_NORMAL = "tosaic_normal"  # metadata of a program's graph


def normalize(program: ExportedProgram, watch: Watch | None = None) -> ExportedProgram:
    """Return `program` in normal form; the same object where it is already.

    Its inputs, outputs and dynamic dims stay; nothing is traced again, except for what is under an
    enabled autocast. `watch` is told of each pass that changes the graph.

    Raises:
        InputError: types that TOSA has not, state, loops whose turns depend on data.
    """
    if program.graph_module.meta.get(_IS_NORMAL):
        return program
    program = without_autocast(program)
    refuse(program)
    module = program.module(check_guards=False)
    assert isinstance(module, GraphModule)
    with reproducible(program):
        changed = run_passes(module, normal_passes(), watch)
    if changed:
        program = lift(module, program)
    _restore_lists(program)
    return mark_normal(program)


def _restore_lists(program: ExportedProgram) -> None:
    """Make values of list type lists again: torch.export.load gives tuples, which do not import."""
    for node in calls(program.graph):
        returns = getattr(getattr(node.target, "_schema", None), "returns", ())
        value = node.meta.get("val")
        if len(returns) == 1 and isinstance(value, tuple):
            node.meta["val"] = list(value)


def mark_normal(program: ExportedProgram) -> ExportedProgram:
    """Note that `program` is in normal form, so that it is not looked through again."""
    program.graph_module.meta[_IS_NORMAL] = True
    return program


def normal_passes(*, training: bool = False) -> tuple[GraphPass, ...]:
    """Return the passes to the normal form, in order."""
    return (Regions(), Functional(training), Together(local_passes(training=training)))


def local_passes(*, training: bool = False, integers: bool = False) -> tuple[GraphPass, ...]:
    """Return the passes that bring new nodes to the normal form: local rewrites, repeated.

    With `integers`, composites too that are the same for what integers tell apart only.
    """
    return (
        *(Arguments(), NoOps(), Movement(), Spellings(), CommonSubexpressions()),
        *(Constants(training), Algebra(), Compose(integers)),
    )
