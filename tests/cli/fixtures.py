"""Clips and models that the tests of the command line share: made and loaded once."""

from __future__ import annotations

import copy
import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glot_cli import weights
from glot_cli.cli import main
from glot_cli.errors import GlotError
from glot_cli.pipeline import draw, run
from glot_cli.pipeline.models import Models, load_models
from glot_cli.pipeline.presets import Preset
from glot_cli.rendering import Renderer, client
from glot_cli.weights import store
from tests.cli import clips
from tests.cli.clips import HEIGHT, WIDTH, background, people_frames, write_clip

COUNT = 12  # frames of the clip with a person
STAGE = re.compile(r"glot: \S.* (load|try drawing|detect and track|features|lift|save|draw|convert)(, \d+ frames?)?$")


@dataclass(frozen=True)
class Ended:
    """What a command left: exit status, standard output, lines of standard error, names of the stages among them."""

    status: int
    out: str
    err: list[str]
    stages: list[str] = field(default_factory=list)


class Glot:
    """Calls the command line as the console script does, in this process; a later call forgets the earlier output."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: object) -> Ended:
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        shown = self._capture.readouterr()
        lines = shown.err.splitlines()
        stages = [line for line in lines if STAGE.match(line)]
        return Ended(int(ended.value.code or 0), shown.out, [line for line in lines if line not in stages], stages)


def assert_fault(ended: Ended, status: int, *words: object) -> None:
    """One line, which holds `words`, and nothing on standard output."""
    assert (ended.status, ended.out, len(ended.err)) == (status, "", 1), ended
    assert ended.err[0].startswith("glot: ")
    for word in words:
        assert str(word) in ended.err[0]


def leftovers(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def glot(capfd: pytest.CaptureFixture[str], load_once: None) -> Glot:
    return Glot(capfd)


class Remembering:
    """A network that is asked once about every picture: runs on the same few clips are many.

    What it says of a picture must not depend on the pictures beside it: tests of the networks hold them to that.
    """

    def __init__(self, network: Any, said: dict[bytes, Any]) -> None:
        self._network, self._said = network, said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(self, pictures: list[np.ndarray] | np.ndarray, lean: np.ndarray | None = None, **how: Any) -> Any:
        leans = [b""] * len(pictures) if lean is None else [angle.tobytes() for angle in lean]
        keys = [
            hashlib.sha256(f"{picture.shape}{how}".encode() + picture.tobytes() + angle).digest()
            for picture, angle in zip(pictures, leans, strict=True)
        ]
        new = {key: row for row, key in enumerate(keys) if key not in self._said}
        if new:
            rows = list(new.values())
            asked = pictures[rows] if isinstance(pictures, np.ndarray) else [pictures[row] for row in rows]
            said = self._network(asked, **how) if lean is None else self._network(asked, lean[rows], **how)
            self._said |= zip(new, said, strict=True)
        answers = [self._said[key] for key in keys]
        return torch.stack(answers) if isinstance(answers[0], torch.Tensor) else copy.deepcopy(answers)


@cache
def load_remembering(
    preset: Preset, device: str, detector: str | None, half: bool, refine: bool, trust_detector: bool
) -> Models:
    """The networks of a preset, loaded once and asked once about every picture."""
    models = load_models(preset, device, detector, half, refine, trust_detector)
    said = {role: answers(models.hashes[role], device, half) for role in ("detector", "features")}
    return replace(models, **{role: Remembering(getattr(models, role), said[role]) for role in said})


@cache
def answers(weights: str, device: str, half: bool) -> dict[bytes, Any]:
    """What has been said by a network with these weights, whatever else it was loaded with."""
    return {}


class KeptRenderer(Renderer):
    """One whose process goes on when a drawing is done, unless it failed: the next of its kind needs no other."""

    gone = False

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind or self.pending:
            self.close()

    def close(self) -> None:
        self.gone = True
        super().close()


class KeptRenderers:
    """Makes renderers, or gives one of the last that were used, if it is what is wanted."""

    LAST = 3

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], KeptRenderer] = {}

    def __call__(self, faces: np.ndarray, width: int, height: int, focal: float, style: str = "overlay") -> Renderer:
        key = (np.asarray(faces).tobytes(), width, height, focal, style)
        kept = self._kept.pop(key, None)
        if kept is None or kept.gone:
            kept = KeptRenderer(faces, width, height, focal, style)
        self._kept[key] = kept
        self.close(self.LAST)
        return kept

    def close(self, but: int = 0) -> None:
        """End all but the last few."""
        while len(self._kept) > but:
            self._kept.pop(next(iter(self._kept))).close()


plain_sha256 = store.sha256


@cache
def hash_of(path: Path, *_: int) -> str:
    return plain_sha256(path)


def hash_once(path: Path) -> str:
    """The SHA-256 of a file that has lain there for a while is computed once, as long as nobody writes to it."""
    stat = path.stat()
    if time.time() - stat.st_mtime < 2:  # two writes in a row may bear the same time
        return plain_sha256(path)
    return hash_of(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@pytest.fixture(scope="session")
def load_once() -> Iterator[None]:
    """Every call of the command line makes its own Runner; the networks and processes behind it may be the same."""
    renderers = KeptRenderers()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_models", load_remembering)
        patch.setattr(client, "probe_backend", cache(client.probe_backend))
        patch.setattr(draw, "Renderer", renderers)
        patch.setattr(clips, "Renderer", renderers)
        patch.setattr(store, "sha256", hash_once)
        patch.setattr(weights, "sha256", hash_once)
        yield
    renderers.close()


@pytest.fixture(scope="session")
def drawable(load_once: None) -> str:
    """The renderer of this machine; tests that need one are skipped where there is none."""
    try:
        return client.probe_backend()
    except GlotError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def person_frames(drawable: str) -> list[np.ndarray]:
    return people_frames(COUNT, [0.15])


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory, person_frames: list[np.ndarray]) -> Path:
    """A clip of one person who stands right of the middle and waves, with sound."""
    return write_clip(tmp_path_factory.mktemp("clips") / "person.mp4", person_frames, sound=True)


@pytest.fixture(scope="session")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short clip without anybody in it."""
    return write_clip(tmp_path_factory.mktemp("clips") / "nobody.mp4", [background(WIDTH, HEIGHT)] * 6)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, person: Path, load_once: None) -> Path:
    """The folder of a finished run on `person`. Tests read it and change nothing in it."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(person), "--out", str(out), "--quiet"])
    assert ended.value.code == 0
    return out / "person"
