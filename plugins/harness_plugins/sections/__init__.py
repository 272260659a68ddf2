"""Shipped sections: one file, one plugin."""
