"""Random captions of drawn people from their attributes, with varying order, wording and omissions.

Phrasings are data: those for training, and those held out for scoring. Both are made of the same words; no phrase is in
both (a test compares them). An action is written with "-ing"; DOES has the other form of its verb.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from . import CLASSES, draw_figure
from .looks import COLOURS, HAIR_STYLES, HAIRS, SCENES, SKINS

Attributes = dict[str, str]
# What a clip says of itself: its class and what the person and the place look like.
FIGURE_KINDS: dict[str, tuple[str, ...]] = {
    "label": CLASSES,
    "hairStyle": HAIR_STYLES,
    "hairColor": tuple(HAIRS),
    "skin": tuple(SKINS),
    "shirt": tuple(COLOURS),
    "trousers": tuple(COLOURS),
    "legs": ("trousers", "shorts"),
    "scene": tuple(SCENES),
}
REQUIRED = ("label", "hairStyle", "skin", "shirt", "trousers", "legs", "scene")

ACTIONS: dict[str, tuple[str, ...]] = {
    "Archery": ("shooting with a bow", "shooting an arrow", "doing archery", "aiming with a bow and arrow"),
    "BasketballDunk": (
        "dunking a basketball", "jumping to dunk a ball", "doing a basketball dunk", "playing basketball",
    ),
    "BenchPress": (
        "pressing a barbell on a bench", "doing a bench press", "lifting a barbell lying on a bench",
        "doing bench presses",
    ),
    "Biking": ("riding a bicycle", "riding a bike", "cycling", "biking", "going by bicycle"),
    "BodyWeightSquats": ("doing squats", "squatting", "bending the knees in squats", "doing body weight squats"),
    "Bowling": ("bowling", "rolling a bowling ball", "playing at bowling", "throwing a ball at bowling"),
    "BoxingSpeedBag": (
        "boxing a speed bag", "hitting a speed bag", "training at a speed bag", "punching a small bag",
    ),
    "CleanAndJerk": (
        "lifting a barbell overhead", "doing a clean and jerk", "lifting weights overhead", "heaving a barbell up",
    ),
    "Diving": ("diving from a board", "jumping into the water", "diving into the water", "doing a dive"),
    "GolfSwing": ("swinging a golf club", "playing golf", "hitting a golf ball", "doing a golf swing"),
    "HandstandPushups": (
        "doing push-ups in a handstand", "doing handstand push-ups", "pushing up in a handstand",
        "pressing up upside down",
    ),
    "HandstandWalking": ("walking on the hands", "walking in a handstand", "going upside down on the hands"),
    "HighJump": ("jumping over a bar", "doing a high jump", "leaping over a bar"),
    "HulaHoop": ("spinning a hula hoop", "playing with a hula hoop", "twirling a hoop around the hips"),
    "JavelinThrow": ("throwing a javelin", "doing a javelin throw", "hurling a spear"),
    "JumpRope": ("jumping rope", "skipping rope", "skipping with a rope", "jumping over a rope"),
    "JumpingJack": (
        "doing jumping jacks", "jumping with arms and legs apart", "doing star jumps", "exercising with jumping jacks",
    ),
    "Lunges": ("doing lunges", "lunging", "stepping into lunges", "stepping forward into a lunge"),
    "PullUps": ("doing pull-ups at a bar", "pulling up at a bar", "doing pull-ups", "doing chin-ups at a bar"),
    "Punch": ("throwing punches", "punching", "boxing in the air", "punching the air"),
    "PushUps": ("doing push-ups", "doing push-ups on the floor", "pushing up from the floor", "doing press-ups"),
    "Rowing": ("rowing a boat", "rowing", "pulling the oars of a boat", "rowing with oars"),
    "SkateBoarding": ("riding a skateboard", "skating on a board", "skateboarding", "rolling on a skateboard"),
    "SoccerJuggling": (
        "juggling a football", "keeping a football in the air", "juggling a soccer ball",
        "doing tricks with a football",
    ),
    "Swing": ("sitting on a swing", "swinging on a swing", "going back and forth on a swing"),
    "TennisSwing": ("playing tennis", "swinging a tennis racket", "hitting a tennis ball", "doing a tennis swing"),
    "TrampolineJumping": (
        "jumping on a trampoline", "bouncing on a trampoline", "doing trampoline jumps", "jumping up and down",
    ),
    "WalkingWithDog": ("walking a dog", "walking with a dog", "taking a dog for a walk", "going out with a dog"),
    "WallPushups": (
        "doing push-ups against a wall", "pushing against a wall", "doing wall push-ups",
        "leaning on a wall for push-ups",
    ),
}  # fmt: skip
HELD_OUT_ACTIONS: dict[str, tuple[str, ...]] = {
    "Archery": ("shooting an arrow with a bow", "aiming an arrow"),
    "BasketballDunk": ("jumping to dunk a basketball", "dunking a ball"),
    "BenchPress": ("pressing a barbell lying on a bench", "lifting a barbell on a bench"),
    "Biking": ("going by bike", "cycling on a bike"),
    "BodyWeightSquats": ("squatting and bending the knees", "exercising with squats"),
    "Bowling": ("rolling a ball at bowling", "throwing a bowling ball"),
    "BoxingSpeedBag": ("punching a speed bag", "boxing at a small speed bag"),
    "CleanAndJerk": ("heaving a barbell overhead", "heaving weights overhead"),
    "Diving": ("jumping from a board into the water", "doing a dive into the water"),
    "GolfSwing": ("hitting a ball with a golf club", "swinging a club at golf"),
    "HandstandPushups": ("doing push-ups upside down", "pressing up in a handstand"),
    "HandstandWalking": ("walking upside down", "going on the hands in a handstand"),
    "HighJump": ("leaping high over a bar", "doing a high jump over a bar"),
    "HulaHoop": ("twirling a hula hoop", "spinning a hoop around the hips"),
    "JavelinThrow": ("hurling a javelin", "throwing a spear"),
    "JumpRope": ("skipping over a rope", "jumping with a rope"),
    "JumpingJack": ("exercising with star jumps", "jumping apart with arms and legs"),
    "Lunges": ("stepping forward into lunges", "lunging forward"),
    "PullUps": ("doing chin-ups", "pulling up to a bar"),
    "Punch": ("throwing punches in the air", "boxing the air"),
    "PushUps": ("doing press-ups on the floor", "pushing up on the floor"),
    "Rowing": ("rowing a boat with oars", "pulling oars in a boat"),
    "SkateBoarding": ("skating on a skateboard", "rolling on a board"),
    "SoccerJuggling": ("keeping a soccer ball in the air", "doing tricks with a soccer ball"),
    "Swing": ("swinging back and forth", "swinging back and forth on a swing"),
    "TennisSwing": ("hitting a ball with a tennis racket", "swinging a racket at tennis"),
    "TrampolineJumping": ("doing jumps on a trampoline", "bouncing up and down on a trampoline"),
    "WalkingWithDog": ("going for a walk with a dog", "taking a dog out"),
    "WallPushups": ("leaning against a wall for push-ups", "pushing up against a wall"),
}
DOES = {
    "aiming": "aims", "bending": "bends", "biking": "bikes", "bouncing": "bounces", "bowling": "bowls",
    "boxing": "boxes", "cycling": "cycles", "diving": "dives", "doing": "does", "dunking": "dunks",
    "exercising": "exercises", "going": "goes", "heaving": "heaves", "hitting": "hits", "hurling": "hurls",
    "juggling": "juggles", "jumping": "jumps", "keeping": "keeps", "leaning": "leans", "leaping": "leaps",
    "lifting": "lifts", "lunging": "lunges", "playing": "plays", "pressing": "presses", "pulling": "pulls",
    "punching": "punches", "pushing": "pushes", "riding": "rides", "rolling": "rolls", "rowing": "rows",
    "shooting": "shoots", "sitting": "sits", "skateboarding": "skateboards", "skating": "skates", "skipping": "skips",
    "spinning": "spins", "squatting": "squats", "stepping": "steps", "swinging": "swings", "taking": "takes",
    "throwing": "throws", "training": "trains", "twirling": "twirls", "walking": "walks",
}  # fmt: skip

WHO = ("person", "somebody", "someone", "figure", "man", "woman", "boy", "girl", "athlete", "human", "character")
NO_ARTICLE = ("somebody", "someone")
# {v} is a value, {c} a colour of hair, {k} trousers or shorts.
PHRASES: dict[str, tuple[str, ...]] = {
    "short": ("with short {c} hair", "short {c} hair", "with {c} short hair", "who has short {c} hair"),
    "long": ("with long {c} hair", "long {c} hair", "with {c} long hair", "who has long {c} hair"),
    "bun": ("with a {c} bun", "a {c} bun", "wearing a {c} bun", "with the {c} hair in a bun", "who has a {c} bun"),
    "bald": ("bald", "with a bald head", "without hair", "who is bald", "no hair"),
    "hairColor": (
        "with {c} hair", "{c} hair", "{c}-haired", "who has {c} hair", "whose hair is {c}", "having {c} hair",
    ),
    "skin": ("with {v} skin", "{v} skin", "{v}-skinned", "who has {v} skin", "whose skin is {v}"),
    "shirt": (
        "in a {v} shirt", "wearing a {v} shirt", "with a {v} shirt", "in a {v} top", "dressed in a {v} t-shirt",
        "a {v} shirt", "wearing a {v} top", "who wears a {v} shirt", "in a shirt that is {v}", "whose top is {v}",
    ),
    "trousers": (
        "in {v} {k}", "wearing {v} {k}", "with {v} {k}", "{v} {k}", "dressed in {v} {k}", "who wears {v} {k}",
        "whose {k} are {v}",
    ),
    "room": ("in a room", "inside a room", "at home in a room", "in the room"),
    "gym": ("in a gym", "inside a gym", "at the gym", "in the gym"),
    "field": ("on a field", "outside on a field", "on the green grass", "on grass"),
    "court": ("on a court", "on the court", "on a sports court"),
    "beach": ("on a beach", "at the beach", "on the sand", "outside on a beach"),
    "night": ("at night", "at night under the stars", "outside at night", "in the night"),
    "plain": ("on a white background", "in front of white", "on white", "with a white background"),
    "water": ("on the water", "at the water", "out on the water", "with water all around"),
}  # fmt: skip
HELD_OUT: dict[str, tuple[str, ...]] = {
    "short": ("whose {c} hair is short", "having short {c} hair"),
    "long": ("whose {c} hair is long", "having long {c} hair"),
    "bun": ("having a {c} bun", "whose {c} hair is in a bun"),
    "bald": ("whose head is bald", "having no hair"),
    "hairColor": ("with hair that is {c}", "who is {c}-haired"),
    "skin": ("having {v} skin", "who is {v}-skinned"),
    "shirt": ("whose shirt is {v}", "with a {v} top", "who wears a {v} t-shirt", "having a {v} shirt on"),
    "trousers": ("with {k} that are {v}", "having {v} {k} on"),
    "room": ("inside the room", "at home"),
    "gym": ("inside the gym", "at a gym"),
    "field": ("on the green field", "outside on the grass"),
    "court": ("at the court", "on the sports court"),
    "beach": ("outside on the sand", "on the beach"),
    "night": ("under the stars", "outside in the night"),
    "plain": ("in front of a white background", "against white"),
    "water": ("out at the water", "with the water around"),
}
# {does}: the action; {who}: "a person"; {looks}: the attributes that are mentioned; {name}: of the class.
WHOLES = (
    "{who} {looks} {does}", "{who} {looks} {doing}", "{who} {doing}, {looks}", "{who} {does}, {looks}",
    "{looks}, {who} {doing}", "{who} who is {doing}, {looks}", "{doing}: {who} {looks}", "{name}: {who} {looks}",
    "{name}, {who} {looks}", "{who}, {looks}, {name}", "{who} {looks} is {doing}", "a clip of {who} {doing}, {looks}",
    "a video of {who} {looks} {doing}", "{who} {does} {looks}", "{looks}, {doing}", "{doing}, {looks}",
    "{name} {looks}", "{looks}, {name}", "{who} {looks}, {doing}",
)  # fmt: skip
ALONE = (
    "{name}", "{name}", "{name}", "{doing}", "{doing}", "{who} {doing}", "{who} {does}", "{who} is {doing}",
    "a clip of {who} {doing}", "a video of {doing}", "{who} who {does}", "a clip of {name}",
)  # fmt: skip
WITHOUT_ACTION = ("{who} {looks}", "{who}, {looks}", "{looks}", "a clip of {who} {looks}")
HELD_OUT_WHOLES = (
    "{who} {looks} who {does}", "a clip of {who} {looks} who is {doing}", "a video of {who} {doing}, {looks}",
    "{who} {looks} and {doing}", "{doing}, {who} {looks}",
)  # fmt: skip
HELD_OUT_ALONE = ("a video of {who} {doing}", "a clip of {who} who {does}", "{who} who is {doing}")
OPENINGS = ("draw", "make", "show me", "please show", "i want", "here is", "we see")
OPENING_SHARE = 0.1
SEPARATORS = (", ", ", ", " ", " and ")
ALONE_SHARE = 0.15  # captions of the action alone
WITHOUT_SHARE = 0.05  # captions without the action
FULL_SHARE = 0.15  # captions that mention every attribute
LEAST_SAID, MOST_SAID = 0.1, 0.8  # share of the attributes that the others mention
STYLE_SHARE = 0.5  # captions with hair that mention its style
SYNONYMS = {"trousers": ("pants",), "grey": ("gray",), "blond": ("blonde",), "football": ("ball",)}
SYNONYM_SHARE = 0.15


def check_figure(content: object) -> Attributes:
    """Attributes of a drawn person read from a file, checked. Raises ValueError for unknown or missing ones."""
    if not isinstance(content, dict):
        raise ValueError("the attributes are not an object")
    for kind, value in content.items():
        if value not in FIGURE_KINDS.get(kind, ()):
            raise ValueError(f"{str(kind)[:40]!r} is {str(value)[:40]!r}, which no drawn person has")
    if missing := [kind for kind in REQUIRED if kind not in content]:
        raise ValueError(f"no {missing[0]}")
    if (content["hairStyle"] == "bald") == ("hairColor" in content):
        raise ValueError("hair has a colour, and who is bald has none")
    return dict(content)


def names_of(label: str) -> tuple[str, str]:
    """A class as UCF101 writes it and in words: ("JumpingJack", "jumping jack")."""
    return label, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower()


def does(action: str) -> str:
    """What somebody does from what somebody is doing: "jumps rope" from "jumping rope"."""
    verb, space, rest = action.partition(" ")
    return f"{DOES[verb]}{space}{rest}"


def figure_caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """A random training caption: of the action and some attributes, of the action alone or, rarely, without it."""

    def one(options: Sequence[str]) -> str:
        return options[rng.integers(len(options))]

    draw = rng.random()
    share = 1.0 if rng.random() < FULL_SHARE else rng.uniform(LEAST_SAID, MOST_SAID)
    mentioned = [kind for kind in ("hair", "skin", "shirt", "trousers", "scene") if rng.random() < share]
    if draw < ALONE_SHARE or not mentioned:
        caption = _whole(one(ALONE), attributes["label"], one(ACTIONS[attributes["label"]]), [], one)
    else:
        parts = [_phrase(kind, attributes, PHRASES, one, rng) for kind in mentioned]
        looks = [parts[i] for i in rng.permutation(len(parts))]
        wholes = WITHOUT_ACTION if draw < ALONE_SHARE + WITHOUT_SHARE else WHOLES
        caption = _whole(one(wholes), attributes["label"], one(ACTIONS[attributes["label"]]), looks, one)
    for word, others in SYNONYMS.items():
        if word in caption and rng.random() < SYNONYM_SHARE:
            caption = re.sub(rf"\b{word}\b", one(others), caption)
    return f"{one(OPENINGS)} {caption}" if rng.random() < OPENING_SHARE else caption


def held_out_figure(attributes: Attributes, rng: np.random.Generator) -> str:
    """A prompt for exactly these attributes, of which label is one, in phrasings that training never uses."""

    def one(options: Sequence[str]) -> str:
        return options[rng.integers(len(options))]

    kinds = [kind for kind in ("skin", "shirt", "trousers", "scene") if kind in attributes]
    kinds += ["hair"] if {"hairStyle", "hairColor"} & set(attributes) else []
    looks = [_phrase(kind, attributes, HELD_OUT, one) for kind in rng.permutation(kinds)]
    whole = one(HELD_OUT_WHOLES if looks else HELD_OUT_ALONE)
    return _whole(whole, attributes["label"], one(HELD_OUT_ACTIONS[attributes["label"]]), looks, one)


def held_out_figures(count: int, seed: int = 0) -> list[tuple[str, Attributes]]:
    """Prompts in phrasings that no model is trained on, each with what it asks for: the class and 0 to 2 attributes.

    Classes take turns. Deterministic in the seed.
    """
    rng, prompts = np.random.default_rng(seed), []
    for number in range(count):
        label = CLASSES[number % len(CLASSES)]
        known = draw_figure(rng, label).attributes
        kinds = rng.permutation(["hair", "skin", "shirt", "trousers", "scene"])[: rng.integers(3)]
        chosen = {"label", *kinds, *(("hairStyle", "hairColor") if "hair" in kinds else ())}
        chosen |= {"legs"} if "trousers" in kinds else set()
        asked = {kind: value for kind, value in known.items() if kind in chosen}
        prompts.append((held_out_figure(asked, rng), asked))
    return prompts


def training_words() -> list[str]:
    """All words that may occur in training captions, in alphabetical order."""
    phrases = [phrase for table in (ACTIONS, PHRASES, SYNONYMS) for options in table.values() for phrase in options]
    phrases += [*WHO, *WHOLES, *ALONE, *WITHOUT_ACTION, *OPENINGS, *SEPARATORS, *DOES.values(), "a", "an"]
    phrases += [name.lower() for label in CLASSES for name in names_of(label)]
    phrases += [*COLOURS, *HAIRS, *SKINS, "trousers", "shorts"]
    return sorted(set(re.findall(r"[a-z]+", re.sub(r"\{.*?\}", " ", " ".join(phrases)))))


def _whole(form: str, label: str, action: str, looks: list[str], one: Callable[[Sequence[str]], str]) -> str:
    """A form with an action, the class's name in one of its spellings, and what is mentioned filled in."""
    who = one(WHO)
    if who not in NO_ARTICLE:
        who = f"{'an' if who[0] in 'aeiou' else 'a'} {who}"
    body = one(SEPARATORS).join(looks)
    return form.format(who=who, looks=body, doing=action, does=does(action), name=one(names_of(label)))


def _phrase(
    kind: str,
    attributes: Attributes,
    phrases: dict[str, tuple[str, ...]],
    one: Callable[[Sequence[str]], str],
    rng: np.random.Generator | None = None,
) -> str:
    """A phrase for one kind; hair is mentioned with its style, or, by `rng`, with its colour alone."""
    if kind == "scene":
        return one(phrases[attributes["scene"]])
    if kind == "hair":
        style, colour = attributes["hairStyle"], attributes.get("hairColor", "")
        is_plain = colour and rng is not None and rng.random() >= STYLE_SHARE
        return _with_article(one(phrases["hairColor" if is_plain else style]).format(c=colour))
    return _with_article(one(phrases[kind]).format(v=attributes[kind], k=attributes.get("legs", "trousers")))


def _with_article(phrase: str) -> str:
    """A phrase in which "a" before a vowel has become "an"."""
    return re.sub(r"\ba (?=[aeiou])", "an ", phrase)
