"""Shipped executors: one file, one plugin."""
