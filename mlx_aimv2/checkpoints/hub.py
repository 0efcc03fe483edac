"""A name, a hub id or a folder → a local folder that holds the checkpoint."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import HubError
from mlx_aimv2.files.checkpoint_files import CONFIG_FILE
from mlx_aimv2.models.published import Checkpoint, find, nearest

from .snapshot import DEFAULT_REVISION, Confirm, Download, Snapshot, cache_folder, fetch

__all__ = ["Confirm", "Download", "Resolved", "cache_folder", "cached", "resolve"]

DEMO = "demo"

# What the Hub allows: no ".." or "--", nothing that ends in ".git", 96 characters a part.
_PART = r"\w(?:[\w.-]{0,94}\w)?"
_HUB_ID = re.compile(
    rf"(?!.*\.\.)(?![^@]*(?:--|\.git(?:@|$)))"
    rf"(?P<name>{_PART}(?:/{_PART})?)(?:@(?P<revision>\w[\w./-]*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Resolved:
    """A source and the local folder it stands for; ``revision`` is the full commit hash."""

    source: str
    folder: Path
    name: str
    repo_id: str | None = None
    revision: str | None = None
    checkpoint: Checkpoint | None = None


def resolve(source: str | os.PathLike[str], *, confirm: Confirm | None = None) -> Resolved:
    """The local folder of a checkpoint, fetched first if it has to be.

    ``source`` is "demo", an alias or published name, a folder, or a hub id, tried in this order;
    names and hub ids take ``@revision``. A path object is always a folder. ``confirm`` is asked
    once before weights are downloaded, and not when the cache has them.
    Errors: HubError, with what to do next as its hint; CheckpointError if a repository holds no
    weights that can be read.
    """
    if source == DEMO:
        return _demo()
    named = _HUB_ID.fullmatch(source) if isinstance(source, str) else None
    source = os.fspath(source)
    name, revision = named.groups() if named else ("", None)
    if checkpoint := find(name):
        folder = fetch(checkpoint.repo_id, revision or checkpoint.revision, confirm)
        return Resolved(
            source, folder, checkpoint.name, checkpoint.repo_id, folder.name, checkpoint
        )
    if local := _local_folder(source):
        return Resolved(source, local, local.resolve().name)
    if "/" in name:
        folder = fetch(name, revision, confirm)
        return Resolved(source, folder, name, name, folder.name)
    likely = nearest(source)
    raise HubError(
        f"{source!r} is no checkpoint name, no folder and no hub id",
        hint=f"did you mean {likely.alias}?"
        if likely
        else "aimv2 models lists the names; a hub id is ORG/NAME",
    )


def cached(checkpoint: Checkpoint) -> Path | None:
    """The folder of a published checkpoint if its weights are in the cache, else None."""
    return Snapshot(checkpoint.repo_id, checkpoint.revision or DEFAULT_REVISION).folder()


def _local_folder(source: str) -> Path | None:
    """The folder of that name; None where there is nothing. Errors: HubError for anything else."""
    try:
        folder = Path(source).expanduser()
        if not source or not folder.exists():  # an empty name is no word for the current folder
            return None
        if folder.is_dir():
            return folder
    except RuntimeError:  # ~someone who has no home here
        return None
    except OSError as error:
        raise HubError(f"{source!r} cannot be opened: {error.strerror}") from error
    raise HubError(
        f"{source!r} is a file, and a checkpoint is a folder",
        hint=f"give the folder that holds it: {str(folder.parent)!r}",
    )


def _demo() -> Resolved:
    folder = Path(__file__).parents[1] / DEMO
    if not (folder / CONFIG_FILE).is_file():
        raise HubError(
            "this installation has no demo checkpoint",
            hint=f"install the package again: {install_hints.again()}",
        )
    return Resolved(DEMO, folder, DEMO)
