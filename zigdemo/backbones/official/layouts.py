"""Names and shapes of the official networks' weights, from the arguments of their constructors.

`layout(family, settings)` needs no network, so that a checkpoint can be identified and measured before building one.
Source: the official code at the commits used for the recorded outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...checks import number, shown, whole

Shapes = dict[str, tuple[int, ...]]
MOST_PARAMETERS, MOST_SIZE = 4 * 10**9, 2**63 - 1
TIME_FEATURES, TEXT_HEADS, GATE_RANK = 256, 512, 16  # sinusoids; 8 heads of 64; rank of DiG's gate


@dataclass(frozen=True)
class Layout:
    """Shapes outside the blocks, in every block, and those only in blocks after the middle one."""

    root: Shapes
    block: Shapes
    depth: int
    late: Shapes

    @property
    def parameters(self) -> int:
        """Number of weights, fixed tables included."""
        root, block, late = (sum(map(math.prod, part.values())) for part in (self.root, self.block, self.late))
        return root + self.depth * block + max(self.depth - self.depth // 2 - 1, 0) * late

    def shapes(self) -> Shapes:
        """Shapes of all weights by name."""
        shapes = dict(self.root)
        for i in range(self.depth):
            parts = self.block | self.late if i > self.depth // 2 else self.block
            shapes |= {f"blocks.{i}.{name}": shape for name, shape in parts.items()}
        return shapes


def _linear(name: str, outputs: int, inputs: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})


def _norm(name: str, width: int, bias: bool) -> Shapes:
    return {f"{name}.weight": (width,)} | ({f"{name}.bias": (width,)} if bias else {})


def _embedders(width: int, channels: int, patch: int) -> Shapes:
    return {
        "x_embedder.proj.weight": (width, channels, patch, patch),
        "x_embedder.proj.bias": (width,),
        **_linear("t_embedder.mlp.0", width, TIME_FEATURES),
        **_linear("t_embedder.mlp.2", width, width),
    }


@dataclass(frozen=True)
class _Settings:
    """Settings of a family, validated on access."""

    family: str
    settings: Mapping[str, Any]

    def whole(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A whole number; required unless it has a default. Raises ValueError."""
        value = self.settings.get(name)
        if value is None:
            value = default
        if value is None:
            raise ValueError(f"the config of {self.family} lacks {name!r}")
        return whole(f"{name} in the config of {self.family}", value, least, MOST_SIZE)

    def ratio(self, name: str, default: float) -> float:
        """A positive number. Raises ValueError."""
        value = self.settings.get(name, default)
        return number(f"{name} in the config of {self.family}", value, above=0, below=2**20)


