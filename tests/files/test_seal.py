"""A seal says that glot wrote a file and nobody changed it since; the file stays what it is for everybody else."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from glot_cli.files import seal
from glot_cli.files.npz import write_npz
from glot_cli.files.seal import fingerprint, seal_file, sealed_json, sealed_kind, unsealed_json
from tests.cli.clips import background, read_video, write_clip


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    write_npz(tmp_path / "a.npz", {"x": np.arange(1000.0)})
    return tmp_path / "a.npz"


@pytest.fixture
def mp4(tmp_path: Path) -> Path:
    path = write_clip(tmp_path / "a.mp4", [background(64, 48)] * 3)
    seal_file(path)
    return path


@pytest.fixture
def html(tmp_path: Path) -> Path:
    path = tmp_path / "a.html"
    path.write_text("<!doctype html>\n<title>one</title>\n<p>two\n")
    seal_file(path)
    return path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_text(sealed_json({"b": 0.1, "a": [1, {"c": None}], "people": {2: 3.5, 10: 1.0}, "name": "é"}))
    return path


def test_sealed_files_are_what_they_were(npz: Path, mp4: Path, html: Path, report: Path) -> None:
    with np.load(npz, allow_pickle=False) as file:
        assert file.files == ["x"] and np.array_equal(file["x"], np.arange(1000.0))
    with zipfile.ZipFile(npz) as archive:
        assert archive.testzip() is None and archive.comment.startswith(b"glot seal")
    assert len(read_video(mp4)[0]) == 3
    assert json.loads(report.read_text())["people"] == {"2": 3.5, "10": 1.0}
    assert [sealed_kind(path) for path in (npz, mp4, html, report)] == ["npz", "mp4", "html", "json"]
    assert re.fullmatch(r"<!doctype html>\n<title>one</title>\n<p>two\n<!-- glot seal 1 \w{64} -->\n", html.read_text())
    told = unsealed_json(report)
    assert told is not None and "seal" not in told and told["name"] == "é"


def test_files_of_all_sizes_keep_their_seals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Around one end and two, where what is read of a file changes; and one as large as that of a long video."""
    path = tmp_path / "a.npz"
    write_npz(path, {"a": np.zeros(3 << 20, np.uint8)}, compress=False)
    assert path.stat().st_size > 2 * seal.ENDS and sealed_kind(path) == "npz"
    monkeypatch.setattr(seal, "ENDS", 512)
    sizes = set()
    for number in range(0, 1400, 3):
        for name in ("a", "ab", "abc"):
            path.unlink()
            write_npz(path, {name: np.zeros(number, np.uint8)}, compress=False)
            sizes.add(path.stat().st_size)
            assert sealed_kind(path) == "npz", path.stat().st_size
    assert len(sizes) > 1000 and min(sizes) < 512 < 2 * 512 < max(sizes)
    for number in range(0, 1400, 50):
        page = tmp_path / "a.html"
        page.write_text("<!doctype html>\n" + "x" * number)
        seal_file(page)
        assert sealed_kind(page) == "html"


@pytest.mark.parametrize("kind", ["npz", "mp4", "html", "report"])
def test_any_change_breaks_a_seal(request: pytest.FixtureRequest, kind: str) -> None:
    path: Path = request.getfixturevalue(kind)
    data = path.read_bytes()
    step = max(1, len(data) // 60)
    places = range(0, len(data), step)
    if kind == "report":  # laid out otherwise it says the same: digits and letters are changed, not blanks
        places = [place for place in places if chr(data[place]).isalnum()]
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert sealed_kind(path) is None, place
    for changed in (data[:-3], data + b"x", data[: len(data) // 2], b""):
        path.write_bytes(changed)
        assert sealed_kind(path) is None
    path.write_bytes(data)
    assert sealed_kind(path) is not None


def test_what_others_wrote_has_no_seal(tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", x=np.arange(3))
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as archive:
        archive.writestr("a", "b")
        archive.comment = b"glot seal 1 " + b"0" * 64
    write_clip(tmp_path / "theirs.mp4", [background(64, 48)])
    (tmp_path / "theirs.html").write_text(f"<!doctype html>\n<!-- glot seal 1 {'0' * 64} -->\n")
    (tmp_path / "short.html").write_bytes(b"<!doctype html>")
    (tmp_path / "theirs.json").write_text('{"seal": "no"}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "short.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    (tmp_path / "short.zip").write_bytes(b"PK")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")  # opening it would wait for ever
    for path in tmp_path.iterdir():
        assert sealed_kind(path) is None, path
    assert sealed_kind(tmp_path / "gone") is None and sealed_kind(Path(os.devnull)) is None


def test_a_link_to_a_sealed_file_is_not_ours(npz: Path) -> None:
    link = npz.with_name("link.npz")
    link.symlink_to(npz)
    assert sealed_kind(link) is None


def test_a_fingerprint_reads_the_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "ENDS", 4)
    path = tmp_path / "x"
    for data, read in ((b"abc", b"abc"), (b"abcdefg", b"abcdefg"), (b"abcdefghij", b"abcdghij"), (b"", b"")):
        path.write_bytes(data)
        expected = hashlib.sha256(str(len(data)).encode() + read).hexdigest()
        assert fingerprint(path) == f"{len(data)}-{expected}"
