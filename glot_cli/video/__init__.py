"""Video files, folders of images and single images in, H.264 out."""

from glot_cli.video.images import image_files
from glot_cli.video.reading import Frame, VideoInfo, probe, read_frames
from glot_cli.video.writing import VideoWriter

__all__ = ["Frame", "VideoInfo", "VideoWriter", "image_files", "probe", "read_frames"]
