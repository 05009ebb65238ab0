"""The GLoT network (CVPR 2023, arXiv 2303.14747) and nothing else: no files, no video, no drawing."""
