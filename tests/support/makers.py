"""Random checkpoints in every published layout, written without the code under test.

Sizes are primes or near them where the architecture allows, so that a transposed or swapped
axis cannot go unnoticed.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

Tensors = dict[str, np.ndarray]

VISION = {"width": 76, "mlp": 101, "blocks": 3, "heads": 2, "patch": 7, "side": 35}
TEXT = {"width": 44, "mlp": 59, "blocks": 2, "heads": 2, "vocab": 97, "positions": 13}
PROJECTION = 37


def random_trunk(rng: np.random.Generator, width: int, mlp: int, blocks: int) -> Tensors:
    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def scale() -> np.ndarray:
        return (1 + 0.1 * rng.standard_normal(width)).astype(np.float32)

    tensors = {}
    for block in range(blocks):
        start = f"trunk.blocks.{block}"
        tensors |= {
            f"{start}.attn.qkv.weight": normal(3 * width, width),
            f"{start}.attn.proj.weight": normal(width, width),
            f"{start}.mlp.fc1.weight": normal(mlp, width),
            f"{start}.mlp.fc2.weight": normal(width, mlp),
            f"{start}.mlp.fc3.weight": normal(mlp, width),
            f"{start}.norm_1.weight": scale(),
            f"{start}.norm_2.weight": scale(),
        }
    return tensors | {"trunk.post_trunk_norm.weight": scale()}


def random_vision(
    seed: int = 0, *, native: bool = False, head: bool = False, sizes: dict[str, int] = VISION
) -> Tensors:
    """A vision encoder in Apple's torch layout."""
    rng = np.random.default_rng(seed)
    width, patch = sizes["width"], sizes["patch"]
    tensors = {
        "preprocessor.patchifier.proj.weight": rng.standard_normal((width, 3, patch, patch)) / 12,
        "preprocessor.patchifier.proj.bias": rng.standard_normal(width) / 5,
        "preprocessor.patchifier.norm.weight": 1 + rng.standard_normal(width) / 10,
    }
    if not native:
        patches = (sizes["side"] // patch) ** 2
        tensors["preprocessor.pos_embed"] = rng.standard_normal((1, patches, width)) / 3
    tensors |= random_trunk(rng, width, sizes["mlp"], sizes["blocks"])
    if head:
        for name in ("head.k.weight", "head.v.weight", "head.linear.weight"):
            tensors[name] = rng.standard_normal((width, width)) / np.sqrt(width)
        tensors["head.cls_token"] = rng.standard_normal((1, 1, width))
        tensors["head.linear.bias"] = rng.standard_normal(width) / 5
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def random_lit(
    seed: int = 0, *, vision: dict[str, int] = VISION, text: dict[str, int] = TEXT
) -> Tensors:
    """A LiT checkpoint in Apple's torch layout."""
    rng = np.random.default_rng(seed + 1000)
    width = text["width"]
    tower = {
        "preprocessor.text_embedding.weight": rng.standard_normal((text["vocab"], width)),
        "preprocessor.positional_embedding": rng.standard_normal((text["positions"], width)) / 3,
    } | random_trunk(rng, width, text["mlp"], text["blocks"])
    image = random_vision(seed, head=True, sizes=vision)
    shared = {
        "image_projector.weight": rng.standard_normal((PROJECTION, vision["width"])) / 9,
        "text_projector.weight": rng.standard_normal((PROJECTION, width)) / 7,
        "log_logit_scale": np.array(3.1),
    }
    tensors = {f"image_encoder.{name}": array for name, array in image.items()}
    tensors |= {f"text_encoder.{name}": array for name, array in tower.items()} | shared
    return {name: np.asarray(array, np.float32) for name, array in tensors.items()}


def to_apple_mlx(tensors: Tensors) -> Tensors:
    return {
        name: np.ascontiguousarray(array.transpose(0, 2, 3, 1))
        if name.endswith("patchifier.proj.weight")
        else array
        for name, array in tensors.items()
    }


def to_transformers(tensors: Tensors) -> Tensors:
    renamed: Tensors = {}
    for name, array in tensors.items():
        new = name
        for old, replacement in (
            ("image_encoder.", "vision_model."),
            ("text_encoder.", "text_model."),
            ("preprocessor.patchifier.proj", "embeddings.patch_embed"),
            ("preprocessor.patchifier.norm", "embeddings.rms_norm"),
            ("preprocessor.pos_embed", "embeddings.position_embedding.weight"),
            ("preprocessor.positional_embedding", "embeddings.position_embedding.weight"),
            ("preprocessor.text_embedding", "embeddings.token_embedding"),
            ("trunk.blocks.", "encoder.layers."),
            ("trunk.post_trunk_norm", "rms_norm"),
            ("attn.proj", "attention.out_proj"),
            ("mlp.fc1", "ffn.gate_proj"),
            ("mlp.fc3", "ffn.up_proj"),
            ("mlp.fc2", "ffn.down_proj"),
            ("norm_1", "rms_norm1"),
            ("norm_2", "rms_norm2"),
            ("head.k.", "head.k_proj."),
            ("head.v.", "head.v_proj."),
            ("head.linear.", "head.output_proj."),
            ("image_projector", "visual_projection"),
            ("text_projector", "text_projection"),
            ("log_logit_scale", "logit_scale"),
        ):
            new = new.replace(old, replacement)
        if "attn.qkv" in name:
            for part, rows in zip("qkv", np.split(array, 3), strict=True):
                key = new.replace("attn.qkv", f"attention.{part}_proj")
                renamed[key] = np.ascontiguousarray(rows)
        else:
            renamed[new] = array[0] if name.endswith("pos_embed") else array
    return renamed


def to_timm(tensors: Tensors) -> Tensors:
    renamed = {}
    for name, array in tensors.items():
        new = name
        for old, replacement in (
            ("preprocessor.patchifier.", "patch_embed."),
            ("preprocessor.pos_embed", "pos_embed"),
            ("trunk.blocks.", "blocks."),
            ("trunk.post_trunk_norm", "norm"),
            ("mlp.fc1", "mlp.fc1_g"),
            ("mlp.fc3", "mlp.fc1_x"),
            ("norm_1", "norm1"),
            ("norm_2", "norm2"),
        ):
            new = new.replace(old, replacement)
        renamed[new] = array
    return renamed


def vision_config(sizes: dict[str, int] = VISION, *, native: bool = False) -> dict[str, object]:
    """An old-style vision config.json."""
    config = {
        "architectures": ["AIMv2Model"],
        "model_type": "aimv2",
        "hidden_size": sizes["width"],
        "intermediate_size": sizes["mlp"],
        "num_hidden_layers": sizes["blocks"],
        "num_attention_heads": sizes["heads"],
        "num_channels": 3,
        "image_size": sizes["side"],
        "patch_size": sizes["patch"],
        "rms_norm_eps": 1e-5,
        "qkv_bias": False,
        "use_bias": False,
    }
    if native:
        del config["image_size"]
        config["num_queries"] = 256
    return config


def lit_config(vision: dict[str, int] = VISION, text: dict[str, int] = TEXT) -> dict[str, object]:
    """An old-style LiT config.json."""
    return {
        "architectures": ["AIMv2Model"],
        "model_type": "aimv2",
        "init_temperature": 0.07,
        "max_logit_scale": 100.0,
        "projection_dim": PROJECTION,
        "vision_config": vision_config(vision),
        "text_config": {
            "hidden_size": text["width"],
            "intermediate_size": text["mlp"],
            "num_hidden_layers": text["blocks"],
            "num_attention_heads": text["heads"],
            "vocab_size": text["vocab"],
            "max_context_length": text["positions"],
            "eos_token_id": text["vocab"] - 1,
            "is_causal": True,
            "rms_norm_eps": 1e-5,
        },
    }


def write_checkpoint(
    folder: Path,
    tensors: Tensors,
    config: dict[str, object] | None,
    file: str = "model.safetensors",
    metadata: dict[str, str] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    save_file(contiguous, folder / file, metadata)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def random_ids(rng: np.random.Generator, texts: int, sizes: dict[str, int] = TEXT) -> np.ndarray:
    """Ragged ids, padded with the end token; the last row fills every position."""
    eos, positions = sizes["vocab"] - 1, sizes["positions"]
    ids = np.full((texts, positions), eos, np.int32)
    for row in range(texts):
        length = positions - 1 if row == texts - 1 else int(rng.integers(1, positions - 1))
        ids[row, :length] = rng.integers(0, eos, length)
    return ids


def write_kind(kind: str, folder: Path) -> Path:
    """A checkpoint on disk: "lit", "lit of transformers", "fixed", "head" or "native"."""
    if kind == "lit":
        return write_checkpoint(folder, random_lit(), lit_config())
    if kind == "lit of transformers":
        return write_checkpoint(folder, to_transformers(random_lit()), lit_config())
    native, head = kind == "native", kind == "head"
    tensors = random_vision(native=native, head=head)
    return write_checkpoint(folder, tensors, vision_config(native=native))
