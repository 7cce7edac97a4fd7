"""Learning curves by rows: runs on fractions of the training rows, and the error that more rows would bring."""
