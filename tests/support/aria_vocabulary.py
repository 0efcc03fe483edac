"""A small tokenizer with the structure of Aria's, trained on the spot, in both forms of its files.

The added tokens 0 to 118 are the published ones; then come a few unused ones, the bytes, joined
pieces, and single characters last, as SentencePiece orders them.
"""

import json
import re
import struct
from functools import cache
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers, trainers

# Source: the published tokenizer_config.json.
_HTML = ("h1", "h2", "h3", "h4", "h5", "br", "strong", "p", "table", "li", "tr", "tbody", "img",
         "b", "td")  # fmt: skip
SPECIAL = [
    "<unk>", "<|startoftext|>", "<|endoftext|>", "<|Human|>", "<|Assistant|>", "[INST]", "[/INST]",
    "<<SYS>>", "<</SYS>>", "<|img|>", *(f"<|reserved{n:03}|>" for n in range(8, -1, -1)),
]  # fmt: skip
ADDED = [
    *SPECIAL, *"0123456789", *"０１２３４５６７８９",
    "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<gh_stars>",
    "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>",
    "<jupyter_code>", "<jupyter_output>", "<empty_output>", "<commit_before>", "<commit_msg>",
    "<commit_after>", "<reponame>", "<!DOCTYPE>", "<!--", "-->", "---",
    *(form.format(name) for name in _HTML for form in ("<{}>", "<{}/>", "</{}>")),
    "```", "\b", "\r", "\n",
    *(f"<{name}>" for name in ("EMAIL", "NAME", "IP_ADDRESS", "USERNAME", "PASSWORD", "KEY",
                               "DIGITS", "PHONE", "URL")),
    *(f"<|unused{n:03}|>" for n in range(3, -1, -1)),
]  # fmt: skip
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

# A prompt and its pieces. Source: transformers' test of Aria's processor, slow and fast alike.
PROMPT = (
    "<|startoftext|><|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n"
    "<|img|>\nWhat is shown in this image?<|im_end|>"
)
_START, _END = ["|", "im", "_", "start", "|"], ["|", "im", "_", "end", "|"]
PROMPT_PIECES = [
    "<|startoftext|>", "<", *_START, ">", "system", "\n", "Answer", "▁the", "▁questions", ".<",
    *_END, "><", *_START, ">", "user", "\n", "<|img|>", "\n", "What", "▁is", "▁shown", "▁in",
    "▁this", "▁image", "?", "<", *_END, ">",
]  # fmt: skip

_CORPUS = """<|im_start|>system user assistant Answer the questions.<|im_end|>
What is shown in this image? USER: What are the things I should be cautious about when I visit this
place? ASSISTANT: a photo of a red boat, and two dogs on the beach; the user visits this place.
straße, çà et là, съешь ещё этих булок, 日本語の写真と猫"""
_WORD = re.compile(r" ?[^\W\d_]+|[^\w\s]")
_JOINED_SIGNS = [".<", "><"]  # the published ones go over the end of a marker


@cache
def pieces() -> list[str]:
    """Every piece in the order of its id."""
    trained = tokenizers.Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    words = _WORD.findall(_CORPUS) + _JOINED_SIGNS
    words += [word.strip() for word in words]
    printable = [chr(code) for code in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=2000, initial_alphabet=printable, min_frequency=2, show_progress=False
    )
    trained.train_from_iterator(words * 2, trainer)
    learned = json.loads(trained.to_str())["model"]
    joined = list(dict.fromkeys("".join(pair) for pair in learned["merges"]))
    letters = sorted(set(learned["vocab"]) - set(joined) - set(ADDED))
    return [*ADDED, *_BYTES, *(piece for piece in joined if piece not in ADDED), *letters]


def vocab_size() -> int:
    return len(pieces())


def write_sentencepiece(
    folder: Path, *, prefix: bool = False, strips: bool = False, characters: bytes = b""
) -> Path:
    """tokenizer.model and tokenizer_config.json, as on the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    data = sentencepiece(prefix=prefix, strips=strips, characters=characters)
    (folder / "tokenizer.model").write_bytes(data)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config()))
    return folder


def sentencepiece(*, prefix: bool = False, strips: bool = False, characters: bytes = b"") -> bytes:
    """A tokenizer.model, written without the code under test."""
    data = b""
    for id, piece in enumerate(pieces()):
        kind = 1 if id >= len(ADDED) + 256 else 6 if id >= len(ADDED) else 4
        kind = {0: 2, 1: 3, 2: 3}.get(id, kind)
        text = _field(1, piece.encode()) + b"\x15" + struct.pack("<f", float(-id)) + b"\x18"
        data += _field(1, text + bytes([kind]))
    trainer = b"\x18\x02" + b"\x98\x02\x01"  # BPE, byte_fallback
    flags = b"\x18" + bytes([prefix]) + b"\x20" + bytes([strips]) + b"\x28\x01"
    return data + _field(2, trainer) + _field(3, _field(2, characters) + flags)


def _field(number: int, value: bytes) -> bytes:
    length, size = len(value), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + value


def tokenizer_config() -> dict[str, object]:
    flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    added = {
        str(id): {"content": token, "special": id < len(SPECIAL), **flags}
        for id, token in enumerate(ADDED)
    }
    return {"added_tokens_decoder": added, "add_prefix_space": True, "legacy": True}


def write_whole(folder: Path, *, prefix: bool = False) -> Path:
    """tokenizer.json; with ``prefix`` as it is made from a tokenizer.model with ``legacy``."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = {piece: id for id, piece in enumerate(pieces())}
    learned = pieces()[len(ADDED) + 256 :]
    merges = [
        (piece[:cut], piece[cut:])
        for piece in learned
        for cut in range(1, len(piece))
        if piece[:cut] in learned and piece[cut:] in learned
    ]
    whole = tokenizers.Tokenizer(
        models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    steps = [normalizers.Prepend("▁")] * prefix + [normalizers.Replace(" ", "▁")]
    whole.normalizer = normalizers.Sequence(steps)
    for id, token in enumerate(ADDED):
        whole.add_tokens(
            [tokenizers.AddedToken(token, special=id < len(SPECIAL), normalized=False)]
        )
    whole.save(str(folder / "tokenizer.json"))
    return folder
