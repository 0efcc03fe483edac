"""Dates as programs write them, read as what a camera's clock showed."""

import re
from datetime import datetime

_LONGEST = 64  # characters: of a text without an end the pattern would try every part

# The year first: of 05/06/2020 nobody knows the day. An offset from UTC says where the clock was
# set, so it changes nothing of what the clock showed.
_DATE = re.compile(
    r"""
    (?P<year>[12]\d{3})
    (?:(?P<mark>[-:/.\s])\s?(?P<month>\d\d?)(?P=mark)\s?(?P<day>\d\d?)|(?P<packed_day>\d{4}))
    (?:
        (?:\s*[T:]|\s)\s*
        (?:
            (?P<hour>\d\d?)(?P<stop>[:.])(?P<minute>\d\d)(?:(?P=stop)(?P<second>\d\d))?
            |(?P<packed_time>\d{6}|\d{4})
        )
        (?:[.,:]\d+)?
        (?:\s*(?P<half>[AP])\.?M\.?)?
        (?:\s*(?:Z|UTC|GMT|(?-i:[A-Z]{3,5}))?(?:[+-]\d\d?(?::?\d\d)?)?)
    )?
    [\s:]*  # a time, or seconds, that EXIF leaves blank
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def read_date(text: str) -> str | None:
    """A date as ISO 8601 without a zone, ``2024-05-31T14:05:06``; None for what is no full day.

    A day alone is its midnight, seconds that are not said are 0, fractions are left out.
    """
    text = text.strip("\0 ").partition("\0")[0].strip()
    found = _DATE.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    packed_day, packed_time = found["packed_day"], found["packed_time"]
    month, day = found["month"], found["day"]
    if packed_day:
        month, day = packed_day[:2], packed_day[2:]
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if packed_time:
        hour, minute, second = (int(packed_time[at : at + 2] or 0) for at in (0, 2, 4))
    half = (found["half"] or "").upper()
    if half == "P" and hour < 12:
        hour += 12
    elif half == "A" and hour == 12:
        hour = 0
    if hour == 24:  # phones that count hours from 1; ISO's end of a day keeps its day too
        hour = 0
    if second == 60:  # a leap second, or a slip: it is in the minute that it is written in
        second = 59
    try:
        return datetime(int(found["year"]), int(month), int(day), hour, minute, second).isoformat()
    except ValueError:  # zeros, or the 31st of February, where it is not known
        return None
