"""A small byte-level BPE in CLIP's form, learnt from the captions of drawings."""

import json
import random
from collections.abc import Iterator

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from .drawings.captions import GENERIC, caption_of, colour_caption, label_caption, place_caption
from .drawings.nouns import COLOURS, GLYPHS
from .drawings.places import PLACES
from .drawings.scene import plan

BEGIN, END = "<start_of_text>", "<end_of_text>"
WORD_END = "</w>"
VOCAB_SIZE = 1536
_CAPTIONS = 12_000

# CLIP's split: contractions, runs of letters, single digits, runs of other signs.
_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def learn_vocabulary(seed: int, *, vocab_size: int = VOCAB_SIZE) -> tokenizers.Tokenizer:
    """A tokenizer learnt from the captions of training drawings, at most that many tokens.

    Every byte has a token, alone and at a word's end, so no text is unknown; the end token has
    the highest id and stands for padding and the unknown too.
    Source: CLIP's tokenizer; the special tokens' names are open_clip's.
    """
    learner = _clip_form(models.BPE(end_of_word_suffix=WORD_END))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(alphabet) - 2,  # the word-end alphabet and two specials join
        min_frequency=2,
        show_progress=False,
        initial_alphabet=alphabet,
        end_of_word_suffix=WORD_END,
    )
    learner.train_from_iterator(caption_texts(seed), trainer)
    learnt = json.loads(learner.to_str())["model"]["merges"]
    merges: list[tuple[str, str]] = [(left, right) for left, right in learnt]
    pieces = [*alphabet, *(sign + WORD_END for sign in alphabet)]
    pieces += [left + right for left, right in merges]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, BEGIN, END]))}
    model = models.BPE(vocab, merges, unk_token=END, end_of_word_suffix=WORD_END)
    tokenizer = _clip_form(model)
    tokenizer.add_special_tokens([BEGIN, END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, vocab[BEGIN]), (END, vocab[END])]
    )
    return tokenizer


def caption_texts(seed: int) -> Iterator[str]:
    """The captions that the vocabulary is learnt from."""
    rng = random.Random(f"vocabulary {seed}")
    for number in range(_CAPTIONS):
        yield caption_of(plan(seed + number), rng).text
    yield from GENERIC
    for _ in range(12):
        for noun, glyph in GLYPHS.items():
            yield label_caption(noun, rng).text
            yield glyph.plural
        for colour in COLOURS:
            yield colour_caption(colour, rng).text
        for place in PLACES:
            yield place_caption(place, rng).text


def _clip_form(model: models.BPE) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(WORD_END, " ")])
    return tokenizer
