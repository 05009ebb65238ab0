"""Work that windows share: the same numbers as without sharing."""

from __future__ import annotations

import pytest
import torch

from glot_cli.models.attention import CrossAttention, Encoder, SelfAttention, attend_single
from glot_cli.models.framewise import FramewiseEncoder


def encoder(tokens: int, dim: int) -> Encoder:
    torch.manual_seed(3)
    net = Encoder(tokens, dim, layers=2, heads=4, dropout=0.1, drop_path=0.2).eval()
    for parameter in net.parameters():  # norms and biases that do something
        torch.nn.init.normal_(parameter, std=0.3)
    return net


@torch.no_grad()
@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("queries", [slice(None), slice(4, 5), slice(3, 6)])
def test_frames_projected_once_give_the_same_tokens(queries: slice, offset: float) -> None:
    """A mean far from zero, which the norm takes away, costs no precision either."""
    net = encoder(9, 32)
    frames = torch.randn(40, 32) + offset
    index = torch.randint(0, 40, (12, 9))
    index[5] = 7  # as at the ends of a track
    expected = net.double()(frames.double()[index], queries=queries)
    shared = FramewiseEncoder(net.float())
    ours = shared(shared.project(frames), index, queries)
    assert (ours - expected).abs().max() < 2e-5 * expected.abs().max()


@torch.no_grad()
def test_frames_that_are_all_alike_have_no_variance() -> None:
    """An embedding that cancels its position leaves nothing to divide by but the norm's epsilon."""
    net = encoder(3, 16)
    frames = -net.pos_embed[0, 1:2].repeat(5, 1)
    index = torch.tensor([[0, 1, 2]])
    expected = net(frames[index])
    shared = FramewiseEncoder(net)
    torch.testing.assert_close(shared(shared.project(frames), index), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_one_query_without_keys_and_values() -> None:
    torch.manual_seed(1)
    query, x = torch.randn(5, 32).double(), torch.randn(5, 7, 24).double()
    key, value = torch.randn(32, 24).double(), torch.randn(32, 24).double()
    key_bias, value_bias = torch.randn(32).double(), torch.randn(32).double()
    ours = attend_single(query, x, key, value, value_bias, heads=4)
    for row in range(5):
        keys, values = x[row] @ key.T + key_bias, x[row] @ value.T + value_bias
        for head in range(4):
            part = slice(8 * head, 8 * head + 8)
            weight = torch.softmax(keys[:, part] @ query[row, part] / 8**0.5, 0)
            torch.testing.assert_close(ours[row, part], weight @ values[:, part])


@torch.no_grad()
def test_one_token_is_the_same_as_among_all() -> None:
    torch.manual_seed(2)
    attention, x = SelfAttention(32, 4, dropout=0.1).eval(), torch.randn(6, 9, 32)
    torch.testing.assert_close(attention(x, slice(4, 5)), attention(x, slice(None))[:, 4:5], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(attention(x, slice(3, 6)), attention(x, slice(None))[:, 3:6], atol=1e-6, rtol=1e-5)
    cross = CrossAttention(32, 4, dropout=0.1).eval()
    key, value = cross.key_value.weight.chunk(2)
    memory = torch.randn(6, 16, 32)
    alone = cross.proj(attend_single(cross.query(x[:, 2]), memory, key, value, None, 4))
    torch.testing.assert_close(alone, cross(x[:, 2:3], memory)[:, 0], atol=1e-6, rtol=1e-5)
