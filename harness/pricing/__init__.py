"""What things cost: published and own prices, an arm's, a run's ledgers, seconds of this machine."""
