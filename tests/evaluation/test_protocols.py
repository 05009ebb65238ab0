"""Errors on data sets against the released evaluation's rules, followed here window by window."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from glot_cli.body.joints import H36M_TO_COMMON
from glot_cli.body.rotations import axis_angle_to_rotmat, pose6d_to_rotmat
from glot_cli.cli import main
from glot_cli.datasets.dataset import Dataset
from glot_cli.errors import OutputError, UsageError
from glot_cli.evaluation import plots, protocols
from glot_cli.evaluation.plots import plot
from glot_cli.evaluation.protocols import MPII3D, action_of, evaluate_dataset, joints_of
from glot_cli.models.fold import FoldedGLoT
from glot_cli.models.glot import GLoT, initialise
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.weights.bodies import load_body
from tests.datasets import official_data
from tests.parity import standins

SIZES = {"feature_dim": 32, "global_dim": 32, "decoder_dim": 32, "local_dim": 32, "regressor_dim": 32, "heads": 4}
NAMES = ("3dpw-test", "mpii3d-val-scale12", "h36m-test-25fps", "3dpw-train")


def tell(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert ended.value.code == 0


@pytest.fixture(scope="module", autouse=True)
def there(tmp_path_factory, added):
    with official_data.taken_in(tmp_path_factory.mktemp("own"), added, NAMES, frames=40):
        yield


@pytest.fixture(scope="module")
def model() -> GLoT:
    torch.manual_seed(0)
    model = GLoT(GLoTConfig(**SIZES))
    initialise(model, torch.from_numpy(standins.mean_state()))
    for layer in (model.global_motion.regressor.decpose, *model.local_correction.regressor.joints):
        torch.nn.init.normal_(layer.weight, std=0.02)  # so that frames differ
    return model.eval()


@torch.no_grad()
def by_hand(model: GLoT, arrays: dict[str, np.ndarray], reverse: bool) -> dict[str, np.ndarray]:
    """3DPW's test by the released rules: valid frames alone, ends of windows repeated, joints centred, the mesh not."""
    body = load_body("smpl-neutral")
    regressor = torch.from_numpy(standins.joints_h36m()).float()
    rows: dict[str, list[np.ndarray]] = {"mpjpe": [], "pa_mpjpe": [], "acceleration_error": [], "mpvpe": []}
    for video in dict.fromkeys(arrays["vid_name"]):
        pick = (arrays["vid_name"] == video) & arrays["valid"].astype(bool)
        features = torch.from_numpy(arrays["features"][pick])
        count = len(features)
        order = list(range(count))
        if reverse:
            order[-7:] = order[-7:][::-1]
        joints, surface = [], []
        truth = body(
            axis_angle_to_rotmat(torch.from_numpy(arrays["pose"][pick]).view(-1, 24, 3)),
            torch.from_numpy(arrays["shape"][pick]),
        ).vertices.numpy()
        for frame in order:
            window = np.clip(np.arange(frame - 8, frame + 8), 0, count - 1)
            state = model(features[window][None]).final
            posed = body(pose6d_to_rotmat(state.pose6d[0].view(1, 24, 6)), state.shape[0]).vertices
            joints.append((regressor @ posed[0]).numpy()[list(H36M_TO_COMMON)])
            surface.append(posed[0].numpy())
        mine, true = np.stack(joints), arrays["joints3D"][pick].astype(float)
        mine, true = (x - (x[:, 2:3] + x[:, 3:4]) / 2 for x in (mine, true))
        rows["mpjpe"].append(np.linalg.norm(mine - true, axis=-1).mean(-1))
        aligned = []
        for a, b in zip(mine, true, strict=True):  # Kabsch with scale, by SciPy
            ca, cb = a - a.mean(0), b - b.mean(0)
            turn, _ = Rotation.align_vectors(cb, ca)
            turned = turn.apply(ca)
            scale = (turned * cb).sum() / (ca**2).sum()
            aligned.append(np.linalg.norm(scale * turned - cb, axis=-1).mean())
        rows["pa_mpjpe"].append(np.array(aligned))
        second = np.diff(mine, 2, axis=0) - np.diff(true, 2, axis=0)
        rows["acceleration_error"].append(np.linalg.norm(second, axis=-1).mean(-1))
        rows["mpvpe"].append(np.linalg.norm(np.stack(surface) - truth, axis=-1).mean(-1))
    return {name: np.concatenate(values) for name, values in rows.items()}


def test_published_rules_equal_the_released_evaluation(model):
    arrays = official_data.arrays_of("3dpw-test", frames=40)
    found = evaluate_dataset(FoldedGLoT(model), Dataset.open("3dpw-test"), load_body("smpl-neutral"), rules="published")
    expected = by_hand(model, arrays, reverse=True)
    straight = by_hand(model, arrays, reverse=False)
    for name, values in expected.items():
        assert getattr(found.overall, name) == pytest.approx(1000 * values.mean(), rel=1e-4), name
        assert not np.allclose(values, straight[name], rtol=1e-3), name  # the reversal is felt
    assert found.overall.frames == arrays["valid"].sum()
    assert [row.name for row in found.by_action] == ["courtyard"] and len(found.by_sequence) == 3
    assert "reverse" in found.protocol["windows"]


