"""A finished folder → a private repository on the Hub."""

from dataclasses import dataclass
from pathlib import Path

import huggingface_hub  # the package itself is light: what is used of it loads on first use

from mlx_aimv2.errors import Aimv2Error, HubError

_ID_HINT = "a repository to upload to is OWNER/NAME"


@dataclass(frozen=True)
class Upload:
    """Weights about to be uploaded to a private repository, with the licence they carry."""

    repo_id: str
    size_bytes: int
    licence: str


def check_upload(repo_id: str) -> None:
    """Find out early what would keep an upload from working, as far as that needs no request.

    Errors: HubError for a malformed name, no login, or HF_HUB_OFFLINE.
    """
    # By name: these two are no attributes of the package before something else imports them.
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # noqa: PLC0415

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise HubError(str(error), hint=_ID_HINT) from error
    if "/" not in repo_id:
        raise HubError(f"{repo_id} names no owner", hint=_ID_HINT)
    if huggingface_hub.is_offline_mode():
        raise HubError(
            f"nothing can be uploaded to {repo_id}: HF_HUB_OFFLINE is set",
            hint="unset HF_HUB_OFFLINE, or convert without an upload",
        )
    if huggingface_hub.get_token() is None:
        raise HubError(
            f"nothing can be uploaded to {repo_id}: you are not logged in to the Hub",
            hint="hf auth login",
        )


def upload(folder: Path, repo_id: str) -> str:
    """Upload a folder to a private repository, made if need be; returns its address.

    Errors: HubError, among them for a repository that exists and is public. The folder stays.
    """
    api = huggingface_hub.HfApi(library_name="mlx-aimv2")
    try:
        repository = api.create_repo(repo_id, private=True, exist_ok=True)
        if not api.model_info(repository.repo_id).private:
            raise HubError(
                f"{repository.repo_id} is public, so nothing was uploaded; {folder} is complete",
                hint="choose another name, or make it private in its settings on the Hub",
            )
        api.upload_folder(
            repo_id=repository.repo_id,
            folder_path=folder,
            commit_message="Add weights converted by mlx-aimv2",
        )
    except Aimv2Error:
        raise
    except Exception as error:  # the client's errors come from several libraries
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise HubError(
            f"{folder} is complete, but was not uploaded to {repo_id}: {reason}",
            hint=f"hf upload {repo_id} {folder} --private",
        ) from error
    return repository.url
