"""What happened in a run, as one HTML file that loads nothing, and as JSON."""
