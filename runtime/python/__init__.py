"""The embedded runtime on this machine, as firmware would use it."""

from tosaic.runtime.model import Model

__all__ = ["Model"]
