"""How much of what prompts ask for do the portrait models draw? `python -m benchmarks.obedience [MODEL ...]`

Claim: zigma-portraits shows at least 0.97 of the asked attributes over 512 held-out prompts, one seed each, with its
default settings; real pictures 0.99.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zigdemo import zoo
from zigdemo.data import KIND_NAMES, visible
from zigdemo.data.portrait_files import PortraitZip
from zigdemo.evaluation.judge import load_judge
from zigdemo.evaluation.obedience import PROMPTS, prompt_score
from zigdemo.ops.heap import keep_freed_memory
from zigdemo.pipeline import Pipeline

RESULT = Path(__file__).parent / "results/obedience.json"


def real_share(judge, masked: Path) -> dict[str, float]:
    """The judge's accuracy on real portraits that no model and no judge was trained on, by kind and in total."""
    portraits = PortraitZip(masked)
    pictures = np.stack(list(portraits.pictures()))
    asked = [visible(one) for one in portraits.attributes]
    found = judge.obedience(pictures, asked)
    return {"all": round(found.share, 4), **found.by_kind()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="ids or folders (default: every shipped model of portraits)")
    parser.add_argument("--count", type=int, default=PROMPTS)
    parser.add_argument("--real", type=Path, help="a zip of portraits that were never trained on, for the ceiling")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--solver")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--dry", action="store_true", help="do not keep the result")
    chosen = parser.parse_args(arguments)
    keep_freed_memory()
    judge = load_judge()
    models = chosen.models or [entry.id for entry in zoo.available() if entry.id.endswith("portraits")]
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    if chosen.real:
        kept["real"] = real_share(judge, chosen.real)
        print("real pictures", kept["real"])
    settings = {name: getattr(chosen, name) for name in ("steps", "solver", "guidance")}
    for model in models:
        pipe = Pipeline.load(model)
        score, _ = prompt_score(pipe, judge, chosen.count, **settings)
        request = pipe.request(**settings)
        content = {
            **score.content(), "solver": request.solver, "steps": request.steps, "guidance": request.guidance,
            "weights": pipe.weights[:16],
        }  # fmt: skip
        print(f"{model}: {content['shown']:.4f} of {content['asked']} asked, {request.steps} {request.solver} steps, "
              f"guidance {request.guidance:g}, {score.seconds:.2f} s a picture")  # fmt: skip
        print("  " + ", ".join(f"{KIND_NAMES[kind]} {share:.3f}" for kind, share in content["by_kind"].items()))
        print(f"  guessing {content['guessing']:.3f}; seeds differ by {content['between_seeds']:.1f} levels, prompts "
              f"by {content['between_prompts']:.1f}")  # fmt: skip
        kept[pipe.folder.id] = content
        if not chosen.dry:
            RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
