"""Ways in which models write the composites of this compiler, family by family."""

from spellings import (
    attention,
    gates,
    gelu,
    group_norm,
    layer_norm,
    masked_softmax,
    recurrent,
    rms_norm,
    rotary,
    softmax,
)
from spellings.spelling import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (
        rms_norm,
        layer_norm,
        group_norm,
        gelu,
        gates,
        softmax,
        masked_softmax,
        attention,
        rotary,
        recurrent,
    )
    for family in module.FAMILIES
}
