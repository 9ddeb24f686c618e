"""Routes, and nothing else."""
