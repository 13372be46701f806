"""What makes artifacts of legal TOSA, one package each; others register by entry point."""

from tosaic.backends.backend import (
    Artifact,
    Artifacts,
    Backend,
    NoOptions,
    all_backends,
    backend_of,
)

__all__ = ["Artifact", "Artifacts", "Backend", "NoOptions", "all_backends", "backend_of"]
