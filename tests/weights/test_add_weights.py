"""`glot weights add`: what it recognises, what it keeps, and what it says of files that it does not want."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from glot_cli import weights
from glot_cli.cli import main
from glot_cli.errors import GlotError, UsageError
from glot_cli.files import arrays as reading
from glot_cli.files.pickles import Damaged, Refused
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.official import rename_glot, rename_spin
from glot_cli.pipeline import presets
from glot_cli.weights.add_weights import add
from glot_cli.weights.bodies import load_body
from glot_cli.weights.recognise import gender_of
from tests.parity import official_files, standins
from tests.parity.official_files import EXTRA, GLOT, H36M, MEAN, NEUTRAL, SPIN, Exploit

Official = dict[str, Path]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Official:
    """Official name -> a file in the official format. Tests change none of them."""
    return official_files.write_all(tmp_path_factory.mktemp("official"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder of the user's own for every test."""
    folder = tmp_path / "own weights"
    monkeypatch.setenv("GLOT_WEIGHTS", str(folder))
    return folder


def added_names(path: Path, gender: str | None = None) -> list[str]:
    return [added.entry.name for added in add(path, gender)]


def glot(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


NAMES = {
    NEUTRAL: "smpl-neutral",
    SPIN: "spin",
    GLOT: "glot-table1_3dpw_weights",
    MEAN: "mean-params",
    EXTRA: "joints-extra",
    H36M: "joints-h36m",
}


@pytest.mark.parametrize("original", NAMES)
def test_every_official_file_is_recognised_by_what_it_holds(original: str, official: Official, tmp_path: Path) -> None:
    assert added_names(official[original]) == [NAMES[original]]
    if original not in (NEUTRAL, GLOT):  # gender and checkpoint have no other source than the name
        renamed = tmp_path / "download (1)"
        os.link(official[original], renamed)
        assert added_names(renamed) == [NAMES[original]]


def test_what_is_kept_is_what_was_given(official: Official, own_folder: Path) -> None:
    for path in official.values():
        list(add(path))
    with np.load(own_folder / "smpl-neutral.npz", allow_pickle=False) as kept:
        for name, expected in standins.smpl().items():
            np.testing.assert_allclose(kept[name], expected.astype(np.float32) if name != "f" else expected)
        assert set(kept.files) == set(standins.smpl())
    with np.load(own_folder / "mean-params.npz", allow_pickle=False) as kept:
        for name, expected in standins.mean_params().items():
            np.testing.assert_array_equal(kept[name], expected)
    for name, read, rename in (("spin", "spin", rename_spin), ("glot-table1_3dpw_weights", "glot", rename_glot)):
        kept = load_file(own_folder / f"{name}.safetensors")
        learned = rename(official_files.tensors(read))
        assert set(kept) == set(learned), "learned tensors alone"
        assert all(torch.equal(kept[key], learned[key]) for key in learned)
    assert all(weights.check(e, own_folder / e.file) is None for e in weights.added().values())
    assert presets.choose("paper").glot == "glot-table1_3dpw_weights"


@pytest.mark.parametrize("zipped", [False, True])
def test_both_of_torchs_formats_are_read(zipped: bool, tmp_path: Path) -> None:
    path = official_files.write_glot(tmp_path / "model_best.pth.tar", zipped)
    assert added_names(path) == ["glot-model_best"]
    assert weights.load_glot(weights.locate("glot-model_best"), torch.zeros(157)).config == GLoTConfig()


def test_300_shape_components(tmp_path: Path) -> None:
    path = official_files.write_smpl(tmp_path / "basicmodel_f_lbs_10_207_0_v1.1.0.pkl", protocol=4, components=300)
    (added,) = add(path)
    assert added.entry.name == "smpl-female" and "300 shape components" in added.remark
    assert load_body("smpl-female").num_betas == 10
    assert load_body("smpl-female", num_betas=300).num_betas == 300
    with pytest.raises(GlotError, match="300 shape components, 301 are needed"):
        load_body("smpl-female", num_betas=301)


def test_smpl_as_npz_and_without_chumpy(tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_MALE.npz", **standins.smpl())
    assert added_names(tmp_path / "SMPL_MALE.npz") == ["smpl-male"]
    np.testing.assert_allclose(load_body("smpl-male").template_planes.T, standins.smpl()["v_template"], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPL_NEUTRAL.pkl", "neutral"),
        ("SMPL_MALE.npz", "male"),
        ("SMPL_FEMALE.pkl", "female"),
        ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "male"),
        ("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "neutral"),
        ("smpl/models/female/model.pkl", None),
        ("model.pkl", None),
    ],
)
def test_gender_is_in_the_name(name: str, gender: str | None) -> None:
    if gender is None:
        with pytest.raises(UsageError, match="--gender"):
            gender_of(name)
    else:
        assert gender_of(name) == gender


def test_gender_can_be_said(official: Official, tmp_path: Path) -> None:
    os.link(official[NEUTRAL], tmp_path / "body.pkl")
    with pytest.raises(UsageError, match=r"body\.pkl.*--gender"):
        list(add(tmp_path / "body.pkl"))
    assert added_names(tmp_path / "body.pkl", "female") == ["smpl-female"]


def archive(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for name, data in files.items():
                out.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["vibe_data.zip", "data.tar.gz"])
def test_archives_are_looked_through(name: str, official: Official, tmp_path: Path) -> None:
    files = {f"data/{official_name}": official[official_name].read_bytes() for official_name in (MEAN, EXTRA, H36M)}
    other = io.BytesIO()
    np.save(other, np.arange(3))
    files |= {"data/cube_parts.npy": other.getvalue(), "data/notes.txt": b"hello", "__MACOSX/._x.npz": b"junk"}
    files |= {"data/gmm_08.pkl": pickle.dumps({"means": np.zeros((8, 69)), "weights": [1, 2]}, 2)}
    assert set(added_names(archive(tmp_path / name, files))) == {"mean-params", "joints-extra", "joints-h36m"}


def test_an_attack_in_an_archive_loses_nothing_else(official: Official, tmp_path: Path) -> None:
    attack = pickle.dumps(Exploit(os.system, "echo fired"))
    path = archive(tmp_path / "a.zip", {"SMPL_MALE.pkl": attack, "b/smpl_mean_params.npz": official[MEAN].read_bytes()})
    taken = []
    with pytest.raises(Refused, match=r"a\.zip: SMPL_MALE\.pkl: .*system"):
        for added in add(path):
            taken.append(added.entry.name)
    assert taken == ["mean-params"]


def test_an_archive_may_be_larger_than_any_file_in_it(
    official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at where it lies; only members that may be wanted are read, and their sizes count."""
    monkeypatch.setattr(reading, "MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as out:
        out.writestr("video.mp4", bytes(50_000))
        out.write(official[MEAN], MEAN)
    assert added_names(tmp_path / "a.zip") == ["mean-params"]
    with pytest.raises(Refused, match="more than any official file"):
        list(add(official[EXTRA]))


def test_strange_files_beside_the_wanted_ones_do_not_matter(official: Official, tmp_path: Path) -> None:
    """Official archives hold pickles of other programs too; they are left unread, and are no fault."""
    strange = pickle.dumps(Exploit(os.system, "echo fired"))
    path = archive(tmp_path / "a.zip", {"code/prior.pkl": strange, MEAN: official[MEAN].read_bytes()})
    assert added_names(path) == ["mean-params"]
    with pytest.raises(Refused, match=r"prior\.pkl"):
        list(add(archive(tmp_path / "b.zip", {"code/prior.pkl": strange})))


def test_an_archive_of_other_things(tmp_path: Path) -> None:
    with pytest.raises(GlotError, match="holds none of the files"):
        list(add(archive(tmp_path / "holiday.zip", {"a.jpg": b"x", "b.npz": b"not one"[:0] + b"\x00" * 9})))


def bomb(path: Path, name: str, size: int) -> Path:
    """A zip whose member unpacks to `size` zeros."""
    block = bytes(1 << 24)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out,
        out.open(name, "w", force_zip64=True) as file,
    ):
        for _ in range(size // len(block)):
            file.write(block)
    return path


@pytest.mark.parametrize(("file", "member"), [("a.npz", "v_template.npy"), ("a.zip", "x.pkl"), ("a.pth", "a/data.pkl")])
def test_zip_bombs_are_refused_before_they_unpack(file: str, member: str, tmp_path: Path) -> None:
    path = bomb(tmp_path / file, member, (2 << 30) + (1 << 24))
    assert path.stat().st_size < 20 << 20
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match=r"unpacks to 2\.0 GB"):
            list(add(path))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


FAULTS: dict[str, tuple[bytes, type[GlotError], str]] = {
    "empty.pkl": (b"", Damaged, "empty"),
    "page.pkl": (b"\n<!DOCTYPE html><html>sign in</html>", Damaged, "web page"),
    "pointer.npz": (b"version https://git-lfs.github.com/spec/v1\n", Damaged, "Git LFS"),
    "photo.pkl": (b"\xff\xd8\xff\xe0 a photo", GlotError, "none of the files"),
    "cut.npz": (b"PK\x03\x04 and no more", Damaged, "cut off"),
    "huge.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }"), Damaged, "claims"),
    "cut.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (40,), }", bytes(99)), Damaged, "claims"),
    "objects.npy": (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)), Refused, "objects"),
    "header.npy": (npy("__import__('os').abort()"), Damaged, "damaged array"),
    "other.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", bytes(16)), GlotError, "none of"),
    "attack.pkl": (pickle.dumps(Exploit(os.system, "echo fired")), Refused, "system"),
    "zip.tensors": (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all", Damaged, "safetensors"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, kind, words = FAULTS[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(kind, match=words):
        list(add(path))
    status, out, err = glot(capsys, "weights", "add", path)
    assert status == 1 and err.count("\n") == 1 and str(path) in err
    assert "still missing" in out and "fired" not in out + err


@pytest.mark.parametrize("zipped", [False, True])
def test_a_checkpoint_with_a_call_in_it_is_refused_by_name(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    held = {"gen_state_dict": {"a": torch.zeros(2)}, "performance": Exploit(os.system, "echo fired")}
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(Refused, match=r"model\.pth\.tar: .*posix\.system" if os.name == "posix" else "system"):
        list(add(path))


@pytest.mark.parametrize("original", [NEUTRAL, SPIN, GLOT, MEAN, EXTRA])
def test_cut_off_files_are_damaged(original: str, official: Official, tmp_path: Path) -> None:
    data = official[original].read_bytes()
    path = tmp_path / original
    path.write_bytes(data[: int(len(data) * 0.7)])
    with pytest.raises(Damaged, match=r"damaged|cut off|claims"):
        list(add(path))
    assert not weights.added()


def flip(path: Path, target: Path, places: list[int]) -> Path:
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0x40
    target.write_bytes(data)
    return target


def test_flipped_bits_where_a_checksum_or_a_sum_tells(official: Official, tmp_path: Path) -> None:
    size = official[MEAN].stat().st_size
    with pytest.raises(Damaged):  # npz: a checksum for every array
        list(add(flip(official[MEAN], tmp_path / MEAN, [size // 2])))
    zipped = official_files.write_glot(tmp_path / "zipped.pth.tar", zipped=True)
    with pytest.raises(Damaged, match=r"checksum|damaged"):
        list(add(flip(zipped, tmp_path / "flipped.pth.tar", [zipped.stat().st_size // 2])))
    body = standins.smpl()
    body["weights"][77, 3] = 2.0**200
    np.savez(tmp_path / "SMPL_MALE.npz", **body)
    with pytest.raises(Damaged, match="do not add up"):
        list(add(tmp_path / "SMPL_MALE.npz"))
    body = standins.smpl()
    body["posedirs"][5, 1, 100] = -(2.0**300)
    np.savez(tmp_path / "SMPL_MALE.npz", **body)
    with pytest.raises(Damaged, match="posedirs reaches"):
        list(add(tmp_path / "SMPL_MALE.npz"))


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
    with pytest.raises(Damaged, match=words):
        list(add(broken_glot(tmp_path / "m.pth.tar", change)))


def test_a_body_with_an_array_of_wrong_shape(tmp_path: Path) -> None:
    body = standins.smpl()
    body["posedirs"] = body["posedirs"][:, :, :200]
    np.savez(tmp_path / "SMPL_MALE.npz", **body)
    with pytest.raises(Damaged, match=r"posedirs of shape \(6890, 3, 200\), expected 6890 x 3 x 207"):
        list(add(tmp_path / "SMPL_MALE.npz"))


def test_the_command_says_what_came_of_it(official: Official, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = glot(capsys, "weights", "add", official[MEAN], official[EXTRA])
    assert status == 0
    assert "mean body parameters" in out.splitlines()[0]
    assert out.splitlines()[-1].startswith("still missing for --preset paper: ")
    assert all(name in out.splitlines()[-1] for name in ("spin_model_checkpoint.pth.tar", "SMPL_NEUTRAL.pkl"))
    status, out, _ = glot(capsys, "weights", "add", official[NEUTRAL], official[SPIN], official[GLOT])
    assert status == 0 and out.splitlines()[-1] == "--preset paper has all it needs"
    status, out, _ = glot(capsys, "weights", "verify")
    assert status == 0 and out.count(": intact (") == len(weights.manifest()) + 5


def test_list_says_what_is_there_and_where_the_rest_is(official: Official, capsys: pytest.CaptureFixture[str]) -> None:
    list(add(official[MEAN]))
    status, out, _ = glot(capsys, "weights", "list")
    assert status == 0
    assert "preset paper: 3 files are missing" in out
    assert "mean-params: MISSING" not in out and f"{MEAN}, SHA-256" in out
    for name in ("spin", "glot", "smpl-neutral", "smpl-male", "joints-extra"):
        block = out.split(f"\n{name}: MISSING")[1].split("\n\n")[0]
        assert "where: " in block and "licence: " in block
    assert out.count("(registration)") == 3


def test_list_sees_a_broken_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "preset open: complete" in glot(capsys, "weights", "list")[1]
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    out = glot(capsys, "weights", "list")[1]
    assert "preset open: " in out and "glot_open.safetensors missing; install glot-cli again" in out


def test_verify_sees_what_was_altered(official: Official, own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (added,) = add(official[MEAN])
    flip(added.path, added.path, [added.path.stat().st_size // 2])
    status, out, _ = glot(capsys, "weights", "verify")
    assert status == 1 and "mean-params: the mean body parameters has SHA-256" in out
    with pytest.raises(GlotError, match="add it again"):
        weights.locate("mean-params")


def test_several_checkpoints(official: Official, tmp_path: Path) -> None:
    for path in (official[MEAN], official[NEUTRAL], official[SPIN]):
        list(add(path))
    for name in ("table1_h36m_mpii3d_weights.pth.tar", "table2_3dpw_weights.pth.tar"):
        os.link(official[GLOT], tmp_path / name)
        list(add(tmp_path / name))
    with pytest.raises(UsageError, match="--glot table1_h36m_mpii3d_weights or table2_3dpw_weights"):
        presets.choose("paper")
    assert presets.choose("paper", glot="table2_3dpw_weights").glot == "glot-table2_3dpw_weights"
    list(add(official[GLOT]))
    assert presets.choose("paper").glot == "glot-table1_3dpw_weights"
    with pytest.raises(UsageError, match="--glot nothing: no such file"):
        presets.choose("paper", glot="nothing")


def test_body_and_gender_are_chosen(official: Official) -> None:
    list(add(official[NEUTRAL]))
    assert presets.choose("open", body="smpl").body == "smpl-neutral"
    with pytest.raises(UsageError, match=r"SMPL_MALE\.pkl"):
        presets.choose("open", body="smpl", gender="male")
    with pytest.raises(UsageError, match="only SMPL has genders"):
        presets.choose("open", gender="male")
    with pytest.raises(UsageError, match="--body nothing: no such file"):
        presets.choose("open", body="nothing")
    assert presets.choose("open", body=str(official[NEUTRAL])).body == str(official[NEUTRAL])


def test_a_body_file_of_the_users_own_is_read_without_trust(official: Official, tmp_path: Path) -> None:
    """`--body FILE`: SMPL's pickle, an npz of any size; attacks, bombs and other things are refused in one line."""
    np.testing.assert_allclose(
        load_body(str(official[NEUTRAL])).template_planes.T, standins.smpl()["v_template"], rtol=1e-6
    )
    assert load_body(str(weights.shipped_folder() / "open_body.npz")).num_vertices != 6890
    (tmp_path / "attack.pkl").write_bytes(pickle.dumps({"v_template": Exploit(os.system, "echo fired")}))
    np.savez(tmp_path / "objects.npz", v_template=np.array([None, 1], object))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    bomb(tmp_path / "bomb.npz", "v_template.npy", (2 << 30) + (1 << 24))
    for name, words in (("attack.pkl", "system"), ("objects.npz", "objects"), ("other.npz", "lacks v_template"),
                        ("bomb.npz", "unpacks to")):  # fmt: skip
        with pytest.raises(GlotError, match=rf"{name}: .*{words}"):
            load_body(str(tmp_path / name))


def test_smpl_gets_the_extra_joints_once_they_are_there(official: Official) -> None:
    list(add(official[NEUTRAL]))
    assert load_body("smpl-neutral").extra_regressor is None
    list(add(official[EXTRA]))
    np.testing.assert_array_equal(load_body("smpl-neutral").extra_regressor, standins.joints_extra())


def test_a_folder_that_cannot_be_written(official: Official, own_folder: Path) -> None:
    own_folder.write_text("a file stands in the way")
    with pytest.raises(GlotError, match="GLOT_WEIGHTS"):
        list(add(official[MEAN]))


def test_nothing_is_left_of_a_write_that_fails(
    official: Official, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(GlotError, match="No space left"):
        list(add(official[MEAN]))

    def half_written(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", half_written)
    with pytest.raises(GlotError, match="No space left"):
        list(add(official[SPIN]))
    assert list(own_folder.iterdir()) == []


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert weights.user_folder() == tmp_path / "own weights"
    monkeypatch.delenv("GLOT_WEIGHTS")
    assert weights.user_folder().name == "weights" and weights.user_folder().parent.name == "glot"
    shutil.rmtree(tmp_path / "own weights", ignore_errors=True)
    assert weights.added() == weights.added()
