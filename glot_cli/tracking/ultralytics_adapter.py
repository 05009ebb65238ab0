"""Ultralytics without its reach: no network, no pip, no usage statistics, no log lines."""

import importlib
import logging
import os
import sys
from types import ModuleType

import cv2

# Ultralytics reads these once, while it is imported.
_SETTINGS = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}


def import_ultralytics() -> ModuleType:
    """Import ultralytics with everything switched off that reaches outside this process, and return it.

    Call it before any `from ultralytics... import`. It also works when the host program imported ultralytics before,
    and leaves the environment and OpenCV's thread count, which ultralytics sets to one, as they were.
    """
    before = {name: os.environ.get(name) for name in _SETTINGS}
    threads = cv2.getNumThreads()
    os.environ.update(_SETTINGS)
    try:
        ultralytics = importlib.import_module("ultralytics")
        importlib.import_module("ultralytics.utils.checks")
        importlib.import_module("ultralytics.nn.tasks")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        cv2.setNumThreads(threads)
    # Modules keep copies of these switches; a copy made before our import may still say yes.
    for name, module in list(sys.modules.items()):
        if name.startswith("ultralytics.") and module is not None:
            for switch in ("ONLINE", "AUTOINSTALL"):
                if vars(module).get(switch) is True:
                    setattr(module, switch, False)
            events = vars(module).get("events")
            if events is not None and hasattr(events, "enabled"):
                events.enabled = False  # usage statistics
    logging.getLogger("ultralytics").setLevel(logging.ERROR)
    return ultralytics
