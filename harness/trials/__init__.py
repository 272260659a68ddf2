"""What is asked on validation: candidates of a choice, contenders, points of learning and shot curves."""
