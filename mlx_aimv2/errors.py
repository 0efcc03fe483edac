"""What can go wrong, in kinds: each carries a message, a hint and an exit code."""

from collections.abc import Collection, Mapping

_MOST_CHARACTERS = 300  # of a message or a hint: what is longer holds somebody's data


class Aimv2Error(Exception):
    """Base of every error this package raises on purpose.

    ``hint`` is the next thing to type or do; ``exit_code`` is what the command exits with. Of a
    text of more than 300 characters the middle is left out. ``options`` are names of options, as
    keywords, and what each would do about it: which of them there are, only a command knows.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str = "", options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(shortened(message))
        self._hint = hint
        self._options = dict(options or {})

    @property
    def hint(self) -> str:
        """The next thing to type or do, whoever asks."""
        return shortened(", or ".join(filter(None, [self._hint, *self._options.values()])))

    def hint_for(self, there: Collection[str]) -> str:
        """The hint for a command that has these options, like ``--max-pixels``."""
        named = {f"--{name.replace('_', '-')}": what for name, what in self._options.items()}
        ways = [f"{what}: {name}" for name, what in named.items() if name.split()[0] in there]
        return shortened(", or ".join(filter(None, [self._hint, *ways])))


def shortened(text: str) -> str:
    """A text of at most 300 characters: of a longer one the middle is left out."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[: half - 1]}…{text[-half:]}"


class UsageError(Aimv2Error):
    """Options or arguments that do not go together."""

    exit_code = 2


class CheckpointError(Aimv2Error):
    """A checkpoint whose files, tensors or configuration cannot be used."""


class HubError(Aimv2Error):
    """A source that cannot be found or fetched."""


class ImageError(Aimv2Error):
    """An image that cannot be read or used; the message names it."""


class AwayError(ImageError):
    """A file that the system does not let one look at just now: it may be as it was."""


class TextError(Aimv2Error):
    """A text or token sequence that cannot be encoded."""


class OutputError(Aimv2Error):
    """An output that exists already or cannot be written."""


class LockedError(OutputError):
    """An output that another process is writing."""


class NumericsError(Aimv2Error):
    """A result that is not finite, in the widest dtype too."""


class Aimv2Warning(UserWarning):
    """Something a user should know although the work goes on."""
