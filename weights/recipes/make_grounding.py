"""Make `grounding.safetensors`: networks that read up and resting feet off motions.

    python weights/recipes/make_grounding.py --motions train.npz extra.npz --val val.npz val2.npz --work lifted/

1. Motions (glot's format, with `trans`) walk on their floors before cameras that stand, pan or shake. Their landmarks
   get the errors that training imitates (`training.simulate`), and glot's own lifting makes bodies of them: LIFTED/,
   one file for each set and seed, made once.
2. `Upright` learns up, in the frame of the pelvis, and how far off that is; `Contact` learns which points of the soles
   rest: slower than RESTING and lower than LOW_ENOUGH in the true motion.

The best thresholds on height and speed, with true gravity, are told beside what `Contact` reaches with gravity TILT
off.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat, turn_root
from glot_cli.camera import project_pinhole
from glot_cli.features.landmark_vector import mirror_features, picture_landmarks
from glot_cli.features.skeleton import network_input
from glot_cli.lifting.placing import place
from glot_cli.lifting.windows import estimate
from glot_cli.models.fold import FoldedGLoT
from glot_cli.motion.viewing import CENTRE, Placed, Viewing, crop_boxes, view_exactly
from glot_cli.smpl import SMPL_MIRROR
from glot_cli.synth.placement import rotation
from glot_cli.training.simulate import Noise, corrupt
from glot_cli.world.grounding import SPREADS, Gait, Grounding, contact_input, own_up, upright_input
from glot_cli.world.soles import soles_of

LONGEST, SHORTEST = 240, 45  # frames of a piece of motion
RESTING, LOW_ENOUGH = 0.25, 0.06  # metres a second, metres
FLOOR_SHARE = 0.15  # of frames whose lowest point may lie below the floor
STEEP = -15.0, 45.0  # degrees that half of the cameras look down, so that level ones are not taken for granted
FOCAL_STD = 0.12  # of the logarithm of the focal length that lifting believes
TRAVELLING, SPEED = 0.3, 0.5  # share of windows whose camera moves, metres a second
TILT = 2.0  # degrees that gravity is off when contacts are learned
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Seen:
    """A piece of motion as lifting saw it, in the world's axes, and the truth of it."""

    name: str
    walk: Gait
    rests: Tensor  # (N, 4) of zeros and ones


