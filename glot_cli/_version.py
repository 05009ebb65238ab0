"""The version of the program, where everything may read it."""

__version__ = "0.2.0.dev0"
