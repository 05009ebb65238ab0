"""Metrics, and how they are computed."""
