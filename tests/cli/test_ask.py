"""`aimv2 ask`: what is asked of which pictures, and the answer as it comes."""

import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from mlx_aimv2.cli import output
from mlx_aimv2.describe import conversation, prompts
from mlx_aimv2.describe.aria import Aria
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer
from tests.support.commands import run
from tests.support.pictures import photo
from tests.support.talking_aria import says, write_aria

MARK = "<|im_end|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_aria(tmp_path_factory.mktemp("aria") / "aria")


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(["a.png", "b.png"]):
        photo(40 + 9 * number, 31, seed=number).save(name)


@pytest.fixture
def asked(monkeypatch):
    """What is asked, with which pictures and options."""
    seen = []
    chat, ask = Aria.chat, conversation.Conversation.ask

    def note_chat(self, images, options, **rest):
        seen.append((images, options))
        return chat(self, images, options, **rest)

    def note_ask(self, question):
        seen.append(question)
        return ask(self, question)

    monkeypatch.setattr(Aria, "chat", note_chat)
    monkeypatch.setattr(conversation.Conversation, "ask", note_ask)
    return seen


@pytest.mark.usefixtures("pictures")
def test_the_answer_is_that_of_python(folder):
    arguments = ["a.png", "b.png", "What is shown?", "--max-tokens", "9", "--fast"]
    done = run("ask", *arguments, "--model", str(folder))
    answer = Aria.load(folder).ask(["a.png", "b.png"], "What is shown?", max_tokens=9, fast=True)
    assert done.code == 0
    assert done.out == output_of("".join(answer))
    assert done.err == "note: the answer was cut after 9 tokens: --max-tokens\n"


def output_of(text):
    """What is shown of an answer: its lines and tabs stay, other control characters are escaped."""
    shown = "".join(c if c in "\n\t" else output.printable(c) for c in text)
    return shown if shown.endswith("\n") else f"{shown}\n"


@pytest.mark.usefixtures("pictures")
def test_an_answer_that_ends_by_itself(folder, monkeypatch):
    says(monkeypatch, folder, f"Two dogs on a beach.\nOne\tis \x1b[31mred\x07, {{1}} < 2.{MARK}")
    done = run("ask", "a.png", "What is shown?", "--model", str(folder))
    assert (done.code, done.err) == (0, "")
    assert done.out == "Two dogs on a beach.\nOne\tis \\x1b[31mred\\x07, {1} < 2.\n"


@pytest.mark.usefixtures("pictures")
def test_pieces_are_shown_as_they_come(folder, monkeypatch):
    shown = []
    says(monkeypatch, folder, f"Two dogs.{MARK}")
    piece = output.piece

    def note(text):
        piece(text)
        shown.append(sys.stdout.buffer.getvalue().decode())

    monkeypatch.setattr(output, "piece", note)
    run("ask", "a.png", "What is shown?", "--model", str(folder))
    assert len(shown) > 1
    assert all(later.startswith(sooner) for sooner, later in pairwise(shown))
    assert shown[-1] == "Two dogs."


@pytest.mark.usefixtures("pictures")
def test_a_question_on_stdin_by_a_file_and_in_a_language(folder, monkeypatch, asked, tmp_path):
    says(monkeypatch, folder, *[f"Yes.{MARK}"] * 5)
    (tmp_path / "mine.txt").write_text("Is it\n{language}?\n")
    model = ("--model", str(folder))
    assert run("ask", "a.png", "-", *model, stdin="\ufeffWer ist das?\n日本\n".encode()).code == 0
    assert run("ask", "a.png", "b.png", "--prompt", "alt-text", *model).code == 0
    assert run("ask", "a.png", "--prompt", "mine.txt", "--language", "Latin", *model).code == 0
    assert run("ask", "a.png", "Who?", "--language", "German", *model).code == 0
    options = "--temperature 0.9 --top-p 0.5 --seed 3 --split transformers --max-tokens 7"
    assert run("ask", "a.png", "Who?", *options.split(), *model).code == 0
    assert asked[1::2] == [
        "Wer ist das?\n日本",
        prompts.read("alt-text"),
        "Is it\nLatin?",
        "Who? Answer in German.",
        "Who?",
    ]
    assert [each[0] for each in asked[::2]] == [["a.png"], ["a.png", "b.png"], *[["a.png"]] * 3]
    chosen = asked[-2][1]
    assert (chosen.temperature, chosen.top_p, chosen.seed) == (0.9, 0.5, 3)
    assert (chosen.split, chosen.max_tokens, chosen.fast) == ("transformers", 7, False)


@pytest.mark.usefixtures("pictures")
def test_the_same_seed_gives_the_same_answer(folder):
    arguments = ["ask", "a.png", "Who?", "--max-tokens", "12", "--temperature", "1.5", "--model",
                 str(folder)]  # fmt: skip
    first = run(*arguments, "--seed", "1")
    assert run(*arguments, "--seed", "1").out == first.out
    assert run(*arguments, "--seed", "2").out != first.out


