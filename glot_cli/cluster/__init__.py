"""Thousands of clips on many machines: a manifest in, one outcome a clip and a table of all of them out. On Ray."""
