"""Layouts of joints: every place of theirs is the joint of SPIN's with that name."""

from __future__ import annotations

import numpy as np
import pytest

from glot_cli.body.joints import SPIN_JOINTS
from glot_cli.datasets.layouts import BY_COUNT, LAYOUTS, to_spin

# As the data sets' own scripts call the joints; None: SPIN's name follows from it by the rule below.
NAMED = {
    "pennaction": "headtop lshoulder rshoulder lelbow relbow lwrist rwrist lhip rhip lknee rknee lankle rankle",
    "common": "rankle rknee rhip lhip lknee lankle rwrist relbow rshoulder lshoulder lelbow lwrist neck headtop",
    "mpii3d_test": "headtop neck rshoulder relbow rwrist lshoulder lelbow lwrist rhip rknee rankle lhip lknee lankle "
    "hip spine head",
    "insta": "OPrheel OPrknee OPrhip OPlhip OPlknee OPlheel OPrwrist OPrelbow OPrshoulder OPlshoulder OPlelbow "
    "OPlwrist OPneck headtop OPnose OPleye OPreye OPlear OPrear OPlbigtoe OPrbigtoe OPlsmalltoe OPrsmalltoe OPlankle "
    "OPrankle",
}
ODD = {"headtop": "head_top_lsp", "neck": "neck_lsp", "hip": "pelvis_mpii", "spine": "spine_h36m", "head": "head_h36m"}


def spin_name(name: str) -> str:
    if name in ODD:
        return ODD[name]
    prefix = "op_" if name.startswith("OP") else ""
    part = name.removeprefix("OP")
    if part in ("nose", "neck"):
        return prefix + part
    side = {"l": "left", "r": "right"}[part[0]]
    return f"{prefix}{side}_{part[1:].replace('bigtoe', 'big_toe').replace('smalltoe', 'small_toe')}"


def from_spin(joints: np.ndarray, layout: str) -> np.ndarray:
    """(N,49,C) joints of SPIN as the (N,K,C) of a layout: the way back."""
    return joints[:, [SPIN_JOINTS.index(name) for name in LAYOUTS[layout]]]


@pytest.mark.parametrize("layout", NAMED)
def test_joints_go_where_their_names_say(layout: str) -> None:
    names = [spin_name(name) for name in NAMED[layout].split()]
    joints = np.random.default_rng(0).standard_normal((5, len(names), 3))
    spin = to_spin(joints, layout)
    assert spin.shape == (5, 49, 3) and spin.dtype == joints.dtype
    for i, name in enumerate(names):
        np.testing.assert_array_equal(spin[:, SPIN_JOINTS.index(name)], joints[:, i])
    others = [i for i, name in enumerate(SPIN_JOINTS) if name not in names]
    assert not spin[:, others].any()
    np.testing.assert_array_equal(from_spin(spin, layout), joints)


def test_layouts_are_told_apart_by_their_number_of_joints() -> None:
    assert BY_COUNT == {13: "pennaction", 14: "common", 17: "mpii3d_test", 25: "insta", 49: "spin"}
    assert all(len(set(joints)) == len(joints) for joints in LAYOUTS.values())


def test_common_joints_are_25_to_38_and_spin_is_itself() -> None:
    joints = np.arange(49.0)[None, :, None]
    assert from_spin(joints, "common").ravel().tolist() == list(range(25, 39))
    np.testing.assert_array_equal(to_spin(joints, "spin"), joints)
