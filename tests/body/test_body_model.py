"""The body's forward pass against smplx's own skinning, its fast paths, and its answers to bad files."""

import numpy as np
import pytest
import torch
from smplx.lbs import lbs

from glot_cli.body.joints import common_joints, spin_joints
from glot_cli.body.model import Body
from glot_cli.body.rotations import axis_angle_to_rotmat
from glot_cli.errors import GlotError
from glot_cli.smpl import SMPL_PARENTS
from tests.body.oracles import rest_vertices

V = 157


def arrays(posedirs: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    regressor, weights = rng.random((24, V)) ** 9, rng.random((V, 24)) ** 9
    parents = np.where(np.array(SMPL_PARENTS) < 0, 2**32 - 1, SMPL_PARENTS)
    result = {
        "v_template": rng.standard_normal((V, 3)),
        "shapedirs": rng.standard_normal((V, 3, 10)) * 0.05,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.stack([parents, np.arange(24)]).astype(np.uint32),
        "f": rng.integers(0, V, (300, 3)).astype(np.uint32),
    }
    if posedirs:
        result["posedirs"] = rng.standard_normal((V, 3, 207)) * 0.01
    return result


@pytest.fixture
def pose() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rotmat = axis_angle_to_rotmat(torch.randn(6, 24, 3, generator=generator))
    return rotmat, torch.randn(6, 10, generator=generator)


def reference(a: dict[str, np.ndarray], rotmat: torch.Tensor, betas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    t = {k: torch.from_numpy(np.asarray(v, np.float32)) for k, v in a.items() if k not in ("f", "kintree_table")}
    posedirs = t["posedirs"].reshape(-1, 207).T if "posedirs" in t else torch.zeros(207, V * 3)
    return lbs(
        betas, rotmat, t["v_template"], t["shapedirs"], posedirs, t["J_regressor"], torch.tensor(SMPL_PARENTS),
        t["weights"], pose2rot=False,
    )  # fmt: skip


@pytest.mark.parametrize("posedirs", [True, False])
def test_forward_equals_smplx(pose, posedirs):
    a = arrays(posedirs)
    vertices, joints = reference(a, *pose)
    output = Body(a)(*pose)
    torch.testing.assert_close(output.vertices, vertices, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(output.joints, joints, atol=2e-5, rtol=1e-5)


def test_joints_alone_are_the_same_and_have_no_surface(pose):
    body = Body(arrays())
    output = body(*pose, vertices=False)
    assert output.vertices is None
    torch.testing.assert_close(output.joints, body(*pose).joints, atol=0, rtol=0)


def test_zero_posedirs_are_dropped(pose):
    a = arrays()
    a["posedirs"] = np.zeros((V, 3, 207))
    body = Body(a)
    assert body.pose_planes is None
    torch.testing.assert_close(body(*pose).vertices, Body(arrays(False))(*pose).vertices)


@pytest.mark.parametrize("posedirs", [True, False])
def test_subset_yields_those_vertices_and_the_same_joints(pose, posedirs):
    body = Body(arrays(posedirs))
    chosen = [150, 3, 3, 77]
    whole, part = body(*pose), body.subset(chosen)(*pose)
    torch.testing.assert_close(part.vertices, whole.vertices[:, chosen], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(part.joints, whole.joints, atol=0, rtol=0)


def test_rest_pose_and_root_rotation():
    body = Body(arrays())
    betas = torch.randn(2, 10, generator=torch.Generator().manual_seed(1))
    rotmat = torch.eye(3).repeat(2, 24, 1, 1)
    torch.testing.assert_close(body(rotmat, betas).vertices, rest_vertices(body, betas), atol=1e-5, rtol=1e-5)
    rotmat[:, 0] = axis_angle_to_rotmat(torch.tensor([0.0, 1.0, 0.0]))
    turned = body(rotmat, betas)
    pelvis = body.rest_joints(betas)[:, 0]
    torch.testing.assert_close(turned.joints[:, 0], pelvis)  # the root turns about the pelvis, which stays put
    wanted = (rest_vertices(body, betas) - pelvis[:, None]) @ rotmat[0, 0].T + pelvis[:, None]
    torch.testing.assert_close(turned.vertices, wanted, atol=1e-5, rtol=1e-5)


def test_gradients_reach_pose_and_shape(pose):
    rotmat, betas = (p.clone().requires_grad_() for p in pose)
    body = Body(arrays())
    body(rotmat, betas).vertices.square().sum().backward()
    assert torch.isfinite(rotmat.grad).all() and (rotmat.grad.flatten(2).abs().sum(-1) > 0).all()
    assert torch.isfinite(betas.grad).all() and (betas.grad != 0).all()


def test_nothing_of_the_body_goes_into_checkpoints():
    assert Body(arrays()).state_dict() == {}


def test_loads_a_file(tmp_path, pose):
    a = arrays()
    np.savez_compressed(tmp_path / "body.npz", **a, note=np.array("more arrays do no harm"))
    body = Body.load(tmp_path / "body.npz")
    assert (body.num_betas, body.num_vertices, body.parents) == (10, V, SMPL_PARENTS)
    np.testing.assert_array_equal(body.faces, a["f"])
    torch.testing.assert_close(body(*pose).vertices, Body(a)(*pose).vertices)


def bad(**changes) -> dict[str, np.ndarray]:
    a = arrays()
    for name, value in changes.items():
        if value is None:
            del a[name]
        else:
            a[name] = value
    return a


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (bad(weights=None, f=None), "lacks weights, f"),
        (bad(J_regressor=np.ones((17, V))), "J_regressor is 17x157, expected 24x157"),
        (bad(v_template=np.ones(5)), "v_template"),
        (bad(v_template=np.float32(1)), "v_template is a scalar"),
        (bad(posedirs=np.ones((V, 3, 10))), "posedirs is 157x3x10"),
        (bad(weights=np.full((V, 24), np.nan)), "weights holds values that are not finite"),
        (bad(weights=np.full((V, 24), "a")), "weights holds values that are not finite"),
        (bad(f=np.array([[0, 1, V]])), "faces point outside"),
        (bad(f=np.zeros((V * 10 + 1, 3), int)), "larger than any body"),
        (bad(kintree_table=np.zeros((2, 24), np.uint32)), "no tree"),
    ],
)
def test_bad_arrays_are_named_in_one_line(tmp_path, broken, words):
    path = tmp_path / "broken.npz"
    np.savez(path, **broken)
    with pytest.raises(GlotError) as raised:
        Body.load(path)
    message = str(raised.value)
    assert words in message and str(path) in message and "\n" not in message


@pytest.mark.parametrize("content", [None, b"", b"plain text", b"PK\x03\x04 cut short"])
def test_unreadable_files(tmp_path, content):
    path = tmp_path / "body.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GlotError, match=r"body\.npz: .*give an SMPL-format"):
        Body.load(path)


def test_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, **bad(weights=np.array([{"a": 1}], dtype=object)))
    with pytest.raises(GlotError, match=r"evil\.npz"):
        Body.load(path)


def test_joint_sets_say_what_they_need(pose):
    body = Body(arrays())
    with pytest.raises(GlotError, match="J_regressor_extra"):
        common_joints(body, body(*pose))
    with pytest.raises(ValueError, match="vertices"):
        common_joints(body, body(*pose, vertices=False))
    with pytest.raises(ValueError, match="6890"):
        spin_joints(body, body(*pose))
