"""What there is to choose from in an export; imports nothing, for the command line's help."""

from __future__ import annotations

from typing import Literal, NamedTuple

Space = Literal["floor", "camera"]
SPACES: tuple[Space, ...] = ("floor", "camera")
NAMINGS = ("smpl", "mixamo", "unreal")
SLOWEST, FASTEST = 1e-5, 1000.0  # frames a second that can be asked for


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        module: of this room, which writes it.
        meaning: what it is, for help.
        holds_video: whether it has room for a picture of the video.
        plots: whether it can draw its numbers over time.
        named: whether its files are called after the record, so that those of several records can be in one folder.
    """

    module: str
    meaning: str
    holds_video: bool = False
    plots: bool = False
    named: bool = True


FORMATS = {
    "glb": Format(
        "glb", "meshes, skeletons, motion and camera for Blender, game engines and the web, one .glb", holds_video=True
    ),
    "bvh": Format("bvh_files", "skeletons in motion, a .bvh for each person, in centimetres"),
    "usd": Format("usd", "the same as glb as UsdSkel, one .usdc; needs the extra `usd`"),
    "obj": Format("obj", "surfaces, an .obj for each person and frame", named=False),
    "ply": Format("ply", "the same as binary .ply", named=False),
    "amass": Format("amass", "poses in AMASS's layout, .npz"),
    "trc": Format("trc", "markers and joints for OpenSim, .trc"),
    "c3d": Format("c3d_points", "markers and joints for motion laboratories, .c3d"),
    "mot": Format("opensim_motion", "joint angles for OpenSim, .mot", plots=True),
    "csv": Format("csv_tables", "joints, joint angles and foot contacts as tables, .csv", plots=True),
    "parquet": Format("parquet_tables", "the same tables, .parquet", plots=True),
    "motchallenge": Format("mot_challenge", "boxes for trackers, .txt"),
    "coco": Format("coco_keypoints", "17 points in the picture, .json"),
    "openpose": Format("openpose", "25 points in the picture, a .json a frame"),
}
