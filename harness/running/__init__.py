"""A run while it runs: what it takes, whom it asks, what it trains, and what it leaves behind."""
