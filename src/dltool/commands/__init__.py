"""The commands of `dltool`, one module each: short stories that call everything else."""
