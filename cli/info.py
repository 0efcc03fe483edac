"""``aimv2 info``: what a checkpoint is and what it needs, from its headers alone."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlx_aimv2 import device
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.inference.image_options import MODEL_HELP
from mlx_aimv2.models.aimv2.published import Checkpoint
from mlx_aimv2.models.aria.published import Checkpoint as AriaCheckpoint
from mlx_aimv2.models.published import find
from mlx_aimv2.options import argument

from . import aria_facts, output
from .options import JSON, YES, confirm_download

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Resolved
    from mlx_aimv2.models.aimv2.config import VisionConfig
    from mlx_aimv2.models.network import EmbeddingConfig

EXAMPLES = """
aimv2 info lit
aimv2 info ./my-checkpoint --json
"""

Facts = dict[str, Any]

_NATIVE_EXAMPLE_PX = (640, 480)  # a native checkpoint's work depends on the image
_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Options:
    """What ``aimv2 info`` takes."""

    source: str = argument(help=MODEL_HELP, metavar="SOURCE")
    as_json: bool = JSON()
    yes: bool = YES()


def info(options: Options) -> None:
    """Tell what a checkpoint is and needs: sizes, precision, work per image, memory.

    Only the headers of its files are read. A published checkpoint that is not here is told from
    a table: nothing is downloaded for it.
    """
    facts = describe(options.source, yes=options.yes)
    if options.as_json:
        output.record(facts)
    else:
        output.table(_lines(facts))


def describe(source: str, *, yes: bool = False) -> Facts:
    """All that is known of a checkpoint without reading its weights.

    Errors: as ``hub.resolve`` for a source that is not here; CheckpointError for its files.
    """
    from mlx_aimv2.checkpoints import hub  # noqa: PLC0415

    published = find(source)
    if published is None:
        return _describe_folder(hub.resolve(source, confirm=confirm_download(yes)))
    folder = hub.cached(published)
    if folder is None:
        facts = describe_published(source, published)
        if isinstance(published, AriaCheckpoint):
            facts["memory"] = aria_facts.memory_of_published()
        return facts
    origin = published.repo_id, published.revision
    return _describe_folder(hub.Resolved(source, folder, published.name, *origin, published))


def describe_published(source: str, published: Checkpoint | AriaCheckpoint) -> Facts:
    """What is known of a published checkpoint that is not here, from a table."""
    if isinstance(published, AriaCheckpoint):
        return aria_facts.published_facts(source, published)
    from mlx_aimv2.models.aimv2.cost import published_bytes, published_config  # noqa: PLC0415

    facts: Facts = {
        "source": source,
        "name": published.name,
        "repo_id": published.repo_id,
        "revision": published.revision,
        "licence": published.licence,
        "folder": None,
        "layout": None,
        "dtype": "float32",
        "quantization": None,
        "size_bytes": published_bytes(published),
    }
    return facts | _costs(published_config(published), facts)


def _describe_folder(resolved: "Resolved") -> Facts:
    from mlx_aimv2.checkpoints.load import empty_network  # noqa: PLC0415
    from mlx_aimv2.checkpoints.model_card import stated_licence  # noqa: PLC0415
    from mlx_aimv2.checkpoints.safetensors_file import DTYPE_NAMES  # noqa: PLC0415
    from mlx_aimv2.checkpoints.weights import read_weights  # noqa: PLC0415
    from mlx_aimv2.models.aria.config import AriaConfig  # noqa: PLC0415
    from mlx_aimv2.models.registry import embedding_config  # noqa: PLC0415

    weights = read_weights(resolved.folder)
    empty_network(weights)
    facts: Facts = {
        "source": escape(resolved.source),
        "name": escape(resolved.name),
        "repo_id": resolved.repo_id,
        "revision": resolved.revision,
        "licence": stated_licence(resolved),
        "folder": escape(str(resolved.folder)),
        "layout": weights.layout,
        "dtype": DTYPE_NAMES[weights.dtype],
        "quantization": weights.quantization,
        "size_bytes": weights.size_bytes,
    }
    if isinstance(config := weights.config, AriaConfig):
        needs = aria_facts.memory(config, facts["quantization"])
        return facts | aria_facts.sizes(config) | {"memory": needs}
    return facts | _costs(embedding_config(config), facts)


def _costs(config: "EmbeddingConfig", facts: Facts) -> Facts:
    """Parameters, FLOPs and memory, computed from the sizes in a config."""
    from mlx_aimv2.models.registry import family_of  # noqa: PLC0415

    vision, text, cost = config.vision_config, config.text_config, family_of(config).cost
    tokens = _tokens(vision)
    counts = cost.parameters(config)
    return {
        "kind": "lit" if text else "native" if vision.is_native else "fixed",
        "architecture": cost.architecture_name(vision),
        "side_px": vision.image_size,
        "patch_size": vision.patch_size,
        "hidden_size": vision.hidden_size,
        "num_hidden_layers": vision.num_hidden_layers,
        "num_attention_heads": vision.num_attention_heads,
        "embedding_width": config.embedding_width,
        "parameters": asdict(counts) | {"total": counts.total},
        "tokens_per_image": tokens,
        "flops_per_image": cost.image_flops(config, tokens),
        "tokens_per_text": text.max_position_embeddings if text else None,
        "flops_per_text": cost.text_flops(config) if text else None,
        "memory": _memory(config, tokens, counts.total, facts),
    }


def _tokens(vision: "VisionConfig") -> int:
    from mlx_aimv2.images import patches  # noqa: PLC0415

    if not vision.is_native:
        return vision.grid_side**2
    _, (rows, columns) = patches.grid_of(*_NATIVE_EXAMPLE_PX, vision.patch_size)
    return rows * columns


def _memory(config: "EmbeddingConfig", tokens: int, parameters: int, facts: Facts) -> Facts:
    from mlx_aimv2.inference.preprocessing import BATCH_TOKENS  # noqa: PLC0415
    from mlx_aimv2.models.registry import family_of  # noqa: PLC0415

    dtype, on_cpu = device.default_dtype(), device.is_cpu()
    stays_packed = facts["quantization"] is not None and not on_cpu
    images = max(1, BATCH_TOKENS // tokens)
    return {
        "device": "cpu" if on_cpu else "gpu",
        "dtype": dtype,
        "weights_bytes": facts["size_bytes"] if stays_packed else parameters * _ITEM_BYTES[dtype],
        "batch_images": images,
        "batch_bytes": family_of(config).cost.batch_bytes(
            config.vision_config, tokens, images, _ITEM_BYTES[dtype], is_fused=not on_cpu
        ),
    }


def _lines(facts: Facts) -> list[tuple[str, str]]:
    quantization = facts["quantization"]
    is_aria = facts["kind"] == "aria"
    return [
        ("name", facts["name"]),
        *(aria_facts.what(facts) if is_aria else _what(facts)),
        ("on disk", f"{output.size(facts['size_bytes'])}, {facts['dtype']}"),
        (
            "quantised",
            f"{quantization['bits']} bits, groups of {quantization['group_size']}"
            if quantization
            else "no",
        ),
        *(aria_facts.needs(facts) if is_aria else _needs(facts)),
        ("layout", facts["layout"] or "not known before it is here"),
        ("revision", facts["revision"] or _unpinned(facts)),
        ("licence", facts["licence"] or "not stated"),
        ("folder", facts["folder"] or "not here: it is downloaded when it is first used"),
    ]


def _unpinned(facts: Facts) -> str:
    return "main, as it is when it is fetched" if facts["repo_id"] else "none: a local folder"


def _what(facts: Facts) -> list[tuple[str, str]]:
    return [
        ("kind", _kind(facts)),
        (
            "architecture",
            f"{facts['architecture']} ({facts['num_hidden_layers']} blocks, width "
            f"{facts['hidden_size']}, {facts['num_attention_heads']} heads)",
        ),
        ("embedding", f"{facts['embedding_width']} numbers an image"),
        ("parameters", _millions(facts["parameters"])),
    ]


def _needs(facts: Facts) -> list[tuple[str, str]]:
    memory = facts["memory"]
    return [
        ("work", _work(facts)),
        (
            "memory",
            f"{output.size(memory['weights_bytes'])} of weights in {memory['dtype']}, about "
            f"{output.size(memory['batch_bytes'])} for "
            f"{output.counted(memory['batch_images'], 'image')} at once "
            f"({memory['device'].upper()})",
        ),
    ]


def _kind(facts: Facts) -> str:
    if facts["kind"] == "native":
        return f"vision, any size (patches of {facts['patch_size']} px)"
    side = f"{facts['side_px']} px"
    return f"vision and text (LiT), {side}" if facts["kind"] == "lit" else f"vision, {side}"


def _millions(counts: dict[str, int]) -> str:
    total = f"{counts['total'] / 1e6:.1f} M"
    if not counts["text"]:
        return total
    parts = ", ".join(f"{name} {counts[name] / 1e6:.1f}" for name in ("image", "text", "joint"))
    return f"{total} ({parts})"


def _work(facts: Facts) -> str:
    size = " of {}×{}".format(*_NATIVE_EXAMPLE_PX) if facts["kind"] == "native" else ""
    patches = facts["tokens_per_image"]
    text = f"{_giga(facts['flops_per_image'])} per image{size} ({patches} patches)"
    if facts["flops_per_text"]:
        tokens = facts["tokens_per_text"]
        text += f", {_giga(facts['flops_per_text'])} per text ({tokens} tokens)"
    return text


def _giga(flops: int) -> str:
    return f"{flops / 1e9:.3g} GFLOP" if flops < 1e12 else f"{flops / 1e12:.3g} TFLOP"
