"""Shipped formatters: one file, one plugin."""
