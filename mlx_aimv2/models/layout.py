"""How the tensors of a checkpoint become those of a network: a layout is a table of rules."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import mlx.core as mx

_NUMBER = re.compile(r"(?<![^.])(0|[1-9]\d*)(?![^.])")  # a whole part of a dotted name

Shape = tuple[int, ...]
Names = str | tuple[str, ...]
Axes = tuple[int | None, ...]


@dataclass(frozen=True)
class Rule:
    """One or several tensors of a checkpoint, and the one or several of the network they become.

    In a name ``*`` is a number, carried over. Several sources are joined along the first axis, in
    this order. One source with a number more than its targets stands for many tensors, stacked
    along a new first axis by that last number. Then ``axes`` puts the axes into another order, None
    being a new one, and one of length 1 that is not named goes; a function tells them of a shape.
    Several targets are equal pieces along the axis ``cut``, in this order. A tensor without a
    target is left out.
    """

    source: Names
    target: Names = ()
    axes: Axes | Callable[[Shape], Axes | None] | None = None
    cut: int = 0

    @cached_property
    def sources(self) -> tuple[str, ...]:
        return (self.source,) if isinstance(self.source, str) else self.source

    @cached_property
    def targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target

    @cached_property
    def is_stack(self) -> bool:
        """Whether the tensors of one source are stacked."""
        return bool(self.targets) and self.sources[0].count("*") > self.targets[0].count("*")

    @property
    def keeps_rows(self) -> bool:
        """Whether rows stay as they are, so that packed weights can take this rule."""
        return self.axes is None and len(self.targets) <= 1

    def under(self, source: str, target: str) -> "Rule":
        """The same rule where all names of the two sides begin with these."""
        return replace(
            self,
            source=tuple(f"{source}{name}" for name in self.sources),
            target=tuple(f"{target}{name}" for name in self.targets),
        )

    def shape(self, part: Shape, count: int) -> Shape:
        """The shape of each target, from so many tensors of one shape.

        Errors: ValueError for a shape that has other axes, or that cannot be cut.
        """
        joined = part
        if self.is_stack:
            joined = (count, *part)
        elif count > 1:
            joined = (count * part[0], *part[1:])
        axes = self._axes_of(joined)
        gone = [axis for axis, length in enumerate(joined) if length == 1 and axis not in axes]
        if sorted([*gone, *(axis for axis in axes if axis is not None)]) != [*range(len(joined))]:
            raise ValueError(f"{joined} has not the axes {axes}")
        shape = [1 if axis is None else joined[axis] for axis in axes]
        if len(self.targets) > 1:
            shape[self.cut], rest = divmod(shape[self.cut], len(self.targets))
            if rest:
                raise ValueError(f"{joined} is not cut into {len(self.targets)}")
        return tuple(shape)

    def tensor(self, parts: Sequence[mx.array], piece: int = 0) -> mx.array:
        """The target of that number, lazily, from all sources in their order."""
        if self.is_stack:
            whole = mx.stack(list(parts))
        else:
            whole = parts[0] if len(parts) == 1 else mx.concatenate(list(parts))
        axes = self._axes_of(whole.shape)
        if axes != tuple(range(whole.ndim)):
            kept = [axis for axis in axes if axis is not None]
            gone = sorted(set(range(whole.ndim)) - set(kept))
            whole = whole.transpose([*gone, *kept]).squeeze([*range(len(gone))])
            whole = mx.expand_dims(whole, [at for at, axis in enumerate(axes) if axis is None])
        if len(self.targets) == 1:
            return whole
        # Contiguous: the piece alone would keep the whole in memory.
        return mx.contiguous(mx.split(whole, len(self.targets), self.cut)[piece])

    def _axes_of(self, shape: Shape) -> Axes:
        axes = self.axes(shape) if callable(self.axes) else self.axes
        return tuple(range(len(shape))) if axes is None else axes


@dataclass(frozen=True)
class Match:
    """The rule for one tensor, its targets' names, and its place among what the rule joins."""

    rule: Rule
    targets: tuple[str, ...]
    place: int
    numbers: tuple[str, ...]

    def name_at(self, place: int) -> str:
        """The name of the tensor that is joined at another place."""
        if self.rule.is_stack:
            return _numbered(self.rule.sources[0], (*self.numbers[:-1], str(place)))
        return _numbered(self.rule.sources[place], self.numbers)


@dataclass(frozen=True)
class Layout:
    """A way in which checkpoints of a family are written.

    ``name_in_mlx`` is its name where no tensor has to be changed.
    """

    name: str
    rules: tuple[Rule, ...]
    name_in_mlx: str = ""

    def match(self, tensor_name: str) -> Match | None:
        """The rule for the tensor of this name; None where no rule fits."""
        for source, rule, place in self._by_form.get(_NUMBER.sub("*", tensor_name), ()):
            pairs = list(zip(tensor_name.split("."), source.split("."), strict=True))
            if all(word != "*" and pattern in ("*", word) for word, pattern in pairs):
                numbers = tuple(word for word, pattern in pairs if pattern == "*")
                targets = tuple(_numbered(target, numbers) for target in rule.targets)
                return Match(rule, targets, int(numbers[-1]) if rule.is_stack else place, numbers)
        return None

    @cached_property
    def _by_form(self) -> dict[str, list[tuple[str, Rule, int]]]:
        """Each source with its rule and place, by its name with ``*`` for every number."""
        forms: dict[str, list[tuple[str, Rule, int]]] = {}
        for rule in self.rules:
            for place, source in enumerate(rule.sources):
                forms.setdefault(_NUMBER.sub("*", source), []).append((source, rule, place))
        return forms


def own_names(layouts: Sequence[Layout]) -> Iterator[str]:
    """The names of the network's tensors that these layouts know, each once."""
    return iter(
        {target: None for layout in layouts for rule in layout.rules for target in rule.targets}
    )


def _numbered(name: str, numbers: Sequence[str]) -> str:
    for number in numbers:
        name = name.replace("*", number, 1)
    return name
