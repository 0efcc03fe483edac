"""One revision of a hub repository: what the cache holds of it, and what is fetched.

``huggingface_hub`` fetches and keeps the cache. Exactly one copy of the weights is fetched, only
ever as safetensors, and a commit that the cache holds is used without any request.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub  # the package itself is light: what is used of it loads on first use
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from mlx_aimv2.errors import Aimv2Error, CheckpointError, HubError
from mlx_aimv2.files.checkpoint_files import (
    CARD_FILE,
    CONFIG_FILE,
    INDEX_FILE,
    LICENCE_FILES,
    PREPROCESSOR_FILE,
    SINGLE_FILE,
    TEXT_FILES,
    WEIGHT_FILES,
    first_copy,
    has_tokenizer,
    read_index,
    shards_of,
)
from mlx_aimv2.files.paths import FULL
from mlx_aimv2.models.aimv2.published import Checkpoint
from mlx_aimv2.models.published import find, nearest

DEFAULT_REVISION = "main"
_COMMIT = re.compile("[0-9a-f]{40}")
_OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".msgpack", ".npz", ".h5")

_NETWORK_HINT = "check the network, then run the command again: whole files that arrived are kept"
_MORE_ROOM_HINT = "make room, or set HF_HUB_CACHE to a folder on another disk"


@dataclass(frozen=True)
class Download:
    """Weights about to be fetched; ``licence`` is empty where the repository states none."""

    repo_id: str
    revision: str
    size_bytes: int
    licence: str


Confirm = Callable[[Download], bool]


def cache_folder() -> Path:
    """Where ``huggingface_hub`` keeps what it fetches; it need not exist yet."""
    return Path(constants.HF_HUB_CACHE)


@dataclass(frozen=True)
class Snapshot:
    """One revision of one repository, as far as the local cache holds it."""

    repo_id: str
    revision: str

    def path(self, filename: str) -> Path | None:
        """The file, if it is there."""
        found = self._look_up(filename)
        return Path(found) if isinstance(found, str) else None

    def folder(self) -> Path | None:
        """Its folder, if it has a configuration and weights."""
        config = self.path(CONFIG_FILE)
        return config.parent if config and first_copy(self.path) else None

    def whole_folder(self) -> Path | None:
        """Its folder, if nothing that the repository has and we need is missing from it."""
        folder = self.folder()
        if folder is None or self._look_up(PREPROCESSOR_FILE) is None:
            return None
        is_whole = has_tokenizer(self.path) or not _has_text(folder / CONFIG_FILE)
        return folder if is_whole else None

    def _look_up(self, filename: str) -> object:
        """A file's path, None, or the client's mark that the repository has no such file."""
        return huggingface_hub.try_to_load_from_cache(
            self.repo_id, filename, cache_dir=cache_folder(), revision=self.revision
        )


def fetch(repo_id: str, revision: str | None, confirm: Confirm | None = None) -> Path:
    """The folder of a repository at a revision, from the cache as far as it goes.

    Without a revision it is the main branch; where there is no network, and the cache does not
    know what that stands for, the one snapshot that the cache has.
    Errors: as ``hub.resolve``.
    """
    asked, revision = revision, revision or DEFAULT_REVISION
    if _COMMIT.fullmatch(revision) and (folder := Snapshot(repo_id, revision).whole_folder()):
        return folder
    api = huggingface_hub.HfApi(library_name="mlx-aimv2")
    try:
        info = api.model_info(
            repo_id,
            revision=revision,
            files_metadata=True,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
        )
    except Exception as error:  # the client's errors come from several libraries
        folder = None if _is_refusal(error) else _cached_folder(repo_id, asked)
        if folder is None:
            raise _explain(error, repo_id, revision) from error
        return folder
    try:
        return _download(api, info, repo_id, revision, confirm)
    except Aimv2Error:
        raise
    except Exception as error:
        raise _explain(error, repo_id, revision) from error


def _cached_folder(repo_id: str, asked: str | None) -> Path | None:
    """What the cache has for a revision, or for none.

    Errors: HubError where it has several snapshots and none was asked for.
    """
    revision = asked or DEFAULT_REVISION
    with suppress(OSError):  # a reference may end in a line end, for which the client does not look
        reference = _stored(repo_id) / "refs" / revision
        revision = reference.read_text(encoding="utf-8", errors="replace").strip()
    if (folder := Snapshot(repo_id, revision).folder()) or asked:
        return folder
    whole = _whole_snapshots(repo_id)
    if len(whole) > 1:
        raise HubError(
            f"the cache has {len(whole)} snapshots of {repo_id}, and none is known as main: "
            + ", ".join(whole),
            hint=f"say which: {repo_id}@{whole[0]}",
        )
    return Snapshot(repo_id, whole[0]).folder() if whole else None


def _whole_snapshots(repo_id: str) -> list[str]:
    """Commits of which the cache has a configuration and weights."""
    commits = sorted(path.name for path in _stored(repo_id).glob("snapshots/*"))
    return [commit for commit in commits if Snapshot(repo_id, commit).folder()]


def _stored(repo_id: str) -> Path:
    return cache_folder() / repo_folder_name(repo_id=repo_id, repo_type="model")


def _download(
    api: "huggingface_hub.HfApi",
    info: "huggingface_hub.ModelInfo",
    repo_id: str,
    revision: str,
    confirm: Confirm | None,
) -> Path:
    from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415  (slow)

    commit = info.sha or revision
    sizes_bytes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    weights = _missing_weights(api, repo_id, commit, sizes_bytes)
    if weights:
        size_bytes = sum(sizes_bytes[name] for name in weights)
        _check_room(size_bytes)
        download = Download(repo_id, commit, size_bytes, _licence(info, repo_id))
        if confirm and not confirm(download):
            raise HubError(
                f"{repo_id} was not downloaded",
                hint="agree to the download",
                options={"yes": "be asked nothing"},
            )
    if revision != commit:
        # By the name asked for: the cache then knows what it stands for when there is no network.
        api.hf_hub_download(repo_id, CONFIG_FILE, revision=revision)
    config = Path(api.hf_hub_download(repo_id, CONFIG_FILE, revision=commit))
    # Asked for even where the listing lacks it: the cache remembers that it does not exist.
    with suppress(RemoteEntryNotFoundError):
        api.hf_hub_download(repo_id, PREPROCESSOR_FILE, revision=commit)
    # A converted copy has to carry the card and the licence on.
    wanted = [CARD_FILE, *LICENCE_FILES] if weights else []
    wanted += TEXT_FILES if _has_text(config) else ()
    for name in [name for name in wanted if name in sizes_bytes] + weights:
        api.hf_hub_download(repo_id, name, revision=commit)
    return config.parent


def _missing_weights(
    api: "huggingface_hub.HfApi", repo_id: str, commit: str, listed: Mapping[str, int]
) -> list[str]:
    """The files to fetch for one whole copy of the weights; none if the cache has one."""
    in_cache = Snapshot(repo_id, commit)
    if first_copy(in_cache.path):
        return []
    name = next((name for name in WEIGHT_FILES if name in listed), None)
    if name is None:
        others = ", ".join(sorted(file for file in listed if file.endswith(_OTHER_WEIGHTS)))
        raise CheckpointError(
            f"{repo_id} has no {SINGLE_FILE} (weights there: {others or 'none'})",
            hint="only safetensors are read, never pickled weights",
        )
    if name != INDEX_FILE:
        return [name]
    shards = shards_of(read_index(Path(api.hf_hub_download(repo_id, name, revision=commit))))
    if absent := [shard for shard in shards if shard not in listed]:
        raise CheckpointError(f"{repo_id}: {INDEX_FILE} names {', '.join(absent)}, not there")
    return [shard for shard in shards if in_cache.path(shard) is None]


def _has_text(config_file: Path) -> bool:
    try:
        return "text_config" in json.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False  # whoever reads the configuration says what is wrong with it


def _licence(info: "huggingface_hub.ModelInfo", repo_id: str) -> str:
    if published := find(repo_id):
        return published.licence
    card = info.card_data.to_dict() if info.card_data else {}
    named = card.get("license_name") if card.get("license") == "other" else card.get("license")
    return str(named or "")


def _check_room(size_bytes: int) -> None:
    folder = cache_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < size_bytes:
        raise HubError(
            f"the weights take {size_bytes / 1e9:.2f} GB, and {folder} has room for "
            f"{free_bytes / 1e9:.2f} GB",
            hint=_MORE_ROOM_HINT,
        )


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_refusal(error: Exception) -> bool:
    """Whether the Hub answered no, rather than being out of reach or out of order."""
    status = _status(error)
    return status is not None and 400 <= status < 500 and status not in (408, 429)


def _cached(repo_id: str) -> str:
    """The end of a hint: a snapshot of the repository that the cache has, if it has one."""
    return "".join(
        f"; the cache has {repo_id}@{commit}" for commit in _whole_snapshots(repo_id)[:1]
    )


def _demo(repo_id: str) -> dict[str, str]:
    """The hint to try the demo checkpoint, where a published one of its kind cannot be fetched."""
    if not isinstance(find(repo_id), Checkpoint):
        return {}
    return {"model demo": "try things without a network, on drawings"}


def _explain(error: Exception, repo_id: str, revision: str) -> HubError:
    """What went wrong in fetching, in the terms of whoever asked for it."""
    from huggingface_hub import errors  # noqa: PLC0415  (slow)

    status, endpoint, options = _status(error), constants.ENDPOINT, dict[str, str]()
    match error:
        case errors.OfflineModeIsEnabled():
            message = f"{repo_id} at {revision} is not in the cache, and HF_HUB_OFFLINE is set"
            hint = f"unset HF_HUB_OFFLINE to download it, or give a local folder{_cached(repo_id)}"
            options = _demo(repo_id)
        case errors.GatedRepoError():
            message = f"{repo_id} is gated: its owner has to let you in"
            hint = f"ask for access at {endpoint}/{repo_id}, then: hf auth login"
        case errors.RevisionNotFoundError():
            message = f"{repo_id} has no revision {revision!r}"
            hint = "leave out the @revision"
        case errors.RemoteEntryNotFoundError():
            file = str(error.response.url).rpartition("/")[2]
            message = f"{repo_id} has no {file} at {revision}"
            hint = "aimv2 models lists what is published"
        case _ if status in (401, 403) or isinstance(error, errors.RepositoryNotFoundError):
            message = f"{repo_id} does not exist, or is private and you may not read it"
            likely = None if find(repo_id) else nearest(repo_id)
            hint = f"did you mean {likely.alias}? " if likely else ""
            hint += "for a private one: hf auth login"
        case _ if status:
            message = f"{endpoint} answered {status} for {repo_id}"
            hint = "try again later"
        case OSError(errno=number) if number in FULL:
            message = f"no room left in {cache_folder()} for {repo_id}"
            hint = _MORE_ROOM_HINT
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS | errno.ENOTDIR as number):
            message = f"{cache_folder()} cannot be written: {os.strerror(number)}"
            hint = "set HF_HUB_CACHE to a folder of your own"
        case _:
            reason = str(error).partition("\n")[0] or type(error).__name__
            message = f"{repo_id} could not be fetched from {endpoint}: {reason}"
            hint = f"{_NETWORK_HINT}{_cached(repo_id)}"
            options = _demo(repo_id)
    return HubError(message, hint=hint, options=options)
