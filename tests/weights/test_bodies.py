"""Bodies by name and by file: how many shape components they keep, and files that nobody has looked at yet."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from glot_cli import weights
from glot_cli.errors import GlotError, WeightsError
from glot_cli.smpl import SMPL_VERTICES
from glot_cli.weights.add_weights import add_weights
from glot_cli.weights.bodies import load_body, recorded_body
from tests.parity import official_files, standins
from tests.parity.official_files import EXTRA, NEUTRAL, Exploit
from tests.weights.weights_fixtures import bomb

pytestmark = pytest.mark.usefixtures("weights_folder")


def test_300_shape_components(tmp_path: Path) -> None:
    path = official_files.write_smpl(tmp_path / "basicmodel_f_lbs_10_207_0_v1.1.0.pkl", protocol=4, components=300)
    (added,) = add_weights(path)
    assert added.entry.name == "smpl-female" and "300 shape components" in added.remark
    assert load_body("smpl-female").num_betas == 10
    assert load_body("smpl-female", num_betas=300).num_betas == 300
    with pytest.raises(GlotError, match="300 shape components, 301 are needed"):
        load_body("smpl-female", num_betas=301)


def test_smpl_as_npz_and_without_chumpy(tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_MALE.npz", **standins.smpl())
    assert [added.entry.name for added in add_weights(tmp_path / "SMPL_MALE.npz")] == ["smpl-male"]
    np.testing.assert_allclose(load_body("smpl-male").template_planes.T, standins.smpl()["v_template"], rtol=1e-6)


def test_a_body_file_of_the_users_own_is_read_without_trust(official: dict[str, Path], tmp_path: Path) -> None:
    """SMPL's pickle, an npz of any size; attacks, bombs and other things are refused in one line."""
    np.testing.assert_allclose(
        load_body(str(official[NEUTRAL])).template_planes.T, standins.smpl()["v_template"], rtol=1e-6
    )
    assert load_body(str(weights.shipped_folder() / "open_body.npz")).num_vertices != SMPL_VERTICES
    (tmp_path / "attack.pkl").write_bytes(pickle.dumps({"v_template": Exploit(os.system, "echo fired")}))
    np.savez(tmp_path / "objects.npz", v_template=np.array([None, 1], object))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    bomb(tmp_path / "bomb.npz", "v_template.npy", (2 << 30) + (1 << 24))
    for name, words in (("attack.pkl", "system"), ("objects.npz", "objects"), ("other.npz", "lacks v_template"),
                        ("bomb.npz", "unpacks to")):  # fmt: skip
        with pytest.raises(GlotError, match=rf"{name}: .*{words}"):
            load_body(str(tmp_path / name))


def test_smpl_gets_the_extra_joints_once_they_are_there(official: dict[str, Path]) -> None:
    list(add_weights(official[NEUTRAL]))
    assert load_body("smpl-neutral").extra_regressor is None
    list(add_weights(official[EXTRA]))
    np.testing.assert_array_equal(load_body("smpl-neutral").extra_regressor, standins.joints_extra())


def test_the_body_of_a_record(official: dict[str, Path], tmp_path: Path) -> None:
    """By name or where its file is now; another version of it, or none, is no such body."""
    digest = weights.sha256(official[NEUTRAL])
    record = tmp_path / "params.npz"
    assert recorded_body("gone.pkl", digest, moved=official[NEUTRAL], record=record).num_vertices == SMPL_VERTICES
    with pytest.raises(WeightsError, match=r"params\.npz: needs the body 'gone\.pkl', which is not there"):
        recorded_body("gone.pkl", digest, record=record)
    with pytest.raises(WeightsError, match=r"params\.npz: was made with another version of the body 'open-body'"):
        recorded_body("open-body", digest, record=record)
    with pytest.raises(WeightsError, match=r"has no neutral SMPL body .*; 'glot weights list' says where to get it"):
        recorded_body("smpl-neutral", digest, record=record)
