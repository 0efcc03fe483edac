"""The Python names and the commands that people build on are those that are committed."""

from tests.support import public_face


def test_what_people_build_on_is_unchanged() -> None:
    """A change that is meant goes into CHANGELOG.md, and by
    ``python -m tests.support.public_face > tests/public_face.txt`` into the file beside this."""
    assert public_face.whole().splitlines() == public_face.COMMITTED.read_text().splitlines()
