import cv2
import numpy as np
import pytest
import torch

from glot_cli.camera import from_crop
from glot_cli.features.crops import crop_affine, extract_crops


def smooth_frame():
    """A 126 x 126 picture whose colours say where they are: red is twice x, green twice y."""
    y, x = np.mgrid[0:126, 0:126]
    return np.stack([2 * x + 1, 2 * y + 1, np.full_like(x, 60)], axis=-1).astype(np.uint8)


def test_affine_sends_box_edges_to_crop_edges():
    boxes = np.array([[100.0, 50.0, 80.0], [3.25, -7.5, 512.0]])
    for (x, y, side), matrix in zip(boxes, crop_affine(boxes, 256), strict=True):
        corners = np.array([[x - side / 2, y - side / 2], [x + side / 2, y + side / 2], [x, y]])
        sent = corners @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(sent, [[0, 0], [256, 256], [128, 128]], atol=1e-9)


def to_image(points, boxes, size):
    """Points (N,K,2) in crop pixels to image pixels."""
    return from_crop(torch.from_numpy(2 * points / size - 1), torch.from_numpy(boxes)).numpy()


def test_from_crop_inverts_the_affine():
    random = np.random.default_rng(1)
    boxes = np.column_stack([random.uniform(-50, 900, (6, 2)), random.uniform(20, 2000, 6)])
    points = random.uniform(-100, 2000, (6, 9, 2))
    matrices = crop_affine(boxes, 224)
    inside = np.einsum("nij,nkj->nki", matrices[:, :, :2], points) + matrices[:, None, :, 2]
    np.testing.assert_allclose(to_image(inside, boxes, 224), points, atol=1e-8)


@pytest.mark.parametrize("side", [30.0, 64.0, 96.3, 110.0])
@pytest.mark.parametrize("size", [16, 64, 128])
def test_crop_pixels_show_the_place_they_map_to(side, size):
    """The colour of each crop pixel tells the image position of its centre: no shift, enlarged or shrunk."""
    # many positions, so that rounding to grey levels (0.25 px) cannot pass for a shift
    boxes = np.column_stack([np.random.default_rng(4).uniform(61, 65, (40, 2)), np.full(40, side)])
    crops = extract_crops(smooth_frame(), boxes, size).astype(float)
    centres = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1).reshape(1, -1, 2)
    expected = to_image(np.repeat(centres, 40, axis=0), boxes, size).reshape(40, size, size, 2)
    error = (crops[..., :2] / 2 - expected)[:, 2:-2, 2:-2]  # pixels of the image
    assert np.abs(error).max() < 0.6
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.08  # OpenCV 4 rounds more coarsely than 5


def test_whole_pixel_box_copies_the_frame():
    frame = np.random.default_rng(2).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    crop = extract_crops(frame, np.array([[80.0, 60.0, 64.0]]), 64)[0]
    np.testing.assert_array_equal(crop, frame[28:92, 48:112])


def test_strong_shrinking_averages():
    """A fine chequerboard shrinks to its mean; plain bilinear sampling would keep black and white."""
    board = ((np.indices((1024, 1024)).sum(axis=0) % 2) * 255).astype(np.uint8)
    frame = np.repeat(board[..., None], 3, axis=2)
    for side in (1000.0, 1024.0, 700.0):
        crop = extract_crops(frame, np.array([[512.0, 512.0, side]]))[0][3:-3, 3:-3]
        assert abs(crop.mean() - 127.5) < 2 and crop.std() < 6, side


def test_shrinking_agrees_with_area_interpolation():
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    crop = extract_crops(frame, np.array([[512.0, 512.0, 1024.0]]))[0]
    area = cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(crop.astype(int) - area)[1:-1, 1:-1].max() <= 2


def test_beyond_the_frame_is_black():
    frame = np.full((100, 100, 3), 200, np.uint8)
    boxes = np.array([[0.0, 50.0, 100.0], [500.0, 500.0, 40.0], [50.0, 50.0, 2000.0]])
    half, outside, far = extract_crops(frame, boxes, 64)
    assert (half[:, :31] == 0).all() and (half[1:-1, 33:] == 200).all()
    assert (outside == 0).all()
    assert far[32, 32, 0] > 150 and far[:28].max() == 0 and far[:, 36:].max() == 0


def test_no_boxes_no_crops():
    assert extract_crops(np.zeros((10, 10, 3), np.uint8), np.zeros((0, 3))).shape == (0, 256, 256, 3)


