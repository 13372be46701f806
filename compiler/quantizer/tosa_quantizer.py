"""A torchao PT2E quantiser whose knowledge of ops is the op table."""

from __future__ import annotations

from dataclasses import dataclass

from torch.fx import GraphModule
from torchao.quantization.pt2e.quantizer import Quantizer

from tosaic.quantizer.annotate import annotate
from tosaic.quantizer.parts import to_parts
from tosaic.quantizer.plan import Plan, decide
from tosaic.quantizer.recipe import QuantRecipe

_DEFAULT = QuantRecipe()


@dataclass(frozen=True)
class TosaQuantizer(Quantizer):  # type: ignore[misc]
    """Annotate every op that the table says can be quantised, as `recipe` says.

    Biases stay float and become int32 (int48 for int16 activations) when lowered. A convolution or
    matrix product with the batch norm and the clamps behind it is one unit: only its output is
    quantised, and so is a function of one tensor written as several elementwise ops. Ops that move
    data share their input's parameters. Composites, and divisions, that
    have no int16 form are int8 whatever the recipe says. With `training`, rounding is simulated and
    ranges follow the data, for prepare_qat_pt2e.
    """

    recipe: QuantRecipe = _DEFAULT
    training: bool = False

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Write `model` in the ops that are quantised as one each."""
        return to_parts(model, training=self.training)

    def plan(self, model: GraphModule) -> Plan:
        """Return how each op of `model` is quantised, and why.

        Raises:
            InputError: an override of the recipe selects nothing in `model`.
        """
        return decide(model, self.recipe)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Annotate `model` in place and return it.

        Raises:
            InputError: as `plan`.
        """
        annotate(self.plan(model), training=self.training)
        return model

    def validate(self, model: GraphModule) -> None:
        """Accept every model: what was not annotated is reported when it is lowered."""
