"""The training loop: updates, schedule, checkpoints; one process or several; resumes where it stopped.

Everything random depends on the run's seed and the update alone (see `seeds`), so what a checkpoint has to hold is
weights, their optimizers, and counters.
"""

from __future__ import annotations

import copy
import json
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from glot_cli.errors import OutputError, one_line
from glot_cli.files.atomic import abandoned, whole
from glot_cli.models.global_motion import Masking, random_masking
from glot_cli.models.glot import Estimate, GLoT
from glot_cli.training import seeds
from glot_cli.training.config import TrainConfig
from glot_cli.training.journal import Journal
from glot_cli.training.losses import total
from glot_cli.training.optim import learning_rate, optimizers
from glot_cli.training.processes import Processes
from glot_cli.training.task import Task
from glot_cli.weights import save_glot

log = logging.getLogger(__name__)

STATE, LAST, BEST = "state.pt", "last.safetensors", "best.safetensors"
LOG_EVERY = 50  # updates


def train(
    config: TrainConfig, task: Task, model: GLoT, out: Path, processes: Processes | None = None, quiet: bool = False
) -> Path:
    """Train to the end of `config`, continuing from `out/state.pt` where it exists.

    Args:
        config: the run.
        task: its data and losses.
        model: the network before the first update.
        out: folder for last.safetensors and best.safetensors (the running mean of the weights when config.ema),
            state.pt, log.jsonl, TensorBoard files.
        processes: those that share the work; None: this one alone.
        quiet: show no progress bar.

    Returns:
        The path of the best weights, of the last where nothing is validated.

    Raises:
        OutputError: `out` holds a training with other settings.
        UsageError: the processes cannot share a batch evenly.
    """
    processes = processes or Processes()
    if processes.first:
        out.mkdir(parents=True, exist_ok=True)
        for path, _ in abandoned(out, "part"):  # a state of a hundred megabytes for every kill while it was written
            path.unlink(missing_ok=True)
    trainer = Trainer(config, task, model, processes)
    if (out / STATE).exists():
        trainer.load(out)
        log.info("continuing from update %d", trainer.update)
    bar = tqdm(total=config.updates, initial=trainer.update, disable=quiet or not processes.first, unit="update",
               dynamic_ncols=True)  # fmt: skip
    with bar, Journal(out if processes.first else None, trainer.update) as journal:
        while trainer.update < config.updates:
            trainer.step()
            bar.update()
            if trainer.update % LOG_EVERY == 0:
                means = trainer.means()
                bar.set_postfix(loss=f"{means['loss']:.2f}")
                journal.write(trainer.update, means)
            if trainer.update % config.iterations == 0:
                epoch = trainer.update // config.iterations
                if epoch >= config.validate_from and (figures := trainer.validate(out)):
                    journal.write(trainer.update, figures)
                    if not bar.disable:
                        tqdm.write(_line(epoch, figures))
                trainer.save(out)
    return out / (BEST if (out / BEST).exists() else LAST)


def _line(epoch: int, figures: dict[str, float]) -> str:
    """What is shown of a validation."""
    return f"epoch {epoch}: " + ", ".join(f"{name.removeprefix('val.')} {value:.1f}" for name, value in figures.items())


class _Forward(nn.Module):
    """The training forward under the name that DistributedDataParallel calls."""

    def __init__(self, model: GLoT) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, masking: Masking | None) -> Estimate:
        return self.model.forward_train(features, masking)


