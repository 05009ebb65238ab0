"""GLoT for inference: the same function of its input, computed with far fewer operations.

- Both regressors are affine in evaluation, so each folds into one matrix, `out_proj` with the global one.
- Frames are embedded, and projected for the first blocks, once, not once for each of the 16 windows they stand in.
- Only the middle token is computed where only the middle token is used, and nobody makes keys and values for it alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glot_cli.models.attention import attend_single
from glot_cli.models.framewise import Frames, FramewiseEncoder
from glot_cli.models.glot import Estimate, GLoT
from glot_cli.models.glot_config import STATE_DIM
from glot_cli.models.regressors import State


def fold_affine(function: Callable[[Tensor], Tensor], inputs: int) -> nn.Linear:
    """An affine map as one linear layer, found by probing it with unit vectors.

    Args:
        function: (N, inputs) -> (N, outputs), in double precision; the result is rounded to single once.
        inputs: numbers that it takes.
    """
    offset = function(torch.zeros(1, inputs, dtype=torch.float64))[0]
    matrix = function(torch.eye(inputs, dtype=torch.float64)) - offset  # (inputs, outputs)
    layer = nn.Linear(inputs, offset.shape[0])
    layer.load_state_dict({"weight": matrix.T.float(), "bias": offset.float()})
    return layer


class FoldedGLoT(nn.Module):
    """Inference form of a trained GLoT. The transformers are shared with `model`, which is put in evaluation mode."""

    mean_state: Tensor

    @torch.no_grad()
    def __init__(self, model: GLoT) -> None:
        super().__init__()
        model = model.eval()
        self.config = model.config
        self.has_global = self.config.branches != "local"
        self.has_local = self.config.branches != "global"
        device = next(model.parameters()).device
        model.cpu().double()  # some devices have no double precision
        if self.has_global:
            self._fold_global(model)
        else:
            self.register_buffer("mean_state", model.mean_state.float())
        if self.has_local:
            self._fold_local(model)
        model.float()
        self.to(device)
        self.eval().requires_grad_(False)

    def _fold_global(self, model: GLoT) -> None:
        self.global_motion = model.global_motion
        self.global_encoder = FramewiseEncoder(model.global_motion.encoder)

        def initial(tokens: Tensor) -> Tensor:
            start: Tensor = model.global_motion.regressor(model.global_motion.out_proj(tokens)).cat()
            return start

        self.initial = fold_affine(initial, self.config.decoder_dim)

    def _fold_local(self, model: GLoT) -> None:
        local, local_dim = model.local_correction, self.config.local_dim
        self.local_correction = local
        self.local_encoder = FramewiseEncoder(local.encoder)

        def final(tokens_and_state: Tensor) -> Tensor:
            tokens, state = torch.split(tokens_and_state, [local_dim, STATE_DIM], dim=-1)
            final: Tensor = local.regressor(tokens, State.split(state)).cat()
            return final

        def key_value(memory: Tensor) -> Tensor:
            projected: Tensor = local.cross_attention.key_value(local.memory_embed(memory))
            return projected

        self.final = fold_affine(final, local_dim + STATE_DIM)
        if self.has_global:
            self.key_value = fold_affine(key_value, self.config.global_dim)

    def embed(self, features: Tensor) -> tuple[Frames | None, Frames | None]:
        """features (N, F) of single frames -> what windows of each branch need of them; None of one that is not."""
        return (
            self.global_encoder.project(self.global_motion.embed(features)) if self.has_global else None,
            self.local_encoder.project(self.local_correction.embed(features)) if self.has_local else None,
        )

    def lift_windows(self, global_frames: Frames | None, local_frames: Frames | None, index: Tensor) -> Estimate:
        """States (B, 1, .) of windows (B, T) of indices into the frames."""
        config = self.config
        memory = None
        if global_frames is None:
            start = self.mean_state.expand(len(index), 1, -1)
        else:
            memory = self.global_encoder(global_frames, index)  # (B, T, global_dim)
            start = self.initial(self.global_motion.decode(memory, queries=slice(config.middle, config.middle + 1)))
        final = start
        if local_frames is not None:
            nearby = slice(config.nearby, config.nearby + 1)
            token = self.local_encoder(local_frames, index[:, config.local_slice], nearby)
            if memory is not None:
                token = self._look_back(token, memory)
            final = self.final(torch.cat([token, start], dim=-1))
        return Estimate(State.split(final), None if memory is None else State.split(start))

    def _look_back(self, token: Tensor, memory: Tensor) -> Tensor:
        """Cross-attention of the local token (B, 1, local_dim) to the memory (B, T, global_dim): (B, 1, local_dim)."""
        attention = self.local_correction.cross_attention
        key, value = self.key_value.weight.chunk(2)
        bias = self.key_value.bias.chunk(2)[1]
        query = attention.query(token)[:, 0]
        seen: Tensor = attention.proj(attend_single(query, memory, key, value, bias, attention.heads)).unsqueeze(1)
        return seen

    def forward(self, features: Tensor) -> Estimate:
        """features (B, T, F) of whole windows -> states of the middle frames (B, 1, .), as GLoT itself."""
        batch, frames = features.shape[:2]
        index = torch.arange(batch * frames, device=features.device).view(batch, frames)
        return self.lift_windows(*self.embed(features.flatten(0, 1)), index)

    def lift_track(
        self,
        features: Tensor,
        windows: Tensor,
        batch_size: int,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> Estimate:
        """States of windows laid over a track's frames; neighbouring windows share their embedded frames.

        Args:
            features: (N, F), on any device.
            windows: (W, T) the frame indices of each window, windows in order of time.
            batch_size: windows that are computed at once.
            prepare: makes the network's input of features, frame by frame; None where they are its input.

        Returns:
            States (W, 1, .) on the network's device.
        """
        device = next(self.buffers()).device
        parts = []
        # Embedded a stretch at a time: memory must not grow with the track.
        for index in torch.split(windows, batch_size):
            first = int(index.min())
            stretch = features[first : int(index.max()) + 1].to(device)
            global_frames, local_frames = self.embed(prepare(stretch) if prepare else stretch)
            parts.append(self.lift_windows(global_frames, local_frames, (index - first).to(device)))
        initial = [p.initial for p in parts if p.initial is not None]
        return Estimate(_joined([p.final for p in parts]), _joined(initial) if initial else None)


def _joined(states: list[State]) -> State:
    return State(*(torch.cat(values) for values in zip(*states, strict=True)))
