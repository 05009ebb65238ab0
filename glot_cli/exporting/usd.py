"""USD in one binary file (.usdc): everybody as a SkelRoot of UsdSkel, with its motion, and the camera that filmed.

Metres, y up. A time code is a frame at the record's rate, fractional where frames are off it. Needs usd-core, the extra
`usd`.
"""

from __future__ import annotations

import errno

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from glot_cli.errors import UsageError
from glot_cli.exporting.characters import Character
from glot_cli.exporting.formats import Cast
from glot_cli.exporting.outbox import Outbox
from glot_cli.exporting.surface import influences, rest_is_all, rest_shape
from glot_cli.exporting.timeline import aligned, camera_keys, frame_times, lens_keys, switches
from glot_cli.rendering.colours import person_colour
from glot_cli.smpl import NUM_JOINTS, SMPL_PARENTS

try:
    from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdSkel, Vt
except ImportError as error:
    raise UsageError("usd needs usd-core", remedy="pip install 'glot-cli[usd]'", option="format") from error

Floats = NDArray[np.floating]

_FILM = 0.36  # width of the film in USD's tenths of a scene's unit: 36 mm, as photographers count
_CLIPPING = (0.05, 1000.0)  # metres that the camera sees


class _TimeCodes:
    """Frames of the record's rate from the first frame on, as USD counts time."""

    def __init__(self, cast: Cast) -> None:
        times = frame_times(cast.result)
        self._zero, self._last = (float(times[0]), float(times[-1])) if len(times) else (0.0, 0.0)
        self.rate = float(cast.rate)

    def codes(self, times: NDArray[np.float64]) -> list[float]:
        """Of times on the video's clock, seconds. Rounding in a time's last bits leaves a whole number whole."""
        codes: list[float] = np.round((times - self._zero) * self.rate, 6).tolist()
        return codes

    @property
    def end(self) -> float:
        return self.codes(np.array([self._last]))[0]


def write(cast: Cast, box: Outbox) -> None:
    """Write one file with everybody."""
    clock = _TimeCodes(cast)
    # Formats are told by a file's ending, and until it is whole it has another one.
    layer = Sdf.Layer.New(Sdf.FileFormat.FindById("usdc"), str(box.path(f"{cast.stem}.usdc")))
    stage = Usd.Stage.Open(layer)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(clock.rate)
    stage.SetFramesPerSecond(clock.rate)
    stage.SetStartTimeCode(0.0)
    stage.SetEndTimeCode(clock.end)
    world = UsdGeom.Xform.Define(stage, "/World")
    stage.SetDefaultPrim(world.GetPrim())
    _add_camera(cast, clock, stage)
    for own in cast.characters:
        _add_character(cast, clock, stage, own)
    if not cast.characters:
        box.note("usd: nobody is in the record, the file holds the camera alone")
    elif not rest_is_all(cast.body):
        box.note(
            "usd: surfaces follow the bones alone, SMPL's bulges of bent joints are left out; obj and ply have them"
        )
    try:
        layer.Save()
    except Tf.ErrorException as error:  # of a full disk, for one
        raise OSError(errno.EIO, "USD could not write it", str(box.folder / f"{cast.stem}.usdc")) from error


def joint_paths(names: tuple[str, ...]) -> list[str]:
    """SMPL's joints as UsdSkel names them: paths from the root, of letters, digits and underscores."""
    paths: list[str] = []
    for name, parent in zip(names, SMPL_PARENTS, strict=True):
        above = f"{paths[parent]}/" if parent >= 0 else ""
        paths.append(above + Tf.MakeValidIdentifier(name))
    return paths


