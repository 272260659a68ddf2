"""The data stage with its input and output: `harness.prepare` is what it decides by, and pure."""