class Trainer:
    """Everything that a checkpoint holds, and one update of it."""

    def __init__(self, config: TrainConfig, task: Task, model: GLoT, processes: Processes) -> None:
        self.config, self.task, self.processes = config, task, processes
        self.device = processes.device
        self.parts = processes.parts(config)
        self.model = model.to(self.device).train()
        forward = _Forward(self.model)
        # The mask token's weights get no gradient from a part that hides nothing.
        always_hides = config.mask_ratio > 0 and config.mask_probability >= 1
        self.forward: nn.Module = processes.shared(forward, find_unused=not always_hides)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizers = optimizers(self.model, config)
        self.update = 0
        self.best = float("inf")
        self.sums: dict[str, float] = {}
        self.summed = 0

    def step(self) -> None:
        """One update."""
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate(self.update, self.config)
        self.model.zero_grad(set_to_none=True)
        mine = self.processes.mine(self.parts)
        terms: dict[str, float] = {}
        for part in mine:
            last = part == mine[-1]
            for name, value in self._backward(part, len(mine), exchange=last).items():
                terms[name] = terms.get(name, 0.0) + value
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.update += 1
        self._update_average()
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.summed += 1

    def _backward(self, part: int, shared_by: int, exchange: bool) -> dict[str, float]:
        """Add the gradient of one part, a share of the batch's; its loss terms, likewise a share."""
        features, labels = self.task.draw(self.update, part, self.parts)
        features = features.to(self.device, non_blocking=True)
        masking = self._masking(part, features)
        torch.manual_seed(seeds.seed_of(self.config.seed, seeds.DROPOUT, self.update, part))
        # On a CPU the fused attention's backward pass takes many times longer than plain products do for 16 tokens.
        plain = sdpa_kernel(SDPBackend.MATH) if self.device.type == "cpu" else nullcontext()
        wait: AbstractContextManager[Any] = nullcontext()
        if not exchange and isinstance(self.forward, DistributedDataParallel):
            wait = self.forward.no_sync()  # gradients travel once an update, with the last part
        with wait:
            with plain, torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
                estimate = self.forward(features, masking)
            terms = self.task.terms(estimate, labels, masking.dropped if masking else None)
            loss = total(terms) / shared_by
            torch.autograd.backward(loss)
        return {"loss": loss.item()} | {name: value.item() / shared_by for name, value in terms.items()}

    def _masking(self, part: int, features: Tensor) -> Masking | None:
        """Which frames of a part are hidden; None: none."""
        generator = seeds.generator(self.config.seed, seeds.MASKING, self.update, part)
        noise = torch.rand(features.shape[:2], generator=generator)
        hides = torch.rand((), generator=generator) < self.config.mask_probability and self.config.mask_ratio > 0
        return random_masking(noise.to(self.device), self.config.mask_ratio) if hides else None

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.update) / (10 + self.update))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)

    def means(self) -> dict[str, float]:
        """Loss terms since the last call, averaged over updates and processes."""
        means = {name: value / self.summed for name, value in self.sums.items()}
        self.sums, self.summed = {}, 0
        return self.processes.averaged(means)

    def validate(self, out: Path) -> dict[str, float]:
        """Errors of the kept weights on validation data; keeps these as `best` if they are. Empty without such data."""
        figures: dict[str, float] = {}
        if self.processes.first:
            model = GLoT(self.config.model)
            model.load_state_dict({name: value.cpu() for name, value in self.average.items()})
            figures = self.task.validate(model.eval())
        if figures:
            error = next(iter(figures.values()))
            if error < self.best:
                self.best = error
                save_glot(self.average, self.config.model, out / BEST)
        self.processes.wait()
        return {f"val.{name}": value for name, value in figures.items()}

    def save(self, out: Path) -> None:
        """Write weights and state aside, then under their names, so that a kill loses nothing."""
        if self.processes.first:
            save_glot(self.average, self.config.model, out / LAST)
            state: dict[str, Any] = {
                "config": _fingerprint(self.config),
                "parts": self.parts,
                "update": self.update,
                "model": self.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "average": self.average,
                "best": self.best,
                "sums": self.sums,
                "summed": self.summed,
            }
            with whole(out / STATE) as aside:
                torch.save(state, aside)
        self.processes.wait()

    def load(self, out: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            OutputError: it belongs to a training with other settings.
        """
        try:
            state = torch.load(out / STATE, map_location=self.device, weights_only=True)
            differing = [k for k, v in _fingerprint(self.config).items() if state["config"].get(k) != v]
            if state["parts"] != self.parts:
                differing.append("parts")
            if differing:
                raise ValueError(f"{', '.join(differing)} differ")
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            reason = f"holds a training with other settings ({one_line(error, 120)})"
            raise OutputError(reason, path=out, remedy="choose another output folder") from error
        self.average = copy.deepcopy(state["average"])
        self.update, self.best = state["update"], state["best"]
        self.sums, self.summed = state["sums"], state["summed"]


def _fingerprint(config: TrainConfig) -> dict[str, str]:
    """What must not change when a training goes on: all that decides what an update does.

    Where files lie may change, and what only looks at the weights; so may the number of epochs, which then bends the
    learning rate's course from here on.
    """
    values = asdict(config)
    for section, names in _FREE.items():
        inside = values if section is None else values[section] or {}
        for name in names:
            inside.pop(name, None)
    return {name: json.dumps(value, sort_keys=True, default=str) for name, value in values.items()}


_FREE = {
    None: ("epochs", "validate_from", "initial"),
    "landmarks": ("motions", "crops", "val_motions", "val_crops"),
    "datasets": ("validation",),
}
