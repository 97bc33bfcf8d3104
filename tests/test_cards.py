"""Model cards: every template is filled, and what others wrote stays text."""

import argparse
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from checkpoints import TINY, save, training_checkpoint
from hypothesis import given
from hypothesis.strategies import text
from models import LABELS, tiny_folder

from zigdemo import zoo
from zigdemo.backbones import FAMILIES, build
from zigdemo.evaluation.figure_judge import FigureJudge, FigureNetwork
from zigdemo.evaluation.judge import Judge, JudgeNetwork
from zigdemo.evaluation.scores import Score
from zigdemo.huggingface import fill_card, plain_text
from zigdemo.request import Request
from zigdemo.training.finetuning.finetune import model_card as fine_tuned_card
from zigdemo.training.publishing.card import CARDS
from zigdemo.training.publishing.clips import clip_card
from zigdemo.training.publishing.emoji_text import text_card
from zigdemo.training.publishing.export import model_card, plain_card
from zigdemo.training.publishing.figures import _card as figures_card
from zigdemo.training.publishing.portraits import _card as portraits_card
from zigdemo.training.towers.clip import CLIPRecipe
from zigdemo.training.towers.clip import card as tower_card
from zigdemo.training.towers.figure_judge import card as figure_judge_card
from zigdemo.training.towers.judge import card as judge_card
from zigdemo.training.trainer.recipe import Recipe
from zigdemo.zoo.hub import Source
from zigdemo.zoo.official import TEMPLATE, import_checkpoint
from zigdemo.zoo.official import _card as official_card

HOSTILE = (
    "x\n---\nlicense: mit\n---\n# y <script>alert(1)</script> ![z](http://z) [a](javascript:b) `c` | d | **e** {{ f }}"
)
INCLUDED = {"fluent-emoji-licence", "score-table"}
RECIPE = Recipe(name="tiny", data="data/set", run="run", model={"family": "zigma"}, exclude=["*keycap", "#"])
RETRIEVAL = {"n": 64, "top1": 0.5, "top5": 0.75, "ceiling_top1": 0.9, "ceiling_top5": 1.0, "floor": 0.01}
ABOUT = {
    "data": "set",
    "steps": 1200,
    "images_seen": 9000,
    "images_in_this_run": 4000,
    "commit": "abc1234",
    "retrieval_top1": 0.99,
    "retrieval_top5": 1.0,
    "retrieval_floor": 0.00064,
    "retrieval_count": 200,
}
OBEDIENCE = {
    "prompts": 512, "asked": 2064, "shown": 0.9, "guessing": 0.15, "ceiling": 0.99, "by_kind": {"skin": 0.8},
    "between_seeds": 42.7, "between_prompts": 62.7,
}  # fmt: skip
SCORES = [Score("video Frechet distance", 980.8, 48, 416.8, "real/real 48:120", 1, floor_error=57.0)]


def network(**changes):
    config = FAMILIES["zigma"].config
    return build(config(**{"size": (16, 16), "patch": 4, "width": 32, "depth": 1, "state_size": 4, **changes}))


def emoji(name, tmp_path):
    return model_card(name, replace(RECIPE, name=name), ABOUT, network(labels=3), [*LABELS, name])


def emoji_text(name, tmp_path):
    about = {**ABOUT, "labels": 1562}
    about["text_retrieval"] = {**RETRIEVAL, "scorer": name, "templates": RETRIEVAL, "synonyms": RETRIEVAL}
    recipe = replace(RECIPE, name=name, text={"tower": name}, model={"family": "zigma", "text_width": 24})
    return text_card(name, recipe, about, network(text_width=24, text_heads=2), [*LABELS, name])


def emoji_clips(name, tmp_path):
    about = {**ABOUT, "clips": 168, "classes": ["Biking", name]}
    moving = network(labels=2, frames=4, scheme="factorized-st", position="shared", frame_position=True)
    return clip_card(name, replace(RECIPE, name=name, init=name.replace("/", "")), about, moving, SCORES)


