"""glot: video in, 3D human meshes out, offline."""

__version__ = "0.1.0"
