"""Open body, last step: which vertex is the nose, and what is skin, hair or shirt."""

from __future__ import annotations

import anny
import numpy as np
from open_body_mesh import Parts
from open_body_people import HEAD, NECK

REGIONS = (
    "skin", "hair", "torso", "upper_arm", "forearm", "hand", "pelvis_thigh", "shin", "foot", "eye", "iris", "lips",
    "eyebrow",
)  # fmt: skip


def find_landmarks(
    vertices: np.ndarray,
    full: np.ndarray,
    bones: dict[str, np.ndarray],
    parts: Parts,
    model: anny.Anny,
    left: np.ndarray,
) -> dict[str, int]:
    """Vertex index of each landmark, by name.

    Args:
        vertices: (V,3) of the decimated mesh, T-posed.
        full: (N,3) of the whole mesh, T-posed.
        bones: heads and `*_tip` tails of the same body.
        parts: of the whole mesh.
        model: anny's.
        left: (V,) bool: the half x >= 0, on which sided landmarks are found.
    """
    found: dict[str, int] = {}
    ids = np.flatnonzero(left)

    def nearest(point: np.ndarray, among: np.ndarray = ids) -> int:
        return int(among[np.linalg.norm(vertices[among] - point, axis=1).argmin()])

    coco = anny.KeypointsRegressor.coco(model)
    named = dict(zip(coco.labels, coco.regression_weights.numpy() @ full, strict=True))
    seam = np.flatnonzero(abs(vertices[:, 0]) < 1e-5)
    face_top = seam[abs(vertices[seam, 1] - named["nose"][1]) < 0.03]
    found["nose"] = int(face_top[vertices[face_top, 2].argmax()])
    found["left_ear"] = nearest(named["left_ear"])
    for name in ("left_big_toe", "left_small_toe", "left_heel"):
        found[name] = nearest(named[name])

    eye = parts.eyeball & (full[:, 0] > 0)
    rim = full[parts.rim & (full[:, 0] > -1e-6)]
    lids = rim[np.linalg.norm(rim - full[eye].mean(0), axis=1) < 0.03]
    mouth = rim[rim[:, 1] < full[eye, 1].min() - 0.02]
    front = full[eye & (full[:, 2] > full[eye, 2].max() - 1e-4)].mean(0)
    found["left_eye"] = nearest(front)
    found["left_eye_inner"] = nearest(lids[lids[:, 0].argmin()])
    found["left_eye_outer"] = nearest(lids[lids[:, 0].argmax()])
    found["left_mouth"] = nearest(mouth[mouth[:, 0].argmax()])

    arm = ids[vertices[ids, 0] > bones["hand_l"][0]]
    for name, bone in (
        ("left_index_tip", "index_03_l_tip"),
        ("left_pinky_tip", "pinky_03_l_tip"),
        ("left_middle_tip", "middle_03_l_tip"),
        ("left_thumb_tip", "thumb_03_l_tip"),
    ):
        found[name] = nearest(bones[bone], arm)
    for name, bone in (
        ("left_index_knuckle", "index_01_l"),
        ("left_pinky_knuckle", "pinky_01_l"),
        ("left_thumb_joint", "thumb_02_l"),
    ):  # on the back of the hand, which is up in the T-pose
        found[name] = nearest(bones[bone] + [0, 0.012, 0], arm)
    return found


def label_regions(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, landmarks: dict[str, int], eyeball: np.ndarray
) -> np.ndarray:
    """(V,) index into REGIONS, for colouring skin, hair and clothes.

    Args:
        vertices: (V,3) T-posed.
        joints: (24,3) T-posed.
        weights: (V,24) of the skinning.
        landmarks: vertices by name.
        eyeball: (V,) bool.
    """
    owner = weights.argmax(1)
    by_joint = {
        "torso": (3, 6, 9, 13, 14), "upper_arm": (16, 17), "forearm": (18, 19), "hand": (20, 21, 22, 23),
        "pelvis_thigh": (0, 1, 2), "shin": (4, 5), "foot": (7, 8, 10, 11), "skin": (12, 15),
    }  # fmt: skip
    region = np.zeros(len(vertices), np.uint8)
    for name, owners in by_joint.items():
        region[np.isin(owner, owners)] = REGIONS.index(name)
    x, y, z = vertices.T
    # Collar and belt follow planes: by weights alone their lines are ragged.
    collar, spine = joints[13], joints[3]
    neck = (y > collar[1] + 0.035 - 0.5 * (z - collar[2])) & (abs(x) < 0.085)
    trunk = np.isin(region, [REGIONS.index(n) for n in ("torso", "skin", "pelvis_thigh")])
    region[trunk & np.isin(owner, (9, 12, 13, 14))] = REGIONS.index("torso")
    region[trunk & neck] = REGIONS.index("skin")
    region[trunk & np.isin(owner, (0, 1, 2, 3, 6))] = REGIONS.index("torso")
    region[trunk & (y < spine[1])] = REGIONS.index("pelvis_thigh")
    head = np.isin(owner, (NECK, HEAD)) & ~eyeball
    eye, ear = vertices[landmarks["left_eye"]], vertices[landmarks["left_ear"]]
    crown = y[head].max()
    hairline = eye[1] + 0.55 * (crown - eye[1])
    behind = ear[2] - 0.005
    hair = head & ((y > hairline) | ((z < behind) & (y > ear[1] - 0.045) & (abs(x) < abs(ear[0]) - 0.004)))
    hair |= head & (y > eye[1] + 0.02) & (z < ear[2] + 0.03)
    region[hair] = REGIONS.index("hair")
    face = head & ~hair & (z > ear[2] + 0.03)
    corner = vertices[landmarks["left_mouth"]]
    span = (abs(x) / corner[0]) ** 2 + ((y - corner[1]) / 0.011) ** 2
    region[face & (span < 1.0) & (z > corner[2] - 0.004)] = REGIONS.index("lips")
    inner, outer = (vertices[landmarks[k]] for k in ("left_eye_inner", "left_eye_outer"))
    brow = abs(y - (eye[1] + 0.021)) < 0.0055
    region[face & brow & (abs(x) > inner[0] + 0.002) & (abs(x) < outer[0] + 0.006)] = REGIONS.index("eyebrow")
    region[eyeball] = REGIONS.index("eye")
    centre = np.where(x[:, None] > 0, eye, eye * [-1, 1, 1])
    region[eyeball & (np.linalg.norm((vertices - centre)[:, :2], axis=1) < 0.0065)] = REGIONS.index("iris")
    return region
