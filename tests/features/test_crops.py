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