def _zigma(settings: Mapping[str, Any]) -> Layout:
    checked = _Settings("ZigMa", settings)
    side, channels, width, depth = map(checked.whole, ("img_dim", "in_channels", "embed_dim", "depth"))
    patch = checked.whole("patch_size", 1)
    ssm = settings.get("ssm_cfg") or {}
    if not isinstance(ssm, Mapping):
        raise ValueError(f"ssm_cfg in the config of ZigMa must be a mapping, not {shown(ssm)}")
    mixer = _Settings("ZigMa", {name: None if value == "auto" else value for name, value in ssm.items()})
    state, taps, expand = mixer.whole("d_state", 16), mixer.whole("d_conv", 4), mixer.whole("expand", 2)
    rank = mixer.whole("dt_rank", math.ceil(width / 16))
    inner, layer_norm = expand * width, not settings.get("rms_norm", True)
    root = {**_embedders(width, channels, patch), **_linear("final_layer.linear", patch**2 * channels, width)}
    root |= _norm("norm_f", width, layer_norm)
    if settings.get("use_pe", 0) in (1, 2):
        root["pos_embed"] = (1, (side // patch) ** 2 * (checked.whole("video_frames", 0, least=0) or 1), width)
    if settings.get("tpe"):
        root["temporal_pos_embedding"] = (1, checked.whole("video_frames"), width)
    text = bool(settings.get("has_text"))
    classes = checked.whole("num_classes", -1, least=-1)
    block = {"mixer.in_proj.weight": (2 * inner, width), "mixer.out_proj.weight": (width, inner)}
    for suffix in ("", "_b") if settings.get("scan_type") == "v2" else ("",):
        block |= {
            f"mixer.A{suffix}_log": (inner, state),
            f"mixer.D{suffix}": (inner,),
            f"mixer.conv1d{suffix}.weight": (inner, 1, taps),
            f"mixer.conv1d{suffix}.bias": (inner,),
            f"mixer.x_proj{suffix}.weight": (rank + 2 * state, inner),
            **_linear(f"mixer.dt_proj{suffix}", inner, rank),
        }
    block |= _norm("norm", width, layer_norm) | _linear("adaLN_modulation.1", (6 if text else 3) * width, width)
    if text:
        root |= _linear("y_embedder", width, checked.whole("d_context"))
        for name in ("to_q", "to_k", "to_v"):
            block |= _linear(f"msa.{name}", TEXT_HEADS, width, bias=False)
        block |= _linear("msa.to_out.0", width, TEXT_HEADS)
    elif classes > 0:
        root["y_embedder.embedding_table.weight"] = (classes, width)
    return Layout(root, block, depth, {})


def _label_root(checked: _Settings) -> Shapes:
    """Shapes of DiT and DiG outside their blocks."""
    side, patch = checked.whole("input_size", 32), checked.whole("patch_size", 2)
    channels, width = checked.whole("in_channels", 4), checked.whole("hidden_size", 1152)
    outputs = patch**2 * channels * (2 if checked.settings.get("learn_sigma", True) else 1)
    root = {**_embedders(width, channels, patch), **_linear("final_layer.linear", outputs, width)}
    root["pos_embed"] = (1, (side // patch) ** 2, width)
    classes = checked.whole("num_classes", 1000, least=0)
    if classes or checked.family != "DiG":
        rows = classes + (1 if checked.settings.get("class_dropout_prob", 0.1) else 0)
        root["y_embedder.embedding_table.weight"] = (rows, width)
        root |= _linear("final_layer.adaLN_modulation.1", 2 * width, width)
    return root


def _dit(settings: Mapping[str, Any]) -> Layout:
    checked = _Settings("DiT", settings)
    width = checked.whole("hidden_size", 1152)
    inner = int(width * checked.ratio("mlp_ratio", 4.0))
    block = {
        **_linear("attn.qkv", 3 * width, width),
        **_linear("attn.proj", width, width),
        **_linear("mlp.fc1", inner, width),
        **_linear("mlp.fc2", width, inner),
        **_linear("adaLN_modulation.1", 6 * width, width),
    }
    return Layout(_label_root(checked), block, checked.whole("depth", 28), {})


def _dig(settings: Mapping[str, Any]) -> Layout:
    checked = _Settings("DiG", settings)
    width, heads = checked.whole("hidden_size", 1152), checked.whole("num_heads", 16)
    keys, values = int(width * checked.ratio("expand_k", 0.5)), int(width * checked.ratio("expand_v", 1))
    inner = 256 * math.ceil(width * 8 // 3 / 256)
    block = {
        **_linear("attn.q_proj", keys, width, bias=False),
        **_linear("attn.k_proj", keys, width, bias=False),
        **_linear("attn.v_proj", values, width, bias=False),
        **_linear("attn.g_proj", values, width, bias=False),
        **_linear("attn.gk_proj.0", GATE_RANK, width, bias=False),
        **_linear("attn.gk_proj.1", keys, GATE_RANK),
        **_linear("attn.o_proj", width, values, bias=False),
        "attn.g_norm_swish_gate.weight": (values // heads,),
        **_linear("mlp.gate_proj", 2 * inner, width, bias=False),
        **_linear("mlp.down_proj", width, inner, bias=False),
        **_linear("adaLN_modulation.1", 6 * width, width),
    }
    if settings.get("if_dw_conv"):
        kernel = checked.whole("conv_kernel_size", 3)
        block |= {"dw_conv.weight": (width, 1, kernel, kernel), "dw_conv.bias": (width,)}
    if settings.get("if_rms_norm"):
        block |= {f"{name}.weight": (width,) for name in ("attn_norm", "norm1", "mlp_norm", "norm2")}
    late = _linear("skip_linear", width, 2 * width) if settings.get("if_skip") else {}
    return Layout(_label_root(checked), block, checked.whole("depth", 28), late)


LAYOUTS: dict[str, Callable[[Mapping[str, Any]], Layout]] = {"ZigMa": _zigma, "DiT": _dit, "SiT": _dit, "DiG": _dig}


def layout(family: str, settings: Mapping[str, Any]) -> Layout:
    """Names and shapes of the official network with constructor arguments `settings`.

    family: "ZigMa", "DiT", "SiT" or "DiG". Raises ValueError with one sentence for a size that is missing or no whole
    number, and for more than MOST_PARAMETERS weights.
    """
    result = LAYOUTS[family](settings)
    if result.parameters > MOST_PARAMETERS:
        raise ValueError(
            f"the config of {family} asks for {result.parameters:,} weights, more than {MOST_PARAMETERS:,}; "
            "correct its sizes"
        )
    return result


def misfit(
    expected: Mapping[str, tuple[int, ...]], actual: Mapping[str, tuple[int, ...]], who: str = "the config"
) -> str | None:
    """The first difference between two sets of names and shapes, as a clause about `actual`; None if equal.

    who: subject that requires the expected ones.
    """
    for names, other, fault in ((expected, actual, "lacks"), (actual, expected, f"has, beyond what {who} asks for,")):
        odd = [name for name in names if name not in other]
        if odd:
            return f"{fault} {odd[0]!r:.100}{f' and {len(odd) - 1} more' if odd[1:] else ''}"
    for name, shape in expected.items():
        if tuple(actual[name]) != tuple(shape):
            return f"has {name} of shape {tuple(actual[name])}, where {who} asks for {tuple(shape)}"
    return None
