"""What animators' programs find in GLB, BVH, USD, OBJ and PLY, computed from the files' bytes alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from glot_cli import weights
from glot_cli.api import export
from glot_cli.body.model import Body, read_body_arrays
from glot_cli.exporting.bvh_files import zxy_angles
from glot_cli.exporting.characters import characters
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.naming import joint_names
from glot_cli.exporting.surface import influences
from glot_cli.exporting.timeline import camera_keys, frame_times
from glot_cli.results import Result, pose_bodies
from glot_cli.smpl import SMPL_JOINTS
from tests.exporting.files_of_animators import Gltf, bvh_joints
from tests.exporting.made_records import made_record

NEAR = 1e-5  # metres: 0.01 mm


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(weights.locate("open-neutral"))


@pytest.fixture(scope="module")
def record() -> Result:
    """Two people; the second comes late and is away for a while. The camera turns and moves."""
    made = made_record([(1, 0, range(20)), (2, 0, [*range(5, 9), *range(14, 20)])], fps="30000/1001", frames=22)
    angles = np.linspace(0, 0.5, 22)
    turns = (
        Rotation.from_rotvec(angles[:, None] * [0, 1, 0]).as_matrix().astype(np.float32)
        @ made.cameras["camera_rotation"]
    )
    moved = made.cameras["camera_translation"] + np.float32([1, 0, 0]) * np.float32(angles)[:, None]
    return Result(made.arrays, made.meta, {"camera_rotation": turns, "camera_translation": moved})


def files(record: Result, folder: Path, formats: str, **options: object) -> dict[str, Path]:
    """What an export makes of a record, by name."""
    folder.mkdir(exist_ok=True)
    record.save(folder / "params.npz")
    notes: list[str] = []
    paths = export(folder / "params.npz", formats.split(","), warn=notes.append, **options)  # type: ignore[arg-type]
    return {path.relative_to(folder / "export").as_posix(): path for path in paths} | {"": Path(" ".join(notes))}


@pytest.fixture(scope="module")
def glb(record: Result, tmp_path_factory: pytest.TempPathFactory) -> Gltf:
    return Gltf(files(record, tmp_path_factory.mktemp("glb") / "a", "glb")["a.glb"])


def test_glb_has_every_bone_and_vertex_where_the_body_model_has_it(record: Result, body: Body, glb: Gltf) -> None:
    vertices, joints = pose_bodies(body, record, world=True)
    off = 0.0
    for row, (person, time) in enumerate(zip(record.person, record.time, strict=True)):
        assert np.abs(glb.joints(f"person{person}", time) - joints[row]).max() < NEAR
        if row % 6 == 0:
            off = max(off, np.linalg.norm(glb.surface(f"person{person}", time) - vertices[row], axis=1).max())
    assert 1e-4 < off < 0.01  # four of up to six joints, in wild poses; what hangs on no more is exact
    few = (body.weight_planes > 0).sum(0).numpy() <= 4
    exact = glb.surface("person1", record.time[7])[few] - vertices[7][few]
    assert np.abs(exact).max() < 5e-5  # weights are sixteenths of a thousandth


def test_glb_holds_a_pose_before_somebody_comes_and_has_true_times(record: Result, body: Body, glb: Gltf) -> None:
    late = characters(record, body, "floor")[1]
    assert np.abs(glb.joints("person2", 0.0) - late.joints[0]).max() < NEAR
    found = glb.channel(glb.node("person2") + 1, "translation")
    assert found is not None and np.abs(found[0] - late.times).max() < 1e-6
    assert glb.nodes[glb.node("person2") + 1]["name"] == "pelvis"


def test_glb_camera_sees_joints_where_the_record_has_them(record: Result, body: Body, glb: Gltf) -> None:
    meta = record.meta
    _, joints = pose_bodies(body, record, world=True)
    lens = glb.json["cameras"][0]["perspective"]
    tangent = np.tan(lens["yfov"] / 2)
    for row in range(0, len(record), 5):
        seen = np.linalg.inv(glb.matrices(record.time[row])[glb.node("camera")])
        points = joints[row] @ seen[:3, :3].T + seen[:3, 3]
        assert (points[:, 2] < 0).all()  # it looks along -z
        screen = points[:, :2] / -points[:, 2:] / [tangent * lens["aspectRatio"], tangent]  # -1 to 1
        pixels = (screen * [1, -1] + 1) / 2 * [meta.width, meta.height]
        rotation, place = (values[record.frame[row]] for values in record.cameras.values())
        own = joints[row] @ rotation.T + place
        expected = own[:, :2] / own[:, 2:] * meta.focal_length + [meta.width / 2, meta.height / 2]
        assert np.abs(pixels - expected).max() < 0.01


@pytest.mark.parametrize("names", ["mixamo", "unreal"])
def test_joints_are_called_as_was_asked(record: Result, tmp_path: Path, names: str) -> None:
    made = files(record.of_person(1), tmp_path / "a", "glb,bvh", names=names)
    assert {node["name"] for node in Gltf(made["a.glb"]).nodes} >= set(joint_names(names))
    bvh_joints(made["a_person1.bvh"], joint_names(names))


def test_hidden_people_are_small_and_not_gone(record: Result, body: Body, tmp_path: Path) -> None:
    gltf = Gltf(files(record, tmp_path / "a", "glb", hide=True)["a.glb"])
    own = characters(record, body, "floor")[1]
    step = 1001 / 30000
    for frame in range(20):
        joints = gltf.joints("person2", frame * step)
        at = np.flatnonzero(own.frames == frame)
        assert np.abs(joints - own.joints[at[0]]).max() < NEAR if len(at) else 0 < np.ptp(joints, 0).max() < 0.01
    found = gltf.channel(gltf.node("person2"), "scale")
    assert found is not None and found[2] == "STEP"
    assert found[0] == pytest.approx(np.array([0, 4.5, 8.5, 13.5, 19.5]) * step, abs=1e-6)  # half a frame early
    assert gltf.channel(gltf.node("person1"), "scale")[0] == pytest.approx([0, 19.5 * step], abs=1e-6)  # type: ignore[index]


def test_people_are_there_in_their_shot_alone_and_the_camera_jumps(body: Body, tmp_path: Path) -> None:
    record = made_record([(1, 0, range(4)), (1, 1, range(4, 9)), (3, 1, range(5, 9))], fps="25")
    record.cameras["camera_translation"][4:] += 1
    gltf = Gltf(files(record, tmp_path / "a", "glb")["a.glb"])
    for name, shown in (("person1_shot0", range(4)), ("person1_shot1", range(4, 9)), ("person3_shot1", range(4, 9))):
        sizes = [np.linalg.norm(gltf.matrices(f / 25)[gltf.node(name), 0, :3]) > 0.5 for f in range(9)]
        assert np.flatnonzero(sizes).tolist() == list(shown)
    for frame, rotation, place in zip(range(9), *record.cameras.values(), strict=True):
        assert np.abs(gltf.matrices(frame / 25)[gltf.node("camera"), :3, 3] + rotation.T @ place).max() < 1e-6
    just_before = gltf.matrices(3.45 / 25)[gltf.node("camera"), :3, 3]
    assert np.abs(just_before - gltf.matrices(3 / 25)[gltf.node("camera"), :3, 3]).max() < 1e-6


def test_times_that_vary_are_kept(body: Body, tmp_path: Path) -> None:
    times = 100 + np.cumsum([0, 0.03, 0.05, 0.031, 0.2, 0.04])
    record = made_record([(1, 0, range(6))], times=times)
    gltf = Gltf(files(record, tmp_path / "a", "glb")["a.glb"])
    (own,) = characters(record, body, "floor")
    for time, joints in zip(times - 100, own.joints, strict=True):
        assert np.abs(gltf.joints("person1", time) - joints).max() < NEAR
    even = Gltf(files(record, tmp_path / "b", "glb", fps=50.0)["b.glb"])
    found = even.channel(even.node("pelvis"), "translation")
    assert found is not None and np.diff(found[0]) == pytest.approx(0.02, abs=1e-6) and len(found[0]) == 18


def test_without_people_there_is_a_camera_and_a_word(tmp_path: Path) -> None:
    made = files(made_record([], frames=5), tmp_path / "a", "glb,bvh,obj,ply")
    assert set(made) == {"a.glb", ""}
    assert all(f"{kind}: nobody is in the record" in str(made[""]) for kind in ("glb", "bvh", "obj", "ply"))
    gltf = Gltf(made["a.glb"])
    assert [node["name"] for node in gltf.nodes] == ["camera"] and not gltf.binary
    assert "animations" not in gltf.json and "buffers" not in gltf.json
    Gltf(files(made_record([], world=False), tmp_path / "b", "glb")["b.glb"])


def test_what_files_cannot_hold_is_said(record: Result, body: Body, tmp_path: Path) -> None:
    arrays = read_body_arrays(weights.locate("open-neutral"))
    bulges = np.random.default_rng(0).normal(0, 0.001, (body.num_vertices, 3, 207))
    np.savez(tmp_path / "bulging.npz", **arrays, posedirs=bulges.astype(np.float32))
    short = record.select(record.frame < 2)
    digest = hashlib.sha256((tmp_path / "bulging.npz").read_bytes()).hexdigest()
    changed = replace(short.meta, body_model=str(tmp_path / "bulging.npz"), body_model_sha256=digest)
    bulging = Result(short.arrays, changed, short.cameras)
    made = files(bulging, tmp_path / "a", "glb,bvh,ply", hide=True)
    for part in ("bent joints are left out", "cannot hide anybody"):
        assert part in str(made[""])
    vertices, _ = pose_bodies(Body.load(tmp_path / "bulging.npz"), bulging, world=True)
    assert np.abs(trimesh.load(made["ply/person1/000001.ply"], process=False).vertices - vertices[1]).max() < NEAR


# BVH ------------------------------------------------------------------------------------------------------------------


def test_bvh_has_every_bone_in_centimetres_in_step_for_all(record: Result, body: Body, tmp_path: Path) -> None:
    made = files(record, tmp_path / "a", "bvh")
    for own in characters(record, body, "floor"):
        places, step, _ = bvh_joints(made[f"a_person{own.person}.bvh"], SMPL_JOINTS)
        assert step == pytest.approx(1001 / 30000, abs=1e-9) and len(places) == 20
        assert np.abs(places[own.frames] / 100 - own.joints).max() < NEAR
        assert np.abs(places[: own.frames[0]] / 100 - own.joints[0]).max(initial=0) < NEAR  # held until they come


def test_bvh_of_a_later_shot_begins_with_it(body: Body, tmp_path: Path) -> None:
    record = made_record([(1, 0, range(4)), (1, 1, range(4, 9)), (3, 1, range(6, 9))], fps="25")
    made = files(record, tmp_path / "a", "bvh")
    lengths = {name: len(bvh_joints(path, SMPL_JOINTS)[0]) for name, path in made.items() if name}
    assert lengths == {"a_person1_shot0.bvh": 4, "a_person1_shot1.bvh": 5, "a_person3_shot1.bvh": 5}


def test_bvh_text_is_plain(record: Result, tmp_path: Path) -> None:
    text = files(record.of_person(1), tmp_path / "a", "bvh")["a_person1.bvh"].read_text("ascii")
    head, motion = text.split("MOTION\n")
    assert head.count("End Site") == 5 and head.count("{") == head.count("}") == 24 + 5
    assert head.count("CHANNELS 3 Zrotation Xrotation Yrotation") == 23
    assert [len(line.split()) for line in motion.splitlines()[2:]] == [75] * 20


def test_angles_make_their_rotations_in_small_steps() -> None:
    rng = np.random.default_rng(3)
    # A tumble that goes through gimbal lock, stays in it for a while, and turns round several times.
    tilt = np.concatenate([np.linspace(0, 90, 60), np.full(20, 90.0), np.linspace(90, 400, 200)])
    spin = np.concatenate([np.linspace(0, 120, 60), np.full(20, 120.0), np.linspace(120, 1500, 200)])
    turns = Rotation.from_euler("ZXY", np.stack([spin, tilt, spin / 3], 1), degrees=True)
    many = np.stack([turns.as_matrix(), (turns * Rotation.random(random_state=rng)).as_matrix()], 1)
    angles = zxy_angles(many)
    for joint in range(2):
        made = Rotation.from_euler("ZXY", angles[:, joint])
        assert (made.inv() * Rotation.from_matrix(many[:, joint])).magnitude().max() < 1e-7
    assert np.degrees(np.abs(np.diff(angles[:, 0], axis=0))).max() < 10


# Surfaces -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["obj", "ply"])
def test_sequences_hold_the_surface_of_every_frame(record: Result, body: Body, tmp_path: Path, kind: str) -> None:
    part = record.select((record.frame < 8) & (record.frame > 3))
    made = files(part, tmp_path / "a", kind, world="camera")
    names = [f"{kind}/person{person}/{frame:06d}.{kind}" for person, frame in zip(part.person, part.frame, strict=True)]
    assert [name for name in made if name] == names
    vertices, _ = pose_bodies(body, part)
    for row in (0, len(names) - 1):
        mesh = trimesh.load(made[names[row]], process=False)
        assert np.abs(mesh.vertices - vertices[row] * [1, -1, -1]).max() < NEAR
        assert (mesh.faces == body.faces).all()


def test_sequences_at_another_rate_are_numbered_from_the_start(record: Result, tmp_path: Path) -> None:
    part = record.select((record.frame > 6) & (record.frame < 16)).of_person(2)
    step = 1001 / 30000
    made = files(part, tmp_path / "a", "ply", fps=0.5 / step, hide=True)
    assert [Path(name).stem for name in made if name] == ["000000", "000004"]  # frames 7 and 15; away in between


def test_influences_are_the_strongest_and_add_up(body: Body) -> None:
    whole = body.weight_planes.numpy().T
    for most in (None, 4):
        joints, share = influences(body, most)
        assert joints.shape[1] == (most or 6) and np.abs(share.sum(1) - 1).max() < 1e-9
        dense = np.zeros_like(whole)
        np.add.at(dense, (np.arange(len(whole))[:, None], joints), share)
        assert np.abs(dense - whole).max() < (0.04 if most else 1e-6)


# USD ------------------------------------------------------------------------------------------------------------------


def test_usd_bones_are_evaluated_where_they_are(record: Result, body: Body, tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(str(files(record, tmp_path / "a", "usd", hide=True, names="mixamo")["a.usdc"]))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1 and UsdGeom.GetStageUpAxis(stage) == "Y"
    assert stage.GetTimeCodesPerSecond() == pytest.approx(30000 / 1001) and stage.GetEndTimeCode() == 21
    for own in characters(record, body, "floor"):
        root = UsdSkel.Root(stage.GetPrimAtPath(f"/World/person{own.person}"))
        cache = UsdSkel.Cache()
        cache.Populate(root, Usd.PrimAllPrimsPredicate)
        query = cache.GetSkelQuery(UsdSkel.Skeleton(root.GetPrim().GetChild(f"person{own.person}_skeleton")))
        assert query.GetAnimQuery().GetJointTransformTimeSamples() == own.frames.tolist()
        for frame, joints in zip(own.frames.tolist(), own.joints, strict=True):
            assert np.abs(np.array(query.ComputeJointSkelTransforms(frame))[:, 3, :3] - joints).max() < NEAR
        seen = [UsdGeom.Imageable(root).ComputeVisibility(f) == "inherited" for f in range(22)]
        assert np.flatnonzero(seen).tolist() == own.frames.tolist()
        mesh = root.GetPrim().GetChild(f"person{own.person}_body")
        (binding,) = cache.ComputeSkelBindings(root, Usd.PrimAllPrimsPredicate)
        points = UsdGeom.Mesh(mesh).GetPointsAttr().Get()
        moves = query.ComputeSkinningTransforms(7)
        assert binding.GetSkinningTargets()[0].ComputeSkinnedPoints(moves, points, 7)
        if 7 in own.frames:
            vertices, _ = pose_bodies(
                body, record.select((record.frame == 7) & (record.person == own.person)), world=True
            )
            assert np.abs(np.array(points) - vertices[0]).max() < NEAR  # all six joints: exact


def test_usd_without_people_holds_the_camera(tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    from pxr import Usd

    made = files(made_record([], frames=5), tmp_path / "a", "usd")
    stage = Usd.Stage.Open(str(made["a.usdc"]))
    assert [prim.GetName() for prim in stage.GetDefaultPrim().GetChildren()] == ["camera"]
    assert "nobody" in str(made[""])


# Time -----------------------------------------------------------------------------------------------------------------


def test_frames_without_people_have_times_too() -> None:
    record = made_record([(1, 0, [3, 4, 7])], times=10 + np.arange(10) * 0.1, fps="10", frames=10)
    assert frame_times(record) == pytest.approx(10 + np.arange(10) * 0.1)
    assert frame_times(made_record([], frames=3, fps="25")) == pytest.approx([0, 0.04, 0.08])


def test_a_camera_that_stands_has_one_key(body: Body) -> None:
    record = made_record([(1, 0, range(6))])
    assert len(camera_keys(Cast(record, body, "floor", "a")).times) == 1
    record.cameras["camera_translation"][3:] += 1
    assert camera_keys(Cast(record, body, "floor", "a")).times == pytest.approx(np.array([0, 2, 3]) / 30)
