"""Fine-tuning: jobs, the process that trains, the files it learns from."""
