"""The tags that a library knows, and which of them a person means who types a name."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from mlx_aimv2.errors import UsageError

from ..database.store import Store
from ..database.tags import ORIGINS
from ..database.verdicts import Verdict
from ..shots import shots_of
from ..sidecars.keywords import clean
from ..tag_names import tag_key
from ..tagging.in_use import vocabularies_in_use
from .waiting import waiting_edits

_MOST_NAMED = 8


@dataclass(frozen=True)
class TagCount:
    """A tag, how many photos have it, and how many by each origin; files of a shot are one.

    ``rejected``: photos of which the owner said that the tag does not fit.
    """

    tag: str
    photos: int
    origins: dict[str, int]
    rejected: int


def known_tags(store: Store) -> dict[str, str]:
    """The tags of photos, of the owner's words, taught, and of the vocabularies in use, by key.

    Those of edits that wait are known too.
    """
    query = (
        "SELECT key, tag FROM tags UNION SELECT key, tag FROM verdicts "
        "UNION SELECT key, tag FROM taught"
    )
    named = store.named()
    in_words = [tag.text for each in vocabularies_in_use(store) for tag in each.tags]
    listed = [named(tag) for tag in in_words]
    for edit in waiting_edits(store.path):
        listed += [tag for _, tag, _ in edit.verdicts] + [tag for tag, _ in edit.taught]
        listed += [lasting for _, lasting in edit.renamed]
    return {tag_key(tag): tag for tag in listed} | dict(store.rows(query))


def typed_tag(text: str) -> str:
    """A tag as it was typed, in its clean form. Errors: UsageError for one without a name."""
    return "|".join(clean(tuple(text.split("|"))))


def find_tag(
    store: Store, text: str, *, is_path: bool = False, of: Callable[[], Sequence[int]] | None = None
) -> str | None:
    """The tag that a person means: by its path, else by its last name; None if there is none.

    With ``is_path`` what only has tags beneath it is a tag too. ``of`` gives the files that are
    spoken of: of several tags with this last name it is the one that they have, if it is one alone.
    Errors: UsageError naming the tags that a name may mean.
    """
    tag = store.named()(typed_tag(text))
    key = tag_key(tag)
    if (spelt := store.spelling(key)) is not None:
        return spelt
    known = known_tags(store)
    if key in known:
        return known[key]
    if is_path:
        count = len(tag.split("|"))
        for each, found in known.items():
            if each.startswith(f"{key}|"):
                return "|".join(found.split("|")[:count])
    alike = sorted(found for each, found in known.items() if each.rpartition("|")[2] == key)
    if len(alike) > 1 and of is not None:
        there = {tag_key(tag) for tags in store.origins_of(of()).values() for tag in tags}
        if len(having := [tag for tag in alike if tag_key(tag) in there]) == 1:
            return having[0]
    if len(alike) > 1:
        named = ", ".join(alike[:_MOST_NAMED])
        raise UsageError(f"{text} may mean {named}", hint=f'give one whole, like "{alike[0]}"')
    return alike[0] if alike else None


def must_find_tag(
    store: Store, text: str, *, is_path: bool = False, of: Callable[[], Sequence[int]] | None = None
) -> str:
    """:func:`find_tag` of a tag that is there. Errors: UsageError naming those that are near."""
    tag = find_tag(store, text, is_path=is_path, of=of)
    if tag is not None:
        return tag
    from difflib import get_close_matches  # noqa: PLC0415  (a rare need)

    known = known_tags(store)
    last = {key.rpartition("|")[2]: key for key in known}
    near = get_close_matches(tag_key(typed_tag(text)), [*known, *last], n=3)
    hint = "aimv2 tag list has all tags; aimv2 tag add makes a new one"
    if near:
        tags = dict.fromkeys(known[last.get(each, each)] for each in near)
        hint = f"near to it: {', '.join(tags)}"
    raise UsageError(f"no photo and no vocabulary has the tag {text}", hint=hint)


# All tags that are shown, as the view of that name has them: of all at once this is far quicker.
_SHOWN = """(
    SELECT key, origin, tag, file_id FROM tags NOT INDEXED WHERE NOT EXISTS (
        SELECT 1 FROM refused WHERE refused.file_id = tags.file_id AND refused.key = tags.key
    ) UNION ALL
    SELECT key, 'you', tag, files.id FROM verdicts JOIN files ON last_hash = verdicts.hash
    WHERE verdict <> 'rejected'
)"""
_PHOTO = "ifnull((SELECT first FROM firsts WHERE firsts.file_id = shown.file_id), shown.file_id)"


def count_by_origin(store: Store) -> list[TagCount]:
    """Every tag of the photos with its counts, the commonest first."""
    firsts = {id: shot[0] for id, shot in shots_of(store).items()}
    count = f"count(DISTINCT {_PHOTO})" if firsts else "count(*)"
    photos: dict[str, int] = {}
    by_origin: dict[str, dict[str, int]] = {}
    spellings: dict[str, str] = {}
    with (
        store.temporary_table("refused", "file_id INTEGER, key TEXT, PRIMARY KEY (file_id, key)"),
        store.temporary_table("firsts", "file_id INTEGER PRIMARY KEY, first INTEGER"),
    ):
        store.run(
            "INSERT INTO refused SELECT files.id, key FROM verdicts "
            "JOIN files ON last_hash = verdicts.hash WHERE verdict = 'rejected'"
        )
        store.run_many("INSERT INTO firsts VALUES (?, ?)", firsts.items())
        rows = store.rows(
            f"SELECT key, origin, min(tag), {count} FROM {_SHOWN} AS shown GROUP BY key, origin"
        )
        for key, origin, tag, photos_of_it in sorted(rows, key=lambda row: _rank(row[1])):
            spellings.setdefault(key, tag)
            by_origin.setdefault(key, {})[origin] = photos_of_it
            photos[key] = photos_of_it
        several = [key for key, origins in by_origin.items() if len(origins) > 1]
        photos |= store.rows(
            f"SELECT key, count(DISTINCT {_PHOTO}) FROM {_SHOWN} AS shown "
            "WHERE key IN (SELECT value FROM json_each(?)) GROUP BY key",
            (json.dumps(several),),
        )
    rejected = _count_rejected(store, firsts, spellings)
    counts = [
        TagCount(tag, photos.get(key, 0), by_origin.get(key, {}), rejected[key])
        for key, tag in spellings.items()
    ]
    return sorted(counts, key=lambda each: (-each.photos, each.tag))


def count_verdicts(store: Store) -> dict[str, int]:
    """How often the owner said each verdict on a photo's tag; files of a shot are one photo."""
    firsts = {id: shot[0] for id, shot in shots_of(store).items()}
    rows = store.rows(
        "SELECT verdict, key, files.id FROM verdicts JOIN files ON last_hash = verdicts.hash"
    )
    counts = Counter(
        verdict for verdict, _, _ in {(*row[:2], firsts.get(row[2], row[2])) for row in rows}
    )
    return {verdict: counts[verdict] for verdict in get_args(Verdict)}


def _count_rejected(
    store: Store, firsts: dict[int, int], spellings: dict[str, str]
) -> Counter[str]:
    """Photos for which each tag is rejected, by key; tags that no photo has get a spelling."""
    query = (
        "SELECT key, tag, files.id FROM verdicts JOIN files ON last_hash = verdicts.hash "
        "WHERE verdict = 'rejected'"
    )
    found = set()
    for key, tag, id in store.rows(query):
        spellings.setdefault(key, tag)
        found.add((key, firsts.get(id, id)))
    return Counter(key for key, _ in found)


def _rank(origin: str) -> int:
    word = origin.partition(" ")[0]
    return ORIGINS.index(word) if word in ORIGINS else len(ORIGINS)


def several_tags(store: Store, texts: Iterable[str]) -> list[str]:
    """The tags that a person means, each once. Errors: as :func:`must_find_tag`."""
    return list(dict.fromkeys(must_find_tag(store, text, is_path=True) for text in texts))