@pytest.mark.usefixtures("pictures")
def test_a_chat_goes_on_until_its_input_ends(folder, monkeypatch, asked):
    says(monkeypatch, folder, f"Two dogs.{MARK}", f"A beach.\n{MARK}")
    done = run("ask", "a.png", "--chat", "--model", str(folder), stdin=b"What?\n\n  \nWhere?")
    assert (done.code, done.out, done.err) == (0, "Two dogs.\nA beach.\n", "")
    assert asked[1:] == ["What?", "Where?"]


@pytest.mark.usefixtures("pictures")
def test_a_chat_asks_for_questions_at_a_terminal(folder, monkeypatch):
    says(monkeypatch, folder, f"Two dogs.{MARK}")
    done = run("ask", "a.png", "--chat", "--model", str(folder), stdin=b"What?\n",
               terminal="stdin stderr")  # fmt: skip
    assert done.out == "Two dogs.\n"
    assert done.err.count("> ") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["What is shown?"], "a picture and a question are needed"),
        (["a.png"], "a.png is a file: the question is missing"),
        (["a.png", "b.png"], "b.png is a file: the question is missing"),
        (["--chat", "a.png", "--prompt", "caption"], "cannot be combined"),
        (["a.png", ""], "the question is empty"),
        (["a.png", "-"], "the question is empty"),
        (["-", "a.png", "Who?"], "- is for a question"),
        (["-", "--chat"], "- is for a question"),
        (["a.png", "--prompt", "captoin"], "captoin cannot be read"),
        (["a.png", "Who?", "--temperature", "nan"], "'--temperature': the least is 0"),
        (["a.png", "Who?", "--top-p", "0"], "top_p is a share above 0"),
        (["a.png", "Who?", "--max-tokens", "0"], "the least is 1"),
        (["a.png", "Who?", "--split", "both"], "both"),
        (["a.png", "Who?", "--model", "lit"], "aimv2-large-patch14-224-lit makes embeddings"),
        (["a.png", "Who?", "--model", "demo"], "demo makes embeddings"),
        (["a.png", os.fsdecode(b"caf\xe9?")], "not UTF-8"),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_what_does_not_go_is_a_usage_error(arguments, said):
    done = run("ask", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.usefixtures("pictures")
def test_pictures_are_looked_for_before_the_model_is_loaded(monkeypatch):
    monkeypatch.setattr("mlx_aimv2.inference.model.load_checkpoint", None)
    done = run("ask", "a.png", "none.jpg", "Who?")
    assert done.code == 1
    assert "none.jpg does not exist" in done.err
    assert run("ask", "a.png", ".", "Who?").code == 1


@pytest.mark.usefixtures("pictures")
def test_too_much_is_refused_with_the_way_out(folder):
    done = run("ask", "a.png", "Who?", "--max-tokens", "1020", "--model", str(folder))
    assert done.code == 2
    assert "more than the 1,024 of this checkpoint" in done.err
    assert "--max-tokens COUNT" in done.err and "--fast" in done.err


@pytest.mark.usefixtures("pictures")
def test_numbers_that_are_not_finite_are_one_sentence(folder, monkeypatch):
    from mlx_aimv2.models.aria.network import AriaNetwork  # noqa: PLC0415

    decode = AriaNetwork.decode
    monkeypatch.setattr(AriaNetwork, "decode", lambda *a, **k: decode(*a, **k) * float("nan"))
    done = run("ask", "a.png", "Who?", "--model", str(folder))
    assert (done.code, done.out) == (1, "")
    assert "not finite" in done.err and "--dtype bfloat16" in done.err


@pytest.mark.usefixtures("pictures")
def test_ctrl_c_leaves_what_was_shown(folder, monkeypatch):
    words = AriaTokenizer.from_folder(folder).encode("Two dogs and")

    def generate(*_):
        yield from words
        signal.raise_signal(signal.SIGINT)
        while True:
            yield words[-1]

    monkeypatch.setattr(conversation, "generate", generate)
    done = run("ask", "a.png", "Who?", "--model", str(folder))
    assert done.code == 130
    assert done.out.startswith("Two dogs and")
    assert done.out.endswith("\n")
    assert done.err == "stopped\n"


def test_help_knows_no_aria():
    """Neither help, nor what does something else, imports any of it."""
    script = (
        "import sys; from mlx_aimv2.cli.app import main; main(['{}', '--help']); "
        "print([name for name in sys.modules if 'aria' in name or 'describe.' in name])"
    )
    for command in ("--help", "embed", "search"):
        done = subprocess.run(
            [sys.executable, "-c", script.format(command)],
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stdout.splitlines()[-1] == "[]"
