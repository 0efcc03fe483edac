"""What a configuration costs: parameters, FLOPs and memory, by arithmetic alone."""

from ..family import Parameters
from .config import LiTConfig, TextConfig, VisionConfig
from .published import ARCHITECTURES, NUM_BLOCKS, Checkpoint

# Source: config.json of aimv2-large-patch14-224-lit.
_PUBLISHED_TEXT = TextConfig(
    vocab_size=49408,
    hidden_size=768,
    intermediate_size=2048,
    num_hidden_layers=12,
    num_attention_heads=6,
    max_position_embeddings=77,
)
_PUBLISHED_PROJECTION = 768
_FLOAT32_BYTES = 4

# Measured with MLX 0.32 on a CPU at widths 256 to 1024 and 256 to 4,096 tokens: the peak above
# the weights does not depend on depth, because blocks free what they used. A CPU holds attention
# maps too, of some queries at a time (cpu.attention).
_WIDTHS_PER_TOKEN = 28
_WIDTHS_PER_TOKEN_UNFUSED = 35
_MAPS, _MOST_MAPS_BYTES = 8, 16_000_000


def published_config(checkpoint: Checkpoint) -> VisionConfig | LiTConfig:
    """The sizes of a published checkpoint, from the tables alone."""
    architecture = ARCHITECTURES[checkpoint.architecture]
    vision = VisionConfig(
        architecture.hidden_size,
        architecture.intermediate_size,
        NUM_BLOCKS,
        architecture.num_attention_heads,
        image_size=checkpoint.side_px,
        is_native=checkpoint.side_px is None,
        use_head=checkpoint.has_text,
    )
    if not checkpoint.has_text:
        return vision
    return LiTConfig(vision, _PUBLISHED_TEXT, _PUBLISHED_PROJECTION)


def architecture_name(vision: VisionConfig) -> str:
    """L, H, 1B or 3B; "custom" for any other sizes."""
    known = {
        (a.hidden_size, a.intermediate_size, a.num_attention_heads, NUM_BLOCKS): a.name
        for a in ARCHITECTURES.values()
    }
    sizes = (vision.hidden_size, vision.intermediate_size, vision.num_attention_heads)
    return known.get((*sizes, vision.num_hidden_layers), "custom")


def parameters(config: VisionConfig | LiTConfig) -> Parameters:
    """How many numbers a checkpoint of these sizes holds."""
    vision, text = config.vision_config, config.text_config
    if text is None:
        return Parameters(_vision_parameters(vision))
    joint = (vision.hidden_size + text.hidden_size) * config.embedding_width + 1
    embeddings = (text.vocab_size + text.max_position_embeddings) * text.hidden_size
    return Parameters(_vision_parameters(vision), embeddings + _trunk_parameters(text), joint)


def published_bytes(checkpoint: Checkpoint) -> int:
    """Tensor data of one copy of a published checkpoint; every published file is float32."""
    return parameters(published_config(checkpoint)).total * _FLOAT32_BYTES


def image_flops(config: VisionConfig | LiTConfig, tokens: int) -> int:
    """FLOPs to embed one image of so many tokens.

    2lN(4d² + 3dm) + 4lN²d + 2N·588·d for the trunk, and what the pooling head and the projection
    of a LiT add.
    """
    vision = config.vision_config
    width = vision.hidden_size
    flops = _trunk_flops(vision, tokens) + 2 * tokens * vision.patch_width * width
    if vision.use_head:
        flops += 4 * tokens * width**2 + 4 * tokens * width + 2 * width**2
    if config.text_config is not None:
        flops += 2 * width * config.embedding_width
    return flops


def text_flops(config: LiTConfig) -> int:
    """FLOPs to embed one text that fills the context."""
    text = config.text_config
    trunk = _trunk_flops(text, text.max_position_embeddings)
    return trunk + 2 * text.hidden_size * config.projection_dim


def batch_bytes(
    vision: VisionConfig, tokens: int, images: int, item_bytes: int, *, is_fused: bool
) -> int:
    """Memory that encoding a batch takes beside the weights, to within a third.

    ``item_bytes`` is the size of one number; ``is_fused`` tells whether attention maps are ever
    in memory, which they are on a CPU.
    """
    widths = images * tokens * vision.hidden_size * item_bytes
    if is_fused:
        return _WIDTHS_PER_TOKEN * widths
    maps = _MAPS * images * vision.num_attention_heads * tokens**2 * item_bytes
    return _WIDTHS_PER_TOKEN_UNFUSED * widths + min(maps, _MOST_MAPS_BYTES)


def _vision_parameters(vision: VisionConfig) -> int:
    width = vision.hidden_size
    patch = vision.patch_width * width + 2 * width  # projection, bias, norm
    positions = 0 if vision.is_native else vision.grid_side**2 * width
    head = 3 * width**2 + 2 * width if vision.use_head else 0  # k, v, linear; token, bias
    return patch + positions + _trunk_parameters(vision) + head


def _trunk_parameters(tower: VisionConfig | TextConfig) -> int:
    width, mlp = tower.hidden_size, tower.intermediate_size
    return tower.num_hidden_layers * (4 * width**2 + 3 * width * mlp + 2 * width) + width


def _trunk_flops(tower: VisionConfig | TextConfig, tokens: int) -> int:
    width, mlp = tower.hidden_size, tower.intermediate_size
    products = 2 * tokens * (4 * width**2 + 3 * width * mlp)
    return tower.num_hidden_layers * (products + 4 * tokens**2 * width)