class Stage:
    """Everything that makes lifted motions."""

    def __init__(self) -> None:
        self.body = Body.load(weights.locate("open-body"))
        self.soles, self.landmarks, self.dot = soles_of(self.body), LandmarkModel(), self.body.subset([0])
        self.network = FoldedGLoT(weights.load_glot(weights.locate("glot-open")))

    @torch.inference_mode()
    def seen(
        self, name: str, pose: np.ndarray, trans: np.ndarray, leg: float, rng: np.random.Generator, gen: torch.Generator
    ) -> Seen | None:
        """A motion before a random camera; None where it comes too close."""
        count = len(pose)
        rotmat = axis_angle_to_rotmat(torch.from_numpy(pose))
        if rng.random() < 0.5:
            flip = torch.diag(torch.tensor([-1.0, 1, 1]))
            rotmat, trans = flip @ rotmat[:, list(SMPL_MIRROR)] @ flip, trans * [-1, 1, 1]
        first, rest = Viewing().shape_std
        betas = torch.from_numpy(rng.normal(size=10) * np.r_[first, np.full(9, rest)]).float()
        bones = self.body.rest_joints(betas[None])[0]
        own = float((bones[4] - bones[1]).norm() + (bones[7] - bones[4]).norm())
        yaw = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]], np.float32)
        rotmat, path = turn_root(torch.from_numpy(turn), rotmat), trans * (own / leg) @ turn.T
        low, high = path.min(0), path.max(0)
        away = 2.5 + 5 * rng.random() ** 1.5 + 0.7 * float(np.hypot(*(high - low)[[0, 2]]))
        across = rng.uniform(-0.25, 0.25) * away
        path = path - (low + high) / 2 * [1, 0, 1] + [across, 0, -away]
        posed = self.soles.body(rotmat, betas.expand(count, -1))
        shift = torch.from_numpy(path).float() - posed.joints[:, 0]
        feet = self.soles.points(posed) + shift[:, None]
        floor = feet[..., 1].amin(1).quantile(FLOOR_SHARE)
        feet[..., 1] -= floor
        path[:, 1] -= float(floor)
        steep = np.radians(rng.uniform(*STEEP)) if rng.random() < 0.5 else None
        height = rng.uniform(0.5, 3.0) if steep is None else max(0.2, path[:, 1].mean() + away * np.tan(steep))
        angles = self._angles(path, height, away, across, rng)
        turns = torch.from_numpy(np.stack([rotation(a) for a in angles])).float()
        root = turn_root(turns, rotmat)
        place_ = torch.from_numpy(path - [0, height, 0]).float()
        pelvis = (turns @ place_.unsqueeze(-1)).squeeze(-1)
        before = self.body(root, betas.expand(count, -1), vertices=False)
        both = torch.cat([before.joints, self.landmarks(before)], 1)
        moved = both + (pelvis - both[:, 0])[:, None]
        if pelvis[:, 2].min() < 1.0 or moved[..., 2].min() < 0.4:
            return None
        box = crop_boxes(project_pinhole(moved, 1.0, CENTRE)[None], Viewing(), torch.tensor([0.1]), gen)
        exact, _ = view_exactly(Placed(root[None], betas[None], pelvis[None], box), self.dot, self.landmarks)
        features = corrupt(exact, Noise(), gen)[0]
        whole = torch.zeros(count, dtype=torch.long)
        state = estimate(self.network, features, whole, prepare=network_input, mirror=mirror_features)
        focal = float(np.exp(rng.normal() * FOCAL_STD))
        lifted = place(
            state, picture_landmarks(features), box[0], whole, self.body, self.landmarks,
            focal=focal, centre=CENTRE, fps=30.0,
        )  # fmt: skip
        back = turns.mT
        posed = self.soles.body(lifted.rotmat, lifted.betas.expand(count, -1))
        pelvis = (back @ (posed.joints[:, 0] + lifted.transl).unsqueeze(-1)).squeeze(-1)
        soles = (self.soles.points(posed) + lifted.transl[:, None]) @ back.mT
        walk = Gait(turn_root(back, lifted.rotmat), pelvis, soles, F.normalize(pelvis, dim=-1))
        return Seen(name, walk, _rests(feet))

    @staticmethod
    def _angles(path: np.ndarray, height: float, away: float, across: float, rng: np.random.Generator) -> np.ndarray:
        """Heading, pitch and roll (N, 3) of a camera that stands, follows or shakes."""
        count = len(path)
        angles = np.zeros((count, 3))
        angles[:, 0] = np.arctan2(across, away) * rng.uniform(0.3, 1)
        angles[:, 1] = np.arctan((height - path[:, 1].mean()) / away) + np.radians(rng.normal() * 4)
        angles[:, 2] = np.radians(rng.normal() * (1.5 if rng.random() < 0.8 else 6.0))
        kind = rng.choice(["static", "pan", "handheld"])
        if kind != "static":
            sway = gaussian_filter1d(rng.normal(size=(count, 3)), 5, axis=0, mode="reflect")
            angles += sway / max(sway.std(), 1e-6) * np.radians(rng.uniform(0.2, 1.0))
        if kind == "pan":
            followed = gaussian_filter1d(np.arctan2(path[:, 0], -path[:, 2]), 15, mode="nearest")
            angles[:, 0] = followed * rng.uniform(0.5, 1) + np.radians(rng.uniform(-20, 20)) * np.linspace(
                -0.5, 0.5, count
            )
        return angles


