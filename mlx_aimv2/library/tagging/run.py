"""A run of tagging: vocabularies give their tags to photos and their sidecars, as one edit."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

from mlx_aimv2.errors import Aimv2Warning, UsageError
from mlx_aimv2.files.paths import FilePath

from ..database.store import Store
from ..database.vectors import VectorSet
from ..search.filters import Filters
from ..search.fitting import as_known
from ..search_model import SearchModel, tags_of
from ..sidecars.sidecar import Style
from . import blanks, in_use, tag_sidecars, tagger
from .tag_sidecars import Written
from .tagger import Given, Tagged


@dataclass(frozen=True)
class TagOptions:
    """What a run takes; see ``Library.tag``. Errors: UsageError for replacing without a name."""

    vocabulary: FilePath | None = None
    replace: bool | Callable[[int, int], bool] = False
    min_confidence: float | None = None
    limit: int | None = None
    filters: Filters | None = None
    dry_run: bool = False
    sidecars: Style | bool = False
    exiftool: bool = False

    def __post_init__(self) -> None:
        if self.replace and self.vocabulary is None:
            raise UsageError("replace needs a vocabulary", hint="name the one that stays")


def run(
    store: Store,
    vectors: VectorSet,
    encode: SearchModel,
    options: TagOptions,
    taught: Callable[[], Mapping[int, Given]],
    *,
    told: Callable[[Tagged, Written | None], None] | None = None,
    texts_told: Callable[[int, int], None] | None = None,
) -> None:
    """Give tags as one edit, those that are ``taught`` too; see ``Library.tag``. Errors: as there.

    A checkpoint without texts gives taught tags only, and a warning says so.
    """
    filters = options.filters and as_known(store, options.filters)
    tagger.check(store, vectors, filters)  # what cannot be done is no edit, and asks nothing
    used = _vocabularies(store, vectors, options)
    replaces = _replaces(store, used, options)
    found = tagger.assign(
        store,
        vectors,
        used,
        tagger.in_chunks(encode.texts, texts_told),
        lambda: encode.drawn(blanks.NAME, blanks.NUMBER, blanks.make_blanks),
        taught=taught(),
        filters=filters,
        replaced=in_use.origins_of_others(store, used) if replaces else (),
    )
    first = next(found, None)  # texts that cannot be embedded are no edit either
    found = chain([first] if first else [], found)
    style = options.sidecars
    if style is True:
        style = cast("Style", store.setting("sidecar_names") or "full")
    if options.dry_run:
        _keep(store, found, style or None, options, told)
        return
    names = " and ".join(each.name for each in used) or "those that were taught"
    with store.edit("tag", f"tags of {names}, stopped before the end") as number:
        if replaces:
            in_use.take_others(store, used)
        in_use.remember(store, used)
        if style:
            store.set_setting("sidecar_names", style)
        added, removed = _keep(store, found, style or None, options, told)
        store.say_of_edit(number, f"tags of {names}: {added} added, {removed} removed")
    if not style:
        _warn_of_sidecars(store, number)


def _vocabularies(store: Store, vectors: VectorSet, options: TagOptions) -> list[in_use.Vocabulary]:
    """The vocabularies to run; none where the checkpoint reads no texts and tags were taught."""
    asks_for_words = (options.vocabulary, options.min_confidence, options.limit) != (None,) * 3
    if not vectors.has_text and (asks_for_words or not store.taught_tags()):
        raise UsageError(
            "this library's checkpoint reads no texts, only pictures",
            hint="aimv2 index --model lit",
        )
    if not vectors.has_text:
        note = "this library's checkpoint reads no texts, so it gives no tags but those taught"
        warnings.warn(f"{note}: aimv2 index --model lit", Aimv2Warning, stacklevel=2)
        return []
    return [
        in_use.changed(each, options.min_confidence, options.limit)
        for each in in_use.vocabularies_to_run(
            store, tags_of(vectors.source), Path(vectors.source).name, options.vocabulary
        )
    ]


def _replaces(store: Store, used: list[in_use.Vocabulary], options: TagOptions) -> bool:
    """Whether the tags of other vocabularies go; whoever is to be asked is asked."""
    if not callable(options.replace):
        return options.replace
    tags, photos = in_use.count_others(store, used)
    return not tags or options.replace(tags, photos)


def _keep(
    store: Store,
    found: Iterator[Tagged],
    style: Style | None,
    options: TagOptions,
    told: Callable[[Tagged, Written | None], None] | None,
) -> tuple[int, int]:
    """Write tags and sidecars; how many tags are new for their photos, and how many went."""
    added = removed = 0
    for tagged, written in tag_sidecars.keep(
        store, found, style, for_exiftool=options.exiftool, dry_run=options.dry_run
    ):
        added += len(tagged.added)
        removed += len(tagged.removed)
        if told is not None:
            told(tagged, written)
    return added, removed


def _warn_of_sidecars(store: Store, number: int) -> None:
    """Say how many sidecars, written by earlier runs, an edit of the library alone left behind."""
    query = "SELECT file_id FROM sidecars WHERE after <> x'' AND has_tags"
    written = {id for (id,) in store.rows(query)}
    if behind := len(written.intersection(store.files_of_edit(number))):
        photos = "1 photo" if behind == 1 else f"{behind} photos"
        note = f"sidecars of {photos} have the tags of before: aimv2 tag --write sidecar"
        warnings.warn(note, Aimv2Warning, stacklevel=2)
