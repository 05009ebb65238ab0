"""What GLoT makes of BlazePose's landmarks, beside those landmarks, on clips whose truth is known.

    glot synth clips --motions val.npz --out val_clips/ --clips 16 --seed 1 --bounce
    glot run val_clips/*.mp4 --out results/ --no-render
    python weights/studies/beside_landmarks.py results/ val_clips/

BlazePose looks again at the crops of the finished runs: once at each of them as it lies in the picture, as it does by
itself; and as in a run, which is gone through again with its options as they are by default: at people turned upright,
again where in doubt, and made to agree over time and with the detector's keypoints. 3D: the 12 limb landmarks
(shoulders to wrists, hips to ankles), centred on the middle of the hips; PA-MPJPE in mm, acceleration error in
mm/frame^2 over three frames in a row of one id. 2D, in % of the true person's longer side: distance to the limb
landmarks of BlazePose in a run, weighted by their presence, and to the true ones.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.camera import from_crop, project_pinhole, ray_rotation
from glot_cli.evaluation.pairing import load_bodies, load_pairs
from glot_cli.evaluation.records import VISIBLE, match_rows, picture_size, runs
from glot_cli.features.blazepose import BlazePoseFeatures
from glot_cli.features.crops import extract_crops
from glot_cli.features.landmark_vector import Landmarks, unpack
from glot_cli.metrics import acceleration_error, pa_mpjpe
from glot_cli.pipeline.models import Models, load_models
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.passes import compute_features, follow_people
from glot_cli.pipeline.presets import PRESETS
from glot_cli.progress import Progress
from glot_cli.results import Result
from glot_cli.video import probe, read_frames

LIMBS = [*range(11, 17), *range(23, 29)]
HIPS = (6, 7)  # of LIMBS
ALONE, IN_A_RUN, GLOT = NAMES = ("BlazePose at one look", "BlazePose in a run", "glot")


def limbs_of(record: Result, body: Body) -> tuple[Tensor, Tensor]:
    """Limb landmarks of a record's bodies: (N, 12, 3) metres from the mid hip, and (N, 12, 2) pixels."""
    rotmat, betas, transl = (torch.from_numpy(x) for x in (record.pose, record.betas, record.transl))
    rotmat = axis_angle_to_rotmat(rotmat)
    points = LandmarkModel()(body(rotmat, betas, vertices=False))[:, LIMBS]
    centre = torch.tensor([record.meta.width, record.meta.height]) / 2
    focal = torch.from_numpy(record.row_focal_lengths())
    pixels = project_pinhole(points + transl[:, None], focal, centre)
    return points - points[:, HIPS].mean(1, keepdim=True), pixels


def look_once(record: Result, network: BlazePoseFeatures) -> Landmarks:
    """What BlazePose marks in every crop of a record by itself: (N, 33, ...)."""
    rows_of = dict(record.by_frame())
    features = torch.zeros(len(record), network.feature_dim)
    for frame in read_frames(Path(record.meta.source)):
        rows = rows_of.get(frame.index)
        if rows is not None:
            features[rows] = network(extract_crops(frame.image, record.box[rows], network.crop_size)).cpu()
    return unpack(features)


def look_as_in_a_run(record: Result, models: Models) -> Landmarks:
    """What a run of the record's video lays bodies on, in every row of the record: (N, 33, ...)."""
    video, options = Path(record.meta.source), Options(quiet=True)
    info, progress = probe(video), Progress(quiet=True)
    tracks, seen, _ = follow_people(video, info, models, options, progress, lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        features = compute_features(info, Path(folder), tracks, seen, models, options, progress)
        whole, _ = models.lifter.clean(tracks, features, float(info.fps))
    found = {
        (track.person, frame + seen.first): feature
        for track, rows in zip(tracks, whole, strict=True)
        for frame, feature in zip(track.frames.tolist(), rows, strict=True)
    }
    wanted = list(zip(record.person.tolist(), record.frame.tolist(), strict=True))
    if not found.keys() >= set(wanted):
        raise SystemExit(f"{video}: its run was another one; run it again, with this glot and no options")
    return unpack(torch.from_numpy(np.stack([found[key] for key in wanted])))


@torch.inference_mode()
def errors(
    mine: Result, truth: Result, bodies: tuple[Body, Body], models: Models, network: BlazePoseFeatures
) -> dict[str, dict[str, np.ndarray]]:
    """Errors per frame of one video, of everyone who was found, by name and kind; bodies: of record and of truth."""
    truth = truth.select(truth.score >= VISIBLE)
    match = match_rows(mine, truth)
    ticks = mine.ticks[match[match >= 0]]
    true, mine = truth.select(match >= 0), mine.select(match[match >= 0])
    crops = torch.from_numpy(mine.box)
    centre = torch.tensor([mine.meta.width, mine.meta.height]) / 2
    turn = ray_rotation(crops[:, :2], torch.from_numpy(mine.row_focal_lengths()), centre)
    marks = {ALONE: look_once(mine, network), IN_A_RUN: look_as_in_a_run(mine, models)}
    places = {GLOT: limbs_of(mine, bodies[0])}
    for name, seen in marks.items():
        world = seen.world[:, LIMBS] @ turn.mT  # from the crop's frame into the camera's
        places[name] = world - world[:, HIPS].mean(1, keepdim=True), from_crop(seen.landmarks2d[:, LIMBS], crops)
    true_points, true_pixels = limbs_of(true, bodies[1])
    sure = marks[IN_A_RUN].presence[:, LIMBS]
    size = picture_size(true.joints2d)
    parts = runs(mine, true, ticks)

    def off(a: Tensor, b: Tensor, weight: Tensor) -> np.ndarray:
        return ((a - b).norm(dim=-1) * weight).sum(1).numpy() / weight.sum(1).clamp_min(1e-6).numpy() / size * 100

    found = {}
    for name, (points, pixels) in places.items():
        ours, theirs = points.numpy(), true_points.numpy()
        moving = [acceleration_error(ours[part], theirs[part], ticks[part]) for part in parts]
        found[name] = {
            "PA-MPJPE": 1000 * pa_mpjpe(ours, theirs),
            "acceleration error": 1000 * np.concatenate([*moving, np.zeros(0)]),
            "2D to landmarks": off(pixels, places[IN_A_RUN][1], sure),
            "2D to truth": off(pixels, true_pixels, torch.ones_like(sure)),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("truth", type=Path)
    arguments = parser.parse_args()
    preset = PRESETS["open"]
    models, network = load_models(preset, "cpu"), BlazePoseFeatures(weights.locate(preset.features), None)
    pairs = load_pairs(arguments.results, arguments.truth)
    body, true_body = (body.subset([0]) for body in load_bodies(pairs))
    videos = [errors(mine, truth, (body, true_body), models, network) for mine, truth in pairs]
    kinds = list(videos[0][GLOT])
    print(f"{'':22s}" + "".join(f"{kind:>22s}" for kind in kinds))
    for name in NAMES:
        means = (float(np.concatenate([video[name][kind] for video in videos]).mean()) for kind in kinds)
        print(f"{name:22s}" + "".join(f"{mean:22.2f}" for mean in means))


if __name__ == "__main__":
    main()
