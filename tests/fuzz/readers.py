"""Give glot's readers damaged and senseless files: each ends in one line that names the file, in bounded time and room.

    python tests/fuzz/readers.py --count 10000

Good files of every kind are made first. Each try changes one of them: its bytes, or what is inside: values, types,
shapes, names, lists of files, programs (`odd_files`). It is read in a process of its own that may take 10 s of
computing and 1 GB, and what can be read is used: records are compared and posed, bodies posed, reports taken up.
Anything but a value or a GlotError of one line is a fault; its file is kept in --keep.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import odd_files
import torch
from driver import drive
from safetensors.torch import save_file

from glot_cli.body.model import Body
from glot_cli.errors import GlotError, OutputError
from glot_cli.evaluation.records import pooled
from glot_cli.models.glot import GLoT
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.motion.motions import load_motions
from glot_cli.pipeline.folder import ResultFolder
from glot_cli.pipeline.options import Options
from glot_cli.pipeline.record import mean_acceleration
from glot_cli.pipeline.report import earlier_run, finish_report
from glot_cli.pipeline.video_source import Source
from glot_cli.progress import Progress
from glot_cli.results import Result, load_result
from glot_cli.training.config import load_config
from glot_cli.video import probe, read_frames
from glot_cli.weights import load_glot, save_glot, shipped_folder
from glot_cli.weights.add_weights import add_weights
from glot_cli.weights.bodies import load_body

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("nan", "-1", "1e309", "99999999999999999999", "0", "null", "[]", '"x"', "true", "\0", "{", "1e-320", "9" * 400)


def film(path: Path) -> Any:
    """Five frames of a video, as a run takes them."""
    pictures = []
    for frame in read_frames(probe(path)):
        pictures.append(frame.image.shape)
        if len(pictures) == 5:
            break
    return pictures


def record(path: Path) -> None:
    """Read a record, compare it with the good one, both ways round, and compute what is drawn of it."""
    result = load_result(path)
    good, body = good_record(path.parent / "clip" / "params.npz")
    with told_elsewhere():
        pooled([(result, good)], body, body)
    with told_elsewhere():
        pooled([(good, result)], body, body)
    with told_elsewhere():
        result.select(slice(0, 50)).bodies()
    mean_acceleration(result)
    dict(result.by_frame())
    repr(result)


@functools.cache
def good_record(path: Path) -> tuple[Result, Body]:
    """The record that others are compared with, and its body."""
    good = load_result(path)
    return good, load_body(good.meta.body_model)


def body(path: Path) -> None:
    """Read a body and pose it."""
    found = load_body(str(path))
    found(torch.eye(3).expand(2, 24, 3, 3), torch.ones(2, 10))


def weights(path: Path) -> None:
    """Take in a file of others, in a folder for it."""
    os.environ["GLOT_WEIGHTS"] = tempfile.mkdtemp(dir=path.parent)
    try:
        list(add_weights(path, "neutral"))
    finally:
        shutil.rmtree(os.environ["GLOT_WEIGHTS"])


def report(path: Path) -> None:
    """Take up an earlier run's report, beside the record that it is of."""
    folder = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        shutil.copy(path.parent / "clip" / "params.npz", folder)
        shutil.copy(path, folder / "run.json")
        source = Source.of(ROOT / "examples" / "clip.mp4")
        place = ResultFolder(folder, source)
        place.check()
        for options in (Options(), Options(render=False), Options(style="side")):
            earlier = earlier_run(source.path, place, options, lambda: {"body": "x"})
            if isinstance(earlier, dict):
                finish_report(earlier, options, 1.0, Progress("x", quiet=True), None, None)
            else:
                repr(earlier)
    except OutputError as error:  # which names the folder
        raise OutputError(f"{path.name}: {error}") from error
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def told_elsewhere() -> Iterator[None]:
    """What is wrong with a record beside others is told of the video, or of its body."""
    try:
        yield
    except GlotError as error:
        if len(str(error).splitlines()) > 1:
            raise ValueError("more than one line") from error


