"""What an Aria costs: parameters, FLOPs and memory, by arithmetic alone."""

from ..family import Parameters
from .config import AriaConfig, AriaTextConfig, AriaVisionConfig

# As AIMv2's, by MLX's graph of the tower; on a CPU some of each attention map is there too.
_WIDTHS_PER_TOKEN = 28
_WIDTHS_PER_TOKEN_UNFUSED = 35
# Source: config.json of rhymes-ai/Aria, transformers' defaults for what it leaves out.
PUBLISHED = AriaConfig(
    vision_config=AriaVisionConfig(1152, 4304, 27, 16, image_size=980, patch_size=14),
    text_config=AriaTextConfig(
        vocab_size=100_352,
        hidden_size=2560,
        intermediate_size=1664,
        num_hidden_layers=28,
        num_attention_heads=20,
        moe_num_experts=64,
        moe_topk=6,
        moe_num_shared_experts=2,
        max_position_embeddings=65_536,
        rope_theta=5_000_000,
    ),
    queries={1225: 128, 4900: 256},
)


def parameters(config: AriaConfig) -> Parameters:
    """How many numbers a checkpoint of these sizes holds; ``joint`` are the projector's."""
    vision, text = config.vision_config, config.text_config
    tower = (3 * vision.patch_size**2 + 1 + vision.table_side**2) * vision.hidden_size
    tower += vision.num_hidden_layers * _tower_block(vision)
    width, out = vision.hidden_size, text.hidden_size
    # The query, three norms, three products without and five with a bias, two layers.
    projector = (max(config.queries.values()) + 6 + 8 * width + 5) * width + (width + out) * out
    decoder = (2 * text.vocab_size + 1) * text.hidden_size
    decoder += text.num_hidden_layers * _decoder_block(text, text.moe_num_experts)
    return Parameters(tower, decoder, projector)


def token_parameters(config: AriaConfig) -> int:
    """How many numbers are read for one token of an answer: its experts', and the head."""
    text = config.text_config
    blocks = text.num_hidden_layers * _decoder_block(text, text.moe_topk)
    return blocks + (text.vocab_size + 1) * text.hidden_size


def cache_bytes(text: AriaTextConfig, tokens: int, item_bytes: float) -> int:
    """Memory of the keys and values of so many tokens.

    ``item_bytes`` is the size of one number; of a quantised one bits / 8, and 1/16 for its group.
    """
    return int(2 * text.num_hidden_layers * text.hidden_size * tokens * item_bytes)


def architecture_name(vision: AriaVisionConfig) -> str:
    """ "Aria" for the published sizes of the tower, "custom" for any other."""
    return "Aria" if vision == PUBLISHED.vision_config else "custom"


def image_flops(config: AriaConfig, tokens: int) -> int:
    """FLOPs to encode one crop of so many patches: tower and projector."""
    vision, out = config.vision_config, config.text_config.hidden_size
    width, queries = vision.hidden_size, config.queries.get(tokens, max(config.queries.values()))
    products = 4 * width**2 + 2 * width * vision.intermediate_size
    tower = vision.num_hidden_layers * (2 * tokens * products + 4 * tokens**2 * width)
    patches = 2 * tokens * 3 * vision.patch_size**2 * width
    looking = 8 * (tokens + queries) * width**2 + 4 * tokens * queries * width
    return tower + patches + looking + 2 * queries * (width + out) * out


def text_flops(config: AriaConfig) -> int:
    """FLOPs to read one text that fills the context."""
    text, tokens = config.text_config, config.text_config.max_position_embeddings
    products = 2 * tokens * _decoder_block(text, text.moe_topk)
    return text.num_hidden_layers * (products + 2 * tokens**2 * text.hidden_size)


def batch_bytes(
    vision: AriaVisionConfig, tokens: int, images: int, item_bytes: int, *, is_fused: bool
) -> int:
    """Memory that encoding crops takes beside the weights: that of one, as they follow each other.

    ``is_fused`` tells whether attention maps are ever in memory, which they are on a CPU.
    """
    del images
    widths = _WIDTHS_PER_TOKEN if is_fused else _WIDTHS_PER_TOKEN_UNFUSED
    return widths * tokens * vision.hidden_size * item_bytes


def _tower_block(vision: AriaVisionConfig) -> int:
    width, inner = vision.hidden_size, vision.intermediate_size
    return 4 * width**2 + 2 * width * inner + 9 * width + inner


def _decoder_block(text: AriaTextConfig, experts: int) -> int:
    """Numbers of a block, of so many of its experts."""
    width, inner = text.hidden_size, text.intermediate_size
    mlps = 3 * width * inner * (experts + text.moe_num_shared_experts)
    return 4 * width**2 + text.moe_num_experts * width + mlps + 2 * width
