"""Edits that the page makes, and their undoing."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.library.database.edits import EditRow
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.editable import Action
from mlx_aimv2.library.editing.edited import Edited

from . import duplicates
from .answers import Body, PageError, as_json, number_in, posted, service_of
from .service import Service
from .tags import numbers, photos_meant, text_in

_MOST_TOLD = 20  # errors of photos in an answer
_MOST_EDITS = 500
_UUID = re.compile(r"[0-9A-Za-z-]{1,64}")
_RELOAD = "load the page again"


@dataclass(frozen=True)
class Asked:
    """An edit that the page asks for; ``uuid`` is the page's own name for it."""

    uuid: str
    body: Body
    ids: list[int]

    def text(self, name: str) -> str:
        """A text of the request. Errors: Aimv2Error where it is none or too long."""
        return text_in(self.body, name)


Deed = Callable[[Service, Asked], Edited]


def _tag(action: Action, service: Service, asked: Asked) -> Edited:
    return service.edit_tags(action, asked.text("tag"), asked.ids, uuid=asked.uuid)


def _merge(service: Service, asked: Asked) -> Edited:
    tags = asked.body.get("tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Aimv2Error("tags are names of tags", hint=_RELOAD)
    names = [text_in({"tag": tag}, "tag") for tag in tags]
    return service.merge_tags(names, asked.text("to"), uuid=asked.uuid)


def _caption(service: Service, asked: Asked) -> Edited:
    text = None if asked.body.get("text") is None else asked.text("text")
    return service.edit_caption(asked.ids, text, uuid=asked.uuid)


def _teach(service: Service, asked: Asked) -> Edited:
    words = asked.body.get("words")
    if words is not None and words is not False:
        words = asked.text("words")
    yes, no = (numbers(asked.body.get(name) or []) for name in ("yes", "no"))
    return service.teach_once(asked.text("tag"), yes=yes, no=no, words=words, uuid=asked.uuid)


# What an edit does: each gives what became of it, and the same for the same uuid again.
DEEDS: dict[str, Deed] = {
    **{do: partial(_tag, do) for do in get_args(Action)},
    "rename": lambda service, asked: service.rename_tag(
        asked.text("tag"), asked.text("to"), uuid=asked.uuid
    ),
    "merge": _merge,
    "caption": _caption,
    "teach": _teach,
    "pick": lambda service, asked: duplicates.pick(service, asked.ids, asked.body, asked.uuid),
    "unpick": lambda service, asked: service.pick(asked.ids, is_picked=False, uuid=asked.uuid),
    "not_duplicates": lambda service, asked: duplicates.not_duplicates(
        service, asked.body, asked.uuid
    ),
    "carry": lambda service, asked: duplicates.carry(service, asked.body, asked.uuid),
}
_WITHOUT_PHOTOS = frozenset({"rename", "merge", "teach", "not_duplicates", "carry"})


def edit(request: Request, body: Body) -> Response:
    """Make an edit, once for each uuid: a request that is sent again is answered alike."""
    service, uuid = service_of(request), _uuid_in(body)
    do = body.get("do")
    deed = DEEDS.get(do) if isinstance(do, str) else None
    if deed is None or not isinstance(do, str):
        raise Aimv2Error("there is no such edit", hint=_RELOAD)
    before = service.asked_before(uuid)
    try:
        ids = [] if do in _WITHOUT_PHOTOS else photos_meant(service, body)
    except PageError:
        if before is None:
            raise
        return _answer(service, before)  # its search is gone since
    return _answer(service, deed(service, Asked(uuid, body, ids)))


def undo(request: Request, body: Body) -> Response:
    """Take an edit back, by its number or its uuid; undone itself, the edit is made again."""
    service, uuid = service_of(request), _uuid_in(body)
    named = request.path_params["edit"]
    if not _UUID.fullmatch(named):
        raise PageError("not_found", "there is no such edit", hint=_RELOAD)
    which = int(named) if named.isdecimal() and len(named) < 19 else named
    try:
        return _answer(service, service.undo_edit(which, uuid=uuid))
    except UsageError as error:
        raise PageError("changed", str(error), hint=_for_page(error.hint)) from error


def edits(request: Request) -> Response:
    """The edits of the library, the latest first, page by page."""
    before = number_in(request, "before", 0) or None
    count = number_in(request, "limit", 100, most=_MOST_EDITS)

    def look(store: Store) -> list[tuple[EditRow, bool]]:
        rows = store.edits(before=before, count=count + 1)
        return [(row, store.can_undo(row)) for row in rows]

    rows = service_of(request).look(look)
    shown = [
        {
            "edit": row.number,
            "at": row.at,
            "kind": row.kind,
            "said": row.said,
            "changes": row.changes,
            "undone": row.undone_at is not None,
            "can_undo": can_undo,
        }
        for row, can_undo in rows[:count]
    ]
    return as_json({"edits": shown, "next": shown[-1]["edit"] if len(rows) > count else None})


routes: list[Route] = [
    Route("/api/edits", edits, methods=["GET"]),
    Route("/api/edits", posted(edit), methods=["POST"]),
    Route("/api/edits/{edit}/undo", posted(undo), methods=["POST"]),
]


def _uuid_in(body: Body) -> str:
    uuid = body.get("uuid")
    if not isinstance(uuid, str) or not _UUID.fullmatch(uuid):
        raise Aimv2Error("the edit has no uuid", hint=_RELOAD)
    return uuid


def _answer(service: Service, edited: Edited) -> Response:
    changed = edited.count if edited.changed is None else edited.changed
    return as_json(
        {
            "edit": edited.number,
            "changed": changed,
            "skipped": max(edited.count - changed, 0),
            "waiting": edited.is_waiting,
            "said": edited.said,
            "errors": [
                {"message": message, "hint": _for_page(hint)}
                for message, hint in _failures(edited)[:_MOST_TOLD]
            ],
            "version": service.version(),
        }
    )


def _failures(edited: Edited) -> list[tuple[str, str]]:
    """Messages and hints: of photos, and of sidecars without their folders."""
    failed = [(str(error), error.hint) for error in edited.errors]
    for path, done in edited.sidecars:
        if isinstance(done, Aimv2Error):
            folder = f"{printable(os.path.dirname(path))}/"  # noqa: PTH120  (as errors have it)
            failed.append((str(done).replace(folder, ""), done.hint.replace(folder, "")))
    return failed


def _for_page(hint: str) -> str:
    """A hint for somebody who has a page and no command line before them."""
    return hint.replace("aimv2 tag history lists them", "the history shows the edits").replace(
        "undo that one first: aimv2 tag undo", "undo that one first: edit"
    )
