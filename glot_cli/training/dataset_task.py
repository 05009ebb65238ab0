"""Training on data sets of video features, as the paper does: SMPL bodies, labels that are there in part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glot_cli.body.joints import SpinJoints
from glot_cli.body.rotations import axis_angle_to_rotmat, pose6d_to_rotmat
from glot_cli.camera import project_official
from glot_cli.datasets.dataset import Dataset
from glot_cli.errors import InputError
from glot_cli.evaluation.protocols import evaluate_dataset
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.glot import Estimate, GLoT
from glot_cli.models.regressors import State
from glot_cli.training import seeds
from glot_cli.training.config import DatasetData, TrainConfig
from glot_cli.training.losses import LossConfig
from glot_cli.training.published_losses import BranchOutput, Labels, published_terms
from glot_cli.training.task import near_middle, share
from glot_cli.weights.bodies import load_body, mean_parameters


@dataclass(frozen=True)
class DatasetWindows:
    """W windows of as many frames each, over several data sets laid end to end.

    Attributes:
        datasets: what they are windows of.
        dataset: (W,) which of them a window is of.
        start: (W,) the row of its first frame there.
    """

    datasets: list[Dataset]
    dataset: NDArray[np.intp]
    start: NDArray[np.int64]

    @staticmethod
    def over(datasets: list[Dataset], frames: int, overlap: float) -> DatasetWindows:
        """Every window whose frames all lie in one video, one after another in each video.

        Args:
            datasets: the data sets.
            frames: of each window.
            overlap: share of a window that the next one of the same video repeats, less than 1.

        Raises:
            InputError: a data set has no window.
        """
        step = max(1, round(frames * (1 - overlap)))
        which, starts = [], []
        for number, dataset in enumerate(datasets):
            found = [
                np.arange(first, first + length - frames + 1, step)
                for first, length in zip(dataset.starts, dataset.lengths, strict=True)
                if length >= frames
            ]
            rows = np.concatenate(found or [np.zeros(0, np.int64)])
            if not len(rows):
                raise InputError(f"{dataset.name}: no video of {frames} frames", remedy="leave the data set out")
            which.append(np.full(len(rows), number))
            starts.append(rows)
        return DatasetWindows(datasets, np.concatenate(which), np.concatenate(starts))

    def __len__(self) -> int:
        return len(self.start)


class Deck:
    """Windows drawn without putting back until all are used, then again in another order.

    Args:
        count: windows in the deck.
        seed: of the run.
        name: number of the deck, for it to have an order of its own.
    """

    def __init__(self, count: int, seed: int, name: int) -> None:
        self.count, self.seed, self.name = count, seed, name
        self._round, self._order = -1, np.zeros(0, np.int64)

    def draw(self, first: int, count: int) -> NDArray[np.int64]:
        """The windows dealt as number first, first + 1, ... since the start of the run: (count,)."""
        numbers = first + np.arange(count)
        return np.array([self._at(int(n // self.count), int(n % self.count)) for n in numbers], np.int64)

    def _at(self, round_: int, place: int) -> int:
        """The window at a place of a round's order."""
        if round_ != self._round:
            self._round = round_
            seed = seeds.seed_of(self.seed, seeds.ORDER, self.name, round_)
            self._order = np.random.default_rng(seed).permutation(self.count)
        return int(self._order[place])


