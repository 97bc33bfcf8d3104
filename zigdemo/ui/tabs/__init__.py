"""The tabs of the page in order; to add one, write its file and a row here."""

from __future__ import annotations

from ..frame import Tab
from ..texts import GENERATE_TAB
from .attention import build_attention_tab
from .compare import build_compare_tab
from .finetune import build_finetune_tab
from .generate import build_generate_tab
from .influence import build_influence_tab
from .models import build_models_tab
from .samplers import build_samplers_tab
from .scan_paths import build_scan_paths_tab
from .video import TAB as VIDEO_TAB
from .video import build_video_tab

TABS = (
    Tab(GENERATE_TAB, "Generate", build_generate_tab),
    Tab(VIDEO_TAB, "Video", build_video_tab),
    Tab("compare", "Compare", build_compare_tab),
    Tab("scan-paths", "Scan paths", build_scan_paths_tab),
    Tab("samplers", "Samplers", build_samplers_tab),
    Tab("attention", "Attention", build_attention_tab),
    Tab("influence", "Influence", build_influence_tab),
    Tab("fine-tune", "Fine-tune", build_finetune_tab),
    Tab("models", "Models", build_models_tab),
)
