"""Reports for people: where cycles and memory of a compiled program go."""

from tosaic.backends.ethos_u.cycles import cycles_by_operator, cycles_by_site, format_cycles

__all__ = ["cycles_by_operator", "cycles_by_site", "format_cycles"]
