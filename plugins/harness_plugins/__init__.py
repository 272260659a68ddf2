"""The plugins that ship with the harness; they use its public hooks only: one file, one plugin."""
