"""The training loop: batches, losses, schedule, checkpoints; resumes where it stopped."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from glot_cli.body.model import Body
from glot_cli.body.rotations import pose6d_to_rotmat, rotmat_to_pose6d
from glot_cli.camera import project_weak
from glot_cli.errors import GlotError
from glot_cli.models.config import GLoTConfig
from glot_cli.models.global_motion import random_masking
from glot_cli.models.glot import GLoT, initialise
from glot_cli.models.regressors import State
from glot_cli.training.config import TrainConfig
from glot_cli.training.data import Batches
from glot_cli.training.losses import Prediction, loss_terms, total
from glot_cli.training.simulate import Truth
from glot_cli.weights import load_glot, save_glot

log = logging.getLogger(__name__)

MUON_SMALLEST = 64  # rows and columns of a matrix for which orthogonal updates pay


def train(
    config: TrainConfig, out: Path, body: Body, batches: Batches, device: str = "cpu", quiet: bool = False
) -> Path:
    """Train to `config.steps`, continuing from `out/state.pt` where it exists; the path of the final weights.

    Writes to `out`: glot.safetensors (averaged weights when config.ema), state.pt, log.jsonl. Raises GlotError when
    `out` holds a training of another kind.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, body, device)
    if (out / "state.pt").exists():
        try:
            trainer.load(out)
        except (KeyError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:80]
            raise GlotError(f"{out}: holds a training with other settings ({reason}); choose another --out") from error
        batches.generator.set_state(trainer.data_state)
        log.info("continuing from step %d", trainer.step)
    bar = tqdm(total=config.steps, initial=trainer.step, disable=quiet, unit="step", dynamic_ncols=True)
    with bar, (out / "log.jsonl").open("a", encoding="utf-8") as lines:
        running: dict[str, float] = {}
        for features, truth in _until(batches, config.steps - trainer.step):
            terms = trainer.update(features, truth)
            for name, value in terms.items():
                running[name] = running.get(name, value) * 0.98 + value * 0.02
            bar.update()
            if trainer.step % 50 == 0:
                bar.set_postfix(loss=f"{sum(running.values()):.2f}")
                row = {"step": trainer.step, **{k: round(v, 5) for k, v in running.items()}}
                lines.write(json.dumps(row) + "\n")
                lines.flush()
            if trainer.step % config.checkpoint_every == 0 or trainer.step == config.steps:
                trainer.data_state = batches.generator.get_state()
                trainer.save(out)
    return out / "glot.safetensors"


def _until(batches: Batches, count: int) -> Iterator[tuple[Tensor, Truth]]:
    for _ in range(count):
        yield batches.draw()


