"""Names of the official checkpoint's tensors, mapped to ours; nothing else in the project knows them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# Official prefix -> ours; the longest matching prefix wins.
PREFIXES = {
    "global_modeling.proj.": "global_motion.embed.",
    "global_modeling.out_proj.": "global_motion.out_proj.",
    "global_modeling.regressor.": "global_motion.regressor.",
    "global_modeling.trans.decoder_": "global_motion.decoder_",
    "global_modeling.trans.mask_token_mlp.": "global_motion.mask_token.",
    "global_modeling.trans.": "global_motion.encoder.",
    "proj_short.": "local_correction.embed.",
    "proj_mem.": "local_correction.memory_embed.",
    "local_trans_en.": "local_correction.encoder.",
    "local_trans_de.kv_l.": "local_correction.cross_attention.key_value.",
    "local_trans_de.q_l.": "local_correction.cross_attention.query.",
    "local_trans_de.proj.": "local_correction.cross_attention.proj.",
    "regressor.fc1.": "local_correction.regressor.shape_fc.",
    "regressor.fc2.": "local_correction.regressor.pose_fc.",
    "regressor.local_reg.joint_regs.": "local_correction.regressor.joints.",
    "regressor.": "local_correction.regressor.",
}

# Learned tensors that the official network holds but never uses.
DEAD_PREFIXES = (
    "global_modeling.regressor.fc2.",
    "regressor.local_reg.decshape.",
    "regressor.local_reg.deccam.",
)

# Buffers: the body model comes from its own file, the mean parameters too.
BUFFER_PREFIXES = ("regressor.smpl.", "global_modeling.regressor.smpl.", "global_modeling.regressor.init_")


def rename(official: Mapping[str, Tensor], mean_state: Tensor) -> dict[str, Tensor]:
    """State dict of `GLoT` from an official `gen_state_dict`.

    mean_state: (157,) from smpl_mean_params. Raises KeyError on a tensor that no rule knows.
    """
    renamed: dict[str, Tensor] = {"global_motion.regressor.mean_state": torch.as_tensor(mean_state)}
    by_length = sorted(PREFIXES, key=len, reverse=True)
    for key, value in official.items():
        if key.startswith(DEAD_PREFIXES + BUFFER_PREFIXES):
            continue
        prefix = next((p for p in by_length if key.startswith(p)), None)
        if prefix is None:
            raise KeyError(key)
        renamed[PREFIXES[prefix] + key[len(prefix) :]] = torch.as_tensor(value)
    return renamed
