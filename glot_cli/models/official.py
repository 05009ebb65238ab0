"""Names of the official checkpoints' tensors, mapped to ours; nothing else in the project knows them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# GLoT (`gen_state_dict`). Official prefix -> ours; the longest matching prefix wins.
GLOT_PREFIXES = {
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

# SPIN (`model`): the regressor's tensors; all others are those of torchvision's ResNet-50 under its own names.
SPIN_REGRESSOR = ("fc1.", "fc2.", "decpose.", "decshape.", "deccam.")
SPIN_BUFFERS = ("smpl.", "init_")
SPIN_COUNTER = "num_batches_tracked"  # of batch norm; without meaning once training is over

_PARALLEL = "module."  # put in front of every name by a network that was trained on several GPUs


def is_glot(held: object) -> bool:
    """Whether this is an official GLoT's state dict."""
    return "global_modeling.proj.weight" in _names(held)


def is_spin(held: object) -> bool:
    """Whether this is SPIN's state dict."""
    return {"conv1.weight", "layer4.2.bn3.running_var", "decpose.weight"} <= _names(held)


def rename_glot(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of `GLoT`, but for the mean parameters, from an official `gen_state_dict`; learned tensors alone.

    Raises:
        KeyError: there is a tensor that no rule knows.
    """
    renamed = {}
    by_length = sorted(GLOT_PREFIXES, key=len, reverse=True)
    for key, value in official.items():
        key = key.removeprefix(_PARALLEL)
        if key.startswith(DEAD_PREFIXES + BUFFER_PREFIXES):
            continue
        prefix = next((p for p in by_length if key.startswith(p)), None)
        if prefix is None:
            raise KeyError(key)
        renamed[GLOT_PREFIXES[prefix] + key[len(prefix) :]] = value
    return renamed


def rename_spin(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of `SpinNetwork`, but for the mean parameters, from the official `model`."""
    renamed = {}
    for key, value in official.items():
        key = key.removeprefix(_PARALLEL)
        if key.startswith(SPIN_BUFFERS) or key.endswith(SPIN_COUNTER):
            continue
        renamed[("regressor." if key.startswith(SPIN_REGRESSOR) else "backbone.") + key] = value
    return renamed


def _names(held: object) -> set[str]:
    return {str(name).removeprefix(_PARALLEL) for name in held} if isinstance(held, Mapping) else set()
