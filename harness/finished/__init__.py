"""What is done with a finished run: looked at, decided anew, compared, gated, exported, asked about new data."""