class Trainer:
    """Everything that a checkpoint holds, and one update of it."""

    def __init__(self, config: TrainConfig, body: Body, device: str) -> None:
        self.config = config
        self.device = torch.device(device)
        torch.manual_seed(config.seed)
        self.model = GLoT(config.model)
        if config.initial is not None:
            self.model.load_state_dict(load_glot(config.initial).state_dict())
        else:
            initialise(self.model, mean_state(config.model))
        self.model.to(self.device).train()
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.body = body.to(self.device)
        self.optimizers = optimizers(self.model, config)
        self.generator = torch.Generator().manual_seed(config.seed + 1)  # of the masking
        self.step = 0
        self.data_state = torch.empty(0, dtype=torch.uint8)

    def update(self, features: Tensor, truth: Truth) -> dict[str, float]:
        """One step on features (B, T, F); the weighted loss terms of both branches."""
        config = self.config
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate(self.step, config)
        features = features.to(self.device)
        masking = None
        noise = torch.rand(features.shape[:2], generator=self.generator)
        if torch.rand((), generator=self.generator) < config.mask_probability and config.mask_ratio > 0:
            masking = random_masking(noise.to(self.device), config.mask_ratio)
        # On a CPU the fused attention's backward pass takes many times longer than plain products do for 16 tokens.
        plain = sdpa_kernel(SDPBackend.MATH) if self.device.type == "cpu" else nullcontext()
        with plain, torch.autocast(self.device.type, torch.bfloat16, enabled=config.bfloat16):
            estimate = self.model.forward_train(features, masking)
        target = self._truth(truth)
        middle = config.model.middle
        near = slice(middle - 1, middle + 2)
        global_terms = loss_terms(
            self._predict(estimate.initial),
            target,
            config.loss,
            config.robust_loss,
            masking.dropped if masking else None,
        )
        local_terms = loss_terms(self._predict(estimate.final), _frames(target, near), config.loss, config.robust_loss)
        loss = total(global_terms) + total(local_terms)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 20.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self._update_average()
        return {f"global.{k}": v.item() for k, v in global_terms.items()} | {
            f"local.{k}": v.item() for k, v in local_terms.items()
        }

    def _predict(self, state: State) -> Prediction:
        """Posed bodies of states (B, T, .), pelvis at the origin."""
        batch, frames = state.camera.shape[:2]
        rotmat = pose6d_to_rotmat(state.pose6d.float().unflatten(-1, (24, 6)))
        betas, camera = state.shape.float(), state.camera.float()
        output = self.body(rotmat.flatten(0, 1), betas.flatten(0, 1))
        joints = output.joints.unflatten(0, (batch, frames))
        pelvis = joints[:, :, :1]
        vertices = None
        if output.vertices is not None:
            vertices = output.vertices.unflatten(0, (batch, frames)) - pelvis
        return Prediction(rotmat, betas, joints - pelvis, project_weak(joints, camera), vertices)

    def _truth(self, truth: Truth) -> Prediction:
        truth = Truth(*(x.to(self.device) for x in truth))
        pelvis = truth.joints[:, :, :1]
        return Prediction(
            truth.rotmat,
            truth.betas.unsqueeze(1).expand(-1, truth.rotmat.shape[1], -1),
            truth.joints - pelvis,
            project_weak(truth.joints, truth.camera),
            truth.vertices - pelvis,
        )

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)

    def save(self, out: Path) -> None:
        """Write weights and state aside, then under their names, so that a kill loses nothing."""
        save_glot(self.average, self.config.model, out / "glot.safetensors")
        state: dict[str, Any] = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average,
            "masking": self.generator.get_state(),
            "dropout": torch.get_rng_state(),
            "data": self.data_state,
        }
        torch.save(state, out / "state.tmp")
        (out / "state.tmp").replace(out / "state.pt")

    def load(self, out: Path) -> None:
        state = torch.load(out / "state.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average = state["average"]
        self.step = state["step"]
        self.generator.set_state(state["masking"].cpu())
        torch.set_rng_state(state["dropout"].cpu())
        self.data_state = state["data"].cpu()


def optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """What updates the parameters of a run: Adam, or Muon for the large matrices and Adam for the rest.

    Muon (Jordan et al., 2024) with updates scaled to the size of Adam's (Liu et al., 2025, arXiv 2502.16982), so that
    one learning rate serves both. GLoT's regressors are stacks of linear layers that begin near zero; there it needs
    less than half as many steps.
    """
    rate, decay = config.learning_rate, config.weight_decay
    parameters = list(model.parameters())
    if config.optimizer == "adam":
        return [torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)]
    large = [p for p in parameters if p.dim() == 2 and min(p.shape) >= MUON_SMALLEST]
    rest = [p for p in parameters if not any(p is q for q in large)]
    return [
        torch.optim.Muon(large, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, weight_decay=decay),
    ]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to a tenth (paper section 4)."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    part = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(part, 1.0))))


def mean_state(config: GLoTConfig) -> Tensor:
    """Where the global regressor starts: upright, facing the camera, arms hanging, mean shape, filling the crop."""
    rotmat = torch.eye(3).repeat(24, 1, 1)
    rotmat[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    for joint, angle in ((16, -1.1), (17, 1.1)):  # shoulders, about z
        cos, sin = math.cos(angle), math.sin(angle)
        rotmat[joint, :2, :2] = torch.tensor([[cos, -sin], [sin, cos]])
    return torch.cat([rotmat_to_pose6d(rotmat).flatten(), torch.zeros(10), torch.tensor([0.9, 0.0, 0.0])])


def _frames(prediction: Prediction, index: slice) -> Prediction:
    return replace(
        prediction,
        **{
            name: value[:, index]
            for name in ("rotmat", "betas", "joints", "image", "vertices")
            if (value := getattr(prediction, name)) is not None
        },
    )
