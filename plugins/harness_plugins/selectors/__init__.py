"""Shipped selectors: one file, one plugin."""