LEANS = np.radians([0.0, 25.0, -70.0, 90.0, 180.0, -150.0])


def test_a_leaning_pattern_stands_upright_in_its_crop():
    """Dots are drawn where the turn of the crop about its centre says, and are found in the grid they make upright."""
    grid = np.stack(np.meshgrid([40.0, 100.0, 200.0], [30.0, 128.0, 215.0]), -1).reshape(-1, 2)  # crop pixels
    box = np.array([[300.0, 260.0, 256.0]])
    for lean in LEANS:
        frame = np.zeros((560, 640, 3), np.uint8)
        cos, sin = np.cos(lean), np.sin(lean)
        # what is up in the crop, (0, -1), leans to the right in the frame: (sin, -cos)
        places = box[0, :2] + (grid - 128) @ np.array([[cos, sin], [-sin, cos]])
        for x, y in places:  # OpenCV counts from pixel centres, with 4 bits of fraction
            at = round((x - 0.5) * 16), round((y - 0.5) * 16)
            cv2.circle(frame, at, 4 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
        crop = extract_crops(frame, box, 256, np.array([lean]))[0, ..., 0].astype(float)
        for x, y in grid:
            part = crop[int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8]
            rows, columns = np.mgrid[int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8] + 0.5
            assert part.sum() > 255 * 40
            assert abs((part * columns).sum() / part.sum() - x) < 0.15, (lean, x, y)
            assert abs((part * rows).sum() / part.sum() - y) < 0.15, (lean, x, y)


@pytest.mark.parametrize("lean", LEANS)
@pytest.mark.parametrize("side", [200.0, 256.0, 640.0, 1000.0])
def test_turned_crops_equal_opencvs_rotation(lean, side):
    """The whole frame is turned by OpenCV's own matrix and cut straight; shrinking averages either way."""
    coarse = np.random.default_rng(5).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (1280, 1024), interpolation=cv2.INTER_CUBIC)
    box = np.array([[620.0, 500.0, side]])
    turn = cv2.getRotationMatrix2D((619.5, 499.5), np.degrees(lean), 1)  # counter-clockwise, about pixel centres
    turned = cv2.warpAffine(frame, turn, (1280, 1024), flags=cv2.INTER_LINEAR)
    expected = extract_crops(turned, box)[0].astype(int)
    off = np.abs(extract_crops(frame, box, lean=np.array([lean]))[0] - expected)
    corners = np.abs(np.mgrid[0:256, 0:256] - 127.5).max(0) > 80  # these may lie beyond the frame before its turn
    assert off[~corners].mean() < 0.7 and off[~corners].max() < 8
    assert np.abs(extract_crops(frame, box, lean=np.array([0.0])) - extract_crops(frame, box).astype(int)).max() == 0


def test_turned_crops_are_black_beyond_the_frame():
    """A square on the left edge, turned by 90 degrees: what the frame has not is above or below."""
    frame = np.full((100, 100, 3), 200, np.uint8)
    box = np.array([[0.0, 50.0, 64.0]])
    (right,) = extract_crops(frame, box, 64, np.array([np.pi / 2]))  # up in the crop is right in the frame
    (left,) = extract_crops(frame, box, 64, np.array([-np.pi / 2]))
    assert (right[:31] == 200).all() and (right[33:] == 0).all()
    assert (left[:31] == 0).all() and (left[33:] == 200).all()
    outside = extract_crops(frame, np.array([[-300.0, 50.0, 64.0], [50.0, 170.0, 64.0]]), 64, np.array([0.4, 0.8]))
    assert (outside == 0).all()
    # The corner of a turned square reaches further than half its side.
    (corner,) = extract_crops(frame, np.array([[-38.0, 50.0, 64.0]]), 64, np.array([np.pi / 4]))
    assert corner.max() == 200 and corner[:3, -3:].min() == 200 and corner[16:].max() == 0


def test_each_crop_has_its_own_lean():
    frame = np.random.default_rng(6).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    boxes = np.array([[100.0, 100.0, 64.0], [90.0, 110.0, 64.0], [100.0, 100.0, 64.0]])
    many = extract_crops(frame, boxes, 64, np.array([np.pi / 2, 0.0, np.pi]))
    np.testing.assert_array_equal(many[1], frame[78:142, 58:122])
    np.testing.assert_array_equal(many[2], frame[68:132, 68:132][::-1, ::-1])
    np.testing.assert_array_equal(many[0], np.rot90(frame[68:132, 68:132], 1))
