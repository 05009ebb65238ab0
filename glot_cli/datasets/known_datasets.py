"""The data sets that GLoT is trained and evaluated on: which official file each is made of, and where that is.

None of them may be passed on with glot. Nothing here is read; `add_dataset` does that.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OfficialData:
    """One data set that a user brings.

    Attributes:
        name: what glot calls it.
        file: the name of the file that it is made of.
        what: whose people it shows, and what it is for.
        where: how to come by it.
    """

    name: str
    file: str
    what: str
    where: str


_TCMR = "GLoT's repository (sxl142/GLoT), README, data preparation: the folder of data that TCMR provides"
_INSTA = "GLoT's repository (sxl142/GLoT), README, data preparation: the file that VIBE's authors uploaded"
_VIBE = "made by VIBE's repository (mkocabas/VIBE), lib/data_utils/penn_action_utils.py"

OFFICIAL_DATA = {
    data.name: data
    for data in (
        OfficialData("3dpw-train", "3dpw_train_db.pt", "3DPW, training", _TCMR),
        OfficialData("3dpw-train-occ", "3dpw_train_occ_db.pt", "3DPW, training, with things pasted over", _TCMR),
        OfficialData("3dpw-val", "3dpw_val_db.pt", "3DPW, validation", _TCMR),
        OfficialData("3dpw-test", "3dpw_test_db.pt", "3DPW, test", _TCMR),
        OfficialData("mpii3d-train-scale12", "mpii3d_train_scale12_db.pt", "MPI-INF-3DHP, training", _TCMR),
        OfficialData("mpii3d-train-scale12-occ", "mpii3d_train_scale12_occ_db.pt",
                     "MPI-INF-3DHP, training, with things pasted over", _TCMR),
        OfficialData("mpii3d-val-scale12", "mpii3d_val_scale12_db.pt", "MPI-INF-3DHP, test", _TCMR),
        OfficialData("h36m-train-25fps", "h36m_train_25fps_db.pt", "Human3.6M, training", _TCMR),
        OfficialData("h36m-train-25fps-occ", "h36m_train_25fps_occ_db.pt",
                     "Human3.6M, training, with things pasted over", _TCMR),
        OfficialData("h36m-test-25fps", "h36m_test_25fps_db.pt", "Human3.6M, test", _TCMR),
        OfficialData("insta-train", "insta_train_db.h5", "InstaVariety, 2-D only", _INSTA),
        OfficialData("posetrack-train", "posetrack_train_db.pt", "PoseTrack, 2-D only", _TCMR),
        OfficialData("pennaction-train", "pennaction_train_db.pt", "PennAction, 2-D only", _VIBE),
    )
}  # fmt: skip
