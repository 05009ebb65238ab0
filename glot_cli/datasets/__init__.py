"""Data sets of video features: files of others read without trust (`add`), kept as plain arrays (`store`).

Nothing is imported here: what `glot data list` needs (`shelf`, `catalogue`) is light, the rest is not.
"""
