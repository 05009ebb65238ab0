"""Files of made-up people to train on, in two steps: pictures with the truth, and what the networks see in them.

Drawing is slow and needs no network; looking is repeated when a network changes. `training.training_crops` reads what
looking writes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from glot_cli import weights
from glot_cli.body.landmarks import LandmarkModel
from glot_cli.body.rotations import rotmat_to_pose6d
from glot_cli.errors import InputError
from glot_cli.files.faults import Damaged, FileFault, damage
from glot_cli.files.npz import Arrays, load_npz, write_npz
from glot_cli.motion.motions import Motions, load_motions
from glot_cli.motion.sampling import Augmentation, sample_windows
from glot_cli.motion.viewing import Viewing, place_randomly
from glot_cli.pipeline.presets import PRESETS
from glot_cli.synth.observe import Observer
from glot_cli.synth.painter import Painter
from glot_cli.synth.request import make_folder
from glot_cli.synth.scenery import Backgrounds
from glot_cli.synth.studio import PEOPLE, SIZE, Footage, Habits, Studio
from glot_cli.synth.wardrobe import Figures

CLIPS_PER_FILE = 20
QUALITY = 92  # of the pictures' JPEG
VIEWING = Viewing(truncated=0.0, seated_truncated=0.0)  # borders are drawn, see `Habits`
AUGMENTATION = Augmentation(
    swap_arms=0.15, swap_one_arm=0.1, swap_legs=0.1, swap_upper=0.05, seated=0.24, lying=0.05, inverted=0.04,
    standing=0.08, wander=0.14, vary=0.6, vary_scale=(0.3, 1.3),
)  # fmt: skip

# Arrays of a file of pictures and the shapes of their rows, one a frame: the numbers of the clips, how the bodies are
# placed (see `Placed`), centre x, y and side of the pictures in focal lengths, outlines of whom they are about and the
# video's border in pixels, and how many bytes each picture takes of `jpeg`.
_ROWS: dict[str, tuple[int, ...]] = {
    "clip": (),
    "pose6d": (24, 6),
    "betas": (10,),
    "pelvis": (3,),
    "frame": (3,),
    "outline": (4,),
    "border": (4,),
    "jpeg_size": (),
}
_WHOLE = ("clip", "border", "jpeg_size")
_LARGEST = 1e9
_TRUTH = ("pose6d", "betas", "pelvis")  # what the file of crops has of it


def draw_pictures(
    motions: Sequence[Path],
    out: Path,
    *,
    clips: int,
    frames: int = 24,
    seed: int = 0,
    backgrounds: Backgrounds | None = None,
    quiet: bool = False,
) -> list[Path]:
    """Write files of drawn pictures and the truth about them; goes on after the last file when run again.

    Every file depends on its own number and the seed alone.

    Args:
        motions: as for `glot train`.
        out: the folder for the files.
        clips: how many; rounded up to whole files.
        frames: of one clip.
        seed: another one draws other people and places.
        backgrounds: what stands behind people; None: drawn clutter.
        quiet: show no progress bar.

    Returns:
        The files.

    Raises:
        InputError: the motions cannot be used.
        OutputError: a file cannot be written.
        RenderError: nothing draws on this machine.
        WeightsError: the open body is not there, or damaged.
    """
    source = load_motions(motions, min_frames=frames)
    figures = Figures()
    make_folder(out)
    paths = [out / f"pictures_{seed}_{number:05d}.npz" for number in range(-(-clips // CLIPS_PER_FILE))]
    with Painter(figures.body.faces, figures.body.num_vertices, PEOPLE, (SIZE, SIZE)) as painter:
        studio = Studio(figures, painter, backgrounds or Backgrounds(), Habits())
        for number, path in enumerate(tqdm(paths, desc="drawing", unit="file", disable=quiet or None)):
            if not path.exists():
                write_npz(path, _drawn(studio, source, frames, (seed, number)), compress=False)
    return paths


@torch.inference_mode()
def _drawn(studio: Studio, source: Motions, frames: int, seeds: tuple[int, int]) -> Arrays:
    """The clips of file `seeds[1]` of the set `seeds[0]`."""
    generator = torch.Generator().manual_seed(seeds[0] * 100_003 + seeds[1])
    rng = np.random.default_rng(seeds)
    rotmat = sample_windows(source, CLIPS_PER_FILE, frames, AUGMENTATION, generator)
    placed = place_randomly(rotmat, studio.body, LandmarkModel(), VIEWING, generator)
    parts = []
    for clip in range(CLIPS_PER_FILE):
        scene = studio.scene(placed, clip, rng)
        film = studio.film(scene, rng)
        rows = {
            "clip": np.full(frames, clip, np.int64),
            "pose6d": rotmat_to_pose6d(placed.rotmat[clip]).numpy().astype(np.float32),
            "betas": placed.betas[clip].expand(frames, -1).numpy(),
            "pelvis": placed.pelvis[clip].numpy(),
            "frame": np.tile(scene.frame.astype(np.float32), (frames, 1)),
            "outline": film.outlines.astype(np.float32),
            "border": np.tile(film.border.astype(np.int64), (frames, 1)),
        }
        parts.append({**rows, **_packed(film)})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _packed(film: Footage) -> Arrays:
    """The pictures as JPEG: `jpeg` (N,) bytes one after another, `jpeg_size` (T,)."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    files = [cv2.imencode(".jpg", picture[..., ::-1], options)[1].ravel() for picture in film.pictures]
    return {"jpeg": np.concatenate(files), "jpeg_size": np.array([len(file) for file in files], np.int64)}


