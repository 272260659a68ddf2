"""Shipped observers: one file, one plugin."""
