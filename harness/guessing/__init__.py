"""A first look at a file: how it is laid out, and which of its columns is what."""
