"""What has to hold, whatever was done to photos, sidecars and a library."""

from mlx_aimv2.library.database.store import Store
from tests.support import xmp_editor
from tests.support.owners_ground import Ground
from tests.support.owners_word import UNSURE, YES


def check(world: Ground) -> None:
    """Fails where the owner's word, others' keywords or photos are not as they should be."""
    _check_words(world)
    _check_sidecars(world)
    for name, data in world.bytes.items():
        assert (world.folder / name).read_bytes() == data, name
    for name, keywords in world.inside.items():
        there = world.inside_of(name)
        for entries in keywords.values():
            assert entries <= there, (name, entries - there)


def _check_words(world: Ground) -> None:
    if not world.library.path.exists():
        return
    with Store(world.library.path) as store:
        said = {
            name: store.verdicts_of(bytes.fromhex(world.indexed[name])) for name in world.known()
        }
    for name, shown in world.shown(world.known()).items():
        words = world.owner.words(world.indexed[name])
        keys = {tag.casefold(): word for tag, word in words.items()}
        for key in keys.keys() | said[name].keys():
            is_yes = said[name].get(key) in YES
            expected = keys.get(key)
            if expected != UNSURE:
                assert is_yes == (expected in YES), (name, key, expected, said[name])
        for tag, word in words.items():
            if word in YES:
                assert "you" in shown.get(tag, []), (name, tag, word, shown)
            elif word == "rejected":
                assert tag not in shown, (name, tag, word, shown)
        rejected = {key for key, word in said[name].items() if word == "rejected"}
        meant = {key for key, word in keys.items() if word in ("rejected", UNSURE)}
        assert rejected <= meant, (name, rejected, meant)
        if world.has_old_names:
            continue
        inside = {tag for tag, origins in shown.items() if "file" in origins}
        theirs = {world.owner.name(tag) for tag in world.inside.get(name, ())}
        assert inside <= theirs, (name, inside, theirs)
        # A name that is the last one of a path is no keyword of its own.
        paths = {text.rpartition("|")[2] for text in _paths_inside(world, name)}
        hidden = {
            world.owner.name(tag)
            for tag, entries in world.inside.get(name, {}).items()
            if entries and tag not in paths
        } - inside
        assert all(words.get(tag) in ("rejected", UNSURE) for tag in hidden), (name, hidden)


def _check_sidecars(world: Ground) -> None:
    id = world.id_of(world.library)
    for side in world.sidecars():
        data, photo = world.data(side), world.photo_of(side)
        missing = world.foreign.get(side, set()) - xmp_editor.entries(data)
        assert not missing, (side, missing)
        if side in world.base:
            assert xmp_editor.others_part(data) == world.base[side][0], side
        if side not in world.stale and photo in world.known():
            words = world.owner.words(world.indexed[photo])
            bad = {tag for tag in xmp_editor.noted(data, id) if words.get(tag) == "rejected"}
            assert not bad, (side, bad)
    for side, keywords in world.foreign.items():
        if keywords and world.photo_of(side) is not None:
            assert (world.folder / side).exists(), side
    for path in world.folder.glob("*.xmp"):
        assert world.photo_of(path.name) or path.name in world.left, path.name


def _paths_inside(world: Ground, name: str) -> set[str]:
    return {text for prefix, text in world.inside_of(name) if prefix == "lr" and "|" in text}
