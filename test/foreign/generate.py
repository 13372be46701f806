"""Remake the .pt2 files of this folder: blocks of other people's packages, tiny, of random weights.

Needs an environment of its own, with the project's torch and, installed with `--no-deps`,
transformers 5.24.0, timm 1.0.31 and torchvision 0.28.0 (and what they import). No file holds a path
of the machine that made it: stack traces name files from the package's root.

    python test/foreign/generate.py [NAME …]
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

HERE = Path(__file__).resolve().parent
_FRAME = re.compile(r'  File "([^"]+)"(, line \d+, in .*)\n')
_MOST_BYTES = 150_000
Block = tuple[nn.Module, tuple[Tensor, ...]]
BLOCKS: dict[str, Callable[[], Block]] = {}


def block(make: Callable[[], Block]) -> Callable[[], Block]:
    """Enter a function that returns a module and inputs to export it on."""
    BLOCKS[make.__name__] = make
    return make


class First(nn.Module):
    """The first result of `module`, whose argument names are `names`."""

    def __init__(self, module: nn.Module, *names: str, **fixed: Any) -> None:
        super().__init__()
        self.module, self.names, self.fixed = module, names, fixed

    def forward(self, *inputs: Tensor) -> Tensor:
        result = self.module(**dict(zip(self.names, inputs, strict=True)), **self.fixed)
        return result if isinstance(result, Tensor) else result[0]


TOKENS = 12
SIZES = {
    "vocab_size": 8,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}


def _tokens() -> Tensor:
    return torch.randn(1, TOKENS, 32)


def _image(size: int = 32) -> Tensor:
    return torch.randn(1, 3, size, size)


def _decoder(kind: str, **given: Any) -> Block:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        **SIZES, num_key_value_heads=2, head_dim=8, pad_token_id=0, **given
    )
    model = getattr(transformers, f"{kind}Model")(config)
    return First(model, "inputs_embeds", use_cache=False), (_tokens(),)


@block
def llama_sdpa() -> Block:
    return _decoder("Llama", attn_implementation="sdpa")


@block
def qwen2_eager() -> Block:
    return _decoder("Qwen2", attn_implementation="eager")


@block
def gemma_eager() -> Block:
    return _decoder("Gemma", attn_implementation="eager")


def _bert(attention: str) -> Block:
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(**SIZES, attn_implementation=attention), add_pooling_layer=False)
    mask = torch.ones(1, TOKENS, dtype=torch.int64)
    mask[:, -3:] = 0
    return First(model, "inputs_embeds", "attention_mask"), (_tokens(), mask)


@block
def bert_eager() -> Block:
    return _bert("eager")


@block
def bert_sdpa() -> Block:
    return _bert("sdpa")


@block
def t5_encoder() -> Block:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=8, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, dropout_rate=0.0
    )
    return First(T5EncoderModel(config), "inputs_embeds"), (_tokens(),)


@block
def gpt2_eager() -> Block:
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(
        vocab_size=8, n_positions=32, n_embd=32, n_layer=2, n_head=4, attn_implementation="eager"
    )
    return First(GPT2Model(config), "inputs_embeds", use_cache=False), (_tokens(),)


@block
def mamba_mixer() -> Block:
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(vocab_size=8, hidden_size=16, state_size=4, num_hidden_layers=1)
    layer = MambaModel(config).layers[0]  # a layer made alone has parameters that nobody set
    return First(layer, "hidden_states"), (torch.randn(1, 6, 16),)


@block
def whisper_layer() -> Block:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

    config = WhisperConfig(
        d_model=32, encoder_attention_heads=4, encoder_ffn_dim=64, attn_implementation="eager"
    )
    layer = WhisperEncoderLayer(config)
    return First(layer, "hidden_states", attention_mask=None), (_tokens(),)


@block
def timm_vit() -> Block:
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=16, patch_size=4, embed_dim=32, depth=2, num_heads=4, num_classes=10, mlp_ratio=2,
        init_values=0.5,
    )  # fmt: skip
    return model, (_image(16),)


@block
def timm_convnext() -> Block:
    from timm.models.convnext import ConvNeXt

    model = ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 12, 16, 20), num_classes=10, ls_init_value=0.5)
    return model, (_image(),)


@block
def timm_convnext_block() -> Block:
    from timm.models.convnext import ConvNeXtBlock

    return ConvNeXtBlock(16, ls_init_value=0.5, conv_mlp=True), (torch.randn(1, 16, 8, 8),)


@block
def timm_swin() -> Block:
    from timm.models.swin_transformer import SwinTransformer

    model = SwinTransformer(
        img_size=16, patch_size=2, window_size=4, embed_dim=16, depths=(2,), num_heads=(2,),
        num_classes=10, mlp_ratio=2,
    )  # fmt: skip
    return model, (_image(16),)


@block
def timm_efficientnet_block() -> Block:
    from timm.layers import SqueezeExcite
    from timm.models._efficientnet_blocks import InvertedResidual

    piece = InvertedResidual(16, 16, exp_ratio=2, se_layer=SqueezeExcite, act_layer=nn.SiLU)
    return piece, (torch.randn(1, 16, 8, 8),)


@block
def timm_mobilevit_block() -> Block:
    from timm.models.mobilevit import MobileVitBlock

    piece = MobileVitBlock(16, transformer_dim=24, transformer_depth=1, num_heads=2, patch_size=2)
    return piece, (torch.randn(1, 16, 8, 8),)


@block
def timm_levit_attention() -> Block:
    from timm.models.levit import Attention

    return Attention(dim=32, key_dim=8, num_heads=2, resolution=(4, 4)), (torch.randn(1, 16, 32),)


@block
def torchvision_raft_block() -> Block:
    from torchvision.models.optical_flow.raft import ResidualBlock

    return ResidualBlock(16, 16, norm_layer=nn.InstanceNorm2d), (torch.randn(1, 16, 8, 8),)


@block
def torchvision_fcos_head() -> Block:
    from torchvision.models.detection.fcos import FCOSRegressionHead

    head = FCOSRegressionHead(32, num_anchors=1, num_convs=1)
    return Levels(head), (torch.randn(1, 32, 6, 6),)


class Levels(nn.Module):
    """A detector's head on one level of features."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        boxes, centredness = self.head([x])
        return boxes, centredness


