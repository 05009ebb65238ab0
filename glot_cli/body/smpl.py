"""What is fixed about SMPL's mesh. Imports nothing, so that telling files apart stays light."""

SMPL_VERTICES = 6890
SMPL_FACES = 13776
