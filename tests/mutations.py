"""Break a line, see a test fail: `python tests/mutations.py [NAME ...]`, run by hand.

Each mutation is one plausible slip: a line of the package as it is, what the slip makes of it, and the tests that must
notice. They are tried one after another in a copy of the project; the exit status is the number that nobody noticed.
`tests/test_project.py` sees to it that every line is still there to be broken.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHES = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
TRAINER, SAMPLING = "zigdemo/training/trainer/loop.py", "zigdemo/diffusion/sampling.py"
BATCHES = "zigdemo/training/trainer/batches.py"
LOOP_TESTS, SAMPLING_TESTS = "tests/training/trainer/test_steps.py", "tests/diffusion/test_sampling.py"


@dataclass(frozen=True)
class Mutation:
    """line: text that the file has exactly once. slip: what stands there instead."""

    name: str
    file: str
    line: str
    slip: str
    tests: str


MUTATIONS = (
    Mutation(
        "time shift towards data", "zigdemo/diffusion/samplers.py", "t / (t + shift * (1 - t))",
        "shift * t / (1 - t + shift * t)", "tests/diffusion/test_solvers.py",
    ),
    Mutation(
        "clean prediction judged up to the data", "zigdemo/diffusion/interpolants.py",
        '_fine(t).clamp_max(1 - NEAREST_DATA) if prediction == "clean" else _fine(t)', "_fine(t)",
        "tests/diffusion/test_interpolants.py",
    ),
    Mutation(
        "word strengths multiplied into the cached features", "zigdemo/conditioning/text.py",
        "return features * self._factors(self.prompt(text), strengths).to(features)[None, :, None]",
        "return features.mul_(self._factors(self.prompt(text), strengths).to(features)[None, :, None])",
        "tests/conditioning/test_text.py",
    ),
    Mutation(
        "labels never dropped", BATCHES,
        "dropout = self.config.label_dropout if self.config.null_label else 0.0", "dropout = 0.0", LOOP_TESTS,
    ),
    Mutation(
        "captions never dropped", BATCHES, "if rng.random() >= dropout else", "if rng.random() >= 0 else",
        LOOP_TESTS,
    ),
    Mutation("no warm-up", "zigdemo/training/trainer/rules.py", "return up * down", "return down", LOOP_TESTS),
    Mutation("no cool-down", "zigdemo/training/trainer/rules.py", "return up * down", "return up", LOOP_TESTS),
    Mutation(
        "rates of the ramp not used", TRAINER,
        'group["lr"] = rate * ramp(self.step, recipe.steps, recipe.warmup, recipe.cooldown)', 'group["lr"] = rate',
        LOOP_TESTS,
    ),
    Mutation(
        "gradients not clipped", TRAINER,
        "self.accelerator.clip_grad_norm_(clipped, recipe.clip)",
        "pass", LOOP_TESTS,
    ),
    Mutation(
        "no weight decay", "zigdemo/training/trainer/optimizer.py",
        "torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=fused)",
        "torch.optim.AdamW(groups, weight_decay=0.0, fused=fused)", LOOP_TESTS,
    ),
    Mutation(
        "rehearsal share dropped", "zigdemo/training/finetuning/finetune.py",
        "shares={REHEARSED: tuning.rehearse_share} if tuning.rehearsed(folder) else {},", "shares={},",
        "tests/training/finetuning",
    ),
    Mutation(
        "parts of a batch not averaged", TRAINER, "self.accelerator.backward(loss / recipe.accumulate)",
        "self.accelerator.backward(loss)", LOOP_TESTS,
    ),
    Mutation(
        "validation half a bucket early", "zigdemo/training/trainer/validation.py", "(bucket + 0.5) / BUCKETS",
        "bucket / BUCKETS", LOOP_TESTS,
    ),
    Mutation(
        "dropped paths not rescaled", "zigdemo/backbones/zigma.py", "return x * keep / (1 - rate)", "return x * keep",
        "tests/backbones/test_zigma.py",
    ),
    Mutation(
        "floor scored against what holds it", "zigdemo/evaluation/frechet.py",
        "values.append(measure(real[rows[part:]], real[rows[:part]]))",
        "values.append(measure(real, real[rows[:part]]))",
        "tests/evaluation",
    ),
    Mutation(
        "a click's row divided by the width", "zigdemo/ui/tabs/influence.py", "int(y * rows / height)",
        "int(y * rows / width)", "tests/ui/tabs/test_influence.py",
    ),
    Mutation(
        "a start picture's sides swapped", "zigdemo/pipeline.py", "ImageOps.fit(on_white(image), size[::-1]",
        "ImageOps.fit(on_white(image), size", "tests/test_pipeline.py",
    ),
    Mutation(
        "a start picture not laid on white", "zigdemo/media/opening.py",
        "Image.alpha_composite(white, image).convert", "image.convert", "tests/test_pipeline.py",
    ),
    Mutation(
        "padding not cut", SAMPLING, "torch.cat(list(parts))[:count]", "torch.cat(list(parts))", SAMPLING_TESTS,
    ),
    Mutation(
        "the same seeds in every group", SAMPLING, "manual_seed(seeds[row]) for row in padded_rows",
        "manual_seed(seeds[i]) for i, _ in enumerate(padded_rows)", SAMPLING_TESTS,
    ),
    Mutation(
        "the end of the guidance interval ignored", "zigdemo/diffusion/guidance.py",
        "interval[0] <= float(t[0]) <= interval[1]", "interval[0] <= float(t[0])", SAMPLING_TESTS,
    ),
    Mutation(
        "newest picture last", "zigdemo/ui/tabs/pictures.py", "for path in files + past if",
        "for path in past + files if", "tests/ui/tabs/test_pictures.py",
    ),
    Mutation(
        "flip ignored in latents", "zigdemo/data/latents.py", "self.mirrored if flip and", "self.mirrored if False and",
        "tests/training/publishing/test_portraits.py",
    ),
    Mutation(
        "the average of a tower never moves", "zigdemo/training/trainer/tower.py",
        "torch._foreach_lerp_(averages, [weight.detach() for weight in self.weights], 1 - keep)", "pass",
        "tests/training/publishing/test_portraits.py",
    ),
    Mutation(
        "parts looked up where the program runs", "zigdemo/files.py",
        "[Path(name)] if Path(name).is_absolute() else", "[Path(name)] +", "tests/latents/test_autoencoders.py",
    ),
    Mutation(
        "a hidden mood is asked for", "zigdemo/data/portraits.py", "hidden = mood_is_hidden(attributes)",
        "hidden = False", "tests/data/test_portraits.py",
    ),
)  # fmt: skip


def with_slip(mutation: Mutation, root: Path) -> str:
    """The file of a mutation with it. Raises ValueError where the line is not there exactly once."""
    whole = (root / mutation.file).read_text(encoding="utf-8")
    if whole.count(mutation.line) != 1:
        raise ValueError(f"{mutation.file} has {mutation.line!r} {whole.count(mutation.line)} times, not once")
    return whole.replace(mutation.line, mutation.slip)


def left_out(folder: str, names: list[str]) -> set[str]:
    """What the copy of the project does without; `data` and `runs` are names of rooms too, deeper down."""
    return CACHES(folder, names) | (
        {".git", ".venv", ".venv-lowest", "data", "runs"} if Path(folder) == ROOT else set()
    )


def noticed(mutation: Mutation, root: Path) -> bool:
    """Whether the tests of a mutation fail with it, in the project at `root`, which is left as it was."""
    path, changed = root / mutation.file, with_slip(mutation, root)
    whole = path.read_text(encoding="utf-8")
    try:
        path.write_text(changed, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutation.tests]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{mutation.name}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}")
        return done.returncode == 1
    finally:
        path.write_text(whole, encoding="utf-8")


def main(names: list[str]) -> int:
    """Try the mutations of these names, all where none is given; returns how many nobody noticed."""
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(ROOT, Path(folder, "copy"), ignore=left_out))
        for mutation in chosen:
            seen = noticed(mutation, root)
            print(f"{'noticed' if seen else 'MISSED '}  {mutation.name}", flush=True)
            missed += [] if seen else [mutation.name]
    return len(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
