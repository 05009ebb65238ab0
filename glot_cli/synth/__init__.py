"""Made-up pictures of people whose truth is known: clothes, rooms, cameras, and what the real networks see in them.

Whoever draws here draws in this process: `painter.prepare` comes first.
"""
