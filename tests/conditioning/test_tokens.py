"""CLIP's tokens: the published ids, every text readable, every token of a word known."""

import pytest
from hypothesis import given, settings
from hypothesis.strategies import text

from zigdemo.conditioning import Tokenizer

CLIP = Tokenizer(77, 49408)
SMALL = Tokenizer(24, 1200)


def test_the_ids_are_those_of_clip_padded_with_end_tokens():
    found = CLIP("a photo of a cat").ids
    assert found[:7] == (49406, 320, 1125, 539, 320, 2368, 49407)
    assert len(found) == 77 and set(found[7:]) == {49407}


def test_an_empty_prompt_is_start_and_end():
    for said in ("", "   ", "\n"):
        prompt = CLIP(said)
        assert prompt.ids == (49406, *[49407] * 76) and prompt.words == () and prompt.length == 2
        assert prompt.mask == (True, True, *[False] * 75) and prompt.warning is None


def test_pieces_join_to_words_and_every_piece_knows_its_word():
    prompt = SMALL("A grinning Hedgehog, 你好!")
    assert prompt.words == ("a", "grinning", "hedgehog", ",", "你好", "!")
    pieces = [piece for piece, word in zip(prompt.pieces, prompt.word_of, strict=True) if word == 2]
    assert len(pieces) > 1 and "".join(pieces) == "hedgehog"
    assert prompt.pieces[0] == "<start>" and prompt.pieces[prompt.length - 1] == "<end>"


def test_words_that_do_not_fit_are_left_out_whole_with_one_sentence():
    prompt = SMALL("cat " * 40 + "hedgehog")
    assert prompt.words == ("cat",) * len(prompt.words) and len(prompt.words) + len(prompt.cut) == 41
    assert f"longer than the 24 tokens this model reads; its last {len(prompt.cut)} words" in prompt.warning
    assert "\n" not in prompt.warning and len(prompt.warning) < 250
    assert "'hedgehog'" in Tokenizer(4, 49408)("a cat hedgehog").warning


@pytest.mark.parametrize("tokenizer", [CLIP, SMALL], ids=["clip", "small"])
@settings(deadline=None)  # the first call reads the vocabulary
@given(said=text(max_size=60))
def test_any_text_in_any_language_has_tokens_and_its_words_lie_in_order(tokenizer, said):
    prompt = tokenizer(said)
    assert len(prompt.ids) == len(prompt.pieces) == len(prompt.word_of) == tokenizer.context
    assert all(0 <= token < tokenizer.vocabulary for token in prompt.ids)
    inside = [word for word in prompt.word_of if word >= 0]
    assert inside == sorted(inside) and set(inside) == set(range(len(prompt.words)))
    assert prompt.ids[0] == tokenizer.start and prompt.ids[prompt.length - 1] == tokenizer.end
    assert prompt == tokenizer(said)


@settings(deadline=None)
@given(said=text(alphabet="abcdefghijklmnopqrstuvwxyz ", max_size=22))
def test_a_smaller_vocabulary_spells_the_same_words_in_no_fewer_pieces(said):
    small = SMALL(said)
    assert small.words == CLIP(said).words and small.length >= CLIP(said).length
