"""What `aimv2 info` and `aimv2 models` tell of an Aria checkpoint."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlx_aimv2 import device
from mlx_aimv2.models.aria.published import Checkpoint

from . import output

if TYPE_CHECKING:
    from mlx_aimv2.models.aria.config import AriaConfig

Facts = dict[str, Any]

_CONTEXT = 4096  # tokens, whose cache is told


def published_facts(source: str, published: Checkpoint) -> Facts:
    """What is known of a published checkpoint that is not here, from a table."""
    from mlx_aimv2.models.aria.cost import PUBLISHED, parameters  # noqa: PLC0415

    facts: Facts = {
        "source": source,
        "name": published.name,
        "repo_id": published.repo_id,
        "revision": published.revision,
        "licence": published.licence,
        "folder": None,
        "layout": None,
        "dtype": "bfloat16",
        "quantization": None,
        "size_bytes": 2 * parameters(PUBLISHED).total,
    }
    return facts | sizes(PUBLISHED) | {"tokens_per_text": published.context}


def sizes(config: "AriaConfig") -> Facts:
    """Sizes, parameters and FLOPs, computed from a config."""
    from mlx_aimv2.models.aria import cost  # noqa: PLC0415

    vision, text, counts = config.vision_config, config.text_config, cost.parameters(config)
    sides = [
        {"side_px": side, "tokens": tokens, "flops": cost.image_flops(config, patches)}
        for side, (patches, tokens) in zip(
            config.sides_px, sorted(config.queries.items()), strict=True
        )
    ]
    return {
        "kind": "aria",
        "architecture": cost.architecture_name(vision),
        "side_px": vision.image_size,
        "patch_size": vision.patch_size,
        "hidden_size": text.hidden_size,
        "num_hidden_layers": text.num_hidden_layers,
        "num_attention_heads": text.num_attention_heads,
        "moe_num_experts": text.moe_num_experts,
        "moe_topk": text.moe_topk,
        "embedding_width": None,
        "parameters": asdict(counts)
        | {"total": counts.total, "per_token": cost.token_parameters(config)},
        "sides": sides,
        "tokens_per_image": sides[-1]["tokens"],
        "flops_per_image": sides[-1]["flops"],
        "tokens_per_text": text.max_position_embeddings,
    }


def memory_of_published() -> Facts:
    """Memory of a published checkpoint, as it is published."""
    from mlx_aimv2.models.aria.cost import PUBLISHED  # noqa: PLC0415

    return memory(PUBLISHED, None)


def memory(config: "AriaConfig", quantization: Facts | None) -> Facts:
    """Memory in use, and what fewer bits would take; ``quantization`` is that on disk."""
    import mlx.core as mx  # noqa: PLC0415

    from mlx_aimv2.checkpoints.memory import loaded_bytes  # noqa: PLC0415
    from mlx_aimv2.checkpoints.quantize import BITS  # noqa: PLC0415
    from mlx_aimv2.models.aria.cost import cache_bytes  # noqa: PLC0415
    from mlx_aimv2.models.registry import family_of  # noqa: PLC0415

    dtype: mx.Dtype = getattr(mx, device.default_dtype(family_of(config).half))
    recorded = (quantization["bits"], quantization["group_size"]) if quantization else ()
    return {
        "device": "cpu" if device.is_cpu() else "gpu",
        "dtype": device.default_dtype(family_of(config).half),
        "weights_bytes": loaded_bytes(config, dtype, *recorded),
        "quantized_bytes": {str(bits): loaded_bytes(config, dtype, bits) for bits in BITS},
        "context_tokens": _CONTEXT,
        "context_bytes": cache_bytes(config.text_config, _CONTEXT, dtype.size),
        "room_bytes": device.room_bytes(),
    }


def what(facts: Facts) -> list[tuple[str, str]]:
    """The rows of `aimv2 info` that tell what an Aria is."""
    millions = {name: f"{count / 1e6:.1f}" for name, count in facts["parameters"].items()}
    return [
        ("kind", "pictures and texts in, texts out: no embeddings"),
        (
            "architecture",
            f"{facts['architecture']} ({facts['num_hidden_layers']} blocks, width "
            f"{facts['hidden_size']}, {facts['num_attention_heads']} heads, "
            f"{facts['moe_topk']} of {facts['moe_num_experts']} experts a token)",
        ),
        (
            "parameters",
            "{total} M (image {image}, text {text}, joint {joint}), {per_token} M of them for a "
            "token".format_map(millions),
        ),
    ]


def needs(facts: Facts) -> list[tuple[str, str]]:
    """The rows of `aimv2 info` that tell what an Aria needs."""
    memory = facts["memory"]
    sides = [
        f"{side['tokens']} tokens and {side['flops'] / 1e12:.3g} TFLOP at {side['side_px']} px"
        for side in facts["sides"]
    ]
    bits = f"{facts['quantization']['bits']} bits and " if facts["quantization"] else ""
    packed = [f"{output.size(size)} in {bits}" for bits, size in memory["quantized_bytes"].items()]
    return [
        ("a picture", ", ".join(sides)),
        ("context", f"{facts['tokens_per_text']} tokens"),
        (
            "memory",
            f"{output.size(memory['weights_bytes'])} of weights in {bits}{memory['dtype']}, "
            f"{output.size(memory['context_bytes'])} for {memory['context_tokens']} tokens "
            f"({memory['device'].upper()}: {output.size(memory['room_bytes'])} there)",
        ),
        ("in few bits", f"weights take {', '.join(packed)} bits"),
    ]
