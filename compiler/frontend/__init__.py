"""Import: nn.Module or ExportedProgram to a torch-dialect module."""

from tosaic.frontend.export import export_model
from tosaic.frontend.importer import import_program

__all__ = ["export_model", "import_program"]
