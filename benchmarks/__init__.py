"""What dltool costs, against the scripts one would write instead: `python -m benchmarks`."""
