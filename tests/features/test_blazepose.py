import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from glot_cli.body.landmarks import LANDMARK_NAMES
from glot_cli.errors import GlotError
from glot_cli.features import blazepose
from glot_cli.features.blazepose import BlazePoseFeatures, pack, turn_pictures
from glot_cli.features.blazepose_net import BlazePose, BlazePoseOutput
from glot_cli.features.crops import extract_crops
from glot_cli.features.heatmaps import lay_on_heatmaps
from glot_cli.features.landmark_vector import (
    SWAP,
    Landmarks,
    join,
    merge_features,
    mirror_features,
    tilt,
    turn_features,
    unpack,
)
from glot_cli.video import read_frames
from tests.features.pictures import draw_pictures

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "weights" / "blazepose_full.safetensors"
PERSON = np.array([[656, 346, 445]])  # crop of somebody in examples/clip.mp4, 3 seconds in: centre and side, pixels
REFERENCE = Path(__file__).parent / "data" / "blazepose_reference.npz"  # made with TFLite by the recipe


@pytest.fixture(scope="module")
def network() -> BlazePose:
    return BlazePose.load(WEIGHTS)


def assert_same(output, reference, rows=slice(None)):
    """The bounds that matter: 0.05 px and 1 mm."""
    landmarks = output.landmarks.numpy()[rows]
    expected = reference["landmarks"][rows, :33]
    assert np.abs(landmarks[..., :3] - expected[..., :3]).max() < 0.05  # pixels
    assert np.abs(landmarks[..., 3:] - expected[..., 3:]).max() < 0.02  # logits
    assert np.abs(output.world.numpy()[rows] - reference["world"][rows, :33]).max() < 1e-3  # metres
    assert np.abs(output.presence.numpy()[rows] - reference["presence"][rows]).max() < 1e-3
    step = 64 // reference["heatmaps"].shape[-1]  # the reference may hold every so many cells alone
    heatmaps = output.heatmaps.numpy()[rows][..., ::step, ::step]
    assert np.abs(heatmaps - reference["heatmaps"][rows, :33]).max() < 0.02  # logits


def test_answers_equal_tflite(network):
    reference = np.load(REFERENCE)
    with torch.inference_mode():
        output = network(torch.from_numpy(draw_pictures()).permute(0, 3, 1, 2))
    assert_same(output, reference)
    # the pictures exercise the network: persons are seen as such, the texture is not
    assert (output.presence[:3] > 0.5).all() and output.presence[3] < 0.1


def test_answers_do_not_depend_on_the_batch(network):
    images = torch.from_numpy(draw_pictures()).permute(0, 3, 1, 2)
    with torch.inference_mode():
        together, alone = network(images), network(images[1:2])
    torch.testing.assert_close(together.landmarks[1:2], alone.landmarks, atol=0.01, rtol=0)
    torch.testing.assert_close(together.world[1:2], alone.world, atol=1e-4, rtol=0)


def test_heatmaps_and_coordinates_agree(network):
    """On the whole; one by one the heatmap is right. Cells counted from their middles would lie 2 pixels off."""
    frame = next(iter(read_frames(ROOT / "examples" / "clip.mp4", 3.0))).image
    crop = torch.from_numpy(extract_crops(frame, PERSON)).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        output = network(torch.cat([crop, crop.flip(3)]))
    points = output.landmarks[..., :2]
    laid, certainty = lay_on_heatmaps(points / 4, output.heatmaps)
    assert (certainty > 0.6).all()
    assert (4 * laid - points).mean((0, 1)).abs().max() < 1.0


def test_drawn_person_is_found_where_it_was_drawn(network):
    with torch.inference_mode():
        points = network(torch.from_numpy(draw_pictures()[:1]).permute(0, 3, 1, 2)).landmarks[0, :, :2]
    # without a face the figure is seen from behind, so left is left in the picture
    drawn = {
        "nose": (128, 42),
        "left_ankle": (110, 236),
        "right_ankle": (146, 236),
        "left_knee": (112, 186),
        "right_knee": (144, 186),
        "left_elbow": (84, 112),
        "right_elbow": (172, 112),
        "left_wrist": (78, 150),
        "right_wrist": (178, 150),
    }
    for name, place in drawn.items():
        assert np.hypot(*(points[LANDMARK_NAMES.index(name)].numpy() - place)) < 20, name


