"""Run directories: their files, locks, checkpoints, records and lists."""
