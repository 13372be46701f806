"""A plan as PT2E's annotations: which tensors are observed and rounded, and how."""

from __future__ import annotations

from typing import Any

from torch.fx import Node
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, SharedQuantizationSpec

from tosaic.frontend.units import mark
from tosaic.quantizer.plan import ANNOTATION, Plan, Stored, Unit
from tosaic.quantizer.specs import activation_spec, fixed_spec, weight_spec


def annotate(plan: Plan, *, training: bool) -> None:
    """Annotate the ops of `plan` in place, and mark each with the unit it belongs to.

    With `training`, rounding is simulated and ranges follow the data.
    """
    for unit in plan.integer_units():
        _annotate_unit(unit, training)
    for node, stored in plan.values.items():
        spec = _spec(stored, training)
        node.meta[ANNOTATION] = QuantizationAnnotation(output_qspec=spec, _annotated=True)


def _annotate_unit(unit: Unit, training: bool) -> None:
    inputs: dict[Node, dict[Node, Any]] = {member: {} for member in unit.members}
    for (reader, value), stored in unit.reads.items():
        inputs[reader][value] = _spec(stored, training)
    if unit.weights is not None:
        scheme, axis = unit.weights.scheme, unit.weights.axis
        spec = weight_spec(scheme, axis, training=training)
        inputs[unit.main][unit.weights.node] = spec
    for member, specs in inputs.items():
        member.meta[ANNOTATION] = QuantizationAnnotation(input_qspec_map=specs, _annotated=True)
        mark(member, unit.name)
    if unit.writes is not None:
        unit.members[-1].meta[ANNOTATION].output_qspec = _spec(unit.writes, training)


def _spec(stored: Stored, training: bool) -> Any:
    if stored.scale is not None:
        return fixed_spec(stored.scale)
    if stored.like is not None:
        return SharedQuantizationSpec(stored.like)
    return activation_spec(
        stored.scheme,
        stored.dtype,
        stored.bounds,
        by_row=stored.by_row,
        looked_up=stored.looked_up,
        training=training,
    )
