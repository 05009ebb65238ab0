"""The open body as shipped: geometry, symmetry, joints, landmarks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from glot_cli.body.joints import COMMON_JOINTS, common_joints
from glot_cli.body.model import Body, read_body_arrays
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.smpl import SMPL_JOINTS, SMPL_MIRROR, SMPL_PARENTS
from tests.body.oracles import rest_vertices

FOLDER = Path(__file__).parents[2] / "weights"
FILES = ("open_body", "open_neutral", "open_male", "open_female")
J = {name: i for i, name in enumerate(SMPL_JOINTS)}


@pytest.fixture(scope="module", params=FILES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def arrays(name) -> dict[str, np.ndarray]:
    return read_body_arrays(FOLDER / f"{name}.npz")


@pytest.fixture(scope="module")
def body(arrays) -> Body:
    return Body(arrays)


@pytest.fixture(scope="module")
def shapes(body) -> tuple[np.ndarray, np.ndarray]:
    """Rest vertices and joints of 200 random people."""
    betas = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    return rest_vertices(body, betas).numpy(), body.rest_joints(betas).numpy()


def test_size_and_types(arrays, body):
    assert all((FOLDER / f"{name}.npz").stat().st_size < 1_100_000 for name in FILES)
    assert 6500 < body.num_vertices < 7500 and body.num_betas == 10 and body.parents == SMPL_PARENTS
    assert arrays["v_template"].dtype == np.float32 and arrays["kintree_table"].dtype == np.uint32


def test_weights_and_regressors_are_convex(arrays):
    for name in ("weights", "J_regressor", "J_regressor_extra"):
        assert arrays[name].min() >= 0
        np.testing.assert_allclose(arrays[name].sum(1), 1, atol=1e-5)
    assert (arrays["J_regressor"] > 0).sum(1).max() < 600  # sparse, as SMPL's


def test_rest_pose_is_the_smpl_t_pose(body):
    """Directions of the motion-capture skeleton: legs straight down, arms straight out, pelvis at the origin."""
    joints = body.joint_template.numpy()
    assert np.abs(joints[0]).max() < 1e-4

    def direction(a: str, b: str) -> np.ndarray:
        d = joints[J[b]] - joints[J[a]]
        return d / np.linalg.norm(d)

    for side, x in (("left", 1), ("right", -1)):
        for a, b, wanted in (
            ("hip", "knee", [0, -1, 0]),
            ("knee", "ankle", [0, -1, 0]),
            ("shoulder", "elbow", [x, 0, 0]),
            ("elbow", "wrist", [x, 0, 0]),
            ("wrist", "hand", [x, 0, 0]),
        ):
            cosine = direction(f"{side}_{a}", f"{side}_{b}") @ wanted
            assert np.degrees(np.arccos(min(cosine, 1))) < 1.0, (side, a, b)
        toes = direction(f"{side}_ankle", f"{side}_foot")
        assert toes[2] > 0.7 and abs(toes[0]) < 0.2  # feet point forward, +z
    vertices = body.template_planes.numpy().T
    floor = vertices[:, 1].min()
    for name in ("left_foot", "right_foot"):
        assert 0 < joints[J[name], 1] - floor < 0.06


def test_exact_left_right_symmetry(arrays, body):
    mirror = arrays["mirror_vertices"].astype(int)
    np.testing.assert_array_equal(mirror[mirror], np.arange(body.num_vertices))
    flip = np.array([-1, 1, 1])
    np.testing.assert_allclose(arrays["v_template"][mirror] * flip, arrays["v_template"], atol=1e-6)
    np.testing.assert_allclose(arrays["shapedirs"][mirror] * flip[:, None], arrays["shapedirs"], atol=1e-6)
    np.testing.assert_allclose(arrays["weights"][mirror][:, list(SMPL_MIRROR)], arrays["weights"], atol=1e-6)
    joints = body.joint_template.numpy()
    np.testing.assert_allclose(joints[list(SMPL_MIRROR)] * flip, joints, atol=1e-5)


def test_people_have_human_sizes(shapes, name):
    vertices, joints = shapes
    stature = np.ptp(vertices[..., 1], axis=1)
    least, most = {"open_male": (1.72, 1.82), "open_female": (1.57, 1.67)}.get(name, (1.62, 1.78))
    assert least < stature.mean() < most and 0.07 < stature.std() < 0.16
    assert stature.min() > 1.25 and stature.max() < 2.2
    thigh = np.linalg.norm(joints[:, J["left_knee"]] - joints[:, J["left_hip"]], axis=1)
    assert (thigh / stature > 0.19).all() and (thigh / stature < 0.29).all()  # Drillis & Contini: 0.245
    shank = np.linalg.norm(joints[:, J["left_ankle"]] - joints[:, J["left_knee"]], axis=1)
    assert 0.95 < np.median(thigh / shank) < 1.05  # 0.245 to 0.246 of the stature
    assert np.abs(joints[:, 0]).max() < 0.02  # the pelvis hardly leaves the origin with shape


def test_joints_lie_inside_the_body(shapes, body):
    vertices, joints = shapes
    for name in ("left_knee", "left_ankle", "left_elbow", "left_wrist", "neck", "left_hip"):
        joint = joints[:, J[name]]
        owned = body.weight_planes[J[name]].numpy() > 0.05  # reaches a little past the joint on both sides
        part = vertices[:, owned]
        assert (part.min(1) < joint).all() and (joint < part.max(1)).all(), name


def test_faces_point_outwards_and_close(body):
    vertices, faces = body.template_planes.numpy().T.astype(float), body.faces
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    assert 0.05 < volume < 0.11  # m^3; negative if the faces were inside out
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() == 2 and (count == 1).sum() < 100  # open only behind the eyes
    assert set(np.unique(faces)) == set(range(body.num_vertices))


def test_landmarks_are_where_they_say(arrays):
    points = arrays["v_template"]
    at = {str(n): points[i] for n, i in zip(arrays["landmark_names"], arrays["landmark_vertices"], strict=True)}
    assert len(at) == len(arrays["landmark_names"]) == 31
    for name, point in at.items():
        if name.startswith("left_"):
            assert point[0] > 0
            np.testing.assert_allclose(at["right_" + name[5:]], point * [-1, 1, 1], atol=1e-6)
    assert at["nose"][0] == pytest.approx(0, abs=1e-4)
    assert at["nose"][2] > at["left_eye"][2] > at["left_ear"][2]
    assert at["left_eye_inner"][0] < at["left_eye"][0] < at["left_eye_outer"][0] < at["left_ear"][0]
    assert at["left_eye"][1] > at["nose"][1] > at["left_mouth"][1]
    assert at["left_big_toe"][0] < at["left_small_toe"][0] and at["left_heel"][2] < at["left_small_toe"][2]
    assert at["left_middle_tip"][0] > at["left_index_knuckle"][0] > at["left_thumb_joint"][0]
    # Palms face down: thumb in front, little finger behind.
    assert at["left_thumb_tip"][2] > at["left_index_knuckle"][2] > at["left_pinky_knuckle"][2]


def test_regions_cover_the_body(arrays):
    region = arrays["region_names"][arrays["vertex_region"]]
    heights = {n: arrays["v_template"][region == n][:, 1].mean() for n in arrays["region_names"]}
    assert heights["hair"] > heights["eye"] > heights["lips"] > heights["torso"] > heights["pelvis_thigh"]
    assert heights["pelvis_thigh"] > heights["shin"] > heights["foot"]


def test_common_joints_stand_in_order(body):
    output = body(torch.eye(3).repeat(1, 24, 1, 1), torch.zeros(1, 10))
    joints = dict(zip(COMMON_JOINTS, common_joints(body, output)[0].numpy(), strict=True))
    assert len(joints) == 14
    for side in ("left", "right"):
        heights = [joints[f"{side}_{n}"][1] for n in ("ankle", "knee", "hip", "shoulder")]
        assert heights == sorted(heights)
        assert (joints[f"{side}_wrist"][0] > 0) == (side == "left")
        smpl = output.joints[0, J[f"{side}_knee"]].numpy()
        np.testing.assert_allclose(joints[f"{side}_knee"], smpl, atol=1e-6)
    top = output.vertices[0, :, 1].max().item()
    assert top - 0.02 < joints["head_top_lsp"][1] <= top
    assert joints["left_shoulder"][1] < joints["neck_lsp"][1] < joints["head_top_lsp"][1] - 0.15


def test_common_joints_stay_with_the_bones_in_any_pose(body):
    """The hips that evaluations centre on must not hang on arms or shins: they once lay 240 mm off a kicking body."""
    generator = torch.Generator().manual_seed(2)
    pose = 0.4 * torch.randn(60, 24, 3, generator=generator)
    betas = torch.randn(60, 10, generator=generator)
    output = body(axis_angle_to_rotmat(pose), betas)
    joints = common_joints(body, output)
    for side in ("left", "right"):
        hip = joints[:, COMMON_JOINTS.index(f"{side}_hip")]
        off = (hip - output.joints[:, J[f"{side}_hip"]]).norm(dim=-1)
        assert off.mean() < 0.02 and off.max() < 0.04
    neck = joints[:, COMMON_JOINTS.index("neck_lsp")]
    between = 0.5 * output.joints[:, J["neck"]] + 0.25 * (
        output.joints[:, J["left_shoulder"]] + output.joints[:, J["right_shoulder"]]
    )
    assert (neck - between).norm(dim=-1).mean() < 0.02


def test_bent_elbows_and_knees_leave_the_hips_where_they_are(body):
    rotmat = torch.eye(3).repeat(2, 24, 1, 1)
    bent = {"left_elbow": (0.0, -1.2, 0.0), "right_elbow": (0.0, 1.2, 0.0), "left_knee": (1.2, 0.0, 0.0)}
    for name, turn in bent.items():
        rotmat[1, J[name]] = axis_angle_to_rotmat(torch.tensor(turn))
    joints = common_joints(body, body(rotmat, torch.zeros(2, 10)))
    hips = [COMMON_JOINTS.index(f"{side}_hip") for side in ("left", "right")]
    assert (joints[0, hips] - joints[1, hips]).abs().max() < 1e-4


def loaded(name: str) -> Body:
    return Body.load(FOLDER / f"{name}.npz")


def bust(body: Body) -> float:
    """How far the chest stands out before the breastbone, metres, on the mean body."""
    vertices = body.template_planes.numpy().T
    spine, neck = (body.joint_template.numpy()[J[name], 1] for name in ("spine2", "neck"))
    chest = vertices[(vertices[:, 1] > spine) & (vertices[:, 1] < neck) & (abs(vertices[:, 0]) < 0.14)]
    middle, sides = chest[abs(chest[:, 0]) < 0.02], chest[abs(abs(chest[:, 0]) - 0.08) < 0.03]
    return float(sides[:, 2].max() - middle[:, 2].max())


def test_bodies_are_of_one_mesh_and_skeleton():
    one = read_body_arrays(FOLDER / "open_body.npz")
    for name in FILES[1:]:
        other = read_body_arrays(FOLDER / f"{name}.npz")
        for key in ("f", "weights", "kintree_table", "mirror_vertices", "landmark_vertices", "vertex_region"):
            np.testing.assert_array_equal(other[key], one[key])


def test_the_same_people_have_the_same_joints_in_every_body():
    """What a network says of shapes is of the mean of all; `shape_mean` carries it over."""
    everybody = loaded("open_body")
    for name, near, far in (("open_neutral", 0.002, 0.01), ("open_male", 0.007, 0.03), ("open_female", 0.007, 0.03)):
        body = loaded(name)
        # People of the kind that the body is the mean of.
        own = 0.5 * torch.randn(300, 10, generator=torch.Generator().manual_seed(1))
        distance = (body.rest_joints(own) - everybody.rest_joints(own + body.shape_mean)).norm(dim=-1)
        assert distance.mean() < near and distance.max() < far, name


def test_no_shape_gives_a_man_or_the_neutral_body_a_chest():
    short_woman = loaded("open_female").shape_mean  # in the shape space of all
    for name in ("open_neutral", "open_male"):
        body = loaded(name)
        posed = body(torch.eye(3).repeat(1, 24, 1, 1), (2 * short_woman - body.shape_mean)[None])
        changed = Body({**read_body_arrays(FOLDER / f"{name}.npz"), "v_template": posed.vertices[0].numpy()})
        assert bust(changed) < 0.002, name


def test_men_are_taller_and_flat_women_are_not_and_the_neutral_body_is_neither():
    means = {name: loaded(name) for name in FILES}
    stature = {name: float(np.ptp(body.template_planes.numpy()[1])) for name, body in means.items()}
    # NCD-RisC (2016, eLife 5, e13410): men's mean is 1.60 to 1.83 m over the world's countries, women's 1.49 to 1.70.
    assert 1.60 < stature["open_male"] < 1.83 and 1.49 < stature["open_female"] < 1.70
    assert abs(stature["open_neutral"] - stature["open_body"]) < 0.002
    assert abs(bust(means["open_male"])) < 0.002 and abs(bust(means["open_neutral"])) < 0.002
    assert bust(means["open_female"]) > 0.014 > bust(means["open_body"]) > 0.008
