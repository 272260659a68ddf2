"""What is tried on validation: candidates of a choice, and points of learning and shot curves."""
