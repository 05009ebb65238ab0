"""Transformer parts shared by both branches: pre-norm blocks, self-attention, cross-attention.

Shapes: B windows, T tokens, Q query tokens, D width, H heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6  # the published model's, not PyTorch's 1e-5


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, D) -> (B, H, T, D/H)."""
    batch, tokens, width = x.shape
    return x.view(batch, tokens, heads, width // heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D/H) -> (B, T, D)."""
    return x.transpose(1, 2).flatten(2)


def attend_single(
    query: Tensor, x: Tensor, key_weight: Tensor, value_weight: Tensor, value_bias: Tensor | None, heads: int
) -> Tensor:
    """Attention of one query to tokens whose keys and values are linear in them, without making keys or values.

    By turning the sums round: q . (W x) = (W^T q) . x, and sum a (W x) = W (sum a x). A bias of the keys adds the same
    to every score, and softmax does not see it. Costs 3 D E + 2 H T E instead of 2 T D E multiplications.

    Args:
        query: (B, D).
        x: (B, T, E) tokens.
        key_weight: (D, E).
        value_weight: (D, E).
        value_bias: (D,).
        heads: number of heads H.

    Returns:
        (B, D).
    """
    width = query.shape[-1] // heads
    q = query.view(-1, heads, width).transpose(0, 1) * width**-0.5  # (H, B, d)
    looked_for = (q @ key_weight.view(heads, width, -1)).transpose(0, 1)  # (B, H, E)
    mixed = (looked_for @ x.mT).softmax(-1) @ x  # (B, H, E)
    out: Tensor = (mixed.transpose(0, 1) @ value_weight.view(heads, width, -1).mT).transpose(0, 1).flatten(1)  # (B, D)
    return out if value_bias is None else out + value_bias


class DropPath(nn.Module):
    """Stochastic depth: a whole sample's residual branch is dropped, the others scaled to keep the mean."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        return x * x.new_empty(x.shape[0], 1, 1).bernoulli_(keep).div_(keep)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one joint query-key-value projection."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, queries: slice) -> Tensor:
        """What tokens x (B, T, D) make of those that `queries` picks, (B, Q, D); all T are attended to."""
        dim = x.shape[-1]
        if queries == slice(None):
            return self.mix(self.qkv(x))
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(x[:, queries], weight[:dim], bias[:dim])  # the other tokens' queries are never used
        if q.shape[1] == 1 and not self.training:
            mixed = attend_single(q[:, 0], x, weight[dim : 2 * dim], weight[2 * dim :], bias[2 * dim :], self.heads)
            out: Tensor = self.proj(mixed).unsqueeze(1)
            return out
        k, v = F.linear(x, weight[dim:], bias[dim:]).chunk(2, dim=-1)
        return self._attend(q, k, v)

    def mix(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values of all tokens (B, T, 3 D) -> (B, T, D)."""
        return self._attend(*qkv.chunk(3, dim=-1))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(
            split_heads(q, self.heads),
            split_heads(k, self.heads),
            split_heads(v, self.heads),
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.proj_drop(self.proj(merge_heads(mixed)))
        return out


class CrossAttention(nn.Module):
    """Attention of local tokens to the global memory; its projections of queries, keys and values have no bias."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """x (B, Q, D), memory (B, T, D) -> (B, Q, D)."""
        k, v = self.key_value(memory).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(
            split_heads(self.query(x), self.heads),
            split_heads(k, self.heads),
            split_heads(v, self.heads),
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.proj_drop(self.proj(merge_heads(mixed)))
        return out


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))
        return out


class Block(nn.Module):
    """Pre-norm transformer block; with `queries` it returns only the tokens that somebody uses."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = SelfAttention(dim, heads, dropout)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, hidden, dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, queries: slice = slice(None)) -> Tensor:
        """x (B, T, D) -> (B, Q, D)."""
        return self.feed_forward(x[:, queries] + self.drop_path(self.attn(self.norm1(x), queries)))

    def feed_forward(self, x: Tensor) -> Tensor:
        """The second half of the block: (B, Q, D) -> (B, Q, D)."""
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class Encoder(nn.Module):
    """Position embedding, a stack of blocks, a final norm."""

    def __init__(self, tokens: int, dim: int, layers: int, heads: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))
        self.pos_drop = nn.Dropout(dropout)
        rates = [drop_path * i / max(layers - 1, 1) for i in range(layers)]  # deeper blocks are dropped more often
        self.blocks = nn.ModuleList(Block(dim, heads, 4 * dim, dropout, rate) for rate in rates)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, keep: Tensor | None = None, queries: slice = slice(None)) -> Tensor:
        """Encode windows.

        Args:
            x: (B, T, D) embedded frames.
            keep: (B, K) indices of the tokens that enter the blocks, for masked training; all when None.
            queries: the tokens wanted at the end; the last block computes no others.

        Returns:
            (B, Q, D).
        """
        x = self.pos_drop(x + self.pos_embed)
        if keep is not None:
            x = x.gather(1, keep.unsqueeze(-1).expand(-1, -1, x.shape[-1]))  # (B, K, D)
        *first, last = self.blocks
        for block in first:
            x = block(x)
        out: Tensor = self.norm(last(x, queries))
        return out