READERS: dict[str, Callable[[Path], Any]] = {
    "record": record,
    "body": body,
    "glot": load_glot,
    "weights": weights,
    "motions": lambda path: load_motions([path]),
    "config": load_config,
    "report": report,
    "film": film,
}


def make_good(folder: Path) -> dict[str, list[Path]]:
    """Good files of every kind, by the reader that takes them."""
    rng = np.random.default_rng(0)
    clip = ROOT / "examples" / "clip.mp4"
    run = ["run", clip, "--end", "0.4", "--no-render", "--quiet", "--out", folder]
    program = "from glot_cli.cli import main\nmain()"
    subprocess.run([sys.executable, "-c", program, *map(str, run)], check=True, stdout=subprocess.DEVNULL)
    motions = folder / "motions.npz"
    np.savez_compressed(
        motions,
        poses=rng.normal(0, 0.2, (60, 24, 3)).astype(np.float32),
        trans=np.zeros((60, 3), np.float32),
        clip_index=np.repeat([0, 1], 30),
        clip_names=np.array(["a", "b"]),
    )
    (folder / "motion.bvh").write_text(odd_files.bvh())
    state = {"layer.weight": torch.randn(8, 8), "layer.bias": torch.randn(8)}
    spin = json.loads((ROOT / "tests" / "parity" / "keys_spin.json").read_text())
    state |= {name: torch.zeros(shape if np.prod(shape) < 5000 else 1) for name, shape in spin.items()}
    torch.save({"model": state, "epoch": 3}, folder / "weights.pt")
    save_file(state, folder / "weights.safetensors")
    small = odd_files.small_body()
    np.savez(folder / "small.npz", **small)
    (folder / "small.pkl").write_bytes(pickle.dumps(small))
    np.savez(folder / "means.npz", pose=np.zeros(144), shape=np.zeros(10), cam=np.zeros(3))
    tiny = GLoTConfig(feature_dim=8, global_dim=16, decoder_dim=16, local_dim=16, heads=2, regressor_dim=8)
    save_glot(GLoT(tiny).state_dict(), tiny, folder / "glot.safetensors")
    config = folder / "config.toml"
    shutil.copy(ROOT / "glot_cli" / "training" / "configs" / "open.toml", config)
    images = []
    for ending in (".png", ".jpg", ".webp", ".tiff", ".bmp"):
        images.append(folder / f"image{ending}")
        cv2.imwrite(str(images[-1]), rng.integers(0, 255, (48, 64, 3), np.uint8))
    kinds = ((".mp4", "libx264"), (".mkv", "libx264"), (".ts", "mpeg2video"), (".avi", "mpeg4"))
    films = [filmed(folder / f"film{ending}", codec) for ending, codec in kinds]
    return {
        "record": [folder / "clip" / "params.npz"],
        "body": [folder / "small.npz", folder / "small.pkl", shipped_folder() / "open_body.npz"],
        "glot": [folder / "weights.safetensors", folder / "glot.safetensors"],
        "weights": [folder / "weights.pt", folder / "weights.safetensors", folder / "means.npz", folder / "small.pkl"],
        "motions": [motions, folder / "motion.bvh"],
        "config": [config],
        "report": [folder / "clip" / "run.json"],
        "film": [*images, *films],
    }


def filmed(target: Path, codec: str) -> Path:
    """A film of ten pictures."""
    rng = np.random.default_rng(0)
    with av.open(str(target), "w") as writing:
        stream = writing.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), np.uint8), format="rgb24")
            writing.mux(stream.encode(frame))
        writing.mux(stream.encode(None))
    return target