def _add_character(cast: Cast, clock: _TimeCodes, stage: Usd.Stage, own: Character) -> None:
    character = own if cast.fps is None else cast.evenly(own)
    name = cast.name_of(own)
    path = f"/World/{name}"
    root = UsdSkel.Root.Define(stage, path)
    skeleton = UsdSkel.Skeleton.Define(stage, f"{path}/{name}_skeleton")
    names = joint_paths(cast.joint_names)
    skeleton.CreateJointsAttr(names)
    bind = np.tile(np.eye(4), (NUM_JOINTS, 1, 1))
    bind[:, 3, :3] = own.rest  # USD's vectors are rows
    parents = np.array(SMPL_PARENTS)
    offsets = own.rest - np.where(parents[:, None] < 0, 0, own.rest[parents])
    local = bind.copy()
    local[:, 3, :3] = offsets
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(bind))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray.FromNumpy(local))
    _add_mesh(cast, stage, own, f"{path}/{name}_body", skeleton)
    _add_motion(clock, stage, character, f"{path}/{name}_motion", names, offsets)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([f"{path}/{name}_motion"])
    switch = switches(cast, own)
    if len(switch.times):
        visibility = UsdGeom.Imageable(root).CreateVisibilityAttr()
        for code, shown in zip(clock.codes(switch.times), switch.shown.tolist(), strict=True):
            visibility.Set(UsdGeom.Tokens.inherited if shown else UsdGeom.Tokens.invisible, code)


def _add_motion(
    clock: _TimeCodes, stage: Usd.Stage, character: Character, path: str, names: list[str], offsets: Floats
) -> None:
    motion = UsdSkel.Animation.Define(stage, path)
    motion.CreateJointsAttr(names)
    motion.CreateScalesAttr(Vt.Vec3hArray(NUM_JOINTS, Gf.Vec3h(1, 1, 1)))
    turns = Rotation.from_matrix(character.rotmat.reshape(-1, 3, 3)).as_quat().reshape(-1, NUM_JOINTS, 4)
    turns = aligned(turns).astype(np.float32)
    places = np.tile(offsets.astype(np.float32), (len(turns), 1, 1))
    places[:, 0] = character.root
    rotations, translations = motion.CreateRotationsAttr(), motion.CreateTranslationsAttr()
    with Sdf.ChangeBlock():
        for code, turn, place in zip(clock.codes(character.times), turns, places, strict=True):
            rotations.Set(Vt.QuatfArray.FromNumpy(turn), code)
            translations.Set(Vt.Vec3fArray.FromNumpy(place), code)


def _add_mesh(cast: Cast, stage: Usd.Stage, own: Character, path: str, skeleton: UsdSkel.Skeleton) -> None:
    shape, faces = rest_shape(cast.body, own), cast.body.faces.astype(np.int32)
    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(shape.vertices))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(shape.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.ravel()))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray(len(faces), 3))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([shape.vertices.min(0), shape.vertices.max(0)])))
    red, green, blue = person_colour(own.person)
    mesh.CreateDisplayColorAttr([Gf.ConvertDisplayToLinear(Gf.Vec3f(red, green, blue))])
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    joints, weights = influences(cast.body)
    count = joints.shape[1]
    binding.CreateJointIndicesPrimvar(False, count).Set(Vt.IntArray.FromNumpy(joints.astype(np.int32).ravel()))
    binding.CreateJointWeightsPrimvar(False, count).Set(Vt.FloatArray.FromNumpy(weights.astype(np.float32).ravel()))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])


def _add_camera(cast: Cast, clock: _TimeCodes, stage: Usd.Stage) -> None:
    meta = cast.result.meta
    camera = UsdGeom.Camera.Define(stage, "/World/camera")
    camera.CreateHorizontalApertureAttr(_FILM)
    camera.CreateVerticalApertureAttr(_FILM * meta.height / meta.width)
    lens = lens_keys(cast)
    focal_length = camera.CreateFocalLengthAttr()
    for code, length in zip(clock.codes(lens.times), lens.focal_lengths.tolist(), strict=True):
        when = Usd.TimeCode(code) if len(lens.times) > 1 else Usd.TimeCode.Default()
        focal_length.Set(_FILM * length / meta.width, when)
    camera.CreateClippingRangeAttr(Gf.Vec2f(*_CLIPPING))
    keys = camera_keys(cast)
    place, turn = camera.AddTranslateOp(), camera.AddOrientOp()
    for code, at, (x, y, z, w) in zip(clock.codes(keys.times), keys.places.tolist(), keys.turns.tolist(), strict=True):
        when = Usd.TimeCode(code) if len(keys.times) > 1 else Usd.TimeCode.Default()
        place.Set(Gf.Vec3d(*at), when)
        turn.Set(Gf.Quatf(w, x, y, z), when)
