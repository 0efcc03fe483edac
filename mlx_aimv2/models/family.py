"""What the rest of the package has to know of a family of networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

from .layout import Layout, Rule, own_names
from .network import Config, Network, Tower
from .stated_values import Shapes


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters; ``joint`` are those between the two towers, and a logit scale."""

    image: int
    text: int = 0
    joint: int = 0

    @property
    def total(self) -> int:
        """Number of all parameters."""
        return self.image + self.text + self.joint


class Cost(Protocol):
    """The functions of a family's ``cost.py``; ``config`` is of the family's own class."""

    def parameters(self, config: Any) -> Parameters:
        """How many numbers a checkpoint of these sizes holds."""

    def architecture_name(self, vision: Any) -> str:
        """The published name of these sizes; "custom" for any other."""

    def image_flops(self, config: Any, tokens: int) -> int:
        """FLOPs to encode one image of so many tokens."""

    def text_flops(self, config: Any) -> int:
        """FLOPs to read one text that fills the context."""

    def batch_bytes(
        self, vision: Any, tokens: int, images: int, item_bytes: int, *, is_fused: bool
    ) -> int:
        """Memory that encoding a batch takes beside the weights."""


OWN_LAYOUT = "mlx-aimv2"


@dataclass(frozen=True)
class Family:
    """A family of networks: all that is not the same for every one.

    ``model_types``: the values of ``model_type`` in its ``config.json``.
    ``complete_config``: a configuration, from the shapes of tensors by the network's names, and a
    ``config.json`` of any generation or none.
    ``network``: an empty network of a configuration, or one tower of it.
    ``processor``: the ``preprocessor_config.json`` of a checkpoint that came without one.
    ``written``: other layouts in which checkpoints can be written, by their names, from the
    network's names to theirs.
    ``towers``: what the names of each tower's tensors begin with.
    ``float32``: names of tensors that stay float32 whatever dtype is asked for.
    ``foreign``: other models that share its tensor names, by the part of a name that shows them.
    ``embeds``: whether it makes embeddings; one that does not tells in words what pictures show.
    ``is_large``: whether its checkpoints are larger than the memory of many machines: their size is
    looked at first, and what is quantised stays packed on a CPU too.
    ``narrow``: what the names of weights begin with that stay as they are on disk for a CPU, which
    widens each of them for its product: used for pictures alone, they are not worth the memory.
    ``half``: the half precision that all its values are known to fit.
    """

    name: str
    model_types: tuple[str, ...]
    layouts: tuple[Layout, ...]
    complete_config: Callable[[Shapes, Mapping[str, Any]], Config]
    network: Callable[[Any, Tower | None], Network]
    cost: Cost
    processor: Callable[[Any], dict[str, Any]]
    written: Mapping[str, Layout] = field(default_factory=dict)
    towers: Mapping[Tower, str] = field(default_factory=dict)
    float32: tuple[str, ...] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)
    embeds: bool = True
    is_large: bool = False
    narrow: tuple[str, ...] = ()
    half: Literal["float16", "bfloat16"] = "float16"

    @cached_property
    def all_layouts(self) -> tuple[Layout, ...]:
        """The layouts, and after them the one that this package writes: the network's names."""
        own = Layout(OWN_LAYOUT, tuple(Rule(name, name) for name in own_names(self.layouts)))
        return (*self.layouts, own)

    @property
    def with_article(self) -> str:
        """Its name as a sentence takes it: "an AIMv2"."""
        return f"{'an' if self.name[0] in 'AEIOUaeiou' else 'a'} {self.name}"
