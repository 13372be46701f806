"""What a program is compiled for: frozen `Target` values, and the table that names them."""

from tosaic.targets.table import Limits, Target, all_targets, by_name, register_target, target

__all__ = ["Limits", "Target", "all_targets", "by_name", "register_target", "target"]
