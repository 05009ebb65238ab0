"""Files that attack, are damaged or none that glot wants: refused in one line that names them, and never run."""

from __future__ import annotations

import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from glot_cli import weights
from glot_cli.errors import WeightsError
from glot_cli.files import faults
from glot_cli.files.faults import Damaged, FileFault, Refused, Unsupported
from glot_cli.weights.add_weights import add_weights
from tests.cli.fixtures import Glot
from tests.parity import official_files, standins
from tests.parity.official_files import EXTRA, GLOT, MEAN, NEUTRAL, SPIN, Exploit
from tests.weights.weights_fixtures import archive, bomb, flip

pytestmark = pytest.mark.usefixtures("weights_folder")


@contextmanager
def fails(cause: type[FileFault], match: str | None = None) -> Iterator[None]:
    """What the block must end with: an error about weights, made of this fault."""
    with pytest.raises(WeightsError, match=match) as error:
        yield
    assert type(error.value.__cause__) is cause


def test_an_attack_in_an_archive_loses_nothing_else(official: dict[str, Path], tmp_path: Path) -> None:
    attack = pickle.dumps(Exploit(os.system, "echo fired"))
    path = archive(tmp_path / "a.zip", {"SMPL_MALE.pkl": attack, "b/smpl_mean_params.npz": official[MEAN].read_bytes()})
    taken = []
    with fails(Refused, match=r"a\.zip: SMPL_MALE\.pkl: .*system"):
        for added in add_weights(path):
            taken.append(added.entry.name)
    assert taken == ["mean-params"]


