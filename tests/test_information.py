"""`glot info` and `glot run --json`: what a record holds, told to people and to programs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glot_cli import InputError, info
from glot_cli.results import Result
from glot_cli.schema import CAMERA_FIELDS, FIELDS
from tests.cli.fixtures import Glot
from tests.exporting.made_records import made_record

GAPPY = [(1, 0, range(20)), (2, 0, [*range(5, 9), *range(14, 20)])]


def test_people_times_and_gaps(tmp_path: Path) -> None:
    made_record(GAPPY, fps="25").save(tmp_path / "params.npz")
    about = info(tmp_path)
    first, second = about["people"]
    assert (first["frames"], first["gaps"], first["first_time"], first["last_time"]) == (20, [], 0, 19 / 25)
    assert (second["first_frame"], second["last_frame"], second["frames"]) == (5, 19, 10)
    assert second["gaps"] == [{"after_frame": 8, "frames": 5, "seconds": pytest.approx(6 / 25)}]
    assert about["video"]["rows"] == 30 and about["video"]["fps"] == "25"
    assert about["camera"]["field_of_view"] == pytest.approx(np.degrees(2 * np.arctan(320 / 700)), abs=0.01)
    assert {a["name"] for a in about["arrays"]} <= {*FIELDS, *CAMERA_FIELDS}
    assert all(len(a["shape"]) == 1 + len({**FIELDS, **CAMERA_FIELDS}[a["name"]].row) for a in about["arrays"])


def test_a_pause_of_the_video_is_no_gap(tmp_path: Path) -> None:
    times = [*np.arange(10) / 30, *(5 + np.arange(10) / 30)]
    made_record([(1, 0, range(20))], times=times).save(tmp_path / "params.npz")
    (person,) = info(tmp_path)["people"]
    assert person["gaps"] == [] and person["pauses"] == 1


def test_shots_have_their_own_people(tmp_path: Path) -> None:
    record = made_record([(1, 0, range(4)), (1, 1, range(4, 9)), (3, 1, range(5, 9))])
    record.meta.shots[:] = [0, 4]
    record.save(tmp_path / "params.npz")
    shots = info(tmp_path)["shots"]
    assert [(s["first_frame"], s["last_frame"], s["people"]) for s in shots] == [(0, 3, [1]), (4, 8, [1, 3])]
    assert all(s["camera_motion"] == "static" for s in shots)


@pytest.mark.parametrize("world", [True, False])
def test_nobody_and_no_world(tmp_path: Path, glot: Glot, world: bool) -> None:
    made_record([], frames=4, world=world).save(tmp_path / "params.npz")
    about = info(tmp_path)
    assert about["people"] == [] and ("camera_motion" in about["shots"][0]) == world
    assert glot("info", tmp_path).out.splitlines()[0] == str(tmp_path)


def test_the_command_tells_one_and_all(tmp_path: Path, glot: Glot) -> None:
    made_record(GAPPY).save(tmp_path / "params.npz")
    told = glot("info", tmp_path)
    assert told.status == 0 and "1 gap: 5 frames after 8" in told.out and "global_orient_world" in told.out
    (tmp_path / "other").write_text("no record")
    both = glot("info", "--json", tmp_path / "other", tmp_path)
    assert both.status == 1 and "not a glot result" in both.err[0]
    assert json.loads(both.out) == json.loads(json.dumps(info(tmp_path)))


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        info(tmp_path / "nothing.npz")


def test_a_run_tells_programs_of_good_and_bad_videos(tmp_path: Path, glot: Glot, nobody: Path) -> None:
    done = glot("run", nobody, tmp_path / "missing.mp4", "--out", tmp_path / "o", "--no-render", "--json", "--quiet")
    good, bad = map(json.loads, done.out.splitlines())
    assert done.status == 1
    assert (good["video"], good["people"], good["error"]) == (str(nobody), 0, None)
    assert Path(good["folder"]) == tmp_path / "o" / nobody.stem
    assert bad["video"] == str(tmp_path / "missing.mp4") and "no such file" in bad["error"]
    assert bad["error"] in done.err[0]


def test_a_lens_that_zooms_is_told(tmp_path: Path, glot: Glot) -> None:
    record = made_record([(1, 0, range(5))])
    record.cameras["camera_focal_length"] = np.linspace(900, 1500, 5).astype(np.float32)
    record.save(tmp_path / "params.npz")
    assert info(tmp_path)["camera"]["focal_lengths"] == [900, 1500]
    assert "zooms from 900 to 1500 px" in glot("info", tmp_path).out


def test_ten_thousand_people_and_shots_take_no_longer_than_their_rows(tmp_path: Path) -> None:
    count = 10_000
    one = made_record([(1, 0, [0])], world=False)
    rows = one.select(np.zeros(count, int)).arrays
    number = np.arange(count, dtype=np.int32)
    rows |= {"person": number + 1, "frame": number, "shot": number, "time": number / 30}
    meta = replace(one.meta, frame_count=count, shots=number.tolist())
    Result(rows, meta).save(tmp_path / "params.npz")
    begin = time.process_time()
    about = info(tmp_path)
    assert time.process_time() - begin < 10  # one look through all rows for each takes minutes
    assert [p["first_frame"] for p in about["people"]] == number.tolist()
    assert [s["people"] for s in about["shots"]] == [[n + 1] for n in range(count)]
