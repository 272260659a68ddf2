"""From answers to figures, comparisons and the verdict: pure."""
