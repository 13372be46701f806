"""Writing programs out: TOSA flatbuffers, manifests, Vela's command streams, files."""

from tosaic.emit.files import read_bytes, write_bytes, write_text
from tosaic.emit.manifest import Manifest, TensorInfo, dequantize, quantize
from tosaic.emit.outline import outline_op
from tosaic.emit.serialize import deserialize, serialize, validate

__all__ = [
    "Manifest",
    "TensorInfo",
    "dequantize",
    "deserialize",
    "outline_op",
    "quantize",
    "read_bytes",
    "serialize",
    "validate",
    "write_bytes",
    "write_text",
]
