"""The tags that come with the package, and people's own files of them."""

from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.search_model import tags_of
from mlx_aimv2.library.tagging.vocabulary import Tag, embed_vocabulary, prompts_of, read_vocabulary
from mlx_aimv2.training.drawings.nouns import NOUNS
from mlx_aimv2.training.drawings.places import PLACES


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "own.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_tags_that_come_with_the_package():
    tags = read_vocabulary()
    assert len(tags) >= 420
    words = {word for tag in tags for word in tag.words}
    assert set(NOUNS) <= words
    assert all(len(tag.path) == 2 and (tag.words or tag.prompts) for tag in tags)
    dog = next(tag for tag in tags if tag.text == "Animals|Dog")
    assert dog.name == "Dog"
    assert {"dog", "puppy"} <= set(dog.words)


def test_the_demo_checkpoint_comes_with_the_tags_that_it_knows(tmp_path):
    file = tags_of("demo")
    tags = read_vocabulary(file)
    assert [tag.words[0] for tag in tags] == [*NOUNS, *PLACES]
    assert {tag.path[0] for tag in tags} <= {tag.path[0] for tag in read_vocabulary()}
    for published in ("lit", "3B-448", "someone/aimv2@main"):
        assert tags_of(published) is None
    assert tags_of(str(tmp_path)) is None
    convert("demo", tmp_path / "8-bit", quantize_bits=8)
    assert read_vocabulary(tags_of(str(tmp_path / "8-bit"))) == tags


def test_no_two_tags_are_looked_for_by_the_same_texts():
    seen: dict[str, str] = {}
    for tag in read_vocabulary():
        for text in prompts_of(tag, "plain"):
            assert text not in seen, f"{tag.text} and {seen[text]}"
            seen[text] = tag.text


def test_every_form_of_line(tmp_path):
    content = (
        "\ufeff# mine\r\n\r\n  Pets | Rex :  Rex,  our   dog \r\n"
        "Night = a photo at night = dusk\r\nKites\r\nA|B|C: c = a, b and c: all\r\nCafe\u0301: café"
    )
    assert read_vocabulary(written(tmp_path, content)) == (
        Tag(("Pets", "Rex"), ("Rex", "our dog")),
        Tag(("Night",), (), ("a photo at night", "dusk")),
        Tag(("Kites",), ("Kites",)),
        Tag(("A", "B", "C"), ("c",), ("a, b and c: all",)),
        Tag(("Café",), ("café",)),
    )


def test_comments_end_lines(tmp_path):
    content = "Boat # mine\rC#: c#\t# a language\n # nothing\r\nNight = at night # dark\n"
    assert read_vocabulary(written(tmp_path, content)) == (
        Tag(("Boat",), ("Boat",)),
        Tag(("C#",), ("c#",)),
        Tag(("Night",), (), ("at night",)),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Dog\n\nPets|dog\ndog: hound\n", "line 4: dog is in line 1 already"),
        ("Dog: dog,, puppy", 'line 1: nothing before or after ","'),
        ("Dog:", "line 1: no words after the colon"),
        (":", "line 1: no name before the colon"),
        ("Dog\rCat:\rCow", "line 2: no words after the colon"),
        ("Dog =", "line 1: nothing"),
        (": dog", "line 1: no name before the colon"),
        ("Pets||Dog", "line 1: nothing"),
        ("dog, puppy", "line 1: a tag's name has no , ; /"),
        ("a/b: c", "line 1: a tag's name"),
        ("Dog: dog, Dog", "line 1: a word is there twice"),
        ("Dog: do\x00g", "line 1: a character that cannot be shown"),
        ("Dog: " + "o" * 201, "line 1: too long"),
        ("Dog: " + ", ".join(map(str, range(65))), "line 1: too many words"),
        ("# nothing\n\n", "has no tags"),
        ("", "has no tags"),
        (b"Dog\nCaf\xe9\n", "line 2: not UTF-8"),
        ("\n".join(map(str, range(10_001))), "10001 tags"),
        (b"a" * (4 * 2**20 + 1), "too large"),
    ],
)
def test_what_is_no_vocabulary(tmp_path, content, message):
    with pytest.raises(UsageError) as caught:
        read_vocabulary(written(tmp_path, content))
    assert message in str(caught.value)
    assert "own.txt" in str(caught.value)
    assert caught.value.hint


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError, match="cannot read the vocabulary"):
            read_vocabulary(path)


def test_prompts():
    tag = Tag(("A", "B"), ("cat", "{}"), ("a cat.", "cats at night"))
    assert prompts_of(tag, ["{}", "a {}."]) == ("cat", "a cat.", "{}", "a {}.", "cats at night")
    with pytest.raises(UsageError, match="unknown template"):
        prompts_of(tag, "nothing")


def test_embeddings_are_means_of_unit_vectors():
    vectors = {"cat": [1, 0, 0], "kitten": [0, 1, 0], "dark": [0, 0, 1]}
    calls = []

    def embed_texts(texts: list[str]) -> np.ndarray:
        calls.append(texts)
        return np.array([vectors[text] for text in texts], np.float32)

    tags = [
        Tag(("Cat",), ("cat", "kitten")),
        Tag(("X",), ("cat",), ("dark",)),
        Tag(("C",), ("cat",)),
    ]
    half = 0.5**0.5
    expected = [[half, half, 0], [half, 0, half], [1, 0, 0]]
    np.testing.assert_allclose(embed_vocabulary(tags, embed_texts, "plain"), expected, atol=1e-6)
    assert calls == [["cat", "kitten", "dark"]]
    with pytest.raises(UsageError, match="no tags"):
        embed_vocabulary([], embed_texts)
