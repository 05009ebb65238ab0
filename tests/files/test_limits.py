"""What is too large, or no file at all, is refused before it is read."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glot_cli.errors import GlotError
from glot_cli.evaluation.pairing import load_pairs
from glot_cli.files.archives import members
from glot_cli.files.contents import contents
from glot_cli.files.faults import Damaged, FileFault, Refused
from glot_cli.files.inert import to_array
from glot_cli.files.npz import load_npz
from glot_cli.files.opening import read_bytes
from glot_cli.motion.motions import load_motions
from glot_cli.results import load_result
from glot_cli.training.config import find_config, load_config
from glot_cli.weights.bodies import load_body


def test_only_regular_files_with_something_in_them_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for place in (tmp_path / "pipe", tmp_path / "empty", tmp_path, tmp_path / "gone", Path("/dev/zero"), Path("a\0b")):
        with pytest.raises(FileFault):
            read_bytes(place)


def test_zips_that_unpack_without_measure_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        np.save(file, np.zeros(3))
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a.npy", file.getvalue())
        with pytest.raises(Refused, match="something else than deflate"):
            load_npz(path)
    np.savez(path, a=np.arange(1000.0))
    data = bytearray(path.read_bytes())
    data[5000] ^= 1  # in a stored array nothing but the checksum can tell
    path.write_bytes(data)
    with pytest.raises(Damaged):
        load_npz(path)


def test_tars_that_claim_much_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("a.pkl")
    info.size, info.type = 1 << 30, tarfile.GNUTYPE_LONGNAME
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(FileFault, match="of one file in it"):
        list(members(path))
    sparse = tarfile.TarInfo("a.pkl")
    sparse.size, sparse.type = 512, tarfile.GNUTYPE_SPARSE
    path.write_bytes(sparse.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(FileFault, match="gaps"):
        list(members(path))


@pytest.mark.parametrize("shape", [(1,) * 65, (10**5000,), (np.float64("nan"),), ("a",), (np.array([1, 2]),)])
def test_shapes_that_no_array_has(shape: tuple[object, ...]) -> None:
    """In the place of (3,) in a pickle of an array."""
    data = pickle.dumps({"a": np.zeros(3)}, 2)
    there = b"K\x03\x85"
    assert data.count(there) == 1
    forged = pickle.dumps(shape, 2)[2:-1]  # its places in the memory are those of the array; it is asked for first
    with pytest.raises((Refused, Damaged)):
        held, _ = contents(data.replace(there, forged))
        to_array(held["a"])


@pytest.mark.parametrize(
    "text",
    [
        "[landmarks.viewing]\noff_axis = [1, 'a']",
        "[landmarks]\nmotions = ['~nobody-of-that-name/a']",
        "x = " + "{a = " * 3000,
        "a" + ".a" * 20_000 + " = 1",
        "learning_rate = nan",
        "epochs = 1" + "0" * 400,
        "[model]\ndecoder_layers = 1099511627776",
        "#" * 100_000,
        "seed = 0x" + "F" * 5000,
        '"a\\nb" = 3',
    ],
)
def test_configurations_that_cannot_be(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(GlotError, match=r"a\.toml: ") as error:
        load_config(tmp_path / "a.toml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rate", [0.0, -30.0, np.nan, 1e-6, 1e300])
def test_motions_at_rates_that_cannot_be(rate: float, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.zeros((40, 156)), mocap_framerate=rate)
    with pytest.raises(GlotError, match="frames a second"):
        load_motions([tmp_path / "a.npz"])


@pytest.mark.parametrize("value", [np.nan, 3e38, 1e20])
def test_motions_of_joints_that_turn_too_far(value: float, tmp_path: Path) -> None:
    poses = np.zeros((40, 156))
    poses[3, 5] = value
    np.savez(tmp_path / "a.npz", poses=poses, mocap_framerate=60.0)
    with pytest.raises(GlotError, match="no angles"):
        load_motions([tmp_path / "a.npz"])


def test_a_long_name_is_made_once_however_many_clips_have_it(tmp_path: Path) -> None:
    poses = np.zeros((2000, 72), np.float16)
    np.savez_compressed(
        tmp_path / "a.npz", poses=poses, clip_index=np.arange(2000) % 2, clip_names=["a" * 500_000, "b"]
    )
    tracemalloc.start()
    with pytest.raises(GlotError, match="no clip of at least"):
        load_motions([tmp_path / "a.npz"])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_angles_are_no_whole_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.zeros((40, 156), np.int8), mocap_framerate=60.0)
    with pytest.raises(GlotError, match="of angles"):
        load_motions([tmp_path / "a.npz"])


@pytest.mark.parametrize(
    "read",
    [lambda path: load_motions([path]), load_result, load_body, find_config, lambda path: load_pairs(path, path)],
)
@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "loop"])
def test_names_that_no_file_can_have(
    read: Callable[[Any], Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(GlotError):
        read(name if read in (load_body, find_config) else Path(name))