def plain(name, tmp_path):
    return plain_card(
        name, replace(RECIPE, latents={"kind": "tiny", "source": name}), {**ABOUT, "data": name}, network(), []
    )


def plain_clips(name, tmp_path):
    return plain_card(name, RECIPE, {**ABOUT, "data": name, "scores": ["some"]}, network(), SCORES)


def plain_text_model(name, tmp_path):
    about = {**ABOUT, "text_retrieval": {**RETRIEVAL, "scorer": name}}
    return plain_card(name, RECIPE, about, network(), [])


def portraits(name, tmp_path):
    drawing = network(text_width=24, text_heads=2)
    folder = SimpleNamespace(latents=SimpleNamespace(source=name), text=SimpleNamespace(tower=name))
    pipe = SimpleNamespace(network=drawing, folder=folder, size=(128, 128), request=lambda: Request("tiny", steps=8))
    about = {**ABOUT, "pictures": 12000, "history": ["880,000 pictures", name], "obedience": OBEDIENCE, "note": name}
    return portraits_card(name, pipe, replace(RECIPE, name=name), about)


def fine_tuned(name, tmp_path):
    folder = tiny_folder(tmp_path / "tiny")
    recipe = replace(RECIPE, name=name, method="lora", shares={"rehearsed": 0.5})
    return fine_tuned_card(name, replace(folder, id=name), recipe, {**ABOUT, "new_labels": [name], "new_pictures": 5})


def judge(name, tmp_path):
    about = {"pictures": 11488, "held_out": 512, "steps": 1100, "batch": 64, "ceiling": {"skin": 1.0, "mood": 0.94}}
    return judge_card(name, Judge(JudgeNetwork()), {**about, "commit": "abc1234"})


def figures(name, tmp_path):
    drawing = network(text_width=24, text_heads=2, frames=4, scheme="factorized-st", position="shared")
    folder = SimpleNamespace(latents=SimpleNamespace(source=name), text=SimpleNamespace(tower=name))
    pipe = SimpleNamespace(network=drawing, folder=folder, size=(128, 128), request=lambda: Request("tiny", steps=8))
    scores = {"prompts": 29, "accuracy": 0.9, "guessing": 0.03, "ceiling": 1.0, "motion": 1.1, "frechet": 2.0}
    scores |= {"frechet_floor": 1.0, "between_seeds": 30.0, "between_prompts": 60.0}
    about = {**ABOUT, "clips": 12000, "history": ["880,000 pictures", name], "figures": scores, "note": name}
    return figures_card(name, pipe, replace(RECIPE, name=name), about)


def figure_judge(name, tmp_path):
    about = {"clips": 6000, "held_out": 1160, "steps": 1208, "batch": 256, "ceiling": 1.0, "ceiling_decoded": 0.999}
    judge = FigureJudge(FigureNetwork())
    return figure_judge_card(name, judge, {**about, "autoencoder": "pictures-f8", "commit": "abc1234"})


def emoji_tower(name, tmp_path):
    model = {"text_cfg": {"width": 24, "layers": 2, "context_length": 16, "vocab_size": 1200}}
    about = {"data": name, "images": 1562, "teacher": name, "retrieval": {"names": RETRIEVAL}, "commit": "abc1234"}
    return tower_card(name, CLIPRecipe(name=name, data="x", model=model), about, network())


CARD_OF = {
    "emoji": emoji, "emoji-text": emoji_text, "emoji-clips": emoji_clips, "plain": plain, "portraits": portraits,
    "fine-tuned": fine_tuned, "judge": judge, "emoji-tower": emoji_tower,
    "figures": figures, "figure-judge": figure_judge,
    "plain, clips": plain_clips, "plain, text": plain_text_model,
}  # fmt: skip


def front_and_body(card: str) -> tuple[dict, str]:
    start, front, body = re.split(r"^---$", card, maxsplit=2, flags=re.M)
    assert start == ""
    return yaml.safe_load(front), body


