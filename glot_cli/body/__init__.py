"""Bodies in the format of SMPL: joints, surface, landmarks, and the rotations that pose them."""