class DatasetTask:
    """The paper's training; see `Task`.

    Args:
        config: the run.
        data: its data.
        device: what losses are computed on.

    Raises:
        InputError: the data sets do not do for it.
        UsageError: a data set is not there.
        WeightsError: the body is not there.
    """

    def __init__(self, config: TrainConfig, data: DatasetData, device: torch.device) -> None:
        if not data.with_3d:
            remedy = "name some in the configuration ([datasets] with_3d = [...])"
            raise InputError("no data sets to train on", remedy=remedy)
        self.config, self.data, self.device = config, data, device
        with_2d, with_3d = ([Dataset.open(name) for name in names] for names in (data.with_2d, data.with_3d))
        for dataset in with_3d:
            if dataset.joints3d is None:
                raise InputError(f"{dataset.name}: has no 3-D joints", remedy="name it under with_2d")
        dims = {dataset.feature_dim for dataset in (*with_2d, *with_3d)}
        if len(dims) > 1:
            raise InputError(f"{', '.join(data.with_2d + data.with_3d)}: features of different sizes ({sorted(dims)})")
        self.feature_dim = dims.pop()
        frames = config.model.frames
        self.windows_3d = DatasetWindows.over(with_3d, frames, data.overlap)
        self.windows_2d = DatasetWindows.over(with_2d, frames, data.overlap) if with_2d else None
        self.count_2d = int(config.batch_size * data.share_2d) if with_2d else 0  # rounded down, as the authors do
        self.decks = [Deck(len(w), config.seed, i) for i, w in enumerate((self.windows_3d, self.windows_2d)) if w]
        self.body = load_body(data.body)
        self.joints = SpinJoints(self.body).to(device)
        self.validation = Dataset.open(data.validation) if data.validation else None

    def draw(self, update: int, part: int, parts: int) -> tuple[Tensor, Labels]:
        rows = []
        for number, (windows, count) in enumerate(
            ((self.windows_3d, self.config.batch_size - self.count_2d), (self.windows_2d, self.count_2d))
        ):
            mine = share(count, part, parts)
            if windows is not None and len(mine):
                chosen = self.decks[number].draw(update * count + mine.start, len(mine))
                rows += [self._read(windows, int(index), with_3d=number == 0) for index in chosen]
        features, labels = zip(*rows, strict=True)
        return torch.stack(features), Labels(*(torch.stack(values) for values in zip(*labels, strict=True)))

    def _read(self, windows: DatasetWindows, index: int, with_3d: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Features (T, F) of one window, and its labels in the order of `Labels`.

        Frames that are not valid keep their places, and nothing is believed of what is said about them.
        """
        frames = self.config.model.frames
        dataset = windows.datasets[windows.dataset[index]]
        rows = slice(int(windows.start[index]), int(windows.start[index]) + frames)

        def some(array: NDArray[np.floating] | None, *shape: int) -> Tensor:
            if array is None:
                return torch.zeros(frames, *shape)
            return torch.from_numpy(np.array(array[rows], np.float32))

        valid = torch.from_numpy(np.array(dataset.valid[rows], np.float32))
        has_smpl = with_3d and dataset.pose is not None and dataset.name not in self.data.without_smpl
        pose = some(dataset.pose if has_smpl else None, 72)
        labels = (
            some(dataset.joints2d) * torch.stack([torch.ones_like(valid), torch.ones_like(valid), valid], -1)[:, None],
            some(dataset.joints3d if with_3d else None, 49, 3),
            axis_angle_to_rotmat(torch.unflatten(pose, -1, (24, 3))),
            some(dataset.betas if has_smpl else None, 10),
            valid * float(with_3d),
            valid * float(has_smpl),
        )
        return some(dataset.features), labels

    def terms(self, estimate: Estimate, labels: Labels, dropped: Tensor | None) -> dict[str, Tensor]:
        labels = Labels(*(value.to(self.device) for value in vars(labels).values()))
        has_local = self.config.model.branches != "global"
        return branch_terms(estimate, labels, self.joints, self.config.loss, dropped, has_local)

    def mean_state(self) -> Tensor:
        return mean_parameters()

    def validate(self, model: GLoT) -> dict[str, float]:
        if self.validation is None:
            return {}
        network = FoldedGLoT(model.to(self.device))
        figures = evaluate_dataset(network, self.validation, self.body, rules="corrected").overall
        names = ("pa_mpjpe", "mpjpe", "mpvpe", "acceleration_error")
        return {name: value for name in names if (value := getattr(figures, name)) == getattr(figures, name)}


def branch_terms(
    estimate: Estimate,
    labels: Labels,
    joints: SpinJoints,
    loss: LossConfig,
    dropped: Tensor | None,
    has_local: bool = True,
) -> dict[str, Tensor]:
    """Weighted loss terms of both branches, named branch.term.

    The global branch counts the frames that were hidden from it, the local one the middle frame and its neighbours.

    Args:
        estimate: the network's states of B windows of T frames.
        labels: what is known of them.
        joints: SPIN's joints of the body.
        loss: weights of the terms.
        dropped: (B, T) 1 in frames that were hidden; None: all count.
        has_local: whether there is a local branch.
    """
    rows: dict[str, Tensor] = {}
    if estimate.initial is not None:
        everywhere = published_terms(_output(estimate.initial, joints), labels, loss, dropped)
        rows |= {f"global.{name}": value for name, value in everywhere.items()}
    if has_local:
        near = labels.frames(near_middle(labels.image.shape[1]))
        middle = published_terms(_output(estimate.final, joints), near, loss)
        rows |= {f"local.{name}": value for name, value in middle.items()}
    return rows


def _output(state: State, joints: SpinJoints) -> BranchOutput:
    """What states (B, T, .) look like: SPIN's joints, and where the official camera sees them."""
    rotmat = pose6d_to_rotmat(torch.unflatten(state.pose6d.float(), -1, (24, 6)))
    betas, camera = state.shape.float(), state.camera.float()
    at = torch.unflatten(joints(rotmat.flatten(0, 1), betas.flatten(0, 1)), 0, rotmat.shape[:2])
    return BranchOutput(rotmat, betas, at, project_official(at, camera))
