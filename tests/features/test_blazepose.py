import os
from pathlib import Path
from types import SimpleNamespace

import cv2
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
    tilt,
    turn_features,
    unpack,
)
from glot_cli.inference import CompiledNetwork
from glot_cli.video import read_frames
from tests.features.pictures import draw_pictures

ROOT = Path(__file__).resolve().parents[2]
FULL, HEAVY = (ROOT / "weights" / f"blazepose_{size}.safetensors" for size in ("full", "heavy"))
PERSON = np.array([[656, 346, 445]])  # crop of somebody in examples/clip.mp4, 3 seconds in: centre and side, pixels
REFERENCE = str(Path(__file__).parent / "data" / "blazepose_{}_reference.npz")  # made with TFLite by the recipe


@pytest.fixture(scope="module", params=["full", "heavy"])
def size(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def weights(size: str) -> Path:
    return {"full": FULL, "heavy": HEAVY}[size]


@pytest.fixture(scope="module")
def network(weights: Path) -> BlazePose:
    return BlazePose.load(weights)


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """(H,W,3) uint8 RGB, with a person at PERSON."""
    return next(iter(read_frames(ROOT / "examples" / "clip.mp4", 3.0))).image


@pytest.fixture(scope="module")
def person(frame) -> np.ndarray:
    """(1,256,256,3) uint8 RGB"""
    return extract_crops(frame, PERSON)


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


def test_answers_equal_tflite(network, size):
    reference = np.load(REFERENCE.format(size))
    with torch.inference_mode():
        output = network(torch.from_numpy(draw_pictures()).permute(0, 3, 1, 2))
    assert_same(output, reference)
    # the pictures exercise the network: persons are seen more surely than the texture
    certain = unpack(pack(output)).presence.mean(-1)
    assert (output.presence[:3] > 0.5).all() and (certain[:3] > 0.3).all() and certain[3] < 0.25


def test_answers_do_not_depend_on_the_batch(network):
    images = torch.from_numpy(draw_pictures()).permute(0, 3, 1, 2)
    with torch.inference_mode():
        together, alone = network(images), network(images[1:2])
    torch.testing.assert_close(together.landmarks[1:2], alone.landmarks, atol=0.01, rtol=0)
    torch.testing.assert_close(together.world[1:2], alone.world, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 4])
def test_both_ways_of_computing_agree(network, weights, person, count):
    """ONNX Runtime and PyTorch, on drawn people and a real one."""
    images = np.concatenate([draw_pictures().transpose(0, 3, 1, 2), person.transpose(0, 3, 1, 2) / np.float32(255)])
    images = np.ascontiguousarray(images[-count:], np.float32)
    with torch.inference_mode():
        plain = network(torch.from_numpy(images))
    compiled = BlazePoseOutput(*map(torch.from_numpy, CompiledNetwork(weights)(images)))
    torch.testing.assert_close(compiled.landmarks[..., :3], plain.landmarks[..., :3], atol=0.02, rtol=0)  # pixels
    torch.testing.assert_close(compiled.landmarks[..., 3:], plain.landmarks[..., 3:], atol=2e-3, rtol=0)  # logits
    torch.testing.assert_close(compiled.world, plain.world, atol=1e-4, rtol=0)  # metres
    torch.testing.assert_close(compiled.presence, plain.presence, atol=1e-4, rtol=0)
    torch.testing.assert_close(compiled.heatmaps, plain.heatmaps, atol=5e-3, rtol=0)  # logits


def test_heatmaps_and_coordinates_agree(network, person):
    """On the whole; one by one the heatmap is right. Cells counted from their middles would lie 2 pixels off."""
    crop = torch.from_numpy(person).permute(0, 3, 1, 2) / 255
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
        assert np.hypot(*(points[LANDMARK_NAMES.index(name)].numpy() - place)) < 25, name


def test_live_tflite_on_video_frames(network, size):
    """Against the interpreter itself on frames with people (the files are GLOT_BLAZEPOSE_FULL_TFLITE and _HEAVY_)."""
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    model = os.environ.get(f"GLOT_BLAZEPOSE_{size.upper()}_TFLITE", "")
    clip = Path(os.environ.get("GLOT_BLAZEPOSE_CLIP", ROOT / "examples" / "clip.mp4"))
    if not Path(model).is_file():
        pytest.skip("the file that GLOT_BLAZEPOSE_{FULL,HEAVY}_TFLITE names")
    import av

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


