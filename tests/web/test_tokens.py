"""The page's tokens of a prompt are those of the tower."""

import pytest

from zigdemo.conditioning import Tokenizer
from zigdemo.data import held_out_prompts
from zigdemo.web.folder import tokenizer_content

ENCODE = """const { Tokenizer } = await at('tokens.js'), tokenizer = new Tokenizer(given.content);
const encode = (text) => { const { ids, words, cut } = tokenizer.encode(text); return [[...ids], words, cut]; };
return given.texts.map(encode);"""
TEXTS = [
    "", "  ", "a smiling person with long red hair", "Don't   SHOUT, it's \t rude!!!", "3 hats, 42 cats & 1/2 dog",
    "naïve café Ünïcödé", "猫と犬", "привет, мир", "e\u0301 combining", "👩‍🚀 in space 🚀🚀", "“curly” ‘quotes’ — dash",
    "ﬁne ﬂuﬀy ligatures", "ＦＵＬＬ width", "&lt;b&gt;bold&lt;/b&gt; &amp;amp; &#65;&#x42;",
    "<start_of_text> a <end_of_text>",
    "under_score-hyphen.dot", "a\u00a0b\u3000c\u200bd", "word " * 30, "supercalifragilisticexpialidocious " * 3,
    "I'll we've you're she'd I'm 'tis", "x" * 200, "½ ² ③ Ⅷ", "नमस्ते दुनिया", "a\u0000b\u0007c",
]  # fmt: skip


@pytest.mark.parametrize(("context", "vocabulary"), [(16, 1200), (48, 7168), (77, 49408)])
def test_tokens_are_the_same(node, context, vocabulary):
    tokenizer = Tokenizer(context, vocabulary)
    texts = TEXTS + [prompt for prompt, _ in held_out_prompts(64)]
    content = {"context": context, "merges": [" ".join(pair) for pair in tokenizer.merges]}
    results = node(ENCODE, {"content": content, "texts": texts})
    wrong = []
    for text, (ids, words, cut) in zip(texts, results, strict=True):
        prompt = tokenizer(text)
        if (tuple(ids), tuple(words), tuple(cut)) != (prompt.ids, prompt.words, prompt.cut):
            wrong.append((text, words, prompt.words))
    assert wrong == []


def test_words_that_a_tower_never_learned_are_named(node, pipes):
    content = {**tokenizer_content(pipes("zigma")), "learned": ["red", "hat"], "little": ["with"]}
    program = (
        "const { Tokenizer } = await at('tokens.js'); return new Tokenizer(given).unknown('a red Dragon with a hat');"
    )
    assert node(program, content) == ["dragon"]
    assert node(program, {**content, "learned": []}) == []
