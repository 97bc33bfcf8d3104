"""The steps of the lesson: what is said, asked and noted for the speaker; their stages: assets/lesson_stages.js."""

from __future__ import annotations

from dataclasses import dataclass

MOST_WORDS = 60  # of a text
MINUTES = 10  # of the whole lesson


@dataclass(frozen=True)
class Step:
    """A step. stage: by its name in the script. question: for the class. notes: for the speaker. place: the tab of the
    page where the same is live. settings: those of a link to it, in the address.
    """

    stage: str
    title: str
    text: str
    question: str
    notes: str
    minutes: float
    place: str
    settings: str = ""


STEPS = (
    Step(
        "tokens",
        "A picture becomes a string of patches",
        "The network does not see a picture at once. The picture is cut into patches, and the patches are laid "
        "out one after the other, like beads on a string. Tap a patch to find its bead, or a bead to find its "
        "patch.",
        "Which patches touch in the picture and lie far apart on the string?",
        "Tap a patch, then the one below it: eight beads apart. Tap its neighbour to the right: one bead apart. "
        "The string forgets that the first pair touches. Everything that follows is about this loss.",
        1,
        "scan-paths",
    ),
    Step(
        "order",
        "Draw an order of your own",
        "Any order will do, as long as every patch is read once. Drag a finger over the picture. A step to a "
        "neighbour keeps the picture together; a jump, in red, tears it. Can you read all of it without a jump?",
        "How many different ways without a jump can you find?",
        "Let someone come to the board. A spiral works, so does a snake. Ask what a network would have to "
        "remember at a jump: where it was. Show the zigzag last; it is the snake.",
        1.5,
        "scan-paths",
    ),
    Step(
        "race",
        "Sweep beside zigzag",
        "A sweep reads every row from left to right and jumps back at its end. A zigzag turns around instead. "
        "Drag to read with both. The curve below: how far apart in the picture are two patches that lie so many "
        "beads apart?",
        "Between neighbours both are 4.5 beads apart on average. What differs?",
        "Stop at bead 9: the sweep is back at the left, the zigzag has gone one patch down. Then the curve: at 8 "
        "beads the sweep is one row below, the zigzag is anywhere from 2 to 8 patches away.",
        1,
        "scan-paths",
    ),
    Step(
        "reach",
        "Who can have reached this patch?",
        "A layer carries information along its order, from earlier beads to later ones only. Tap a patch and add "
        "layers. With one and the same order in every layer, what comes later never arrives, however deep the "
        "network is. With eight orders in turn, a few layers are enough.",
        "After how many layers has zigzag-8 reached every patch of the picture?",
        "Tap the top left corner first: with a sweep nothing but itself, at any depth. Then zigzag-8: the third "
        "layer runs backwards. This is why the paper changes the direction from layer to layer instead of "
        "scanning twice.",
        1.5,
        "influence",
        "model=zigma-portraits&scan=zigzag-8",
    ),
    Step(
        "matrix",
        "A foreign order",
        "Four networks learned the same pictures, each with its own order. Now each has to read in the orders of "
        "the others, from the same noise. Guess before you look: what becomes of the picture?",
        "Why does it matter to the network, when every patch is still read once?",
        "Take a vote. On the diagonal every network reads as it learned to, and all four draw alike. Off the "
        "diagonal the weights expect neighbours where there are none. All four began with zigzag-8, so this is "
        "no contest.",
        1,
        "compare",
    ),
    Step(
        "pays",
        "Does zigzag pay?",
        "The authors report large gains. Our networks, a thousand times smaller, agree on one thing: orders that "
        "tear neighbours apart cost a lot. Between sweep and zigzag they cannot decide, as another seed changes "
        "more.",
        "What would you need to decide it?",
        "Be honest here. Bars that cross zero are not decided. More seeds, larger networks and longer training "
        "would decide; the papers had GPUs for weeks. A number without its spread is no argument.",
        1,
        "compare",
    ),
    Step(
        "cost",
        "What more patches cost",
        "In attention every patch looks at every other: with twice the side there are four times as many "
        "patches, and sixteen times the work between them. A scan passes each patch once. From how many patches "
        "on does attention cost more than the scan? Guess, then look.",
        "A picture of 1024 pixels has 4,096 patches. What does that mean for attention?",
        "Collect three guesses. The formulas cross early, at four times the state; what hurts is far to the "
        "right, where the square has left the line behind. Set 4,096 patches and read the two shares aloud.",
        1,
        "cost",
        "tokens=4096&width=224&state=8",
    ),
    Step(
        "paths",
        "One noise, two ways to a picture",
        "A sampler carries noise to data in small steps. The ODE takes the same smooth way every time. The SDE "
        "is shaken on the way and ends elsewhere, but its points fill the same shape. Play both.",
        "Two runs of the SDE from one noise: the same picture, or another one?",
        "Follow one point under both. Same start, different end, same crowd. Then say: in the pictures of this "
        "program the seed fixes the noise, and an SDE draws a different person from it each time its own noise "
        "changes.",
        1,
        "samplers",
    ),
    Step(
        "words",
        "Which word does what?",
        "Every word of the prompt reaches every patch, but not alike. Point at a word: the brighter a patch, the "
        "more it attends to the word. Nobody told the network where hair is; it learned that from pictures and "
        "captions alone.",
        "Which words light up the whole picture, and why?",
        "Point at the hair, then at the background words. Measured against true masks the maps rank hair, "
        "glasses and clothes right 97 times in 100; chance is 50. Small words such as 'with' have no place of "
        "their own.",
        1,
        "attention",
    ),
)
