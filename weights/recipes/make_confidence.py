"""Make `confidence.safetensors`: a small network that tells how far off joints may be.

    glot synth clips --motions motions.npz --out clips/ --clips 30 --seconds 4 --seed 77 --bounce --camera static \
        --camera static --camera pan --camera handheld --camera travel
    python -m weights.recipes.make_confidence clips/ --work signs/

1. glot runs on the clips, of training motions, and keeps what it knows of every joint (`lifting/joint_errors.py`), and
   how far off that joint is: signs/, one file a run, made once. All rows that are somebody's count. Two thirds are
   gone through once more with a detector that misses everybody for a while, one third with its picture cut off
   above and below, so that legs are out of it.
2. The network learns the QUANTILE of the logarithm of the error (pinball loss).
3. What people bring who were not learned from is measured by leaving out one fold of the clips after the other, with
   radii smoothed in time as in a run. By so much all are widened, each kind of joint half by its own and half by all.
   GLoT itself was trained on these motions: NEW is added for those that it doesn't know.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.files.npz import write_npz
from glot_cli.lifting.joint_errors import (
    KIND,
    KINDS,
    LEAST,
    QUANTILE,
    SMOOTH_HZ,
    Findings,
    JointErrors,
    course,
    evidence,
)
from glot_cli.pipeline.models import Models, load_models
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import compute_features, follow_people
from glot_cli.pipeline.presets import PRESETS
from glot_cli.pipeline.record import make_record
from glot_cli.pipeline.video_source import Source
from glot_cli.progress import Progress
from glot_cli.results import Result, load_result
from glot_cli.smoothing import whittaker
from glot_cli.tracking.detector import Detections, PersonDetector
from glot_cli.video import probe, read_frames
from glot_cli.weights.glot_file import save_tensors
from weights.studies.confidence import matched

ENDINGS = "", "_missed", "_cut"  # of runs; all, two thirds and one third of the clips
MISSED = (24, 36), (66, 88)  # frames
LEFT = 0.4, 0.55, 0.7, 0.85  # of the height below the middle
FOLDS = 5
EVERY, FRAMES = 4, 256  # frames of which one is learned from, for neighbours say the same; of a step
NO_KEYPOINTS = 0.1  # share of frames that do without those of the detector
OF_KEYPOINTS = [7, 8, 21, 22]  # of the signs
RATE, DECAY = 5e-3, 6.0
# Of the logarithm. With it 80 % keep within, in the mean over ten takes that GLoT was not trained on, on drawn clips;
# nine of them tell 0.04 to 0.1.
NEW = 0.07
ROOT = Path(__file__).resolve().parents[1]


class Recorder(JointErrors):
    """Keeps the evidence of all that is lifted."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[int, int], tuple[Tensor, int]] = {}  # by person and frame: signs, stretch

    @torch.inference_mode()
    def radii(self, found: Findings, body: Body, landmarks: LandmarkModel) -> Tensor:
        signs = evidence(found, course(found), body, landmarks)
        track = found.track
        for row, sign in zip(found.rows.tolist(), signs, strict=True):
            self.kept[track.person, int(track.frames[row])] = sign, int(track.segment[row])
        return super().radii(found, body, landmarks)


class Forgetful:
    """A detector that sees nobody in the frames MISSED of a clip."""

    any_shape = False  # so that it is shown whole frames in their order

    def __init__(self, detector: PersonDetector) -> None:
        self.detector, self.device, self.frame = detector, detector.device, 0

    def __call__(self, frames: list[np.ndarray]) -> list[Detections]:
        found = []
        for boxes, keypoints in self.detector(frames):
            seen = not any(first <= self.frame < last for first, last in MISSED)
            found.append(Detections(boxes[: len(boxes) * seen], keypoints[: len(boxes) * seen]))
            self.frame += 1
        return found


