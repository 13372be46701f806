"""Model inputs and outputs take quantised types, with their parameters as attributes."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, i, quant_params, shape_of, tensor
from tosaic.errors import PipelineError
from tosaic.lowering.passes import Pass, register_pass
from tosaic.lowering.quantization.arithmetic import multiplier_and_shift
from tosaic.lowering.signature import set_signature, signature_attrs

QTYPE = "tosaic.qtype"
UNSIGNED = "tosaic.unsigned"
_WIDTHS = {"int8": 8, "uint8": 8, "int16": 16}


@register_pass
@dataclasses.dataclass(frozen=True)
class QuantizeIo(Pass):
    """Move the quant casts at a function's boundary out to the caller.

    A float argument whose every use quantises it alike becomes an argument of that quantised type;
    a result that is a dequantised value returns the quantised one. The parameters stay on the
    argument or result as ``tosaic.qtype``, from which the I/O manifest is made. Arguments that are
    used in float too, or with several parameter sets, stay float.

    `dtype` (int8, uint8, int16) is what the caller sees; where the model has another type, a
    rescale over the same range of values is put in. "auto" leaves the types as they are. TOSA has
    no uint8: it is i8 of the same bits, marked ``tosaic.unsigned``, and RESCALE reads it so.
    """

    name: ClassVar[str] = "tosaic-quantize-io"
    dtype: str = "auto"

    def run(self, module: ir.Operation) -> None:
        """Rewrite the signature of every function with a body."""
        if self.dtype != "auto" and self.dtype not in _WIDTHS:
            raise PipelineError(
                f"Pass '{self.name}' has no dtype '{self.dtype}'; choose auto, "
                f"{', '.join(_WIDTHS)}."
            )
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _quantize_signature(function, self.dtype)


def _quantize_signature(function: Any, dtype: str) -> None:
    block = function.regions[0].blocks[0]
    arguments, results = signature_attrs(function)
    start = Builder(function.location, ir.InsertionPoint.at_block_begin(block))
    for n, argument in enumerate(block.arguments):
        casts = [use.owner for use in argument.uses]
        types = {cast.results[0].type for cast in casts if cast.name == "quant.qcast"}
        if len(types) == 1 and all(cast.name == "quant.qcast" for cast in casts):
            argument.set_type(types.pop())
            params = quant_params(element_of(argument))
            assert params is not None
            outer = _outer(params, dtype)
            value = argument
            if outer != params:
                shape = shape_of(argument)
                argument.set_type(tensor(shape, outer.type()))
                value = _converted(start, argument, outer, params)
            for cast in casts:
                cast.results[0].replace_all_uses_with(value)
                cast.operation.erase()
            arguments[n] |= _described(outer)
    terminator = block.operations[len(block.operations) - 1].operation
    end = Builder(terminator.location, ir.InsertionPoint(terminator))
    for n, value in enumerate(terminator.operands):
        owner = value.owner
        if not isinstance(owner, ir.Block) and owner.name == "quant.dcast":
            source = owner.operands[0]
            params = quant_params(element_of(source))
            if params is not None and not params.per_axis:
                outer = _outer(params, dtype)
                terminator.operands[n] = (
                    source if outer == params else _converted(end, source, params, outer)
                )
                results[n] |= _described(outer)
    set_signature(function, arguments, results)


def _described(params: QuantParams) -> dict[str, ir.Attribute]:
    attributes: dict[str, ir.Attribute] = {QTYPE: ir.TypeAttr.get(params.type())}
    return attributes if params.signed else attributes | {UNSIGNED: ir.UnitAttr.get()}


def _outer(params: QuantParams, dtype: str) -> QuantParams:
    """Return parameters of `dtype` for the range of `params`."""
    bits = _WIDTHS.get(dtype, params.bits)
    signed = dtype != "uint8" if dtype != "auto" else params.signed
    scale, zero_point = params.scale, params.zero_point
    if bits > params.bits:  # int16 has no zero point: up to 255 steps on either side
        scale, zero_point = scale / 2**7, 0
    elif bits < params.bits:
        scale *= 2**8
    if not signed and params.signed:
        zero_point += 2 ** (bits - 1)
    if (bits, signed) == (params.bits, params.signed):
        return params
    low = -(2 ** (bits - 1)) if signed else 0
    return QuantParams(bits, signed, low, low + 2**bits - 1, (scale,), (zero_point,))


def _converted(b: Builder, x: ir.Value, given: QuantParams, out: QuantParams) -> ir.Value:
    multiplier, shift = multiplier_and_shift(given.scale / out.scale)
    y = b.rescale(
        b.storage(x),
        i(out.bits),
        [multiplier],
        [shift],
        zero_points=(given.zero_point, out.zero_point),
        unsigned=(not given.signed, not out.signed),
    )
    return b.scast(y, out.type())