def test_an_archive_may_be_larger_than_any_file_in_it(
    official: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at where it lies; only members that may be wanted are read, and their sizes count."""
    monkeypatch.setattr(faults, "MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as out:
        out.writestr("video.mp4", bytes(50_000))
        out.write(official[MEAN], MEAN)
    assert [added.entry.name for added in add_weights(tmp_path / "a.zip")] == ["mean-params"]
    with fails(Refused, match="more than any file of its kind"):
        list(add_weights(official[EXTRA]))


def test_strange_files_beside_the_wanted_ones_do_not_matter(official: dict[str, Path], tmp_path: Path) -> None:
    """Official archives hold pickles of other programs too; they are left unread, and are no fault."""
    strange = pickle.dumps(Exploit(os.system, "echo fired"))
    path = archive(tmp_path / "a.zip", {"code/prior.pkl": strange, MEAN: official[MEAN].read_bytes()})
    assert [added.entry.name for added in add_weights(path)] == ["mean-params"]
    with fails(Refused, match=r"prior\.pkl"):
        list(add_weights(archive(tmp_path / "b.zip", {"code/prior.pkl": strange})))


def test_an_archive_of_other_things(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds none of the files .*; 'glot weights list'"):
        list(add_weights(archive(tmp_path / "holiday.zip", {"a.jpg": b"x", "b.npz": b"not one"[:0] + b"\x00" * 9})))


@pytest.mark.parametrize(("file", "member"), [("a.npz", "v_template.npy"), ("a.zip", "x.pkl"), ("a.pth", "a/data.pkl")])
def test_zip_bombs_are_refused_before_they_unpack(file: str, member: str, tmp_path: Path) -> None:
    path = bomb(tmp_path / file, member, (2 << 30) + (1 << 24))
    assert path.stat().st_size < 20 << 20
    tracemalloc.start()
    try:
        with fails(Refused, match=r"unpacks to 2\.2 GB, far more than its size allows"):
            list(add_weights(path))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("inner", "count"),
    [(b"\x80\x02" + b"N0" * 12_000 + b"}.", 190), (b"", 201), ("bomb", 3)],
    ids=["long", "many", "bombs"],
)
def test_many_small_bombs_in_an_archive(inner: bytes | str, count: int, tmp_path: Path) -> None:
    data = bomb(tmp_path / "in.npz", "pose.npy", 1 << 24).read_bytes() if isinstance(inner, str) else inner
    ending = ".npz" if isinstance(inner, str) else ".pkl"
    path = archive(tmp_path / "a.zip", {f"{number}{ending}": data for number in range(count)})
    with fails(Refused, match="far more than its size allows|more than 200 files"):
        list(add_weights(path))


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


FAULTS: dict[str, tuple[bytes, type[FileFault], str]] = {
    "empty.pkl": (b"", Damaged, "is empty; download it again"),
    "page.pkl": (b"\n<!DOCTYPE html><html>sign in</html>", Damaged, "web page"),
    "pointer.npz": (b"version https://git-lfs.github.com/spec/v1\n", Damaged, "Git LFS"),
    "photo.pkl": (b"\xff\xd8\xff\xe0 a photo", Unsupported, "none of the files"),
    "cut.npz": (b"PK\x03\x04 and no more", Damaged, "cut off"),
    "huge.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }"), Damaged, "claims"),
    "cut.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (40,), }", bytes(99)), Damaged, "claims"),
    "objects.npy": (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)), Refused, "objects"),
    "header.npy": (npy("__import__('os').abort()"), Damaged, "damaged array"),
    "other.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", bytes(16)), Unsupported, "none of"),
    "attack.pkl": (pickle.dumps(Exploit(os.system, "echo fired")), Refused, "system"),
    "zip.tensors": (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all", Damaged, "safetensors"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named_in_one_line(name: str, tmp_path: Path, glot: Glot) -> None:
    data, kind, words = FAULTS[name]
    path = tmp_path / name
    path.write_bytes(data)
    with fails(kind, match=words):
        list(add_weights(path))
    ended = glot("weights", "add", path)
    assert ended.status == 1 and len(ended.err) == 1 and str(path) in ended.err[0]
    assert "still missing" in ended.out and "fired" not in ended.out + ended.err[0]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_checkpoint_with_a_call_in_it_is_refused_by_name(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    held = {"gen_state_dict": {"a": torch.zeros(2)}, "performance": Exploit(os.system, "echo fired")}
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    with fails(Refused, match=r"model\.pth\.tar: .*posix\.system" if os.name == "posix" else "system"):
        list(add_weights(path))


@pytest.mark.parametrize("original", [NEUTRAL, SPIN, GLOT, MEAN, EXTRA])
def test_cut_off_files_are_damaged(original: str, official: dict[str, Path], tmp_path: Path) -> None:
    data = official[original].read_bytes()
    path = tmp_path / original
    path.write_bytes(data[: int(len(data) * 0.7)])
    with fails(Damaged, match=r"damaged|cut off|claims"):
        list(add_weights(path))
    assert not weights.added()


def test_flipped_bits_where_a_checksum_or_a_sum_tells(official: dict[str, Path], tmp_path: Path) -> None:
    size = official[MEAN].stat().st_size
    with fails(Damaged):  # npz: a checksum for every array
        list(add_weights(flip(official[MEAN], tmp_path / MEAN, [size // 2])))
    zipped = official_files.write_glot(tmp_path / "zipped.pth.tar", zipped=True)
    with fails(Damaged, match=r"checksum|damaged"):
        list(add_weights(flip(zipped, tmp_path / "flipped.pth.tar", [zipped.stat().st_size // 2])))
    body = standins.smpl()
    body["weights"][77, 3] = 4.0
    np.savez(tmp_path / "SMPL_MALE.npz", **body)
    with fails(Damaged, match="do not add up"):
        list(add_weights(tmp_path / "SMPL_MALE.npz"))
    body = standins.smpl()
    body["posedirs"][5, 1, 100] = -(2.0**300)
    np.savez(tmp_path / "SMPL_MALE.npz", **body)
    with fails(Damaged, match="posedirs with values"):
        list(add_weights(tmp_path / "SMPL_MALE.npz"))


def broken_glot(path: Path, change: str) -> Path:
    state = official_files.tensors("glot")
    first = "proj_short.weight"
    if change == "missing":
        del state[first]
    elif change == "surplus":
        state["proj_short.other"] = torch.zeros(3)
    elif change == "shape":
        state[first] = torch.zeros(1).expand(10**6, 10**6)  # would be four terabytes, were it written out
    else:
        state[first] = state[first].clone()
        state[first][0, 0] = float("nan")
    torch.save({"gen_state_dict": state}, path)
    return path


@pytest.mark.parametrize(
    ("change", "words"), [("missing", "without"), ("surplus", "too many"), ("shape", "1000000"), ("nan", "damaged")]
)
def test_loads_are_strict(change: str, words: str, tmp_path: Path) -> None:
    with fails(Damaged, match=words):
        list(add_weights(broken_glot(tmp_path / "m.pth.tar", change)))


def test_a_body_with_an_array_of_wrong_shape(tmp_path: Path) -> None:
    body = standins.smpl()
    body["posedirs"] = body["posedirs"][:, :, :200]
    np.savez(tmp_path / "SMPL_MALE.npz", **body)
    with fails(Damaged, match=r"posedirs of shape \(6890, 3, 200\), expected 6890 x 3 x 207"):
        list(add_weights(tmp_path / "SMPL_MALE.npz"))


def test_values_and_joints_that_no_body_has(tmp_path: Path) -> None:
    body = standins.smpl()
    whole = np.full(body["v_template"].shape, -(2**63))  # whose absolute value is itself
    weights = body["weights"].copy()
    weights[0, :3] = 1e30, -1e30, 1  # which add up to 1
    tree = np.tile(np.arange(24) + 30, (2, 1))
    for name, array in (("v_template", whole), ("weights", weights), ("kintree_table", tree)):
        np.savez(tmp_path / "SMPL_MALE.npz", **(body | {name: array}))
        with fails(Damaged):
            list(add_weights(tmp_path / "SMPL_MALE.npz"))
    np.savez(tmp_path / MEAN, pose=np.full(144, 1e300), shape=np.zeros(10), cam=np.zeros(3))
    with fails(Damaged):
        list(add_weights(tmp_path / MEAN))


def test_a_network_with_something_else_than_tensors(official: dict[str, Path], tmp_path: Path) -> None:
    held = {"model": dict.fromkeys(standins.shapes("spin"), np.zeros(3))}  # arrays that are not made yet
    torch.save(held, tmp_path / SPIN, pickle_protocol=2)
    with fails(Damaged, match="no tensor"):
        list(add_weights(tmp_path / SPIN))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_what_stands_in_for_shipped_weights_may_be_no_file(weights_folder: Path, make: Callable[[Path], None]) -> None:
    weights_folder.mkdir()
    make(weights_folder / "glot_open.safetensors")
    with pytest.raises(WeightsError, match=r"glot_open\.safetensors: cannot be read"):
        weights.locate("glot-open")
