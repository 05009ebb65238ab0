"""Made-up pictures of people whose truth is known: clothes, rooms, cameras, and what the real networks see in them.

Importing `painter`, `crops` or `films` imports OpenGL; do it after PYOPENGL_PLATFORM is set.
"""