@block
def torchvision_swin_block() -> Block:
    from torchvision.models.swin_transformer import SwinTransformerBlockV2

    piece = SwinTransformerBlockV2(16, 2, [4, 4], [2, 2], mlp_ratio=2.0)
    return piece, (torch.randn(1, 8, 8, 16),)


@block
def torchvision_mobilenetv3_block() -> Block:
    from functools import partial

    from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig

    config = InvertedResidualConfig(16, 3, 32, 16, True, "HS", 1, 1, 1.0)
    piece = InvertedResidual(config, partial(nn.BatchNorm2d, eps=0.001))
    return piece, (torch.randn(1, 16, 8, 8),)


def settle(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Give random weights the spread of trained ones, and batch norms statistics of data.

    A norm's weight that starts as zero, which would make its output zero, starts as one.
    """
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() >= 2 and value.std() < 0.05:
                value.copy_(torch.randn_like(value) / value[0].numel() ** 0.5)
        for module in model.modules():
            if "norm" in type(module).__name__.lower():
                for name, value in module.named_parameters(recurse=False):
                    if name == "weight" and not value.any():
                        value.fill_(1.0)
                    value.add_(0.2 * torch.randn_like(value))
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
        for norm in norms:
            norm.train().momentum = None
        for _ in range(8):
            model(*(_shifted(x) for x in inputs))
        for norm in norms:
            norm.eval()


def _shifted(x: Tensor) -> Tensor:
    return torch.randn_like(x) + torch.randn(()) if x.is_floating_point() else x


def strip(program: torch.export.ExportedProgram) -> None:
    """Leave of each stack trace the frames of packages, by their path from the package's root.

    Lines of their code are left out.
    """
    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in module.graph.nodes:
            node.meta["stack_trace"] = _stripped(node.meta.get("stack_trace") or "")


def _stripped(trace: str) -> str:
    kept = []
    for frame in _FRAME.finditer(trace):
        _, found, inside = frame[1].rpartition("site-packages/")
        if found and not inside.startswith("torch/"):
            kept.append(f'  File "{inside}"{frame[2]}\n')
    return "".join(kept)


def write(name: str) -> int:
    """Write one block's file and return its size in bytes."""
    torch.manual_seed(0)
    model, inputs = BLOCKS[name]()
    model.eval()
    settle(model, inputs)
    with torch.no_grad():
        program = torch.export.export(model, inputs)
    strip(program)
    file = HERE / f"{name}.pt2"
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    with (
        zipfile.ZipFile(buffer) as archive,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in archive.namelist():
            data = archive.read(entry)
            for root in (str(HERE.parents[1]), sys.prefix, sys.base_prefix, str(Path.home())):
                assert f"{root}/".encode() not in data, f"{name}: {entry} holds {root}"
            packed.writestr(zipfile.ZipInfo(entry), data, zipfile.ZIP_DEFLATED)
    size = file.stat().st_size
    assert size <= _MOST_BYTES, f"{name} has {size} bytes"
    return size


def main(names: list[str]) -> None:
    """Write the files of `names`, or all."""
    from torch.library import Library

    vision = Library("torchvision", "DEF")  # its C++ operators are not in a CPU environment
    for op in ("nms", "qnms"):
        vision.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in names or BLOCKS:
        print(f"{name}: {write(name)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