def _rests(feet: Tensor) -> Tensor:
    """Which points (N, 4, 3) rest on the floor at y = 0: (N, 4)."""
    speed = (feet[2:] - feet[:-2]).norm(dim=-1) * 15
    speed = torch.cat([speed[:1], speed, speed[-1:]])
    return ((speed < RESTING) & (feet[..., 1] < LOW_ENOUGH)).float()


def pieces(path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Name, poses, pelvis and length of the skeleton's leg of stretches of the motions in a file."""
    held = np.load(path, allow_pickle=False)
    leg = float(np.linalg.norm(held["rest_offsets"][4]) + np.linalg.norm(held["rest_offsets"][7]))
    for clip, name in enumerate(held["clip_names"]):
        rows = np.flatnonzero(held["clip_index"] == clip)
        for start in range(0, len(rows) - SHORTEST + 1, LONGEST):
            part = rows[start : start + LONGEST]
            if len(part) >= SHORTEST:
                yield f"{name}:{start}", held["poses"][part], held["trans"][part], leg


def lifted(files: list[Path], work: Path, seed: int) -> list[Seen]:
    """All pieces of motion files, each before one camera; made once for each seed."""
    target = work / f"{'_'.join(p.stem for p in files)}_{seed}.pt"
    if not target.exists():
        stage, rng, gen = Stage(), np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        found = [stage.seen(*piece, rng, gen) for path in files for piece in pieces(path)]
        kept = [one for one in found if one is not None]
        torch.save([(one.name, tuple(one.walk), one.rests) for one in kept], target)
        print(f"{target}: {sum(len(one.rests) for one in kept)} frames", flush=True)
    return [Seen(name, Gait(*walk), rests) for name, walk, rests in torch.load(target, weights_only=True)]


def windows(pool: list[tuple[Tensor, Tensor]], count: int, length: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Inputs (count, length, .) and targets of random stretches; short ones repeat their last frame."""
    share = np.sqrt([len(x) for x, _ in pool])
    inputs, targets = [], []
    for index in rng.choice(len(pool), count, p=share / share.sum()):
        x, y = pool[index]
        start = int(rng.integers(0, max(1, len(x) - length + 1)))
        rows = torch.arange(start, start + length).clamp_max(len(x) - 1)
        inputs.append(x[rows])
        targets.append(y[rows])
    return torch.stack(inputs), torch.stack(targets)


def fit(network: nn.Module, loss: object, steps: int, rate: float, decay: float, tell: object) -> None:
    """Minimise a loss over so many steps; `tell` prints how it stands."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    begin = time.perf_counter()
    for step in range(1, steps + 1):
        network.train()
        value = loss()
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 250 == 0 or step == steps:
            network.eval()
            print(f"{step:5d} {float(value.detach()):7.3f} {time.perf_counter() - begin:5.0f} s  {tell()}", flush=True)


def normalise(network: nn.Module, pool: list[tuple[Tensor, Tensor]]) -> None:
    """Tell a network the mean and the spread of its inputs."""
    every = torch.cat([x for x, _ in pool])
    network.mean.copy_(every.mean(0))
    network.scale.copy_(every.std(0).clamp_min(0.02))


def learn_up(both: Grounding, train: list[Seen], val: list[Seen], steps: int) -> None:
    network, rng, gen = both.upright, np.random.default_rng(0), torch.Generator().manual_seed(0)
    pool = [(upright_input(one.walk), one.walk.rotmat[:, 0, 1]) for one in train]  # row 1: the world's y, seen by it
    normalise(network, pool)
    moving = slice(network.mean.shape[0] - 3 * 7, network.mean.shape[0] - 3 * 2)  # velocities of soles and pelvis

    def loss() -> Tensor:
        x, up = windows(pool, 64, 48, rng)
        velocity = SPEED * torch.randn(len(x), 1, 3, generator=gen)
        velocity *= torch.rand(len(x), 1, 1, generator=gen) < TRAVELLING
        x[..., moving] += velocity.repeat(1, 1, 5)
        x = torch.where(torch.rand(x.shape, generator=gen) < 0.15, network.mean, x)
        answer = network(x)
        spread = answer[..., 3].clamp(*SPREADS)
        return ((1 - (own_up(answer) * up).sum(-1)) / torch.exp(2 * spread) + 2 * spread).mean()

    def tell() -> str:
        errors, sure = [], []
        for one in val:
            up, spread = both.up(one.walk)
            mean = F.normalize((up / spread**2).sum(0), dim=0)
            errors.append(math.degrees(math.acos(min(1.0, float(mean[1])))))
            sure.append(math.degrees(float(spread.mean())))
        ratio = np.sqrt(np.mean((np.array(errors) / np.array(sure)) ** 2) / 2)
        return (
            f"up, one answer a piece: median {np.median(errors):.1f}, mean {np.mean(errors):.1f}, 95 % "
            f"{np.quantile(errors, 0.95):.1f} degrees; {ratio:.2f} of the spread"
        )

    fit(network, loss, steps, 2e-3, 5e-2, tell)


def learn_contacts(both: Grounding, train: list[Seen], val: list[Seen], steps: int) -> None:
    network, rng, gen = both.contact, np.random.default_rng(0), torch.Generator().manual_seed(0)
    pool = []
    for one in train:
        x = contact_input(one.walk.turned(_tilt(gen)))
        pool += [(x[0], one.rests[:, :2]), (x[1], one.rests[:, 2:])]
    normalise(network, pool)
    tilted = [one.walk.turned(_tilt(gen)) for one in val]
    true = torch.cat([one.rests for one in val]) > 0.5

    def loss() -> Tensor:
        x, rests = windows(pool, 48, 64, rng)
        x[..., :4] += 0.02 * torch.randn(len(x), 1, 1, generator=gen)
        return F.binary_cross_entropy_with_logits(network(x), rests)

    def tell() -> str:
        said = torch.cat([both.contacts(walk) for walk in tilted]) > 0.5
        return f"contact: F1 {_f1(said, true):.3f}, {100 * float((said == true).float().mean()):.1f} % right"

    fit(network, loss, steps, 3e-3, 2e-2, tell)
    print("thresholds on height and speed: F1 {:.3f} below {} m/s and {} m".format(*_thresholds(val, true)))


def _tilt(generator: torch.Generator) -> Tensor:
    x, z = math.radians(TILT) * torch.randn(2, generator=generator)
    return axis_angle_to_rotmat(torch.stack([x, torch.zeros(()), z])[None])[0]


def _thresholds(val: list[Seen], true: Tensor) -> tuple[float, float, float]:
    heights, speeds = [], []
    for one in val:
        soles = one.walk.soles
        heights.append(soles[..., 1] - soles[..., 1].amin(1).quantile(FLOOR_SHARE))
        speed = (soles[2:] - soles[:-2]).norm(dim=-1) * 15
        speeds.append(torch.cat([speed[:1], speed, speed[-1:]]))
    height, speed = torch.cat(heights), torch.cat(speeds)
    return max(
        (_f1((speed < fast) & (height < high), true), fast, high)
        for fast, high in itertools.product((0.2, 0.3, 0.5, 0.8, 1.2), (0.05, 0.1, 0.15, 0.2, 0.3))
    )


def _f1(said: Tensor, true: Tensor) -> float:
    return 2 * float((said & true).sum()) / float(said.sum() + true.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", type=Path, nargs="+", required=True)
    parser.add_argument("--val", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for what lifting makes of them")
    parser.add_argument("--seeds", type=int, default=2, help="cameras for each piece of motion")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=ROOT / "grounding.safetensors")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    val = lifted(arguments.val, arguments.work, 1000)
    train = [one for seed in range(arguments.seeds) for one in lifted(arguments.motions, arguments.work, seed)]
    both = Grounding()
    learn_contacts(both, train, val, arguments.steps)
    learn_up(both, train, val, arguments.steps)
    save_file({name: value.contiguous() for name, value in both.state_dict().items()}, arguments.out)


if __name__ == "__main__":
    main()
