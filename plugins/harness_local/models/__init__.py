"""Where a model comes from and how it gets into memory; text to tokens and back."""
