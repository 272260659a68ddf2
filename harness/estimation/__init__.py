"""Before anything is spent: `harness estimate`."""
