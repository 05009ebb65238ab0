"""The files of others that glot can use: what they are called, where they are to be had, under which licence.

None of them may be passed on with glot. Nothing here is read or loaded; `recognise` does that.
"""

from __future__ import annotations

from dataclasses import dataclass

_SMPL_LICENCE = "SMPL model licence of the Max Planck Society: non-commercial scientific research, not to be passed on"
_SPIN_DATA = "SPIN's data.tar.gz (its repository nkolot/SPIN, script fetch_data.sh), or GLoT's and VIBE's base data"
_SPIN_LICENCE = "as SPIN (BSD 3-clause, University of Pennsylvania and Max Planck Society); made from the SMPL model"


@dataclass(frozen=True)
class OfficialFile:
    """One file that a user brings.

    Attributes:
        name: what glot calls it.
        role: what it is, in words.
        originals: names it is known by, the usual one first.
        where: how to come by it.
        register: whether that needs an account.
        licence: under which it may be used.
    """

    name: str
    role: str
    originals: tuple[str, ...]
    where: str
    register: bool
    licence: str


def _smpl(gender: str, where: str, letter: str) -> OfficialFile:
    upper = f"SMPL_{gender.upper()}"
    originals = (f"{upper}.pkl", f"{upper}.npz", f"basicModel_{letter}_lbs_10_207_0_v1.0.0.pkl",
                 f"basicmodel_{letter}_lbs_10_207_0_v1.1.0.pkl")  # fmt: skip
    return OfficialFile(f"smpl-{gender}", f"{gender} SMPL body", originals, where, True, _SMPL_LICENCE)


_GENDERED = "SMPL project page (smpl.is.tue.mpg.de), Download, version 1.0.0 or 1.1.0 for Python"
_NEUTRAL = (
    "SMPL project page (smpl.is.tue.mpg.de), Download, version 1.1.0 for Python; or SMPLify project page "
    "(smplify.is.tue.mpg.de), Download, code and model (version 1.0.0)"
)

OFFICIAL_WEIGHTS = {
    file.name: file
    for file in (
        _smpl("neutral", _NEUTRAL, "neutral"),
        _smpl("male", _GENDERED, "m"),
        _smpl("female", _GENDERED, "f"),
        OfficialFile(
            "spin", "SPIN network (features)", ("spin_model_checkpoint.pth.tar", "model_checkpoint.pt"),
            "GLoT's repository (sxl142/GLoT), README, base_data; or SPIN's (nkolot/SPIN), script fetch_data.sh",
            False, "as SPIN (BSD 3-clause); trained from the SMPL model and data sets for research",
        ),
        OfficialFile(
            "glot", "official GLoT network",
            ("table1_3dpw_weights.pth.tar", "model_best.pth.tar"),
            "GLoT's repository (sxl142/GLoT), README, models", False,
            "MIT, says its README; trained from the SMPL model and data sets for research",
        ),
        OfficialFile("mean-params", "mean body parameters", ("smpl_mean_params.npz",),
                     _SPIN_DATA, False, _SPIN_LICENCE),
        OfficialFile("joints-extra", "regressor of SPIN's nine extra joints", ("J_regressor_extra.npy",),
                     _SPIN_DATA, False, _SPIN_LICENCE),
        OfficialFile("joints-h36m", "regressor of the Human3.6M joints", ("J_regressor_h36m.npy",),
                     _SPIN_DATA, False, _SPIN_LICENCE),
    )
}  # fmt: skip