def test_features_equal_network_and_keep_order(network, weights):
    pictures = (draw_pictures() * 255).round().astype(np.uint8)
    extractor = BlazePoseFeatures(weights, None)
    many = np.concatenate([pictures, pictures[::-1], pictures[:3]])  # not a multiple of the batch inside
    features = extractor(many)
    assert features.shape == (11, extractor.feature_dim) and features.dtype == torch.float32
    torch.testing.assert_close(features[:4], features[4:8].flip(0), atol=1e-4, rtol=0)
    with torch.inference_mode():
        output = network(torch.from_numpy(pictures[:1]).permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(features[:1], pack(output), atol=1e-4, rtol=0)
    assert extractor(many[:0]).shape == (0, 264)


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


@pytest.mark.parametrize("degrees", [-60, 45, 90, 120, 180])
def test_people_who_lean_are_looked_at_again(person, degrees):
    """Somebody in a video that is held aslant is found as in the video held straight, and better than at one look."""
    standing = torch.from_numpy(person).permute(0, 3, 1, 2).float()
    angle = torch.tensor([np.radians(degrees)], dtype=torch.float32)
    straight, aslant = (
        x.permute(0, 2, 3, 1).round().to(torch.uint8) for x in (standing, turn_pictures(standing, -angle))
    )
    off = {}
    for again in (False, True):
        extractor = BlazePoseFeatures(FULL, HEAVY if again else None)
        expected, found = unpack(turn_features(extractor(straight), angle)), unpack(extractor(aslant))
        off[again] = (found.landmarks2d - expected.landmarks2d).norm(dim=-1).mean()
    assert off[True] < 0.03 and off[True] < 0.5 * off[False]


@pytest.mark.parametrize("degrees", [20, -75, 140])
def test_a_turned_crop_says_what_the_turned_frame_does(frame, degrees):
    """The frame is turned about the person, and cut with that lean: the person is where the turn took them."""
    angle = np.radians(degrees)
    turn = cv2.getRotationMatrix2D((float(PERSON[0, 0]) - 0.5, float(PERSON[0, 1]) - 0.5), -degrees, 1)
    turned = cv2.warpAffine(frame, turn, frame.shape[1::-1], flags=cv2.INTER_LINEAR)
    extractor = BlazePoseFeatures(FULL, HEAVY)
    straight = extractor(extract_crops(frame, PERSON), np.zeros(1))
    found = unpack(extractor(extract_crops(turned, PERSON, lean=np.array([angle])), np.array([angle])))
    expected = unpack(turn_features(straight, torch.tensor([angle], dtype=torch.float32)))
    sure = expected.presence > 0.6
    assert sure.float().mean() > 0.7
    assert (found.landmarks2d - expected.landmarks2d).norm(dim=-1)[sure].mean() < 0.02  # of half the crop
    assert (found.world - expected.world).norm(dim=-1)[sure].mean() < 0.03  # metres
    torch.testing.assert_close(found.presence[sure], expected.presence[sure], atol=0.15, rtol=0)


def test_somebody_upside_down_is_found_head_down(frame):
    """The frame the other way up shows the same pixels: all is as it was, about the middle of the crop."""
    height, width = frame.shape[:2]
    square = np.array([[width - PERSON[0, 0], height - PERSON[0, 1], PERSON[0, 2]]])
    extractor = BlazePoseFeatures(FULL, HEAVY)
    expected = unpack(extractor(extract_crops(frame, PERSON), np.zeros(1)))
    lean = np.array([np.pi])
    over = np.ascontiguousarray(frame[::-1, ::-1])
    found = unpack(extractor(extract_crops(over, square, lean=lean), lean))
    assert (found.landmarks2d + expected.landmarks2d).abs().max() < 0.03
    assert (found.world * torch.tensor([-1.0, -1.0, 1.0]) - expected.world).abs().max() < 0.02
    assert found.landmarks2d[0, 0, 1] > found.landmarks2d[0, 24, 1] + 0.3  # the nose below the hip


def leaning(*degrees, presence):
    """Features (n,264) of trunks that lean, all landmarks equally present."""
    feature = torch.zeros(len(degrees), 264)
    up = torch.tensor([[np.sin(np.radians(x)), -np.cos(np.radians(x))] for x in degrees]) * 0.5
    parts = unpack(feature)  # views
    parts.landmarks2d[:, 11:13] = up[:, None].float()
    parts.presence[:] = torch.tensor(presence)[:, None]
    return feature


@pytest.fixture
def looks(monkeypatch) -> SimpleNamespace:
    """An extractor whose networks give `first` and `second` as features, and remember how many they were shown."""
    looks = SimpleNamespace(extractor=BlazePoseFeatures(FULL, HEAVY), shown=[], first=None, second=None)

    def answer(name):
        def look(pictures):
            looks.shown.append((name, pictures))
            return getattr(looks, name)

        return look

    monkeypatch.setattr(blazepose, "pack", lambda features: features)
    looks.extractor._full, looks.extractor._heavy = answer("first"), answer("second")
    return looks


@pytest.mark.parametrize(
    ("degrees", "presence", "known", "turned"),
    [
        (5, 0.9, False, None),
        (30, 0.9, False, 30),  # nobody has said which way up: whoever leans
        (5, 0.3, False, 0),  # in doubt, and upright
        (30, 0.9, True, None),  # turned upright already: bent, and sure of it
        (30, 0.3, True, 0),
        (60, 0.9, True, 60),  # far from upright although it was turned
        (-170, 0.3, True, -170),
    ],
)
def test_second_looks_are_for_those_in_doubt(looks, degrees, presence, known, turned):
    """At the crop turned as the first look says, where that is far from upright."""
    looks.first, looks.second = leaning(degrees, 0, presence=[presence, 0.9]), leaning(2, presence=[0.95])
    pictures = np.zeros((2, 256, 256, 3), np.uint8)
    pictures[:, :, 128:] = 200
    features = looks.extractor(pictures, np.zeros(2)) if known else looks.extractor(pictures)
    expected = looks.first.clone()
    if turned is not None:
        expected[0] = leaning(2 + turned, presence=[0.95])[0]
        given = torch.from_numpy(pictures[:1]).permute(0, 3, 1, 2) / 255
        want = turn_pictures(given, torch.tensor([np.radians(turned)], dtype=torch.float32))
        torch.testing.assert_close(looks.shown[1][1], want, atol=1e-4, rtol=0)
    assert [(name, len(shown)) for name, shown in looks.shown] == [("first", 2), ("second", 1)][: len(looks.shown)]
    assert len(looks.shown) == (1 if turned is None else 2)  # the second picture is never in doubt
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)