def test_live_tflite_on_video_frames(network):
    """Against the interpreter itself on frames with people (its file is GLOT_BLAZEPOSE_TFLITE)."""
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    model = os.environ.get("GLOT_BLAZEPOSE_TFLITE", "")
    clip = Path(os.environ.get("GLOT_BLAZEPOSE_CLIP", ROOT / "examples" / "clip.mp4"))
    if not Path(model).is_file():
        pytest.skip("needs pose_landmark_full.tflite in GLOT_BLAZEPOSE_TFLITE")
    import av
    import cv2

    frames = [f.to_ndarray(format="rgb24") for i, f in enumerate(av.open(str(clip)).decode(video=0)) if i % 20 == 0]
    side = min(frames[0].shape[:2])
    left = (frames[0].shape[1] - side) // 2
    images = (
        np.stack(
            [cv2.resize(f[:side, left : left + side], (256, 256), interpolation=cv2.INTER_AREA) for f in frames]
        ).astype(np.float32)
        / 255
    )
    interpreter = interpreter_module.Interpreter(model_path=model)
    interpreter.allocate_tensors()
    answers = {"Identity": [], "Identity_4": [], "Identity_1": [], "Identity_3": []}
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            if detail["name"] in answers:
                answers[detail["name"]].append(interpreter.get_tensor(detail["index"]).copy())
    reference = {
        "landmarks": np.stack(answers["Identity"]).reshape(-1, 39, 5),
        "world": np.stack(answers["Identity_4"]).reshape(-1, 39, 3),
        "presence": np.stack(answers["Identity_1"]).reshape(-1),
        "heatmaps": np.concatenate(answers["Identity_3"]).transpose(0, 3, 1, 2),
    }
    with torch.inference_mode():
        output = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    people = reference["presence"] > 0.5
    assert people.any()
    assert_same(output, reference, people)


def test_pack_and_unpack_are_inverse_and_named_right():
    random = np.random.default_rng(0)
    landmarks = torch.from_numpy(random.uniform(20, 236, (7, 33, 5)).astype(np.float32))
    landmarks[..., 3:] = torch.from_numpy(random.normal(0, 2, (7, 33, 2)).astype(np.float32))
    world = torch.from_numpy(random.normal(0, 0.5, (7, 33, 3)).astype(np.float32))
    heatmaps = torch.full((7, 33, 64, 64), -20.0)  # which show nothing, but for one landmark
    landmarks[3, 5, :2] = torch.tensor([90.0, 41.0])
    heatmaps[3, 5, 11, 24] = 3.0
    feature = pack(BlazePoseOutput(landmarks, world, torch.ones(7), heatmaps))
    assert feature.shape == (7, 264)
    parts = unpack(feature)
    expected = landmarks[..., :2].clone()
    expected[3, 5] = torch.tensor([24.0, 11.0]) * 4
    np.testing.assert_allclose(parts.landmarks2d, expected.numpy() / 128 - 1, atol=1e-6)
    np.testing.assert_allclose(parts.z, landmarks[..., 2].numpy() / 128, atol=1e-6)
    np.testing.assert_allclose(parts.visibility, 1 / (1 + np.exp(-landmarks[..., 3].numpy())), atol=1e-6)
    certain = np.zeros((7, 33))
    certain[3, 5] = 1 / (1 + np.exp(-min(3.0, float(landmarks[3, 5, 4]))))
    np.testing.assert_allclose(parts.presence, certain, atol=1e-6)
    assert torch.equal(parts.world, world)
    assert torch.equal(join(Landmarks(*parts)), feature)
    assert torch.equal(feature[..., 165:], world.flatten(-2))


def test_swap_exchanges_left_and_right():
    assert len(LANDMARK_NAMES) == 33 == len(set(LANDMARK_NAMES))
    assert [SWAP[SWAP[i]] for i in range(33)] == list(range(33))
    assert SWAP[0] == 0 and sum(SWAP[i] == i for i in range(33)) == 1  # the nose alone stays
    assert LANDMARK_NAMES[SWAP[LANDMARK_NAMES.index("left_foot_index")]] == "right_foot_index"
    assert LANDMARK_NAMES[SWAP[LANDMARK_NAMES.index("mouth_right")]] == "mouth_left"