def cut(video: Path, folder: Path, share: float) -> tuple[Path, int]:
    """A copy of a clip without what is above and below, and how many pixels are gone above.

    Args:
        video: the clip, with its truth beside it.
        folder: for the copy.
        share: of the height from the middle to the lowest joint that is left.
    """
    truth = load_result(video.with_suffix(".npz"))
    middle = truth.meta.height / 2
    half = max(64, int(share * (float(np.quantile(truth.joints2d[..., 1].max(1), 0.9)) - middle)))
    gone = int(middle) - min(half, int(middle)) // 2 * 2  # the same above and below: the principal point stays
    target = folder / video.name
    rate, size = float(truth.meta.frame_rate), (truth.meta.width, truth.meta.height - 2 * gone)
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    for frame in read_frames(probe(video)):
        writer.write(np.ascontiguousarray(frame.image[gone : truth.meta.height - gone, :, ::-1]))
    writer.release()
    return target, gone


class Known(NamedTuple):
    """A stretch of one person: signs (N, 24, SIGNS), logarithms of errors (N, 24), and what smooths them (N, N)."""

    signs: Tensor
    error: Tensor
    smooth: Tensor


def look(video: Path, truth: Result, models: Models, recorder: Recorder, target: Path) -> None:
    """Run glot on a clip whose truth is known, and write what it knew of each joint and how far off it is."""
    info, options, progress = probe(video), Options(quiet=True), Progress(quiet=True)
    recorder.kept.clear()
    tracks, seen, _ = follow_people(video, info, models, options, progress, lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        features = compute_features(info, Path(folder), tracks, seen, models, options, progress)
        features, _ = models.lifter.clean(tracks, features, float(info.fps))
        record = make_record(Source.of(video), info, tracks, seen, features, models, options)
    rows, errors = matched(record, truth)
    order = np.argsort(rows)
    rows, errors = rows[order], errors[order]
    whose = list(zip(record.person[rows].tolist(), record.frame[rows].tolist(), strict=True))
    arrays = {
        "signs": torch.stack([recorder.kept[key][0] for key in whose]).numpy(),
        "errors": errors.astype(np.float32),
        "stretch": np.array([(person, recorder.kept[person, frame][1]) for person, frame in whose]),
        "seconds": record.time[rows],
    }
    write_npz(target, arrays)


def known(path: Path) -> list[Known]:
    """The stretches of one clip."""
    with np.load(path, allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}
    stretches = []
    for one in np.unique(held["stretch"], axis=0):
        own = (held["stretch"] == one).all(1)
        seconds = held["seconds"][own]
        rate = 1 / np.median(np.diff(seconds)) if own.sum() > 1 else 1.0
        smooth = whittaker(np.eye(int(own.sum())), SMOOTH_HZ / rate, times=seconds * rate)
        error = torch.from_numpy(held["errors"][own]).clamp_min(LEAST / 4).log()
        stretches.append(Known(torch.from_numpy(held["signs"][own]), error, torch.from_numpy(smooth).float()))
    return stretches


def learned(people: list[Known], steps: int) -> JointErrors:
    """A network for these."""
    torch.manual_seed(0)
    rng, network = np.random.default_rng(0), JointErrors()
    every = torch.cat([one.signs.flatten(0, 1) for one in people]).double()
    known_ = ~torch.isnan(every)
    mean = torch.nan_to_num(every).sum(0) / known_.sum(0).clamp_min(1)
    spread = (torch.where(known_, every - mean, 0.0).square().sum(0) / known_.sum(0).clamp_min(1)).sqrt()
    network.mean.copy_(mean)
    network.scale.copy_(spread.clamp_min(0.02))
    kinds = torch.tensor(KIND)
    with torch.no_grad():
        every_error = torch.cat([one.error for one in people])
        for kind in range(len(KINDS)):
            network.own.weight[kind] = every_error[:, kinds == kind].quantile(QUANTILE)
        network.last.weight.mul_(0.1)
        network.last.bias.zero_()
    shared = [network.first.weight, network.last.weight, network.kind.weight]
    usual = [network.first.bias, network.last.bias, network.own.weight]
    groups = [{"params": shared, "weight_decay": DECAY}, {"params": usual, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    signs, errors = (torch.cat([one[part][::EVERY] for one in people]) for part in (0, 1))
    for _ in range(steps):
        rows = torch.from_numpy(rng.integers(len(signs), size=FRAMES))
        seen = signs[rows]
        without = torch.from_numpy(np.flatnonzero(rng.random(FRAMES) < NO_KEYPOINTS))
        seen[without[:, None], :, torch.tensor(OF_KEYPOINTS)] = torch.nan
        above = errors[rows] - network(seen)
        loss = torch.maximum(QUANTILE * above, (QUANTILE - 1) * above).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.eval()


@torch.inference_mode()
def beyond(network: JointErrors, people: list[Known]) -> Tensor:
    """By how much the logarithms of errors (M, 24) exceed those of the radii."""
    return torch.cat([one.error - one.smooth @ network(one.signs) for one in people])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips with their truths")
    parser.add_argument("--work", type=Path, required=True, help="folder for what runs know of them")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--look-only", action="store_true", help="learn nothing yet")
    parser.add_argument("--out", type=Path, default=ROOT / "confidence.safetensors")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    targets = []
    videos = [video for video in sorted(arguments.clips.glob("*.mp4")) if video.with_suffix(".npz").exists()]
    models = recorder = None
    for number, video in enumerate(videos):
        wanted = [arguments.work / f"{video.stem}{ending}.npz" for ending in ENDINGS[: 1 + number % 3]]
        targets.append(wanted)
        for target in (one for one in wanted if not one.exists()):
            if models is None:
                recorder = Recorder().eval()
                # Without the file that is to be made.
                models = load_models(replace(PRESETS["open"], helpers=("blazepose-heavy",)), "cpu")
                models = replace(models, lifter=replace(models.lifter, errors=recorder))
            truth = load_result(video.with_suffix(".npz"))
            if target == wanted[0]:
                look(video, truth, models, recorder, target)
            elif target == wanted[1]:
                look(video, truth, replace(models, detector=Forgetful(models.detector)), recorder, target)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    part, gone = cut(video, Path(folder), LEFT[number // 3 % len(LEFT)])
                    lower = {**truth.arrays, "joints2d": truth.joints2d - np.float32([0, gone])}
                    look(part, replace(truth, arrays=lower), models, recorder, target)
            print(target, flush=True)
    if arguments.look_only:
        return
    clips = [[one for target in wanted for one in known(target)] for wanted in targets]
    kinds = torch.tensor(KIND)
    left_out = []
    for fold in range(FOLDS):
        rest = [one for i, clip in enumerate(clips) if i % FOLDS != fold for one in clip]
        network = learned(rest, arguments.steps)
        left_out.append(beyond(network, [one for clip in clips[fold::FOLDS] for one in clip]))
        inside = beyond(network, rest)
        print(
            f"fold {fold}: {100 * float((inside <= 0).float().mean()):.1f} % within where it learned, "
            f"{100 * float((left_out[-1] <= 0).float().mean()):.1f} % elsewhere",
            flush=True,
        )
    over = torch.cat(left_out)
    of_all = over.flatten().sort().values[int(QUANTILE * over.numel())]
    network = learned([one for clip in clips for one in clip], arguments.steps)
    for kind in range(len(KINDS)):
        own = over[:, kinds == kind].flatten().quantile(QUANTILE)
        print(f"kind {kind}: {float(own):+.3f}, of all {float(of_all):+.3f}")
        network.own.weight.data[kind] += (own + of_all) / 2 + NEW
    save_tensors({name: value.contiguous() for name, value in network.state_dict().items()}, arguments.out, {})


if __name__ == "__main__":
    main()