def test_second_looks_count_unless_they_were_turned_and_find_less(looks):
    """And are told in the frame of the crop as it was cut, or of the picture, if it is known how that was turned."""
    looks.first = leaning(70, 80, 0, presence=[0.6, 0.6, 0.6])
    looks.second = leaning(2, 3, 4, presence=[0.7, 0.5, 0.5])
    pictures = np.zeros((3, 256, 256, 3), np.uint8)
    expected = leaning(72, 80, 4, presence=[0.7, 0.6, 0.5])
    torch.testing.assert_close(looks.extractor(pictures), expected, atol=1e-6, rtol=0)
    told = looks.extractor(pictures, np.radians([10.0, 20.0, 30.0]))
    torch.testing.assert_close(told, leaning(82, 100, 34, presence=[0.7, 0.6, 0.5]), atol=1e-6, rtol=0)


def test_faces_have_no_part_in_the_doubt(looks):
    """Who is seen from behind has none."""
    looks.first, looks.second = leaning(0, presence=[0.9]), leaning(0, presence=[0.95])
    unpack(looks.first).presence[:, :11] = 0
    torch.testing.assert_close(looks.extractor(np.zeros((1, 256, 256, 3), np.uint8)), looks.first)


def test_wrong_weight_files_are_named(tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(FULL.read_bytes()[:1000])
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, other)
    for path in (damaged, other, tmp_path / "missing.safetensors"):
        with pytest.raises(GlotError, match=path.name) as caught:
            blazepose.BlazePose.load(path)
        assert "\n" not in str(caught.value)
        with pytest.raises(GlotError, match=path.name):
            BlazePoseFeatures(FULL, path)
