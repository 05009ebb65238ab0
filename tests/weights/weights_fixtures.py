"""Official files, archives and bombs to take in, and a weights folder of the user's own."""

from __future__ import annotations

import io
import tarfile
import zipfile
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
    block = bytes(1 << 24)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out,
        out.open(name, "w", force_zip64=True) as file,
    ):
        for _ in range(size // len(block)):
            file.write(block)
    return path


def flip(path: Path, target: Path, places: list[int]) -> Path:
    """A copy with a bit turned in the bytes at these places."""
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0x40
    target.write_bytes(data)
    return target
