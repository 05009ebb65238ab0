"""Data sets of video features: files of others read without trust (`add_dataset`), kept as plain arrays (`dataset`).

Nothing is imported here: what `glot data list` needs (`folders`, `known_datasets`) is light, the rest is not.
"""
