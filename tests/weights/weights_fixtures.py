"""Official files, archives and bombs to take in, and a weights folder of the user's own."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from functools import cache
from pathlib import Path

import pytest

from glot_cli.cli import main
from tests.parity import official_files


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Official name -> a file in the official format. Tests change none of them."""
    return official_files.write_all(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="session")
def added(official: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights into which the command has taken all official files, for GLOT_WEIGHTS. Nobody adds to it."""
    folder = tmp_path_factory.mktemp("added")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOT_WEIGHTS", str(folder))
        with pytest.raises(SystemExit) as ended:
            main(["weights", "add", *map(str, official.values())])
    assert ended.value.code == 0
    return folder


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where added weights are kept during the test; it is not there yet."""
    folder = tmp_path / "own weights"
    monkeypatch.setenv("GLOT_WEIGHTS", str(folder))
    return folder


def archive(path: Path, files: dict[str, bytes]) -> Path:
    """A zip or a tar.gz, as its name says, of these files."""
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


def bomb(path: Path, name: str, size: int) -> Path:
    """A zip whose member unpacks to `size` zeros."""
    packed, checksum = packed_zeros(size)
    member = zipfile.ZipInfo(name)
    member.compress_type, member.file_size, member.compress_size = zipfile.ZIP_DEFLATED, size, len(packed)
    member.CRC, member.header_offset = checksum, 0
    with zipfile.ZipFile(path, "w") as out:
        assert out.fp is not None
        out.fp.write(member.FileHeader(zip64=True) + packed)
        out.filelist.append(member)
        out.start_dir, out._didModify = out.fp.tell(), True  # type: ignore[attr-defined]
    return path


@cache
def packed_zeros(size: int) -> tuple[bytes, int]:
    """So many zeros, deflated, and their checksum. A block is deflated once and stands there again and again."""
    block = bytes(1 << 24)
    assert size % len(block) == 0
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    once = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(size // len(block)):
        checksum = zlib.crc32(block, checksum)
    return once * (size // len(block)) + deflate.flush(), checksum


def flip(path: Path, target: Path, places: list[int]) -> Path:
    """A copy with a bit turned in the bytes at these places."""
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0x40
    target.write_bytes(data)
    return target
