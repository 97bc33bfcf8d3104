"""What a block of every backbone costs, term by term, as a function of its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

Sizes = Mapping[str, float]  # by the letters of SIZES
SIZES = {
    "M": "tokens",
    "D": "width",
    "N": "numbers in the state of a channel",
    "k": "directions",
    "h": "heads",
    "R": "hourglass",
}
TAPS, CONV = 4, 9  # of ZigMa's convolution along the order, of DiG's in the picture
GATE_RANK = 16  # of DiG
MOST_TOKENS = 2.0**20


@dataclass(frozen=True)
class Term:
    """A part of the multiply-adds of a block for one picture.

    name: what it is spent on. formula: as the field writes it. monomials: a factor, and the exponents of sizes, each;
    their sum is the value.
    """

    name: str
    formula: str
    monomials: tuple[tuple[float, Mapping[str, int]], ...]

    def value(self, sizes: Sizes) -> float:
        """The multiply-adds."""
        return sum(
            factor * prod(sizes[name] ** power for name, power in powers.items()) for factor, powers in self.monomials
        )


@dataclass(frozen=True)
class Block:
    """The terms of a backbone's block, without what conditions it. mixer: the place of the one that mixes tokens.

    paper: the terms that its paper counts, if it does. sizes: letters with a fixed value here.
    """

    label: str
    terms: tuple[Term, ...]
    mixer: int
    paper: tuple[Term, ...] = ()
    sizes: Mapping[str, float] = field(default_factory=dict)

    def value(self, sizes: Sizes, mixing: bool = False) -> float:
        """The multiply-adds of all terms, or of the one that mixes tokens."""
        terms = self.terms[self.mixer :][:1] if mixing else self.terms
        return sum(term.value({**sizes, **self.sizes}) for term in terms)


def _term(name: str, formula: str, *monomials: tuple[float, str]) -> Term:
    """A term; the powers of a monomial are written like "MDD/h" for M D^2 / h."""
    return Term(name, formula, tuple((factor, _powers(text)) for factor, text in monomials))


def _powers(text: str) -> dict[str, int]:
    above, _, below = text.partition("/")
    return {name: above.count(name) - below.count(name) for name in SIZES if name in text}


_MAMBA = (
    _term("into the block and out of it", "6MD²", (6, "MDD")),
    _term("step size, B and C of every token", "k(MD²/4 + 4MDN)", (0.25, "MDDk"), (4, "MDNk")),
    _term("convolution of 4 tokens in a row", "k · 8MD", (2 * TAPS, "MDk")),
    _term("the scan", "k · 8MDN", (8, "MDNk")),
)
_MAMBA_PAPER = (
    _term("the scan as the paper counts it", "k · 3M(2D)N", (6, "MDNk")),
    _term("the state with itself", "k · M(2D)N²", (2, "MDNNk")),
)
_ATTENTION = (
    _term("queries, keys, values and output", "4MD²", (4, "MDD")),
    _term("every token with every other", "2M²D", (2, "MMD")),
)
_GATED = (
    _term("queries, keys, values, gates and output", "4MD² + 24MD", (4, "MDD"), (1.5 * GATE_RANK, "MD")),
    _term("a state of keys by values", "1.5MD²/h", (1.5, "MDD/h")),
    _term("convolution of 3 × 3 patches", "9MD", (CONV, "MD")),
    _term("gated MLP", "8MD²", (8, "MDD")),
)
_HOURGLASS = (
    _term("dense layers on folded tokens", "9MD²/R + 2MD²", (9, "MDD/R"), (2, "MDD")),
    _term("convolution by a state space, both ways", "24MDN", (24, "MDN")),
)
BLOCKS = {
    "zigma": Block("ZigMa, one scan", _MAMBA, 3, _MAMBA_PAPER, {"k": 1}),
    "bidirectional": Block("Mamba, two scans", _MAMBA, 3, _MAMBA_PAPER, {"k": 2}),
    "dit": Block("DiT, self-attention", (*_ATTENTION, _term("MLP", "8MD²", (8, "MDD"))), 1, _ATTENTION),
    "dig": Block("DiG, gated linear attention", _GATED, 1, (), {"h": 6}),
    "diffussm": Block("DiffuSSM, hourglass of 4", _HOURGLASS, 1, (), {"R": 4}),
}


def crossing(first: str, second: str, sizes: Sizes, mixing: bool = False) -> float | None:
    """The number of tokens from which the first block takes more than the second; None if there is none.

    mixing: compare what mixes the tokens alone.
    """

    def difference(tokens: float) -> float:
        one, two = (BLOCKS[name].value({**sizes, "M": tokens}, mixing) for name in (first, second))
        return one - two

    low, high = 1.0, MOST_TOKENS
    if difference(low) > 0 or difference(high) <= 0:
        return None
    while high / low > 1 + 1e-9:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if difference(middle) > 0 else (middle, high)
    return high
