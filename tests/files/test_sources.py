"""Files of data sets are told by what they begin with; those that are none, or compressed, are refused by name."""

from __future__ import annotations

import bz2
import gzip
import os
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from glot_cli.files.faults import Damaged, FileFault, Unsupported
from glot_cli.files.sources import open_source
from tests.files.joblib_files import assert_same, data_like, write
from tests.parity.official_files import Exploit

REFUSAL = (
    "is compressed with {}, which glot does not read; "
    "decompress it first, or load it where you trust it and dump it again uncompressed"
)


def fault_of(path: Path, kind: type[FileFault]) -> str:
    """What is said of a file that is not opened."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(kind) as error, open_source(path):
        pass
    assert sorted(path.parent.iterdir()) == before, "nothing is unpacked"
    return str(error.value)


def test_joblib_and_hdf5_are_told_apart_by_their_content(tmp_path: Path) -> None:
    with open_source(write(tmp_path / "a.h5", data_like())) as arrays:
        assert_same(arrays, data_like())
    with h5py.File(tmp_path / "b.pt", "w") as file:
        file.create_dataset("features", data=np.eye(3))
    with open_source(tmp_path / "b.pt") as arrays:
        np.testing.assert_array_equal(arrays["features"][0:3], np.eye(3))


@pytest.mark.parametrize("protocol", [None, 0, 2])
@pytest.mark.parametrize("level", [1, 3, 9])
@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_compressed_files_are_refused(kind: str, level: int, protocol: int | None, tmp_path: Path) -> None:
    path = write(tmp_path / "a_db.pt", data_like(), compress=(kind, level), protocol=protocol)
    assert fault_of(path, Unsupported) == REFUSAL.format(kind)


def test_files_that_other_programs_compressed(tmp_path: Path) -> None:
    data = write(tmp_path / "a", data_like()).read_bytes()
    (tmp_path / "b").write_bytes(b"".join(bz2.compress(data[i : i + 999]) for i in range(0, len(data), 999)))
    (tmp_path / "c").write_bytes(gzip.compress(data))
    with tarfile.open(tmp_path / "d", "w:xz") as archive:
        archive.add(tmp_path / "a")
    for name, kind in (("b", "bz2"), ("c", "gzip"), ("d", "xz")):
        assert fault_of(tmp_path / name, Unsupported) == REFUSAL.format(kind)


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_compressed_files_that_are_broken(kind: str, tmp_path: Path) -> None:
    """They are looked at no further: what is compressed is refused, whatever is in it."""
    data = write(tmp_path / "a", data_like(), compress=(kind, 3)).read_bytes()
    for name, broken in (("cut", data[: len(data) // 2]), ("head", data[:8]), ("longer", data + b"something")):
        (tmp_path / name).write_bytes(broken)
        assert fault_of(tmp_path / name, Unsupported) == REFUSAL.format(kind)


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz"])
def test_compression_bombs(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", {"a": np.zeros(4 << 20)}, compress=(kind, 9))
    assert path.stat().st_size < 1 << 20
    assert fault_of(path, Unsupported) == REFUSAL.format(kind)


def test_an_exploit_in_a_compressed_file(tmp_path: Path, capfd: Any) -> None:
    path = write(tmp_path / "a", {"a": np.zeros(30), "b": Exploit(os.system, "echo fired")}, compress=3)
    assert fault_of(path, Unsupported) == REFUSAL.format("zlib")
    assert "fired" not in capfd.readouterr().out


@pytest.mark.parametrize("start", [b"\x78\x00", b"\x5d."])
def test_what_only_looks_compressed_is_read_as_a_pickle(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(start + bytes(100))
    assert "joblib file" in fault_of(tmp_path / "a", Damaged)


@pytest.mark.parametrize(
    ("start", "words"),
    [(b"\x04\x22\x4d\x18", "with lz4"), (b"ZF0x12", "joblib before 0.10"), (b"PK\x03\x04", "is an archive")],
)
def test_other_packings_are_named(start: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(start + bytes(100))
    assert words in fault_of(tmp_path / "a", Unsupported)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html>", "is a web page, not the file itself"),
        (b"<?xml version='1.0'?>", "is a web page, not the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is only a pointer of Git LFS to the file; fetch it with"),
    ],
)
def test_what_a_download_brings_instead(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert fault_of(tmp_path / "a", Damaged).startswith(words)


def test_a_tar_and_a_folder_and_nothing(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(write(tmp_path / "a_db.pt", data_like()))
    assert "unpack it, and give the data sets in it" in fault_of(tmp_path / "a.tar", Unsupported)
    assert fault_of(tmp_path, FileFault) == "is a folder; give the files in it"
    assert "; check the name" in fault_of(tmp_path / "b", FileFault)
