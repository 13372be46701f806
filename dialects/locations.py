"""Reading MLIR locations back into what a person wants to see: a name and ``file:line``."""

from __future__ import annotations

from dataclasses import dataclass

from tosaic.dialects.bindings import ir


@dataclass(frozen=True)
class SourceSite:
    """Where an op came from in the user's program; any part may be unknown (empty or 0)."""

    name: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file else ""
        if self.name and where:
            return f"'{self.name}' at {where}"
        return where or (f"'{self.name}'" if self.name else "unknown location")


def source_site(location: ir.Location) -> SourceSite:
    """Return the first name and the first file position found in `location`.

    Fused locations are searched in order, so a rewrite that fuses two ops keeps the site of the op
    it names first.
    """
    if type(location) is ir.Location:  # diagnostics carry it undowncast
        location = ir.Location.from_attr(location.attr, context=location.context)
    if isinstance(location, ir.NameLoc):
        child = source_site(location.child_loc)
        return SourceSite(str(location.name_str), child.file, child.line, child.column)
    if isinstance(location, ir.FileLineColLoc):
        return SourceSite("", str(location.filename), location.start_line, location.start_col)
    if isinstance(location, ir.CallSiteLoc):
        return source_site(location.callee)
    if isinstance(location, ir.FusedLoc):
        sites = [source_site(child) for child in location.locations]
        name = next((s.name for s in sites if s.name), "")
        placed = next((s for s in sites if s.file), SourceSite())
        return SourceSite(name, placed.file, placed.line, placed.column)
    return SourceSite()
