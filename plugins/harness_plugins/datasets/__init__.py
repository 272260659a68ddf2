"""Shipped datasets: one file, one plugin."""