def html(markdown: str) -> str:
    parser = pytest.importorskip("markdown_it").MarkdownIt().enable(["table", "strikethrough"])
    return parser.render(markdown)


def test_every_template_has_a_card_here():
    assert {path.stem for path in CARDS.glob("*.md")} == {kind.split(",")[0] for kind in CARD_OF} | INCLUDED


@pytest.mark.parametrize("kind", CARD_OF)
def test_a_card_says_everything_and_has_no_hole(kind, tmp_path):
    metadata, body = front_and_body(CARD_OF[kind]("mine", tmp_path))
    assert "zigdemo" in metadata["tags"] and body.startswith("\n# mine\n") and body.endswith(".\n")
    for left in ("{{", "}}", "{%", "None", "\n\n\n", "a line", "&#45;"):
        assert left not in body
    for part in ("| data |", "| recipe |", "| compute |", "| commit | abc1234 |", "## Scores"):
        assert part in body
    assert "licence" in body.lower() or "Weights: fp16, CC BY 4.0" in body
    assert html(body).count("<table>") == body.count("|---|\n")  # each table is one, and none of its rows fell out


@pytest.mark.parametrize("kind", CARD_OF)
def test_a_hostile_name_changes_neither_front_matter_nor_markup(kind, tmp_path):
    kind_of_card = CARD_OF[kind]
    metadata, body = front_and_body(kind_of_card(HOSTILE, tmp_path))
    calm_metadata, calm = front_and_body(kind_of_card("x y", tmp_path))
    assert metadata == calm_metadata and "license: mit" not in body.splitlines()
    tags = [re.sub("x y", "", line) for line in re.findall("<[^>]*>", html(calm))]
    assert re.findall("<[^>]*>", html(body)) == tags


def test_an_imported_checkpoint_has_a_card_that_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    file = save(training_checkpoint(argparse.Namespace(model={"params": TINY})), tmp_path / "a`b|<i>.pt")
    card = (import_checkpoint(file, "tiny").path / "README.md").read_text(encoding="utf-8")
    assert front_and_body(card)[0] == {"tags": ["zigdemo", "diffusion", "zigma"]}
    assert "{{" not in card and "<i>" not in card and "published at" not in card and "| SHA-256 |" in card
    source = Source("ZigMa", "a.pt", "FacesHQ, 1024 px", repo="owner/name")
    checkpoint = SimpleNamespace(family="ZigMa", config={"depth": 2}, source={"file": "a.pt", "sha256": "0"})
    metadata, body = front_and_body(official_card("tiny", checkpoint, SimpleNamespace(parameters=5), ["one"], source))
    assert metadata["base_model"] == "owner/name" and "| data | FacesHQ, 1024 px |" in body
    assert "https://huggingface.co/owner/name" in body and TEMPLATE.is_file()


def test_metadata_is_dumped_as_yaml(tmp_path):
    (tmp_path / "card.md").write_text("# {{ name }}\n")
    for strange in ("a\n---\nlicense: mit", "a: b", "- a", '"', "'", "{a}", "\u2028", "yes"):
        metadata, body = front_and_body(fill_card(tmp_path / "card.md", {"tags": [strange]}, name="x"))
        assert metadata == {"tags": [strange]} and body == "\n# x\n"


def test_a_missing_value_is_an_error(tmp_path):
    (tmp_path / "card.md").write_text("# {{ name }}\n")
    with pytest.raises(Exception, match="'name' is undefined"):
        fill_card(tmp_path / "card.md", {})


@given(text(alphabet="ab1_-=+.) \n\t*`[]()<>!|#~$&;\\:/", max_size=20))
def test_plain_text_is_shown_as_it_was_written(written):
    shown = html(plain_text(written))
    wanted = " ".join(written.split())
    escaped = wanted.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown == (f"<p>{escaped}</p>\n" if wanted else "")
    assert html(f"`{plain_text(written) or 'x'}`").count("<code>") == 1  # nor does it break out of a code span
