"""What a run leaves: `results.json`, `predictions.parquet`, `trials.parquet`, from its answers."""
