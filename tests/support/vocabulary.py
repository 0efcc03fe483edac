"""A small vocabulary of CLIP's form, trained on the spot: every byte, some merges, two specials."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

BEGIN, END = "<start_of_text>", "<end_of_text>"

_CORPUS = [
    "a photo of a cat and a dog on the beach, with two red boats",
    "the end of text and the start of text are two tokens: <end_of_text>, <start_of_text>",
    "it's, they're, we'll, don't, i'm; 1999 and 2024!!! (c) :-) <|endoftext|>",
    "héllo wörld, çà et là; straße; съешь ещё этих мягких булок",
    "日本語の写真と猫, 한국어 사진, صورة قطة, 👩‍👩‍👧 😀 😀",
] * 4


@dataclass(frozen=True)
class Vocabulary:
    """Pieces in the order of their ids (bytes, bytes that end a word, merges, specials)."""

    ids: dict[str, int]
    merges: list[tuple[str, str]]

    @property
    def bos_token_id(self) -> int:
        return self.ids[BEGIN]

    @property
    def eos_token_id(self) -> int:
        return self.ids[END]

    def write_parts(self, folder: Path) -> Path:
        """vocab.json and merges.txt, as CLIP checkpoints have them."""
        (folder / "vocab.json").write_text(json.dumps(self.ids), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in self.merges), ""]
        (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
        return folder

    def write_whole(self, folder: Path, *, special: bool = True) -> Path:
        """tokenizer.json that adds begin and end itself, and pads and truncates."""
        whole = tokenizers.Tokenizer(
            models.BPE(self.ids, self.merges, unk_token=END, end_of_word_suffix="</w>")
        )
        _like_clip(whole)
        add = whole.add_special_tokens if special else whole.add_tokens
        add([tokenizers.AddedToken(token, normalized=not special) for token in (BEGIN, END)])
        whole.post_processor = processors.RobertaProcessing(
            (END, self.eos_token_id), (BEGIN, self.bos_token_id), False, False
        )
        whole.enable_truncation(5)
        whole.enable_padding(pad_id=self.eos_token_id, pad_token=END, length=5)
        whole.save(str(folder / "tokenizer.json"))
        return folder


@cache
def clip_vocabulary() -> Vocabulary:
    """Every byte alone and at the end of a word, 200 merges, begin and end as the last two."""
    trained = tokenizers.Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    _like_clip(trained)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    trained.train_from_iterator(_CORPUS, trainer)
    merges = [(left, right) for left, right in json.loads(trained.to_str())["model"]["merges"]]
    pieces = [*alphabet, *(byte + "</w>" for byte in alphabet)]
    pieces += dict.fromkeys(left + right for left, right in merges)
    return Vocabulary({piece: i for i, piece in enumerate([*pieces, BEGIN, END])}, merges)


def _like_clip(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    words = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(words), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
