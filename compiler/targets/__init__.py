"""What a program is compiled for: frozen `Target` values and the registry that names them."""

from tosaic.targets import cortex_m as _cortex_m
from tosaic.targets import ethos_u as _ethos_u
from tosaic.targets import tosa as _tosa
from tosaic.targets.target import Limits, Target, all_targets, register_target, target

__all__ = ["Limits", "Target", "all_targets", "register_target", "target"]

for _value in (*_ethos_u.TARGETS, *_cortex_m.TARGETS, *_tosa.TARGETS):
    register_target(_value)
for _alias, _name in _tosa.ALIASES.items():
    register_target(target(_name), alias=_alias)
