"""CLIP's tokens of a prompt, and which of them spell which word."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

BYTES, SPECIALS = 512, 2  # tokens of single bytes, inside a word and at its end; start and end
WORD_END = "</w>"
MOST_KEPT = 50_000  # words whose pieces the tokenizer of open_clip remembers


@dataclass(frozen=True)
class Prompt:
    """A prompt as a text tower reads it.

    ids: one a position of the tower; after the end token come more end tokens. pieces: what each of them spells.
    words: the words in order, as spelled after CLIP's cleaning (lower case). word_of: for each position the index of
    its word, -1 for start, end and what follows. cut: the words that did not fit.
    """

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    words: tuple[str, ...]
    word_of: tuple[int, ...]
    cut: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Number of tokens from the start to the first end, both counted."""
        return sum(word >= 0 for word in self.word_of) + SPECIALS

    @property
    def mask(self) -> tuple[bool, ...]:
        """Whether a position is part of the text, its start and end counted."""
        return tuple(position < self.length for position in range(len(self.ids)))

    @property
    def warning(self) -> str | None:
        """One sentence where words did not fit, else None."""
        if not self.cut:
            return None
        lost = " ".join(self.cut)
        lost = lost if len(lost) <= 60 else f"{lost[:57]}..."
        return (
            f"the prompt is longer than the {len(self.ids)} tokens this model reads; its last {len(self.cut)} words "
            f"are left out: {lost!r}"
        )


class Tokenizer:
    """CLIP's byte pair encoding, its vocabulary as open_clip ships it, or the first part of it.

    context: positions of the tower. vocabulary: 512 bytes, the merges and two specials; fewer than CLIP's 49,408 keep
    the most frequent merges, so that every text can still be written, in more pieces. Safe to use from several threads.
    Source: Radford et al. 2021 (arXiv 2103.00020), section 2.4; padded with end tokens as CLIP is in transformers, by
    which the published ZigMa features were made.
    """

    def __init__(self, context: int, vocabulary: int) -> None:
        self.context, self.vocabulary = context, vocabulary
        self.start, self.end = vocabulary - 2, vocabulary - 1
        self._lock = threading.Lock()

    @cached_property
    def _clip(self):  # a SimpleTokenizer; open_clip is imported when it is needed
        from open_clip.tokenizer import SimpleTokenizer

        whole = SimpleTokenizer(context_length=self.context)
        whole.bpe_ranks = dict(list(whole.bpe_ranks.items())[: self.vocabulary - BYTES - SPECIALS])
        return whole

    def __call__(self, text: str) -> Prompt:
        """Tokens of a text in any language; whole words that do not fit are left out, see `Prompt.warning`."""
        with self._lock:
            clip = self._clip
            if len(clip.cache) > MOST_KEPT:
                clip.cache = {token: token for token in ("<start_of_text>", "<end_of_text>")}
            tokens = [clip.decoder[token] for token in clip.encode(text)]
        room, words, ids, pieces, word_of, cut = self.context - SPECIALS, [], [], [], [], []
        for word in _by_word(tokens):
            spelled = self._spell(word)
            if cut or len(ids) + len(word) > room:
                cut.append(spelled)
                continue
            ids += [self._row(token) for token in word]
            pieces += [self._spell([token]) for token in word]
            word_of += [len(words)] * len(word)
            words.append(spelled)
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
        """The row of a token in the tower's table; the specials are its last two, and CLIP's own too."""
        clip = self._clip
        row = clip.encoder[token]
        return row if row < self.vocabulary - SPECIALS else row - clip.vocab_size + self.vocabulary

    def _spell(self, tokens: list[str]) -> str:
        """The text of tokens; the rest of a character that was cut in two is a replacement mark."""
        characters = "".join(tokens).replace(WORD_END, "")
        decoder = self._clip.byte_decoder
        if any(character not in decoder for character in characters):
            return characters
        return bytes(decoder[character] for character in characters).decode("utf-8", errors="replace")


def _by_word(tokens: list[str]) -> list[list[str]]:
    """Tokens in runs that end with the end of a word."""
    words: list[list[str]] = []
    ended = True
    for token in tokens:
        if ended:
            words.append([])
        words[-1].append(token)
        ended = token.endswith((WORD_END, "_of_text>"))
    return words
