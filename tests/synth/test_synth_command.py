"""`glot synth`: what it makes, and what it says of wrong usage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glot_cli import load_result
from glot_cli.cli.main import main
from glot_cli.motion.sampling import Augmentation
from glot_cli.synth import rendered_crops
from glot_cli.synth.studio import Habits


def call(capfd, *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `glot`."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    shown = capfd.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


def test_the_command_makes_what_eval_takes(drawing, motions: Path, tmp_path: Path, capfd) -> None:
    clips, results = tmp_path / "clips", tmp_path / "results"
    size = ["--size", "128x96", "--fps", "30000/1001", "--seconds", 0.2]
    options = ["--clips", 2, "--seed", 7, "--threads", 1, "--people", 1, "--phone", 1, "--tight"]
    options += ["--camera", "static", "--camera", "travel"]
    status, out, _ = call(capfd, "synth", "clips", "--motions", motions, "--out", clips, *size, *options)
    assert status == 0 and [line.split(":")[0] for line in out.splitlines()] == [
        str(clips / f"clip_7_00{number}.mp4") for number in (0, 1)
    ]
    for number in (0, 1):
        truth = load_result(clips / f"clip_7_00{number}.npz")
        assert truth.meta.fps == "30000/1001" and truth.people == [1]
        (results / f"clip_7_00{number}").mkdir(parents=True)
        truth.save(results / f"clip_7_00{number}" / "params.npz")
    status, out, err = call(capfd, "eval", results, "--against", clips)
    assert status == 0, err
    assert "clip_7_000.mp4/1" in out and "clip_7_001.mp4/1" in out


def test_the_command_makes_what_training_takes(drawing, motions: Path, tmp_path: Path, capfd, monkeypatch) -> None:
    monkeypatch.setattr(rendered_crops, "CLIPS_PER_FILE", 1)
    monkeypatch.setattr(rendered_crops, "AUGMENTATION", Augmentation())
    monkeypatch.setattr(rendered_crops, "Habits", lambda: Habits(company=0.0, obstacle=0.0, truncated=0.0))
    crops, again = tmp_path / "crops", tmp_path / "again"
    options = ["--clips", 1, "--frames", 6, "--sheet", "--threads", 1, "--quiet"]
    status, out, err = call(capfd, "synth", "crops", "--motions", motions, "--out", crops, *options)
    assert status == 0, err
    assert out == f"{crops}: 1 file of crops\n"
    assert sorted(p.name for p in crops.iterdir()) == ["crops_0_00000.npz", "pictures"]
    drawn = crops / "pictures"
    assert sorted(p.name for p in drawn.iterdir()) == ["pictures_0_00000.npz", "pictures_0_00000.png"]
    # Looking again needs no motions, and draws nothing.
    status, out, err = call(capfd, "synth", "crops", "--pictures", drawn, "--out", again, "--threads", 1, "--quiet")
    assert status == 0 and out == f"{again}: 1 file of crops\n", err
    assert [p.name for p in again.iterdir()] == ["crops_0_00000.npz"] and len(list(drawn.iterdir())) == 2
    with np.load(crops / "crops_0_00000.npz") as first, np.load(again / "crops_0_00000.npz") as second:
        assert all(np.array_equal(first[name], second[name]) for name in first.files)


def test_crops_of_nothing_are_refused(tmp_path: Path, capfd) -> None:
    status, _, err = call(capfd, "synth", "crops", "--out", tmp_path / "out")
    assert status == 2 and "nothing to look at: give --motions to draw pictures, or --pictures" in err
    status, _, err = call(capfd, "synth", "crops", "--out", tmp_path / "out", "--pictures", tmp_path)
    assert status == 1 and f"{tmp_path}: no drawn pictures there" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clips", "--size", "641x480"), "641x480: both must be even"),
        (("clips", "--size", "large"), "'large' is not a size"),
        (("clips", "--fps", "often"), "'often' is not a number"),
        (("clips", "--seconds", "0.01"), "seconds: 0.01 at 30 frames a second: less than two frames"),
        (("clips", "--people", "2", "--takes", "walk"), "takes: 1 takes for 2 people"),
        (("clips", "--pan", "90"), "-60<=x<=60"),
        (("clips", "--camera", "drone"), "'drone' is not one of"),
        (("clips", "--camera", "static", "--pan", "9"), "pan: 9 degrees for cameras that do not pan (static)"),
    ],
)
def test_wrong_usage_is_one_line(motions: Path, tmp_path: Path, capfd, arguments: tuple[str, ...], words: str) -> None:
    name, *rest = arguments
    status, _, err = call(capfd, "synth", name, "--motions", motions, "--out", tmp_path / "out", *rest)
    assert status == 2 and words in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["clips", "crops"])
def test_files_that_are_not_there_are_named(drawing, tmp_path: Path, capfd, name: str) -> None:
    status, _, err = call(capfd, "synth", name, "--motions", tmp_path / "none.npz", "--out", tmp_path / "out")
    assert status == 1 and "none.npz: cannot be read" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
