"""Linear models of a table of features, for baselines.

In NumPy alone: importing scikit-learn takes 1.2 s and 140 MB, at the end of every training.
"""

import numpy as np

COMPONENTS = 50
"""Principal components that stand for more features than so many."""
OVERSAMPLING = 10
SUBSPACE_ITERATIONS = 4
ITERATIONS = 200
DECAY = 1e-4
RIDGE = 1e-3
BLOCK = 512
"""Rows that are standardized at once."""


def has_components(rows: int, columns: int) -> bool:
    return columns > COMPONENTS and rows > COMPONENTS


class Standardized:
    """A table (rows, columns) of float32 with mean 0 and deviation 1, and a last column of ones. Of many columns, these
    are the first principal components. The table given is overwritten.

    Raises:
        ValueError: something in it is no number.
    """

    def __init__(self, table: np.ndarray) -> None:
        self.mean = table.mean(axis=0, dtype=float).astype(np.float32)
        table -= self.mean
        blocks = np.array_split(table, -(-len(table) // BLOCK))
        squares = sum(np.square(block, dtype=float).sum(axis=0) for block in blocks)
        self.deviation = np.sqrt(squares / len(table)).astype(np.float32)
        self.deviation[self.deviation == 0] = 1
        table /= self.deviation
        refuse_no_numbers(table)
        self.basis = np.eye(table.shape[1], dtype=np.float32)
        if has_components(*table.shape):
            self.basis = principal_components(table)
        self.table = with_ones(table @ self.basis)

    def of(self, block: np.ndarray) -> np.ndarray:
        """Return another table, by the mean and the deviation of the first."""
        return np.asarray((block - self.mean) / self.deviation @ self.basis)


def with_ones(table: np.ndarray) -> np.ndarray:
    """Raises ValueError: something in it is no number."""
    refuse_no_numbers(table)
    return np.column_stack([table, np.ones(len(table), np.float32)])


def refuse_no_numbers(table: np.ndarray) -> None:
    """Raise ValueError where something is no number."""
    if not np.isfinite(table).all():
        raise ValueError("some features are no numbers")


def principal_components(table: np.ndarray) -> np.ndarray:
    """Return (columns, COMPONENTS) of float32, the directions in which the standardized `table` varies most.

    Each is divided by its deviation. By randomized subspace iteration (N. Halko, P. G. Martinsson, J. A. Tropp, Finding
    Structure with Randomness, 2011, algorithm 4.4): what takes 8 s exactly for 3,072 columns takes 0.3 s so.
    """
    size = min(table.shape[1], COMPONENTS + OVERSAMPLING)
    basis = np.random.default_rng(0).standard_normal((table.shape[1], size), dtype=np.float32)
    for _ in range(SUBSPACE_ITERATIONS):
        basis, _ = np.linalg.qr(table.T @ (table @ basis))
    projected = table @ basis
    values, vectors = np.linalg.eigh(np.asarray(projected.T @ projected, float) / len(table))
    first = slice(None, -COMPONENTS - 1, -1)
    lengths = np.sqrt(np.maximum(values[first], 1e-12))
    return np.asarray(basis @ (vectors[:, first] / lengths), np.float32)


def softmax_regression(features: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Return weights (columns, count) of multinomial logistic regression, of standardized features and class indices.

    Features are (rows, columns), classes (rows,). By Nesterov's accelerated gradient with the step that the curvature
    allows (D. Böhning, Multinomial Logistic Regression Algorithm, 1992: at most half that of least squares).
    """
    expected = (classes[:, None] == np.arange(count)).astype(float)
    gram = features.T @ features / len(features)
    step = 1 / (0.5 * np.linalg.eigvalsh(gram)[-1] + DECAY)
    weights = ahead = np.zeros((features.shape[1], count))
    for iteration in range(ITERATIONS):
        errors = softmax(features @ ahead) - expected
        moved = ahead - step * (features.T @ errors / len(features) + DECAY * ahead)
        ahead = moved + iteration / (iteration + 3) * (moved - weights)
        weights = moved
    return weights


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def linear_regression(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return weights (columns,) of least squares for features (rows, columns) and values (rows,), slightly damped."""
    gram = features.T @ features + RIDGE * np.eye(features.shape[1])
    return np.linalg.solve(gram, features.T @ values.astype(float))
