"""A shot of several files: found once, tagged alike, and its files are no copies of each other."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageEnhance, ImageOps

from mlx_aimv2.library import shots as module
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.search.searcher import Answer
from mlx_aimv2.library.shot_names import shot_key
from mlx_aimv2.library.shots import shots_of
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support import tiffs
from tests.support.commands import run
from tests.support.pictures import encoded
from tests.support.synthetic import add_photo, facts

NOON = "2024:05:31 12:00:00"
SIDE_PX = 64


pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library.db")


def picture(number: int) -> Image.Image:
    return draw(HELD_OUT + number, SIDE_PX).image


def write(path: Path, image: Image.Image, date: str | None = NOON) -> Path:
    """A photo in the format of its name; a DNG has the picture as its preview."""
    path.parent.mkdir(exist_ok=True)
    exif = {} if date is None else {int(ExifTags.Base.DateTimeOriginal): date}
    if path.suffix.lower() == ".dng":
        pytest.importorskip("rawpy", reason="needs rawpy")
        inner = {tag: tiffs.text(text) for tag, text in exif.items()}
        preview = encoded(image, "JPEG", quality=90)
        path.write_bytes(tiffs.dng(preview, inner=inner, size=(SIDE_PX, SIDE_PX)))
        return path
    made = Image.Exif()
    made.get_ifd(ExifTags.IFD.Exif).update(exif)
    format = {".heic": "HEIF", ".jpg": "JPEG"}.get(path.suffix.lower(), path.suffix[1:].upper())
    path.write_bytes(encoded(image, format, exif=made.tobytes()))
    return path


def index(library: Library, folder: Path) -> None:
    report = library.index([folder], model="demo")
    assert not report.errors


def names(answer: Answer) -> list[str]:
    return [Path(os.fsdecode(hit.file.path)).name for hit in answer.hits]


def shown(library: Library, filters: Filters | None = None) -> dict[str, tuple[str, ...]]:
    """What a search for anything and a list by date show, with the other files of each shot."""
    filters = filters or Filters()
    searched = library.search("something", min_score=-1.0, count=99, filters=filters)
    listed = library.search(count=99, filters=Filters(filters.places, formats=filters.formats))
    assert sorted(names(searched)) == sorted(names(listed))
    assert listed.searched == len(listed.hits)
    return {
        Path(os.fsdecode(hit.file.path)).name: tuple(Path(each).name for each in hit.same_shot)
        for hit in searched.hits
    }


def copies(library: Library, *, shots: bool = False) -> list[set[str]]:
    files = library.store.files_of(
        chain.from_iterable(group.files for group in library.duplicates(shots=shots))
    )
    return [
        {os.fsdecode(files[id].path) for id in group.files}
        for group in library.duplicates(shots=shots)
    ]


EVERYWHERE = Filters(("/",))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["DSC_1.DNG", "DSC_1.JPG"], {"DSC_1.JPG": ("DSC_1.DNG",)}),
        (["dsc_1.dng", "DSC_1.jpeg"], {"DSC_1.jpeg": ("dsc_1.dng",)}),
        (["IMG_1.heic", "IMG_1.DNG"], {"IMG_1.heic": ("IMG_1.DNG",)}),
        (["IMG_1.jpg", "IMG_E1.jpg"], {"IMG_E1.jpg": ("IMG_1.jpg",)}),
        (["IMG_0001.heic", "IMG_E0001.jpg"], {"IMG_E0001.jpg": ("IMG_0001.heic",)}),
        (
            ["IMG_1.DNG", "IMG_1.heic", "IMG_E1.jpg"],
            {"IMG_E1.jpg": ("IMG_1.heic", "IMG_1.DNG")},
        ),
        (["a.dng", "a.png", "a.jpg"], {"a.jpg": ("a.png", "a.dng")}),
        (
            ["PXL_1.RAW-01.COVER.jpg", "PXL_1.RAW-02.ORIGINAL.dng"],
            {"PXL_1.RAW-01.COVER.jpg": ("PXL_1.RAW-02.ORIGINAL.dng",)},
        ),
        (["a.heic", "a.jpg"], {"a.heic": (), "a.jpg": ()}),  # one made of the other: a copy
        (["IMG_1.jpg", "IMG_E12.jpg"], {"IMG_1.jpg": (), "IMG_E12.jpg": ()}),
        (["a.dng", "a-1.jpg"], {"a.dng": (), "a-1.jpg": ()}),
    ],
)
def test_what_is_one_shot(
    library: Library, tmp_path: Path, files: Sequence[str], expected: dict[str, tuple[str, ...]]
) -> None:
    for name in files:
        write(tmp_path / "album" / name, picture(1))
    write(tmp_path / "album" / "other.jpg", picture(2))
    index(library, tmp_path / "album")
    assert shown(library, EVERYWHERE) == {**expected, "other.jpg": ()}
    within = [set(files)] if len(expected) > 1 else []
    assert [{Path(path).name for path in group} for group in copies(library)] == within
    assert [{Path(path).name for path in group} for group in copies(library, shots=True)] == [
        set(files)
    ]


@pytest.mark.parametrize(
    ("dates", "is_one"),
    [
        ((NOON, "2024:05:31 12:00:02"), True),
        ((NOON, "2024:05:31 12:00:09"), False),
        ((NOON, "2019:01:01 12:00:00"), False),
        ((NOON, None), True),
        ((None, None), True),
    ],
)
def test_dates_tell_two_cameras_apart(
    library: Library, tmp_path: Path, dates: tuple[str | None, str | None], is_one: bool
) -> None:
    write(tmp_path / "album" / "IMG_1.JPG", picture(1), dates[0])
    write(tmp_path / "album" / "IMG_1.DNG", picture(1), dates[1])
    index(library, tmp_path / "album")
    assert len(shown(library, EVERYWHERE)) == 2 - is_one


@pytest.mark.parametrize("names", [("IMG_1.JPG", "IMG_1.DNG"), ("IMG_1.JPG", "IMG_E1.JPG")])
def test_without_dates_unlike_pictures_are_two(
    library: Library, tmp_path: Path, names: tuple[str, str]
) -> None:
    for number, name in enumerate(names, 1):
        write(tmp_path / "album" / name, picture(number), None)
    index(library, tmp_path / "album")
    assert shown(library, EVERYWHERE) == dict.fromkeys(names, ())


@pytest.mark.parametrize(
    "edit",
    [
        ImageOps.grayscale,
        lambda image: image.crop((10, 10, 54, 54)),
        lambda image: ImageEnhance.Brightness(image).enhance(0.6),
        lambda image: ImageEnhance.Color(image).enhance(2),
    ],
)
def test_an_edit_without_dates_looks_about_the_same(
    library: Library, tmp_path: Path, edit: Callable[[Image.Image], Image.Image]
) -> None:
    write(tmp_path / "album" / "IMG_0001.HEIC", picture(1), None)
    write(tmp_path / "album" / "IMG_E0001.JPG", edit(picture(1).convert("RGB")), None)
    index(library, tmp_path / "album")
    assert shown(library, EVERYWHERE) == {"IMG_E0001.JPG": ("IMG_0001.HEIC",)}


def test_an_edit_may_look_otherwise(library: Library, tmp_path: Path) -> None:
    write(tmp_path / "album" / "IMG_1.JPG", picture(1))
    write(tmp_path / "album" / "IMG_E1.JPG", ImageOps.invert(picture(1).convert("RGB")))
    index(library, tmp_path / "album")
    assert shown(library, EVERYWHERE) == {"IMG_E1.JPG": ("IMG_1.JPG",)}


def test_one_name_in_two_folders_is_two_shots(library: Library, tmp_path: Path) -> None:
    write(tmp_path / "album" / "a.jpg", picture(1))
    write(tmp_path / "album" / "raw" / "a.dng", picture(1))
    index(library, tmp_path / "album")
    assert len(library.search(filters=EVERYWHERE).hits) == 2
    assert len(copies(library)) == 1


@pytest.fixture
def shots(library: Library, tmp_path: Path) -> Path:
    """Four shots of a RAW and a JPEG each, two photos alone, and a video."""
    for number in range(4):
        for ending in ("JPG", "DNG"):
            write(tmp_path / "album" / f"DSC_{number}.{ending}", picture(number))
    for number in (4, 5):
        write(tmp_path / "album" / f"DSC_{number}.JPG", picture(number))
    (tmp_path / "album" / "DSC_4.MOV").touch()
    index(library, tmp_path / "album")
    return tmp_path / "album"


def test_so_many_results_are_so_many_shots(library: Library, shots: Path) -> None:
    whole = library.search("something", min_score=-1.0, count=99)
    assert len(whole.hits) == 6
    for count in range(1, 7):
        some = library.search("something", min_score=-1.0, count=count)
        assert names(some) == names(whole)[:count]
        assert [hit.score for hit in some.hits] == [hit.score for hit in whole.hits][:count]
        assert len(library.search(count=count, filters=EVERYWHERE).hits) == count
    assert library.search(count=2, filters=EVERYWHERE).searched == 6


def test_filters_choose_before_a_shot_is_shown_once(library: Library, shots: Path) -> None:
    for filters in (Filters(formats="dng"), Filters(("*.dng",))):
        assert shown(library, filters) == {f"DSC_{n}.DNG": (f"DSC_{n}.JPG",) for n in range(4)}
    assert len(shown(library, Filters(formats="jpeg"))) == 6
    assert shown(library, Filters((shots / "DSC_2.DNG",))) == {"DSC_2.DNG": ("DSC_2.JPG",)}


def test_likeness_leaves_out_the_whole_shot(library: Library, shots: Path) -> None:
    for name in ("DSC_1.JPG", "DSC_1.DNG"):
        found = library.search(like=shots / name)
        assert sorted(names(found)) == [f"DSC_{n}.JPG" for n in range(6) if n != 1]
        assert (found.searched, found.excluded) == (8, 2)


def test_a_shot_whose_first_file_has_no_vector_is_found(library: Library, shots: Path) -> None:
    with library._writing() as store, store.transaction():
        file = store.file_at(os.fsencode(shots / "DSC_3.JPG"))
        assert file is not None
        store.remove_vectors(file.id)
    found = library.search("something", min_score=-1.0)
    assert "DSC_3.DNG" in names(found)
    assert len(found.hits) == 6


def test_a_backup_of_shots_is_copies_of_each_file(
    library: Library, shots: Path, tmp_path: Path
) -> None:
    assert copies(library) == []
    assert len(copies(library, shots=True)) == 4
    backup = tmp_path / "backup"
    shutil.copytree(shots, backup)
    index(library, backup)
    found = {frozenset(group) for group in copies(library)}
    photos = [path for path in shots.iterdir() if path.suffix != ".MOV"]
    assert found == {frozenset((str(path), str(backup / path.name))) for path in photos}


def test_of_equal_files_the_one_of_a_shot_is_kept(library: Library, shots: Path) -> None:
    shutil.copy(shots / "DSC_0.JPG", shots / "a.jpg")
    shutil.copy(shots / "DSC_0.DNG", shots / "b.dng")
    index(library, shots)
    files = library.store.files_of(range(1, 99))
    groups = [
        [Path(os.fsdecode(files[id].path)).name for id in g.files] for g in library.duplicates()
    ]
    assert sorted(groups) == [["DSC_0.DNG", "b.dng"], ["DSC_0.JPG", "a.jpg"]]


def test_files_of_equal_content_may_be_one_shot(library: Library, tmp_path: Path) -> None:
    write(tmp_path / "album" / "IMG_1.JPG", picture(1))
    shutil.copy(tmp_path / "album" / "IMG_1.JPG", tmp_path / "album" / "IMG_E1.JPG")
    index(library, tmp_path / "album")
    assert copies(library) == []
    assert len(copies(library, shots=True)) == 1


def test_all_files_of_a_shot_get_the_tags_of_the_one_shown(
    library: Library, tmp_path: Path
) -> None:
    for number in range(12):
        write(tmp_path / "album" / f"DSC_{number}.JPG", picture(number))
        # What the RAW shows is not asked, so these are tagged by what they do not show.
        write(tmp_path / "album" / f"DSC_{number}.DNG", picture(number + 50))
    index(library, tmp_path / "album")
    vocabulary = tmp_path / "tags.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in ("boat", "ball", "cake", "dog", "house")))
    given: dict[str, tuple[tuple[str, float], ...]] = {}
    library.tag(
        vocabulary=vocabulary,
        told=lambda tagged, _: given.update(
            {Path(os.fsdecode(tagged.file.path)).name: tagged.tags}
        ),
    )
    assert any(given.values())
    for number in range(12):
        assert given[f"DSC_{number}.JPG"] == given[f"DSC_{number}.DNG"]
    counts = {each.tag: each.photos for each in library.tags()}
    assert counts == {
        tag: sum(tag in dict(given[f"DSC_{number}.JPG"]) for number in range(12)) for tag in counts
    }
    some: dict[str, tuple[tuple[str, float], ...]] = {}
    library.tag(
        vocabulary=vocabulary,
        filters=Filters(("*.dng",)),
        dry_run=True,
        told=lambda tagged, _: some.update({Path(os.fsdecode(tagged.file.path)).name: tagged.tags}),
    )
    assert some.keys() == {name for name in given if name.endswith("DNG")}
    for name, tags in some.items():  # other batches round otherwise
        assert dict(tags) == pytest.approx(dict(given[name]), abs=1e-5)


def test_the_command_names_the_other_files(library: Library, shots: Path, tmp_path: Path) -> None:
    on = f"--library={library.path}"
    done = run("search", "--in=*DSC_0*", on)
    assert done.out.splitlines()[1].endswith(f"{shots}/DSC_0.JPG  + DSC_0.DNG")
    assert "1 of" not in done.err
    records = [
        json.loads(line) for line in run("search", "--in=*.jpg", "--json", on).out.splitlines()
    ]
    others = {Path(each["path"]).name: each["same_shot"] for each in records}
    assert others["DSC_0.JPG"] == [f"{shots}/DSC_0.DNG"]
    assert others["DSC_4.JPG"] == [f"{shots}/DSC_4.MOV"]
    assert others["DSC_5.JPG"] == []
    paths = run("search", "something", "--min-score=-1", "--paths", on).out.splitlines()
    assert len(paths) == 6
    run("search", "something", "--min-score=-1", f"--html={tmp_path}/sheet.html", on)
    sheet = (tmp_path / "sheet.html").read_text()
    assert sheet.count('class="card') == 6
    assert "DSC_0.DNG" in sheet
    assert "no duplicates" in run("duplicates", on).err
    assert "4 groups" in run("duplicates", "--shots", on).err


def test_older_libraries_learn_it(library: Library, shots: Path) -> None:
    with library._writing() as store:
        store.run("UPDATE files SET shot = NULL")
    with library._writing() as store:
        assert len(shots_of(store)) == 8


def test_names_that_are_no_text() -> None:
    keys = [
        shot_key(os.fsencode(folder) + b"/\xff." + end)
        for folder in "ab"
        for end in (b"jpg", b"DNG")
    ]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert shot_key("/a/é.jpg".encode()) == shot_key("/a/e\u0301.NEF".encode())
    assert shot_key(b"/a/b") != shot_key(b"/a/c")


def test_shots_are_found_again_only_when_photos_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    look = module.shots_of
    monkeypatch.setattr(module, "shots_of", lambda store: found.append(1) or look(store))
    kept = module.KeptShots()
    at = facts(taken_at="2024-05-03T10:00:00")
    with Store(tmp_path / "library.db", can_write=True) as store:
        first = add_photo(store, "/p/IMG_1.JPG", facts=at)
        assert kept.of(store) == kept.of(store) == {}
        store.say(store.last_hash(first), "Sea", "added")
        assert kept.of(store) == {}
        assert len(found) == 1
        raw = add_photo(store, "/p/IMG_1.CR2", facts=at)
        assert kept.of(store) == {first: (first, raw), raw: (first, raw)}
        assert len(found) == 2
