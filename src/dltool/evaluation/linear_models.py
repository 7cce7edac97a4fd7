"""Linear models of a feature table, for baselines.

They use NumPy only: importing scikit-learn takes 1.2 s and 140 MB at the end of every run."""

import numpy as np

COMPONENTS = 50
"""Principal components that replace a larger number of features."""
OVERSAMPLING = 10
SUBSPACE_ITERATIONS = 4
ITERATIONS = 200
DECAY = 1e-4
RIDGE = 1e-3
BLOCK = 512
"""Rows standardized at once."""


def has_components(rows: int, columns: int) -> bool:
    return columns > COMPONENTS and rows > COMPONENTS


class Standardized:
    """A table (rows, columns) of float32 with mean 0 and standard deviation 1, and a last column of ones.

    Principal components replace many columns. The table is overwritten. Raises ValueError: a value is not finite."""

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

    def apply(self, block: np.ndarray) -> np.ndarray:
        """Return another table, standardized by the mean and standard deviation of the first."""
        return np.asarray((block - self.mean) / self.deviation @ self.basis)


def with_ones(table: np.ndarray) -> np.ndarray:
    """Return the table with a column of ones. Raises ValueError: a value is not finite."""
    refuse_no_numbers(table)
    return np.column_stack([table, np.ones(len(table), np.float32)])


def refuse_no_numbers(table: np.ndarray) -> None:
    if not np.isfinite(table).all():
        raise ValueError("some features are not finite")


def principal_components(table: np.ndarray) -> np.ndarray:
    """Return the first principal components of the standardized `table`, (columns, COMPONENTS) of float32.

    Each is divided by its standard deviation. Randomized subspace iteration (N. Halko, P. G. Martinsson, J. A. Tropp,
    Finding Structure with Randomness, 2011, algorithm 4.4) takes 0.3 s for 3,072 columns; the exact solution, 8 s."""
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
    """Return the weights (columns, count) of multinomial logistic regression on standardized features (rows, columns).

    `classes` (rows,) are class indices. Nesterov's accelerated gradient descent, with a step from the bound on the
    curvature (D. Böhning, Multinomial Logistic Regression Algorithm, 1992: at most half that of least squares)."""
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
    """Return the weights (columns,) of ridge regression for features (rows, columns) and values (rows,)."""
    gram = features.T @ features + RIDGE * np.eye(features.shape[1])
    return np.linalg.solve(gram, features.T @ values.astype(float))
