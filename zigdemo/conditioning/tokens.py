"""CLIP's tokens of a prompt, and which tokens belong to which word."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

BYTES, SPECIALS = 512, 2  # tokens of single bytes, within a word and at its end; start and end token
WORD_END = "</w>"
MOST_CACHED = 50_000  # words in the cache of open_clip's tokenizer


@dataclass(frozen=True)
class Prompt:
    """A prompt as a text tower reads it.

    ids: one per position of the tower, padded with end tokens. pieces: the text of each token. words: the words in
    order, as CLIP normalises them (lower case). word_of: for each position the index of its word, -1 for start, end and
    padding. cut: words that did not fit.
    """

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    words: tuple[str, ...]
    word_of: tuple[int, ...]
    cut: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Number of tokens from the start token to the first end token, both included."""
        return sum(word >= 0 for word in self.word_of) + SPECIALS

    @property
    def mask(self) -> tuple[bool, ...]:
        """Whether each position is part of the text, start and end token included."""
        return tuple(position < self.length for position in range(len(self.ids)))

    @property
    def warning(self) -> str | None:
        """One sentence if words did not fit, else None."""
        if not self.cut:
            return None
        text = " ".join(self.cut)
        text = text if len(text) <= 60 else f"{text[:57]}..."
        return (
            f"the prompt is longer than the {len(self.ids)} tokens this model reads; its last {len(self.cut)} words "
            f"are left out: {text!r}"
        )


class Tokenizer:
    """CLIP's byte pair encoding with the vocabulary shipped by open_clip, or the first part of it.

    context: positions of the tower. vocabulary: number of tokens: 512 bytes, the merges and two specials. With fewer
    than CLIP's 49,408 only the most frequent merges are kept, and every text can still be encoded. Thread-safe.
    Source: Radford et al. 2021 (arXiv 2103.00020), section 2.4; padded with end tokens as in transformers, which the
    published ZigMa models use.
    """

    def __init__(self, context: int, vocabulary: int) -> None:
        self.context, self.vocabulary = context, vocabulary
        self.start, self.end = vocabulary - 2, vocabulary - 1
        self._lock = threading.Lock()

    @cached_property
    def _open_clip(self) -> Any:  # a SimpleTokenizer; open_clip is imported when needed
        from open_clip.tokenizer import SimpleTokenizer

        tokenizer = SimpleTokenizer(context_length=self.context)
        tokenizer.bpe_ranks = dict(list(tokenizer.bpe_ranks.items())[: self.vocabulary - BYTES - SPECIALS])
        return tokenizer

    @property
    def merges(self) -> list[tuple[str, str]]:
        """The pairs of pieces that are merged, the most frequent first; merge k is row BYTES + k of the table."""
        return list(self._open_clip.bpe_ranks)

    def __call__(self, text: str) -> Prompt:
        """Tokens of a text in any language; words that do not fit are left out, see `Prompt.warning`."""
        with self._lock:
            tokenizer = self._open_clip
            if len(tokenizer.cache) > MOST_CACHED:
                tokenizer.cache = {token: token for token in ("<start_of_text>", "<end_of_text>")}
            tokens = [tokenizer.decoder[token] for token in tokenizer.encode(text)]
        room, words, ids, pieces, word_of, cut = self.context - SPECIALS, [], [], [], [], []
        for word in _by_word(tokens):
            word_text = self._spell(word)
            if cut or len(ids) + len(word) > room:
                cut.append(word_text)
                continue
            ids += [self._row(token) for token in word]
            pieces += [self._spell([token]) for token in word]
            word_of += [len(words)] * len(word)
            words.append(word_text)
        padding = self.context - len(ids) - 1
        return Prompt(
            text=text,
            ids=(self.start, *ids, *[self.end] * padding),
            pieces=("<start>", *pieces, *["<end>"] * padding),
            words=tuple(words),
            word_of=(-1, *word_of, *[-1] * padding),
            cut=tuple(cut),
        )

    def _row(self, token: str) -> int:
        """The row of a token in the tower's table; the special tokens are the last two rows, as in CLIP."""
        tokenizer = self._open_clip
        row = tokenizer.encoder[token]
        return row if row < self.vocabulary - SPECIALS else row - tokenizer.vocab_size + self.vocabulary

    def _spell(self, tokens: list[str]) -> str:
        """The text of tokens; an incomplete character becomes a replacement mark."""
        characters = "".join(tokens).replace(WORD_END, "")
        decoder = self._open_clip.byte_decoder
        if any(character not in decoder for character in characters):
            return characters
        return bytes(decoder[character] for character in characters).decode("utf-8", errors="replace")


def _by_word(tokens: list[str]) -> list[list[str]]:
    """Group tokens by word."""
    words: list[list[str]] = []
    starts_word = True
    for token in tokens:
        if starts_word:
            words.append([])
        words[-1].append(token)
        starts_word = token.endswith((WORD_END, "_of_text>"))
    return words
