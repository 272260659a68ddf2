"""Shipped backends: one file, one plugin."""
