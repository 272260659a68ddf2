"""The experiment file that `harness init` writes."""
