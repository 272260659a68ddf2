"""Shipped metrics: one file, one plugin."""
