"""The data stage: pure functions from examples to splits, checks and training lines."""