def find_pictures(folder: Path) -> list[Path]:
    """The files of pictures in a folder, sorted.

    Raises:
        InputError: there is none.
    """
    paths = sorted(folder.glob("pictures_*.npz"))
    if not paths:
        remedy = "draw them with 'glot synth crops', from motions"
        raise InputError("no drawn pictures there", path=folder, remedy=remedy, option="pictures")
    return paths


def look_at_pictures(drawn: Sequence[Path], out: Path, *, device: str = "cpu", quiet: bool = False) -> list[Path]:
    """Let the networks look at files of pictures, and write files of crops; goes on after the last when run again.

    A clip in which the detector misses the person is left out, and a file in which it misses all is not written.

    Args:
        drawn: what `draw_pictures` made.
        out: the folder for the files.
        device: torch's name of where the networks run.
        quiet: show no progress bar.

    Returns:
        The files.

    Raises:
        InputError: a file holds no pictures, or nobody is found in any.
        OutputError: a file cannot be written.
        WeightsError: a network is not there, or damaged.
    """
    preset = PRESETS["open"]
    detector, full, heavy = map(weights.locate, (preset.detector, preset.features, "blazepose-heavy"))
    observer = Observer(detector, full, heavy, device)
    make_folder(out)
    paths = []
    for path in tqdm(drawn, desc="looking", unit="file", disable=quiet or None):
        target = out / path.name.replace("pictures", "crops", 1)
        if not target.exists():
            seen = _seen(observer, path)
            if seen is None:
                continue
            write_npz(target, seen, compress=False)
        paths.append(target)
    if not paths:
        raise InputError("nobody was found in any of the pictures", path=out, remedy="draw more, or of other motions")
    return paths


def read_pictures(path: Path) -> Arrays:
    """The arrays of a file of pictures: those of `_ROWS`, and `jpeg`.

    Raises:
        InputError: it is none.
    """
    remedy = "draw them with 'glot synth crops'"
    try:
        arrays = load_npz(path, (*_ROWS, "jpeg"))
    except FileFault as error:
        raise error.about(path, InputError, remedy=remedy) from error
    fault = _fault(arrays)
    if fault:
        raise InputError(f"no drawn pictures ({fault})", path=path, remedy=remedy)
    return arrays


def _fault(arrays: Arrays) -> str | None:
    """What keeps arrays from being drawn pictures, None when nothing does."""
    count = arrays["clip"].size if "clip" in arrays else 0
    for name, row in _ROWS.items():
        if not count or name not in arrays or arrays[name].shape != (count, *row):
            return f"no array '{name}' of {count} rows"
        kind = arrays[name].dtype.kind
        if kind not in "fiu" or (name in _WHOLE and kind == "f") or not (np.abs(arrays[name]) <= _LARGEST).all():
            return f"array '{name}' holds values that cannot be"
    jpeg, sizes, border = arrays.get("jpeg"), arrays["jpeg_size"], arrays["border"]
    if jpeg is None or jpeg.dtype != np.uint8 or sizes.min() <= 0 or jpeg.shape != (sizes.sum(),):
        return "jpeg and jpeg_size do not fit"
    if border.min() < 0 or border.max() > SIZE or not (border[:, :2] < border[:, 2:]).all():
        return "a border lies outside the pictures"
    if not (arrays["frame"][:, 2] > 0).all():
        return "a picture has no side"
    return None


def pictures_of(path: Path, arrays: Arrays, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Pictures (n, SIZE, SIZE, 3) RGB of some rows of a file.

    Raises:
        InputError: one of them is damaged, or of another size.
    """
    from PIL import JpegImagePlugin

    ends = np.cumsum(arrays["jpeg_size"])
    made = np.empty((len(rows), SIZE, SIZE, 3), np.uint8)
    for picture, row in zip(made, rows, strict=True):
        data = arrays["jpeg"][ends[row] - arrays["jpeg_size"][row] : ends[row]]
        try:
            with damage("a damaged picture"):
                if JpegImagePlugin.JpegImageFile(io.BytesIO(data.tobytes())).size != (
                    SIZE,
                    SIZE,
                ):  # before there is room for it
                    raise Damaged(f"is no picture of {SIZE} x {SIZE}")
                picture[:] = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
        except FileFault as error:
            fault = f"no drawn pictures (picture {row} {error.reason})"
            raise InputError(fault, path=path, remedy="remove it, and make it again") from error
    return made


@torch.inference_mode()
def _seen(observer: Observer, path: Path) -> Arrays | None:
    """What is seen in a file's pictures, as a file of crops has it; None where nobody is found."""
    arrays = read_pictures(path)
    parts: list[Arrays] = []
    for clip in np.unique(arrays["clip"]):
        rows = np.flatnonzero(arrays["clip"] == clip)
        pictures = pictures_of(path, arrays, rows)
        # The networks see the video alone, as in a run: its border is where the picture ends.
        left, top, right, bottom = arrays["border"][rows[0]]
        seen = observer(pictures[:, top:bottom, left:right], arrays["outline"][rows] - [left, top] * 2)
        if seen is None:
            continue
        frame = arrays["frame"][rows]
        at = seen.crops[:, :2] + [left, top] - SIZE / 2  # pixels off the pictures' centre
        scale = frame[:, 2:] / SIZE
        box = np.concatenate([at * scale + frame[:, :2], seen.crops[:, 2:] * scale], 1)
        parts.append(
            {
                "clip": np.full(len(rows), len(parts), np.int64),
                **{name: arrays[name][rows] for name in _TRUTH},
                "box": box.astype(np.float32),
                "features": seen.features.numpy().astype(np.float32),
            }
        )
    if not parts:
        return None
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