def test_corrected_rules_do_not_reach_across_gaps(model):
    """Frames of a stretch without gaps get what they would get alone."""
    dataset = Dataset.open("3dpw-test")
    found = evaluate_dataset(FoldedGLoT(model), dataset, load_body("smpl-neutral"))
    gaps = 0
    for number, sequence in enumerate(found.sequences):
        rows = sequence.rows
        assert np.array_equal(rows, np.flatnonzero(dataset.valid & (dataset.video == number)))
        stretches = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        gaps += len(stretches) - 1
        assert len(sequence.errors["acceleration"]) == sum(max(len(s) - 2, 0) for s in stretches)
    assert gaps > 0
    published = evaluate_dataset(FoldedGLoT(model), dataset, load_body("smpl-neutral"), rules="published")
    assert found.overall.mpvpe != pytest.approx(published.overall.mpvpe)  # pelvis on pelvis here


def test_mpii3d_counts_its_own_frames_and_joints(model):
    dataset = Dataset.open("mpii3d-val-scale12")
    assert joints_of(dataset) is MPII3D and len(MPII3D.columns) == 17
    found = evaluate_dataset(FoldedGLoT(model), dataset, load_body("smpl-neutral"), rules="published")
    assert found.overall.frames == dataset.scored.sum() < len(dataset)
    assert np.isnan(found.overall.mpvpe) and 0 <= found.overall.auc <= found.overall.pck <= 100


@pytest.mark.parametrize(
    ("video", "action"),
    [
        ("./data/h36m/images/s_09_act_13_subact_01_ca_01_9", "Waiting"),
        ("s_11_act_02_subact_02_ca_03", "Directions"),
        ("downtown_walkBridge_01_1", "downtown_walkBridge"),
        ("courtyard_00_0", "courtyard"),
        ("walk", "walk"),
    ],
)
def test_actions(video, action):
    assert action_of(video) == action


@pytest.mark.filterwarnings("error")  # as of text that leaves no room for the curves
def test_plot_shows_curves_and_the_worst_frames(model, tmp_path):
    import cv2

    dataset = Dataset.open("h36m-test-25fps")
    found = evaluate_dataset(FoldedGLoT(model), dataset, load_body("smpl-neutral"))
    plot(found, dataset, tmp_path / "plain.png")
    for name in dataset.image:
        path = tmp_path / name.decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((1000, 1000, 3), 200, np.uint8))
    plot(found, dataset, tmp_path / "pictures.png", images=tmp_path)
    plain, pictures = (cv2.imread(str(tmp_path / f"{n}.png")) for n in ("plain", "pictures"))
    assert plain.shape[0] < pictures.shape[0] and plain.std() > 5


def test_a_plot_replaces_nothing_and_is_refused_before_anything_is_evaluated(tmp_path):
    (tmp_path / "mine.png").write_bytes(b"mine")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    for name in ("mine.png", "link.png"):
        with pytest.raises(OutputError, match=f"{name}: is there already; choose another name, or remove it"):
            plots.require(tmp_path / name)
    with pytest.raises(OutputError, match="none: no such folder"):
        plots.require(tmp_path / "none" / "x.png")
    for name in ("x", "x.doc"):
        with pytest.raises(UsageError, match=r"ends in \.png, \.svg or \.pdf"):
            plots.require(tmp_path / name)
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


def test_a_plot_without_matplotlib_is_refused_before_anything_is_evaluated(monkeypatch, capsys, tmp_path):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"plots need matplotlib; pip install 'glot-cli\[eval\]'"):
        plots.require(tmp_path / "x.png")
    monkeypatch.setattr(protocols, "evaluate_dataset", lambda *_, **__: pytest.fail("evaluated"))
    with pytest.raises(SystemExit) as ended:
        main(["eval", "--dataset", "3dpw-test", "--plot", str(tmp_path / "x.png")])
    assert ended.value.code == 2 and "glot-cli[eval]" in capsys.readouterr().err


def test_command_prints_table_and_protocol(model, capsys, tmp_path):
    from glot_cli.weights import save_glot

    path: Path = tmp_path / "w.safetensors"
    save_glot(model.state_dict(), model.config, path)
    tell("eval", "--dataset", "3dpw-test", "--glot", str(path), "--protocol", "published")
    printed = capsys.readouterr().out
    assert "PA-MPJPE mm" in printed and "courtyard_00_0" in printed and "rules: published" in printed
    for arguments in ([], ["x.npz"], ["--dataset", "nothing-there"], ["x.npz", "--dataset", "y"]):
        with pytest.raises(SystemExit) as ended:
            main(["eval", *arguments])
        assert ended.value.code == 2