def test_features_equal_network_and_keep_order():
    pictures = (draw_pictures() * 255).round().astype(np.uint8)
    extractor = BlazePoseFeatures(WEIGHTS, both_sides=False)
    many = np.concatenate([pictures, pictures[::-1], pictures[:3]])  # not a multiple of the batch inside
    features = extractor(many)
    assert features.shape == (11, extractor.feature_dim) and features.dtype == torch.float32
    torch.testing.assert_close(features[:4], features[4:8].flip(0), atol=1e-4, rtol=0)
    with torch.inference_mode():
        output = extractor.network(torch.from_numpy(pictures[:1]).permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(features[:1], pack(output), atol=1e-4, rtol=0)
    assert extractor(many[:0]).shape == (0, 264)


def test_a_crop_in_a_mirror_gives_mirrored_features():
    """Looking from both sides treats left and right alike, and lies between the two looks."""
    pictures = (draw_pictures() * 255).round().astype(np.uint8)
    mirrored = np.ascontiguousarray(pictures[:, :, ::-1])
    extractor, plain = BlazePoseFeatures(WEIGHTS), BlazePoseFeatures(WEIGHTS, both_sides=False)
    both = extractor(pictures)
    torch.testing.assert_close(extractor(mirrored), mirror_features(both), atol=1e-4, rtol=0)
    looks = torch.stack([plain(pictures), mirror_features(plain(mirrored))])
    assert (looks[0] - looks[1]).abs().max() > 0.01  # the network alone does not
    assert (both >= looks.amin(0) - 1e-4).all() and (both <= looks.amax(0) + 1e-4).all()


def test_points_come_back_from_a_turned_picture():
    """A dot is looked for in the turned picture; its place there, turned back, is where it was."""
    angle = torch.tensor([0.4, -1.2, 2.9])
    places = torch.tensor([[90.0, 60.0], [200.0, 120.0], [128.0, 190.0]])  # pixels, of pixel centres
    pictures = torch.zeros(3, 3, 256, 256)
    for picture, (x, y) in zip(pictures, places.long().tolist(), strict=True):
        picture[:, y - 2 : y + 3, x - 2 : x + 3] = 1
    seen = turn_pictures(pictures, angle).mean(1)
    grid = torch.arange(256.0)
    weight = seen / seen.sum((1, 2), keepdim=True)
    found = torch.stack([(weight.sum(1) * grid).sum(1), (weight.sum(2) * grid).sum(1)], -1)
    points = ((found + 0.5) / 128 - 1)[:, None].expand(-1, 33, 2)
    world = torch.cat([points, torch.ones(3, 33, 1)], -1)
    back = unpack(turn_features(join(Landmarks(points, *torch.zeros(3, 3, 33), world)), angle))
    expected = ((places + 0.5) / 128 - 1)[:, None]
    assert (back.landmarks2d - expected).abs().max() < 2e-3 and (back.world[..., :2] - expected).abs().max() < 2e-3
    assert (back.world[..., 2] == 1).all()


def test_a_trunk_that_leans_is_turned_upright():
    feature = torch.zeros(4, 264)
    leans = torch.tensor([0.0, 0.5, -2.0, 3.0])
    points = unpack(feature).landmarks2d
    up = torch.stack([leans.sin(), -leans.cos()], -1) * 0.3
    points[:, 11:13] = up[:, None] + torch.tensor([[0.1, 0.0], [-0.1, 0.0]])
    points[:, 23:25] = torch.tensor([[0.08, 0.0], [-0.08, 0.0]])
    assert torch.allclose(tilt(feature), leans, atol=1e-6)
    assert tilt(turn_features(feature, -leans)).abs().max() < 1e-6


@pytest.mark.parametrize("degrees", [-60, 30, 45, 90])
def test_people_who_lean_are_looked_at_upright(degrees):
    """Somebody in a video that is held aslant is found as in the video held straight, and better than at one look."""
    frame = next(iter(read_frames(ROOT / "examples" / "clip.mp4", 3.0))).image
    crop = extract_crops(frame, PERSON)
    standing = torch.from_numpy(crop).permute(0, 3, 1, 2).float()
    angle = torch.tensor([np.radians(degrees)], dtype=torch.float32)
    off = {}
    for upright in (False, True):
        extractor = BlazePoseFeatures(WEIGHTS, upright=upright)
        pictures = (x.permute(0, 2, 3, 1).round().to(torch.uint8) for x in (standing, turn_pictures(standing, -angle)))
        straight, aslant = (extractor(x) for x in pictures)
        expected, found = unpack(turn_features(straight, angle)), unpack(aslant)
        off[upright] = (found.landmarks2d - expected.landmarks2d).norm(dim=-1).mean()
    assert off[True] < 0.1 and off[True] < 0.7 * off[False]


def test_merged_landmarks_weigh_by_how_present_they_are():
    random = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 5, 264, generator=random)
    torch.testing.assert_close(merge_features(one, one), one)
    a, b = unpack(one), unpack(other)
    a.presence[:, 7], b.presence[:, 7] = 1.0, 0.0
    merged = unpack(merge_features(one, other))
    torch.testing.assert_close(merged.world[:, 7], a.world[:, 7], atol=0.02, rtol=0)
    weight, rest = a.presence[:, 3] + 1e-3, b.presence[:, 3] + 1e-3
    expected = (weight * a.z[:, 3] + rest * b.z[:, 3]) / (weight + rest)
    torch.testing.assert_close(merged.z[:, 3], expected)


def test_wrong_weight_files_are_named(tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(WEIGHTS.read_bytes()[:1000])
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, other)
    for path in (damaged, other, tmp_path / "missing.safetensors"):
        with pytest.raises(GlotError, match=path.name) as caught:
            blazepose.BlazePose.load(path)
        assert "\n" not in str(caught.value)
