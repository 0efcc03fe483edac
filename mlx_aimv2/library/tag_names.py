"""When two tags are one: spellings of a name, and of a path of names like ``Animals|Dog``."""

import unicodedata
from functools import lru_cache

# What stands for a separator inside a name: its full-width form, which reads the same.
STAND_INS = {"|": "｜", "/": "／"}


def fold(name: str) -> str:
    """A key that is equal for two spellings of a name: NFC, single spaces, no stand-ins."""
    text = " ".join(unicodedata.normalize("NFC", name).split())
    for char, stand_in in STAND_INS.items():
        text = text.replace(stand_in, char)
    return text


@lru_cache(1 << 16)
def tag_key(tag: str) -> str:
    """A key that is equal for two spellings of a tag, of capitals or not: ``animals|dog``.

    The stand-in for | stays: the bar itself stands between names.
    """
    names = (fold(name).replace("|", STAND_INS["|"]) for name in tag.split("|"))
    return unicodedata.normalize("NFC", "|".join(names).casefold())
