"""The places of the page in order, with their tabs; to add a tab, write its file and a row here."""

from __future__ import annotations

from ..frame import Place, Tab
from .attention import TAB as ATTENTION_TAB
from .attention import build_attention_tab
from .cards import build_cards_tab
from .clips import TAB as CLIPS_TAB
from .clips import build_clips_tab
from .compare import TAB as COMPARE_TAB
from .compare import build_compare_tab
from .cost import TAB as COST_TAB
from .cost import build_cost_tab
from .finetune import build_finetune_tab
from .influence import TAB as INFLUENCE_TAB
from .influence import build_influence_tab
from .lesson import TAB as LESSON_TAB
from .lesson import build_lesson_tab
from .pictures import TAB as PICTURES_TAB
from .pictures import build_pictures_tab
from .samplers import TAB as SAMPLERS_TAB
from .samplers import build_samplers_tab
from .scan_paths import build_scan_paths_tab

PLACES = (
    Place(LESSON_TAB, "Lesson", (Tab(LESSON_TAB, "Lesson", build_lesson_tab),)),
    Place(
        "draw",
        "Draw",
        (Tab(PICTURES_TAB, "Pictures", build_pictures_tab), Tab(CLIPS_TAB, "Clips", build_clips_tab)),
    ),
    Place(COMPARE_TAB, "Compare", (Tab(COMPARE_TAB, "Compare", build_compare_tab),)),
    Place(
        "look-inside",
        "Look inside",
        (
            Tab("scan-paths", "Scan paths", build_scan_paths_tab),
            Tab(INFLUENCE_TAB, "Influence", build_influence_tab),
            Tab(ATTENTION_TAB, "Attention", build_attention_tab),
            Tab(SAMPLERS_TAB, "Samplers", build_samplers_tab),
            Tab(COST_TAB, "Cost", build_cost_tab),
        ),
    ),
    Place(
        "models",
        "Models",
        (Tab("cards", "Cards", build_cards_tab), Tab("fine-tune", "Fine-tune", build_finetune_tab)),
    ),
)
FIRST = "draw"  # the place that is open at first
TABS = tuple(tab for place in PLACES for tab in place.tabs)
