"""The training loop, built on accelerate: any number of processes, any device, bit-exact resuming."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ...backbones import build
from ...conditioning import TextTower, hidden_states
from ...data.prepared import identity
from ...diffusion import interpolate, velocity_loss
from ...files import write_whole
from ...latents import PIXELS
from ...ops.heap import keep_freed_memory
from . import device_batches
from .batches import Batches
from .checkpoints import checkpoints, read_checkpoint, refuse_a_second_start, refuse_other_data, write_checkpoint
from .device_batches import DeviceBatches
from .graph import StepGraph, graph_fault
from .lora import adapt
from .optimizer import make_optimizer
from .processes import accelerator_of, place
from .progress import Journal, check_trackers, stopping_on_signals
from .recipe import Recipe, autoencoder_spec, known_labels, load_data, model_config, part_places
from .rules import (
    check_batch,
    check_sizes,
    min_snr_weight,
    out_of_memory,
    ramp,
    rows_by_share,
    short_attention,
    split,
    start_from,
    take_what_fits,
)
from .samples import conditions, sample_grid
from .sharding import load_model, load_optimizer, whole, whole_state
from .tower import LearningTower, lengthen
from .validation import bucket_losses


class Training:
    """A run: `run()` trains to the last step, writing metrics, samples and checkpoints into the run folder.

    Every step draws its batch, times, noise and dropout from the seed and the step, so a resumed run repeats exactly
    what an uninterrupted one does on such a device, and several processes split exactly the batch of one process.
    Raises ValueError if the recipe, the data and the run folder do not fit together, OSError if the run folder cannot
    be written.
    """

    def __init__(self, recipe: Recipe, resume: bool = False) -> None:
        keep_freed_memory()
        check_trackers(recipe.trackers)
        self.recipe, self.folder, self.step = recipe, Path(recipe.run), 0
        self.accelerator = accelerator_of(recipe)
        self.device = self.accelerator.device
        if not resume:
            refuse_a_second_start(self.folder)
        checkpoint = self._checkpoint() if resume else None
        self.data = load_data(recipe)
        self.config = model_config(recipe, len(self.data.label_names))
        spec, places = autoencoder_spec(recipe), part_places(recipe)
        self.space = spec.load(self.device, places) if spec else PIXELS
        check_sizes(recipe, self.data, self.config, self.space)
        check_batch(recipe, self.accelerator)
        self.rows, self.held_out = split(len(self.data), recipe.held_out)
        self.rows = rows_by_share(self.rows, self.data.groups, recipe.shares)
        model = self._initial_network()
        self.tower = self._text_tower(places)
        if self.tower is None and self.config.labels:
            model.y_embedder.dropout = 0.0  # drawn with the batch, so that it is the same for any number of processes
        self.learning_tower = LearningTower(self.tower, self.accelerator) if recipe.tower_lr else None
        parts = recipe, self.data, self.rows, self.config, self.space, self.tower, self.accelerator
        on_device = device_batches.fits(self.data, self.device)
        self.batches = DeviceBatches(*parts, device=self.device) if on_device else Batches(*parts)
        self.emas = [deepcopy(model).to(self.device).eval().requires_grad_(False) for _ in recipe.halflives]
        if recipe.compile:
            model.compile()
        tower_weights = self.learning_tower.weights if self.learning_tower else []
        optimizer, self.rates = make_optimizer(recipe, model, tower_weights, self.device)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self._graph: StepGraph | None = None  # of the forward and backward pass, from the first step on
        self._last_loss: Tensor | None = None
        self._losses: list[Tensor] = []  # since the last line of metrics
        self._stopping = False
        if checkpoint is not None:
            self._restore(checkpoint)
        with self._writing():
            self._begin()

    def _initial_network(self) -> nn.Module:
        """The network before the first step, its trainable weights chosen; sets `images_before`."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed)
        model = build(self.config)
        model.checkpointing = recipe.checkpointing
        self.images_before = 0  # seen by the weights that the run starts from
        if recipe.init:
            self.images_before = start_from(model, self.data.label_names, recipe.init)
        if recipe.start_from:
            self.images_before = take_what_fits(model, recipe.start_from, recipe.start_blocks)
        adapt(model, recipe.method, recipe.rank, known_labels(recipe))
        return model

    def _text_tower(self, places: Sequence[Path]) -> TextTower | None:
        """The tower for the captions, looked up in `places`; None for labels. Raises ValueError for another width."""
        recipe = self.recipe
        if recipe.text_spec is None:
            return None
        tower = recipe.text_spec.load(self.device, places)
        if tower.width != self.config.text_width:
            raise ValueError(
                f"model.text_width is {self.config.text_width} but the text tower has width {tower.width}; "
                f"set model.text_width to {tower.width}"
            )
        return lengthen(tower, recipe.tower_context) if recipe.tower_context else tower

    def _begin(self) -> None:
        """Write the recipe and the labels into the run folder, and open the journal."""
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.recipe.save(self.folder / "recipe.yaml")
            labels = json.dumps(self.data.label_names, ensure_ascii=False)
            write_whole(self.folder / "labels.json", labels)
        self.journal = Journal(self.recipe, self.accelerator, self.folder, self.step)

    @property
    def ema(self) -> nn.Module:
        """The first of the averaged networks, the one that is sampled and exported."""
        return self.emas[0]

    @property
    def loss(self) -> float:
        """The loss of the last step, in this process; asking for it waits for the device."""
        return float("nan") if self._last_loss is None else self._last_loss.item()

    @property
    def finished(self) -> bool:
        """Whether all steps of the recipe are done."""
        return self.step >= self.recipe.steps

    def stop(self) -> None:
        """Make `run` end after the current step, with a checkpoint; callable from any thread."""
        self._stopping = True

    def run(self, watch: Callable[[Training], None] | None = None) -> Path:
        """Train to the last step, or until `stop`; returns the run folder.

        watch: called after every step in the main process; it may read `step` and `loss`, wait, or call `stop`. Ctrl-C
        stops too.
        Raises FloatingPointError if the loss is not finite, MemoryError if a step does not fit into memory, OSError if
        the run folder cannot be written.
        """
        with stopping_on_signals(self.stop), self._writing(), self.journal:
            saved, started, first = self.step, time.monotonic(), self.step
            try:
                while not self.finished and not self._must_stop():
                    self._losses.append(self.update())
                    self.step += 1
                    self._report(started, first)
                    if self.finished or self.step % self.recipe.save_every == 0:
                        self.save()
                        saved = self.step
                    if watch is not None and self.accelerator.is_main_process:
                        watch(self)
            finally:
                self.batches.close()
            if saved < self.step:
                self.save()
            self.accelerator.wait_for_everyone()  # so that the last checkpoint exists when any process returns
            if not self.finished:
                self.journal.say(f"stopped after step {self.step} of {self.recipe.steps}; continue with --resume")
        return self.folder

    def _must_stop(self) -> bool:
        """Whether `stop` was called in any of the processes; all of them must ask at the same step."""
        if self.accelerator.num_processes == 1:
            return self._stopping
        if self._stopping:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def _report(self, started: float, first: int) -> None:
        """Write the metrics, validation losses and samples that are due; the run began at that time and step.

        They come before the checkpoint of their step: a run killed in between writes them again.
        """
        recipe = self.recipe
        if self.step % recipe.log_every == 0:
            self._refuse_infinite()
            loss = self._recent_losses().mean().item()  # which waits for the device
            self._losses.clear()
            speed = (self.step - first) * recipe.batch / (time.monotonic() - started)
            self.journal.training(self.step, loss, speed, (recipe.steps - self.step) * recipe.batch / speed)
        if not self.accelerator.is_main_process:
            return
        if len(self.held_out) and (self.finished or self.step % recipe.validate_every == 0):
            cond, _ = conditions(self.data, self.held_out, self.sampled_tower)
            losses = bucket_losses(
                self.ema, recipe.prediction, self.batches.clean(self.held_out, range(len(self.held_out))), cond
            )
            mean = round(sum(losses) / len(losses), 5)
            self.journal.write(self.step, {"held_out_loss": mean, "by_time": [round(loss, 5) for loss in losses]})
        if self.finished or self.step % recipe.sample_every == 0:
            (self.folder / "samples").mkdir(exist_ok=True)
            path = self.folder / f"samples/{self.step:07d}.png"
            sample_grid(self.ema, recipe.prediction, self.data, self.sampled_tower, path, space=self.space)

    def _recent_losses(self) -> Tensor:
        """The loss of every step since the last line of metrics, averaged over all processes."""
        if not self._losses:
            return torch.empty(0)
        return self.accelerator.reduce(torch.stack(self._losses), "mean")

    def update(self) -> Tensor:
        """One optimiser update on the batch of `self.step`; returns the loss of this process's share.

        Raises FloatingPointError if the loss is not finite, MemoryError if the step does not fit into memory.
        """
        recipe = self.recipe
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * ramp(self.step, recipe.steps, recipe.warmup, recipe.cooldown)
        self.model.train()
        batch = [value.to(self.device) for value in self.batches(self.step)]
        try:
            loss = self._by_graph(batch) if self._has_graph else self._in_parts(batch)
            clipped = self._trained_weights() if self.learning_tower else self.model.parameters()
            self.accelerator.clip_grad_norm_(clipped, recipe.clip)
            self.optimizer.step()
        except (MemoryError, RuntimeError) as fault:
            if not out_of_memory(fault):
                raise
            raise MemoryError(
                f"a step of {recipe.batch} images does not fit into memory; lower batch, set accumulate to "
                f"{2 * recipe.accumulate}{'' if recipe.checkpointing else ', or set checkpointing to true'}"
            ) from None
        if not self._has_graph:
            self.optimizer.zero_grad()
        self._average()
        self._last_loss = loss
        return loss

    @cached_property
    def _has_graph(self) -> bool:
        """Whether steps are replayed as a graph; if not on a GPU, the journal says why."""
        scales = self.accelerator.scaler is not None
        drop_path, processes = getattr(self.config, "drop_path", 0.0), self.accelerator.num_processes
        fault = graph_fault(
            self.device, processes=processes, parts=self.recipe.accumulate, drop_path=drop_path, scales=scales,
            checkpointing=self.recipe.checkpointing,
        )  # fmt: skip
        if fault and self.device.type == "cuda":
            self.journal.say(f"steps are launched kernel by kernel, not as one CUDA graph: {fault}")
        return fault is None

    def _by_graph(self, batch: list[Tensor]) -> Tensor:
        """The loss of a batch, and its gradients, by the graph, which the first batch makes."""
        if self._graph is None:
            self._graph = StepGraph(self._gradients, self._trained_weights(), batch)
        return self._graph(batch)

    def _in_parts(self, batch: list[Tensor]) -> Tensor:
        """The loss of a batch, and its gradients, one part after the other."""
        parts = list(zip(*(value.chunk(self.recipe.accumulate) for value in batch), strict=True))
        loss = torch.zeros((), device=self.device)
        for i, part in enumerate(parts):
            last = i + 1 == len(parts)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss += self._backward(*part) / len(parts)
        return loss

    def _trained_weights(self) -> list[nn.Parameter]:
        """All weights that get gradients: of the network, and of a tower that is trained too."""
        learned = self.learning_tower.weights if self.learning_tower else ()
        return [*(weight for weight in self.model.parameters() if weight.requires_grad), *learned]

    def _backward(self, clean: Tensor, cond: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Add the gradients of a part of the batch; returns its mean loss."""
        with short_attention(self.device, math.prod(self.config.grid)):  # the backward pass may recompute blocks
            return self._gradients(clean, cond, t, noise)

    def _gradients(self, clean: Tensor, cond: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """What `_backward` does, once attention is chosen. On a CPU it refuses an infinite loss at once."""
        recipe = self.recipe
        x = interpolate(clean, noise, t)
        with self.accelerator.autocast():
            if self.tower is not None and not cond.is_floating_point():  # token ids
                cond = self._features(cond)
            output = self.model(x, t, cond)
        losses = velocity_loss(recipe.prediction, output.float(), clean, noise, x, t)
        if recipe.min_snr:
            losses = losses * min_snr_weight(t, recipe.min_snr)
        loss = losses.mean()
        if self.device.type == "cpu":
            self._refuse_infinite(loss)
        self.accelerator.backward(loss / recipe.accumulate)
        return loss.detach()

    def _features(self, ids: Tensor) -> Tensor:
        """Features (n, words, width) of token ids, differentiable if the tower is trained too."""
        if self.learning_tower:
            return self.learning_tower(ids).float()
        with torch.no_grad():
            return hidden_states(self.tower.clip_model, ids).float()

    def _refuse_infinite(self, loss: Tensor | None = None) -> None:
        """Raises FloatingPointError if a loss, by default the last step's, is not finite.

        On a GPU asked for lines of metrics and checkpoints alone, as the answer waits for the device.
        """
        loss = self._last_loss if loss is None else loss
        if loss is not None and not math.isfinite(value := loss.item()):
            raise FloatingPointError(
                f"the loss is {value} at step {self.step}; lower lr (now {self.recipe.lr:g}) and use --resume"
            )

    @property
    def sampled_tower(self) -> TextTower | None:
        """The text tower of samples and exports: averaged weights if the tower is trained too."""
        return self.learning_tower.averaged if self.learning_tower else self.tower

    @torch.no_grad()
    def _average(self) -> None:
        """Update the moving averages of the weights, with a lower decay in the first steps."""
        weights = list(self.accelerator.unwrap_model(self.model).parameters())
        trained = [i for i, weight in enumerate(weights) if weight.requires_grad]
        current = [whole(weights[i].detach()) for i in trained]
        for ema, halflife in zip(self.emas, self.recipe.halflives, strict=True):
            keep = min(0.5 ** (1 / halflife), (1 + self.step) / (10 + self.step))
            averages = list(ema.parameters())
            torch._foreach_lerp_([averages[i] for i in trained], current, 1 - keep)
        if self.learning_tower:
            keep = min(0.5 ** (1 / self.recipe.halflives[0]), (1 + self.step) / (10 + self.step))
            self.learning_tower.average(keep)

    def save(self) -> None:
        """Write a checkpoint of this step; if killed while writing, the previous checkpoint stays intact."""
        self._refuse_infinite()
        self.accelerator.wait_for_everyone()
        losses, scaler = self._recent_losses(), self.accelerator.scaler
        model = whole_state(self.accelerator.unwrap_model(self.model).state_dict())
        optimizer = whole_state(self.optimizer.state_dict())
        if not self.accelerator.is_main_process:
            return
        content = {
            "step": self.step,
            "images_seen": self.images_before + self.step * self.recipe.batch,
            "labels": self.data.label_names,
            "place": place(),
            "data": identity(Path(self.recipe.data)),
            "model": model,
            "emas": [ema.state_dict() for ema in self.emas],
            "optimizer": optimizer,
            "scaler": scaler.state_dict() if scaler else None,
            "losses": losses,
        }
        if self.learning_tower:
            content["tower"] = self.learning_tower.states()
        write_checkpoint(self.folder, self.step, content, self.recipe.keep_last, self.recipe.keep_every)

    def _checkpoint(self) -> dict | None:
        """The checkpoint to resume from; None if the run was killed before writing one."""
        content = read_checkpoint(self.folder)
        if content is None and not (self.folder / "recipe.yaml").is_file():
            raise ValueError(f"there is no checkpoint in {self.folder} to resume from; start without --resume")
        return content

    def _restore(self, content: dict) -> None:
        """Go back to the state of a checkpoint. Raises ValueError if it is of other data or another recipe."""
        if content["labels"] != self.data.label_names:
            raise ValueError(
                f"{self.folder} was trained on labels other than those of {self.recipe.data}; use init instead"
            )
        refuse_other_data(self.folder, content, self.recipe.data)
        if len(content["emas"]) != len(self.emas):
            raise ValueError(
                f"{self.folder} has {len(content['emas'])} averages of the weights and ema_halflife gives "
                f"{len(self.emas)}; give as many as the run has"
            )
        load_model(self.accelerator.unwrap_model(self.model), content["model"])
        for ema, state in zip(self.emas, content["emas"], strict=True):
            ema.load_state_dict(state)
        if bool(self.learning_tower) != ("tower" in content):
            how = "with" if "tower" in content else "without"
            raise ValueError(f"{self.folder} was trained {how} tower_lr; resume it the same way, or use init instead")
        if self.learning_tower:
            self.learning_tower.load(content["tower"])
        load_optimizer(self.optimizer, content["optimizer"])
        if content["scaler"] and self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(content["scaler"])
        self._losses = list(content["losses"].to(self.device))
        self.step = content["step"]
        self.images_before = content["images_seen"] - self.step * self.recipe.batch

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn an OSError of the run folder into one sentence: the last intact checkpoint and what to do."""
        try:
            yield
        except OSError as fault:
            last = max(checkpoints(self.folder), default=None)
            saved = "no checkpoint was written yet" if last is None else f"the last intact checkpoint is of step {last}"
            raise OSError(
                f"{self.folder} cannot be written at step {self.step} ({fault.strerror or fault}); {saved}; free some "
                "disk space or choose a writable folder, and continue with --resume"
            ) from fault
