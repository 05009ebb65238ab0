"""The OpenGL side of pyrender, with the calls that do not serve us replaced.

pyrender 0.1.45 is the last release, so what is overridden here will not move. Import this only in a process that
draws (see worker.py) and after PYOPENGL_PLATFORM is set: OpenGL binds itself to a platform when imported.

What differs from `pyrender.OffscreenRenderer`:
- EGL tries every device instead of the first alone; OSMesa draws into framebuffer objects as EGL does, so that both
  give an alpha channel and neither rebuilds its context when the size changes;
- the framebuffer only grows, a smaller picture uses its corner, so that regions of changing size cost nothing;
- the depth buffer is not read back;
- one pixel is one pixel on macOS too;
- rows come top-down;
- nothing asks for scene bounds (`np.infty` is gone from NumPy 2).
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
import OpenGL.platform
import pyrender
from OpenGL import GL as gl

from glot_cli.rendering.geometry import NEAR, Region, View

OCCLUDER = "occluder"  # material name: fills the depth buffer and leaves no colour

# OpenGL's camera looks along -z with y up, OpenCV's along +z with y down.
_OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_STEP = 256  # pixels by which a framebuffer grows
_FLAGS = pyrender.RenderFlags.OFFSCREEN | pyrender.RenderFlags.RGBA | pyrender.RenderFlags.FLAT


def open_platform(width: int, height: int) -> Any:
    """Make an OpenGL context current, of the kind that PYOPENGL_PLATFORM names ("egl", "osmesa", or the system's).

    Args:
        width: of a window's picture, where the kind has one, pixels.
        height: of it.

    Returns:
        A pyrender platform; `delete_context()` frees it.

    Raises:
        Exception: whatever the driver raises.
    """
    kind = os.environ.get("PYOPENGL_PLATFORM")
    if kind == "osmesa":
        return _started(OSMesaPlatform(width, height))
    if kind != "egl":
        from pyrender.platforms.pyglet_platform import PygletPlatform

        return _started(PygletPlatform(width, height))

    from pyrender.platforms import egl

    wanted = os.environ.get("EGL_DEVICE_ID")
    devices = [egl.get_device_by_index(int(wanted))] if wanted else egl.query_devices()
    fault: BaseException = RuntimeError("EGL knows no device")
    for device in devices:
        try:
            return _started(egl.EGLPlatform(width, height, device=device))
        except Exception as error:  # PyOpenGL raises many kinds; the next device may work
            fault = error
    raise fault


def in_software() -> bool:
    """Whether the current context draws on the CPU."""
    name = gl.glGetString(gl.GL_RENDERER).decode(errors="replace").lower()
    return any(word in name for word in ("llvmpipe", "softpipe", "swrast", "software", "gdi generic"))


class OSMesaPlatform:
    """A context of Mesa's off-screen library, made by calling the library itself.

    pyrender's own takes the call from PyOpenGL, whose release 3.1.0, the one pyrender demands, does not have it.
    """

    # Attributes and values of OSMesaCreateContextAttribs (Mesa, include/GL/osmesa.h), a zero at the end.
    ATTRIBUTES = (
        *(0x22, 0x1908),  # format: RGBA
        *(0x30, 24),  # depth bits
        *(0x33, 0x34),  # profile: core
        *(0x36, 3),  # version 3.3
        *(0x37, 3),
        0,
    )

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._library: Any = OpenGL.platform.PLATFORM.GL
        self._context: ctypes.c_void_p | None = None
        self._buffer = (ctypes.c_ubyte * (4 * width * height))()  # the library insists on one; nothing is drawn there

    def init_context(self) -> None:
        create = self._library.OSMesaCreateContextAttribs
        create.restype = ctypes.c_void_p
        attributes = (ctypes.c_int * len(self.ATTRIBUTES))(*self.ATTRIBUTES)
        context = create(attributes, None)
        if not context:
            raise RuntimeError("OSMesa makes no OpenGL 3.3 context")
        self._context = ctypes.c_void_p(context)
        # PyOpenGL files what it holds under the current context, which as a typed pointer is no key of a dictionary.
        OpenGL.platform.PLATFORM.GetCurrentContext.restype = ctypes.c_void_p

    def make_current(self) -> None:
        if not self._library.OSMesaMakeCurrent(self._context, self._buffer, gl.GL_UNSIGNED_BYTE, *self._size):
            raise RuntimeError("OSMesa does not take its own context")

    def delete_context(self) -> None:
        self._library.OSMesaDestroyContext(self._context)
        self._context = None


def _started(platform: Any) -> Any:
    platform.init_context()
    platform.make_current()
    return platform


class PinholeCamera(pyrender.Camera):  # type: ignore[misc]  # pyrender has no types
    """Projection of a pinhole camera: focal length and principal point in pixels of the viewport.

    pyrender's own IntrinsicsCamera doubles them on macOS, to go with framebuffers that this module does not make.
    """

    def __init__(self) -> None:
        super().__init__()
        self.focal = 1.0
        self.centre = (0.0, 0.0)

    def get_projection_matrix(self, width: int, height: int) -> np.ndarray:
        """(4, 4) OpenGL projection for a viewport of `width` x `height` pixels, upside down: row 0 is the upper one."""
        near, far = self.znear, self.zfar
        projection = np.zeros((4, 4))
        projection[0, 0] = 2 * self.focal / width
        projection[1, 1] = -2 * self.focal / height
        projection[0, 2] = 1 - 2 * self.centre[0] / width
        projection[1, 2] = 1 - 2 * self.centre[1] / height
        projection[2, 2] = (far + near) / (near - far)
        projection[2, 3] = 2 * far * near / (near - far)
        projection[3, 2] = -1
        return projection


class RegionRenderer(pyrender.Renderer):  # type: ignore[misc]  # pyrender has no types
    """pyrender's renderer, for pictures whose size changes all the time and whose depth nobody reads.

    Args:
        width: of the largest picture that is expected, pixels.
        height: of it.
        samples: a pixel, more than one smooths edges; 0 is one.
        line_width: pixels.
    """

    def __init__(self, width: int, height: int, samples: int, line_width: int) -> None:
        super().__init__(width, height)
        self._samples = samples
        self._line_width = line_width
        self.dpscale = 1  # on macOS pyrender draws at twice the size
        self.viewport_width, self.viewport_height = width, height
        self._allocated: tuple[int, ...] = (0, 0)
        self._main_fb: Any = None
        self._pixels = np.empty(0, np.uint8)

    def _configure_main_framebuffer(self) -> None:
        size = self.viewport_width, self.viewport_height
        if self._main_fb is None or size[0] > self._allocated[0] or size[1] > self._allocated[1]:
            self._allocate(*size)
        self._main_fb_dims = size
        # Clearing is not bound by the viewport, only by the scissor.
        gl.glEnable(gl.GL_SCISSOR_TEST)
        gl.glScissor(0, 0, *size)
        gl.glFrontFace(gl.GL_CW)  # the picture is upside down
        gl.glLineWidth(self._line_width)

    def _allocate(self, width: int, height: int) -> None:
        """Make framebuffers of at least this size, larger by steps: people come nearer a pixel at a time."""
        self._delete_main_framebuffer()
        grown = (-(-length // _STEP) * _STEP for length in (width, height))
        self._allocated = tuple(map(max, grown, self._allocated))
        self._main_fb, self._main_cb, self._main_db = drawn = self._new_framebuffer(0)
        samples = min(self._samples, int(gl.glGetIntegerv(gl.GL_MAX_SAMPLES)))
        self._main_fb_ms, self._main_cb_ms, self._main_db_ms = self._new_framebuffer(samples) if samples else drawn

    def _new_framebuffer(self, samples: int) -> tuple[Any, Any, Any]:
        """(framebuffer, colour buffer, depth buffer) of the allocated size with `samples` samples a pixel."""
        colour, depth = gl.glGenRenderbuffers(2)
        framebuffer = gl.glGenFramebuffers(1)
        gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, framebuffer)
        for buffer, kind, attachment in (
            (colour, gl.GL_RGBA8, gl.GL_COLOR_ATTACHMENT0),
            (depth, gl.GL_DEPTH_COMPONENT24, gl.GL_DEPTH_ATTACHMENT),
        ):
            gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, buffer)
            gl.glRenderbufferStorageMultisample(gl.GL_RENDERBUFFER, samples, kind, *self._allocated)
            gl.glFramebufferRenderbuffer(gl.GL_DRAW_FRAMEBUFFER, attachment, gl.GL_RENDERBUFFER, buffer)
        status = gl.glCheckFramebufferStatus(gl.GL_DRAW_FRAMEBUFFER)
        if status != gl.GL_FRAMEBUFFER_COMPLETE:
            raise RuntimeError(f"a framebuffer of {self._allocated} pixels is refused (status {int(status):#x})")
        return framebuffer, colour, depth

    def _read_main_framebuffer(self, scene: Any, flags: int) -> np.ndarray:
        width, height = self._main_fb_dims
        if self._main_fb_ms != self._main_fb:
            gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._main_fb_ms)
            gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, self._main_fb)
            gl.glBlitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.GL_COLOR_BUFFER_BIT, gl.GL_NEAREST)
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._main_fb)
        if self._pixels.size < height * width * 4:
            self._pixels = np.empty(height * width * 4, np.uint8)
        pixels = self._pixels[: height * width * 4].reshape(height, width, 4)
        gl.glReadPixels(0, 0, width, height, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, pixels)
        return pixels

    def _sorted_mesh_nodes(self, scene: Any) -> list[Any]:
        """Occluders first, so that lines behind them are hidden. Everything is opaque: else no order is needed."""
        return sorted(scene.mesh_nodes, key=lambda node: node.mesh.primitives[0].material.name != OCCLUDER)

    def _bind_and_draw_primitive(self, primitive: Any, pose: np.ndarray, program: Any, flags: int) -> None:
        if primitive.material.name != OCCLUDER:
            super()._bind_and_draw_primitive(primitive, pose, program, flags)
            return
        gl.glColorMask(False, False, False, False)
        gl.glEnable(gl.GL_POLYGON_OFFSET_FILL)
        gl.glPolygonOffset(1.0, 1.0)  # pushed back by a hair, or a surface would hide its own edges
        try:
            super()._bind_and_draw_primitive(primitive, pose, program, flags)
        finally:
            gl.glDisable(gl.GL_POLYGON_OFFSET_FILL)
            gl.glColorMask(True, True, True, True)


class PinholeScene:
    """Meshes before one camera, of whose picture a region is drawn at a time.

    An OpenGL context (`open_platform`) must be current.

    Args:
        width: of the largest picture that will be asked for, pixels.
        height: of it.
        samples: as for RegionRenderer.
        line_width: likewise.
    """

    def __init__(self, width: int, height: int, samples: int = 4, line_width: int = 1) -> None:
        self._renderer = RegionRenderer(width, height, samples, line_width)
        self._scene = pyrender.Scene(bg_color=(0.0, 0.0, 0.0, 0.0))
        self._camera = PinholeCamera()
        self._camera_node = self._scene.add(self._camera, pose=np.eye(4))

    def add(
        self,
        interleaved: np.ndarray,
        indices: np.ndarray,
        *,
        mode: int = pyrender.GLTF.TRIANGLES,
        name: str = "surface",
        double_sided: bool = False,
    ) -> pyrender.Mesh:
        """Put in a mesh whose vertices have colours of their own.

        Args:
            interleaved: (V, 7) float32 positions (metres) and RGBA colours (0 to 1); `update_vertices` changes them.
            indices: (F, 3) of triangles, counter-clockwise seen from outside, or (E, 2) of lines.
            mode: which of the two.
            name: of the material; OCCLUDER only hides what is behind it.
            double_sided: draw the inside too.
        """
        primitive = pyrender.Primitive(
            positions=interleaved[:, :3],
            color_0=interleaved[:, 3:],
            indices=indices,
            material=pyrender.MetallicRoughnessMaterial(
                name=name, baseColorFactor=(1.0, 1.0, 1.0, 1.0), doubleSided=double_sided
            ),
            mode=mode,
        )
        mesh = pyrender.Mesh([primitive])
        self._scene.add(mesh)
        return mesh

    def draw(self, view: View, region: Region) -> np.ndarray:
        """The visible meshes as `view` sees them, cut down to a region of its picture.

        Returns:
            (h, w, 4) uint8 of the region's size, colour multiplied by coverage (alpha), ready to be put over another
            picture. The next call overwrites it.
        """
        self._scene.set_pose(self._camera_node, view.pose @ _OPENCV_TO_OPENGL)
        camera = self._camera
        camera.focal = view.focal
        camera.centre = (view.centre[0] - region.x0, view.centre[1] - region.y0)
        # pyrender checks zfar > znear at each assignment: open the range before it is narrowed.
        camera.znear = 0.0
        camera.zfar = max(region.far * 1.01, 2 * NEAR)
        camera.znear = max(region.near * 0.99, NEAR)
        self._renderer.viewport_width = region.x1 - region.x0
        self._renderer.viewport_height = region.y1 - region.y0
        pixels: np.ndarray = self._renderer.render(self._scene, _FLAGS)
        return pixels

    def close(self) -> None:
        """Free the buffers and shaders."""
        self._renderer.delete()


def interleave(points: np.ndarray, colours: np.ndarray | None) -> np.ndarray:
    """The vertex buffer of a mesh with one opaque colour a vertex.

    Args:
        points: (V, 3) metres.
        colours: (V, 3), 0 to 1; None: white.

    Returns:
        (V, 7) float32 positions and RGBA colours.
    """
    rows = np.ones((len(points), 7), np.float32)
    rows[:, :3] = points
    if colours is not None:
        rows[:, 3:6] = colours
    return rows


def update_vertices(primitive: Any, interleaved: np.ndarray) -> None:
    """Overwrite the vertex buffer of a primitive in place.

    Args:
        primitive: pyrender's, of a mesh with one colour a vertex.
        interleaved: (V, 7) float32 positions (metres) and RGBA colours (0 to 1).
    """
    if not primitive._in_context():  # before its first drawing it has no buffer: that is made from these arrays
        primitive.positions, primitive.color_0 = interleaved[:, :3], interleaved[:, 3:]
        return
    gl.glBindBuffer(gl.GL_ARRAY_BUFFER, primitive._buffers[0])
    gl.glBufferSubData(gl.GL_ARRAY_BUFFER, 0, interleaved.nbytes, interleaved)