def changed(data: bytes, kind: str, chance: random.Random) -> bytes:
    """A damaged file of a kind (".npz"): bytes of a good one changed, or what is inside it."""
    if kind in odd_files.ODD and chance.random() < 0.6:
        return odd_files.ODD[kind](data, chance)
    if data[:2] == b"PK" and chance.random() < 0.6:
        return changed_archive(data, chance)
    if b"\0" not in data and chance.random() < 0.8:
        return changed_text(data.decode("utf-8", "replace"), chance).encode("utf-8", "replace")
    return changed_bytes(data, chance)


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    kind = chance.randrange(5)
    if kind == 0:
        return data[: chance.randrange(len(data))]
    if kind == 1:
        at = chance.randrange(len(data))
        return data[:at] + data[chance.randrange(len(data)) :]
    held = bytearray(data)
    # Most of what decides lies near the beginning and the end.
    near = min(len(held), 400)
    places = (range(len(held)), range(near), range(len(held) - near, len(held)))[chance.randrange(3)]
    for _ in range(1 + chance.randrange(8)):
        at = chance.choice(places)
        if kind == 2:
            held[at] = chance.randrange(256)
        elif kind == 3:
            held[at] ^= 1 << chance.randrange(8)
        else:
            value = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0"))
            held[at : at + 4] = value
    return bytes(held)


def changed_text(text: str, chance: random.Random) -> str:
    """One number, word or line replaced, removed or doubled."""
    parts = re.split(r"(\s+)", text)
    at = chance.randrange(len(parts))
    kind = chance.randrange(4)
    if kind == 0:
        parts[at] = chance.choice(WORDS)
    elif kind == 1:
        del parts[at : at + 1 + chance.randrange(5)]
    elif kind == 2:
        parts[at:at] = parts[at : at + 3] * (1 + chance.randrange(50))
    else:
        other = chance.randrange(len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    return "".join(parts)


def changed_archive(data: bytes, chance: random.Random) -> bytes:
    """One member of a zip changed: its bytes, or, of an array, its header or values; or left out, or doubled."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = chance.randrange(len(members))
    name, content = members[at]
    kind = chance.randrange(5)
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.append((chance.choice(("x.npy", name, "../x", "a" * 300)), content))
    elif kind == 2 or not name.endswith(".npy"):
        members[at] = name, changed_bytes(content, chance) if content else b"x"
    else:
        members[at] = name, changed_array(content, chance)
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # two members of one name are meant
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def changed_array(content: bytes, chance: random.Random) -> bytes:
    values = np.load(io.BytesIO(content), allow_pickle=False)
    kind = chance.randrange(6)
    if kind == 0:
        with contextlib.suppress(ValueError), np.errstate(all="ignore"):  # words are no numbers
            values = values.astype(chance.choice(("<f8", ">f4", "<i1", "<u8", "<c8", "?", "<U7")))
    elif kind == 1:
        values = values.reshape(-1)[: chance.randrange(values.size + 1)]
    elif kind == 2:
        values = values[None]
    elif kind == 3 and values.dtype.kind in "fiu" and values.size:
        values = values.copy()
        value = chance.choice((0, 1, 100) if values.dtype.kind != "f" else (np.nan, np.inf, -3e38, 1e20, 0))
        values.reshape(-1)[chance.randrange(values.size)] = value
    elif kind == 4 and values.dtype.kind == "U":
        values = np.array(changed_text(str(values), chance))
    else:
        header = re.sub(
            rb"\((\d*)", lambda m: b"(" + chance.choice((b"9", b"-1", b"9" * 30, m[1] + b"0")), content[:200]
        )
        return header + content[200:]
    held = io.BytesIO()
    with np.errstate(all="ignore"):
        np.save(held, values, allow_pickle=False)
    return held.getvalue()


def main() -> int:
    """Try damaged copies of good files."""
    good: dict[str, list[Path]] = {}

    def make(kind: str, folder: Path, number: int, chance: random.Random) -> Path:
        source = chance.choice(good[kind])
        path = folder / f"{number}{source.suffix}"
        path.write_bytes(changed(source.read_bytes(), source.suffix, chance))
        return path

    def prepare(folder: Path) -> None:
        good.update(make_good(folder))
        good_record(folder / "clip" / "params.npz")  # once, before any process is made

    return drive(__doc__ or "", READERS, prepare, make)


if __name__ == "__main__":
    sys.exit(main())
