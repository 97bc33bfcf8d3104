"""The training loop, on accelerate: one process or several, any device, resumable to the same weights."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..backbones import build
from ..diffusion import draw_times, interpolate, velocity_loss
from ..ops.heap import keep_freed_memory
from ..zoo import WEIGHTS, read_folder
from .data.captions import training_caption
from .recipe import Recipe, load_data, model_config
from .samples import sample_grid


class Training:
    """A run: `run()` trains to the last step, writing metrics, samples and checkpoints into the run folder.

    Every step draws its batch, times, noise and dropout from (seed, step, process), so that a resumed run repeats
    exactly what an uninterrupted one does.
    """

    def __init__(self, recipe: Recipe, resume: bool = False) -> None:
        from accelerate import Accelerator

        keep_freed_memory()
        self.recipe = recipe
        self.accelerator = Accelerator(mixed_precision=_precision(recipe.precision))
        self.device = self.accelerator.device
        self.data = load_data(recipe)
        self.config = model_config(recipe, len(self.data.label_names))
        if self.config.size != (self.data.size, self.data.size):
            raise ValueError(
                f"{recipe.data} has {self.data.size} px and the model takes {self.config.size}; "
                f"prepare it with --size {self.config.size[0]} or change model.size"
            )
        processes = self.accelerator.num_processes
        if recipe.batch % processes:
            raise ValueError(f"batch {recipe.batch} cannot be shared by {processes} processes; use a multiple")
        torch.manual_seed(recipe.seed)
        model = build(self.config)
        model.checkpointing = recipe.checkpointing
        self.images_before = 0
        if recipe.init:
            self.images_before = start_from(model, self.data.label_names, recipe.init)
        if recipe.start_from:
            self.images_before = take_what_fits(model, recipe.start_from, recipe.start_blocks)
        self.tower = None
        if recipe.text_spec:
            self.tower = recipe.text_spec.load(self.device, (WEIGHTS,))
            if self.tower.width != self.config.text_width:
                raise ValueError(
                    f"the text tower makes features of width {self.tower.width}; set model.text_width to it"
                )
        self.ema = deepcopy(model).to(self.device).eval().requires_grad_(False)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad], lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.folder = Path(recipe.run)
        self.step = 0
        if resume:
            self._resume()
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            recipe.save(self.folder / "recipe.yaml")
            labels = json.dumps(self.data.label_names, ensure_ascii=False)
            (self.folder / "labels.json").write_text(labels, encoding="utf-8")

    def run(self) -> Path:
        """Train to the last step; returns the run folder."""
        recipe, started, first = self.recipe, time.monotonic(), self.step
        losses: list[Tensor] = []
        while self.step < recipe.steps:
            losses.append(self._update())
            self.step += 1
            if self.step % recipe.log_every == 0 and self.accelerator.is_main_process:
                seconds = time.monotonic() - started
                speed = (self.step - first) * recipe.batch / seconds
                self._log(torch.stack(losses).mean().item(), speed)
                losses.clear()
            last = self.step == recipe.steps
            if last or self.step % recipe.save_every == 0:
                self.save()
            if (last or self.step % recipe.sample_every == 0) and self.accelerator.is_main_process:
                (self.folder / "samples").mkdir(exist_ok=True)
                path = self.folder / f"samples/{self.step:07d}.png"
                sample_grid(self.ema, recipe.prediction, self.data, self.tower, path)
        return self.folder

    def _update(self) -> Tensor:
        recipe = self.recipe
        clean, cond, t, noise = (value.to(self.device) for value in self._batch(self.step))
        x = interpolate(clean, noise, t)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr * ramp(self.step, recipe.steps, recipe.warmup, recipe.cooldown)
        self.model.train()
        with self.accelerator.autocast():
            output = self.model(x, t, cond)
        loss = velocity_loss(recipe.prediction, output.float(), clean, noise, x, t).mean()
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.step}; lower lr (now {recipe.lr:g}) and use --resume"
            )
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._average()
        return loss.detach()

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images in [-1, 1], labels or features of captions, times and noise of this process's share of a step."""
        recipe, count = self.recipe, len(self.data)
        share = recipe.batch // self.accelerator.num_processes
        rank = self.accelerator.process_index
        places = step * recipe.batch + rank * share + np.arange(share)
        rows = np.empty(share, np.int64)
        for epoch in np.unique(places // count):
            here = places // count == epoch
            rows[here] = np.random.default_rng((recipe.seed, int(epoch))).permutation(count)[places[here] % count]
        seed = int(np.random.SeedSequence((recipe.seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)
        torch.manual_seed(seed)  # dropout inside the network
        generator = torch.Generator().manual_seed(seed)
        rng = np.random.default_rng(seed)
        clean = to_clean(self.data.draw(rows, self.config.frames, rng, recipe.flip, recipe.shift_px))
        cond = torch.from_numpy(self.data.labels[rows]) if self.tower is None else self._captions(rows, seed)
        t = draw_times(share, recipe.time_mean, recipe.time_spread, generator)
        return clean, cond, t, torch.randn(clean.shape, generator=generator)

    def _captions(self, rows: np.ndarray, seed: int) -> Tensor:
        """Features of one caption an image, a share of them empty, so that guidance has what to push away from."""
        data, rng = self.data, np.random.default_rng(seed)
        said = [training_caption(data.label_names[data.labels[r]], data.groups[r], data.keywords[r], rng) for r in rows]
        kept = rng.random(len(said)) >= self.config.label_dropout
        with self.accelerator.autocast():
            found = self.tower.encode([text if keep else "" for text, keep in zip(said, kept, strict=True)])
        return found.float()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the EMA towards the weights, faster in the first steps (as it has seen nothing better yet)."""
        keep = min(0.5 ** (1 / self.recipe.ema_halflife), (1 + self.step) / (10 + self.step))
        weights = self.accelerator.unwrap_model(self.model).parameters()
        torch._foreach_lerp_(list(self.ema.parameters()), [w.detach() for w in weights], 1 - keep)

    def _log(self, loss: float, speed: float) -> None:
        left = (self.recipe.steps - self.step) * self.recipe.batch / speed
        line = {
            "step": self.step,
            "loss": round(loss, 5),
            "images_per_second": round(speed, 1),
            "seconds_left": round(left),
        }
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.accelerator.print(f"step {self.step}: loss {loss:.4f}, {speed:.0f} images/s, {left / 60:.0f} min left")

    def save(self) -> None:
        """Write checkpoint.pt aside and rename it, so that a kill at any moment leaves a whole one."""
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        content = {
            "step": self.step,
            "images_seen": self.images_before + self.step * self.recipe.batch,
            "labels": self.data.label_names,
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        aside = self.folder / "checkpoint.pt.part"
        torch.save(content, aside)
        os.replace(aside, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            raise ValueError(f"there is no checkpoint in {self.folder} to go on from; start without --resume")
        content = torch.load(path, map_location=self.device, weights_only=True)
        if content["labels"] != self.data.label_names:
            raise ValueError(f"{path} was trained on other labels than {self.recipe.data} has; use init instead")
        self.accelerator.unwrap_model(self.model).load_state_dict(content["model"])
        self.ema.load_state_dict(content["ema"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step = content["step"]
        self.images_before = content["images_seen"] - self.step * self.recipe.batch


def to_clean(pixels: np.ndarray) -> Tensor:
    """uint8 (..., H, W, 3) as float32 (..., 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.moveaxis(pixels, -1, -3).astype(np.float32) / 127.5 - 1)


def _precision(wanted: str) -> str:
    """Accelerate's name of a precision; "auto" is bf16 where the device multiplies it in hardware."""
    if wanted == "auto":
        if torch.cuda.is_available():
            wanted = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        else:
            has_units = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
            wanted = "bf16" if has_units() else "fp32"
    return {"fp32": "no"}.get(wanted, wanted)


def ramp(step: int, steps: int, warmup: int, cooldown: int) -> float:
    """Share of the learning rate at a step: linear up over `warmup`, linear down over the last `cooldown` steps."""
    up = min(1.0, (step + 1) / max(1, warmup))
    down = min(1.0, (steps - step) / max(1, cooldown))
    return up * down


def start_from(model: nn.Module, label_names: list[str], folder: str | Path) -> int:
    """Load the weights of a folder; label rows go where the names say, new names start from the null row.

    Returns the number of images those weights have seen.
    """
    weights = read_folder(folder)
    state = weights.state()
    table = "y_embedder.embedding_table.weight"
    if table in state:
        old = {name: row for row, name in enumerate(weights.labels or [])}
        rows = [old.get(name, len(old)) for name in label_names]
        state[table] = state[table][[*rows, len(old)]]
    wanted = model.state_dict()
    for key, value in state.items():
        if key not in wanted or wanted[key].shape != value.shape:
            raise ValueError(f"{folder} does not fit the recipe's model: {key} has shape {tuple(value.shape)}")
    model.load_state_dict(state)
    return int(weights.about.get("images_seen", 0))


def take_what_fits(model: nn.Module, folder: str | Path, blocks: Sequence[int | None] | None = None) -> int:
    """Load those tensors of a weights folder whose names and shapes the model has; the others stay as drawn.

    blocks: for each block of the model the number of the folder's block that it starts from, or None; all by their own
    numbers where it is not given. Returns the number of images those weights have seen. Raises ValueError where nothing
    fits.
    """
    weights = read_folder(folder)
    wanted, given = model.state_dict(), weights.state()
    if blocks is not None:
        kept = {key: value for key, value in given.items() if not key.startswith("blocks.")}
        for mine, theirs in enumerate(blocks):
            start = f"blocks.{theirs}."
            kept |= {f"blocks.{mine}.{k.removeprefix(start)}": v for k, v in given.items() if k.startswith(start)}
        given = kept
    state = {k: v for k, v in given.items() if k in wanted and v.shape == wanted[k].shape}
    if not state:
        raise ValueError(f"no tensor of {folder} fits the recipe's model; leave start_from out")
    model.load_state_dict(state, strict=False)
    return int(weights.about.get("images_seen", 0))
