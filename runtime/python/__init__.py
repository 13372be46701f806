"""The embedded runtime on this machine, as firmware would use it."""

from tosaic.runtime.model import Model, sample_of

__all__ = ["Model", "sample_of"]
