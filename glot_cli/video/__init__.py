"""Video files, folders of images and single images in, H.264 out."""

from glot_cli.video.reading import Frame, VideoInfo, image_files, probe, read_frames
from glot_cli.video.writing import VideoWriter

__all__ = ["Frame", "VideoInfo", "VideoWriter", "image_files", "probe", "read_frames"]
