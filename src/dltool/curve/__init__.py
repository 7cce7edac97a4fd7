"""Learning curves by rows: trainings on fractions of the training rows, and the error that more rows would bring."""
