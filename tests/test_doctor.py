"""`glot doctor`: what it looks at, and that it says so when something is wrong."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from glot_cli import doctor, weights
from glot_cli.cli import main
from glot_cli.errors import GlotError


def report(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """Exit status, and the lines by what they are about; the mark comes first."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    return int(ended.value.code or 0), {line[5:20].strip(): line for line in lines[:-1]} | {"verdict": lines[-1]}


@pytest.fixture(autouse=True)
def no_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOT_WEIGHTS", str(tmp_path / "own"))


def test_a_machine_that_can_draw(capsys: pytest.CaptureFixture[str], drawable: str) -> None:
    status, lines = report(capsys)
    assert status == 0 and lines["verdict"] == "--preset open can run here"
    assert {"glot", "packages", "CPU", "CUDA", "MPS", "video codecs", "OpenGL", "weights: open"} <= set(lines)
    assert lines["OpenGL"] == f"ok   OpenGL          {drawable} draws"
    assert "torch 2" in lines["packages"] and "h264" in lines["video codecs"]
    assert lines["weights: paper"].startswith("-    ") and "SMPL_NEUTRAL.pkl" in lines["weights: paper"]


def test_a_machine_that_cannot_draw(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise GlotError("no OpenGL; install libegl1")

    monkeypatch.setattr(doctor, "Renderer", none)
    status, lines = report(capsys)
    assert status == 1 and "cannot" in lines["verdict"]
    assert lines["OpenGL"].startswith("FAIL") and "install libegl1" in lines["OpenGL"]


def test_a_triangle_in_the_wrong_place_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        backend = "egl"

        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> Wrong:
            return self

        def __exit__(self, *_: object) -> None: ...
        def draw(self, image, vertices, people):
            drawn = image.copy()
            drawn[:20, :] = 200
            return drawn

    monkeypatch.setattr(doctor, "Renderer", Wrong)
    ok, says = doctor._drawing()
    assert not ok and "wrongly" in says


def test_damaged_weights(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(name: str) -> Path:
        raise GlotError(f"{name}.safetensors: has another SHA-256; install glot-cli again")

    monkeypatch.setattr(weights, "locate", damaged)
    monkeypatch.setattr(doctor, "_drawing", lambda: (True, "not tried here"))
    status, lines = report(capsys)
    assert status == 1
    assert lines["weights: open"].startswith("FAIL") and "install glot-cli again" in lines["weights: open"]


def test_what_may_be_missing_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*names: str) -> None:
        def version(name: str) -> str:
            if name in names:
                raise PackageNotFoundError(name)
            return "1.0"

        monkeypatch.setattr(doctor, "version", version)

    lacking("smplx", "matplotlib")
    well, says = doctor._packages()
    assert well and "no smplx (needed only to pose SMPL files of preset paper)" in says and "no matplotlib" in says
    lacking("trimesh")
    well, says = doctor._packages()
    assert not well and "trimesh is missing: install glot-cli again" in says


def test_a_package_that_does_not_import(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "glot_cli.doctor", None)
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 1
    assert "FAIL packages" in capsys.readouterr().out
