"""What a record holds: every array with its type, shape, unit and frame of reference, and what stands with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

FORMAT_VERSION = 3  # 1 had no global_orient_network, 2 no shots
MOTIONS = ("static", "rotating", "travelling", "given")  # how a camera moves in a shot; told by whoever ran glot


@dataclass(frozen=True)
class Field:
    """One array of the record.

    Attributes:
        dtype: NumPy's name of its type.
        row: shape of one row.
        unit: of its values, "" where they have none.
        frame: of reference, "" where it has none.
        meaning: what it is.
        span: its least and greatest value.
        since: the version of the format that it came with.
        told_by_runs: records that no run made, such as the truth of drawn clips, may lack it.
    """

    dtype: str
    row: tuple[int, ...]
    unit: str
    frame: str
    meaning: str
    span: tuple[float, float] = -1e6, 1e6
    since: int = 1
    told_by_runs: bool = False


# Least and greatest values, far outside what bodies and cameras have: what is computed with them stays finite.
_NUMBERS, _ANGLES, _FAR, _FARTHEST = (0.0, 2.0**31), (-1e3, 1e3), (-1e9, 1e9), (-1e12, 1e12)
_SHARES = (-1e-3, 1 + 1e-3)
FOCAL_LENGTHS = 1e-3, 1e9  # pixels

_PARENTS = "joint 0: camera; others: their parent"
_HIPS = "axes of the camera, origin in the middle of the hips"
_PELVIS = "axes of the camera, origin in the pelvis joint"
_ROOT = "rotation of joint 0 as axis-angle, from the body's rest pose into the world of its shot"
_REST = "probability that left heel, left toes, right heel, right toes rest on the floor"
_RADIUS = "radius within which the true joint lies with a probability of 80 %"
_SHOT = "shot of the video, from 0; nothing is followed, filled or smoothed across a cut"

# Arrays of rows, M of them: one for each person in each frame.
FIELDS: dict[str, Field] = {
    "frame": Field("int32", (), "", "", "index of the video frame, from 0", _NUMBERS),
    "person": Field("int32", (), "", "", "who it is: one number per person through the whole video, from 1", _NUMBERS),
    "time": Field("float64", (), "s", "the video's clock", "presentation time of the frame", _FAR),
    "pose": Field("float32", (24, 3), "rad", _PARENTS, "rotation of each SMPL joint as axis-angle", _ANGLES),
    "betas": Field("float32", (10,), "", "", "body shape, one for each person in each shot", _ANGLES),
    "betas_frame": Field("float32", (10,), "", "", "body shape as estimated from this frame alone", _ANGLES),
    "camera": Field("float32", (3,), "1/m, m, m", "crop", "weak-perspective s, tx, ty (-1 to 1 across the crop)"),
    "camera_network": Field("float32", (3,), "1/m, m, m", "crop", "the network's own, before it was laid on landmarks"),
    "global_orient_network": Field(
        "float32", (3,), "rad", "crop", "the network's own rotation of joint 0", _ANGLES, 2, told_by_runs=True
    ),
    "box": Field("float32", (3,), "px", "picture", "crop: centre x, centre y, side", _FAR),
    "transl": Field("float32", (3,), "m", "camera", "translation of the body model", _FAR),
    "joints3d": Field("float32", (24, 3), "m", _PELVIS, "SMPL joints"),
    "joints2d": Field("float32", (24, 2), "px", "picture", "SMPL joints", _FARTHEST),
    "score": Field("float32", (), "", "", "confidence of the detection, 0 to 1", _SHARES),
    "interpolated": Field("bool", (), "", "", "true where no detection lay near and the box was filled in"),
    "shot": Field("int32", (), "", "", _SHOT, _NUMBERS, since=3),
    "joint_error": Field("float32", (24,), "m", _HIPS, _RADIUS, (0.0, 1e3), since=3, told_by_runs=True),
    "transl_world": Field("float32", (3,), "m", "world", "translation of the body model", _FAR, 3, told_by_runs=True),
    "global_orient_world": Field("float32", (3,), "rad", "world", _ROOT, _ANGLES, 3, told_by_runs=True),
    "contact": Field("float32", (4,), "", "", _REST, _SHARES, 3, told_by_runs=True),
}
WORLD_ROWS = ("transl_world", "global_orient_world", "contact")

# Arrays of frames, F of them: all that were looked at. They and the rows of a world are there together or not at all;
# but for the focal length, without which that of `Meta` holds in every frame.
# A point X of the world is at camera_rotation X + camera_translation in the camera's frame.
CAMERA_FIELDS: dict[str, Field] = {
    "camera_rotation": Field(
        "float32",
        (3, 3),
        "",
        "world to camera",
        "rotation from the axes of the world to those of the camera",
        (-1.01, 1.01),
    ),
    "camera_translation": Field("float32", (3,), "m", "camera", "place of the world's origin", _FAR),
    "camera_focal_length": Field("float32", (), "px", "", "focal length", FOCAL_LENGTHS, told_by_runs=True),
}


@dataclass(frozen=True)
class Meta:
    """What the rows are about.

    Attributes:
        video: name of the file.
        source: its full path on the machine that ran.
        width: of the picture, pixels.
        height: of the picture, pixels.
        fps: frames per second, a fraction as text.
        frame_count: how many frames were looked at.
        start_frame: the first of them.
        focal_length: of the camera, pixels, the median over all frames; its principal point is the image centre.
        body_model: name or path of the body that is posed.
        body_model_sha256: SHA-256 of its file.
        preset: that ran.
        weights: SHA-256 of every weight file, by role.
        program_version: of the glot that ran.
        format_version: of the record.
        video_id: what the video is: its size and a hash of its content; empty in older records.
        shots: the first frame of each shot; empty in older records.
        camera_motion: how the camera moved in each shot: static, rotating, travelling or given; empty where the record
            has no world.
        camera_confidence: how sure that is for each shot, 0 to 1.
        gravity_error: how far off up may be in each shot, degrees, one standard deviation.
        floor: of each shot in the frame of its first camera, (nx, ny, nz, d): n points up, n X + d = 0, metres.
    """

    video: str
    source: str
    width: int
    height: int
    fps: str
    frame_count: int
    start_frame: int
    focal_length: float
    body_model: str
    body_model_sha256: str
    preset: str
    weights: dict[str, str]
    program_version: str
    format_version: int = FORMAT_VERSION
    video_id: str = ""
    shots: list[int] = field(default_factory=list)
    camera_motion: list[str] = field(default_factory=list)
    camera_confidence: list[float] = field(default_factory=list)
    gravity_error: list[float] = field(default_factory=list)
    floor: list[list[float]] = field(default_factory=list)

    @property
    def frame_rate(self) -> Fraction:
        return Fraction(self.fps)
