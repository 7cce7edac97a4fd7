"""Linear models of a table of features, for baselines.

In NumPy alone: importing scikit-learn takes 1.2 s and 140 MB, at the end of every training.
"""

from collections.abc import Iterable

import numpy as np

COMPONENTS = 50
"""Principal components that stand for more features than so many."""
OVERSAMPLING = 10
SUBSPACE_ITERATIONS = 4
ITERATIONS = 200
DECAY = 1e-4
RIDGE = 1e-3
BLOCK = 512


def has_components(rows: int, columns: int) -> bool:
    return columns > COMPONENTS and rows > COMPONENTS


def standardized(table: np.ndarray, measured: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """`table` (rows, columns) of float32 and the blocks of `measured`, with mean 0 and deviation 1 by the first, and a
    last column of ones. Of many columns, these are the first principal components. The table itself is overwritten.

    Raises:
        ValueError: something in them is no number.
    """
    mean = table.mean(axis=0, dtype=float).astype(np.float32)
    table -= mean
    squares = sum(np.square(block, dtype=float).sum(axis=0) for block in np.array_split(table, -(-len(table) // BLOCK)))
    deviation = np.sqrt(squares / len(table)).astype(np.float32)
    deviation[deviation == 0] = 1
    table /= deviation
    refuse_no_numbers(table)
    basis = np.eye(table.shape[1], dtype=np.float32)
    if has_components(*table.shape):
        basis = principal_components(table)
    other = np.concatenate([(block - mean) / deviation @ basis for block in measured])
    one, other = (np.column_stack([rows, np.ones(len(rows), np.float32)]) for rows in (table @ basis, other))
    refuse_no_numbers(one)
    refuse_no_numbers(other)
    return one, other


def refuse_no_numbers(table: np.ndarray) -> None:
    """Raises ValueError."""
    if not np.isfinite(table).all():
        raise ValueError("some features are no numbers")


def principal_components(table: np.ndarray) -> np.ndarray:
    """(columns, COMPONENTS) of float32, the directions in which the standardized `table` varies most, each divided by
    its deviation, by randomized subspace iteration (N. Halko, P. G. Martinsson, J. A. Tropp, Finding Structure with
    Randomness, 2011, algorithm 4.4): what takes 8 s exactly for 3,072 columns takes 0.3 s so.
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
    """Weights (columns, count) of multinomial logistic regression for standardized features (rows, columns) and class
    indices (rows,), by Nesterov's accelerated gradient with the step that the curvature allows (D. Böhning, Multinomial
    Logistic Regression Algorithm, 1992: at most half that of least squares).
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
    """Weights (columns,) of least squares for features (rows, columns) and values (rows,), but for columns that say
    the same.
    """
    gram = features.T @ features + RIDGE * np.eye(features.shape[1])
    return np.linalg.solve(gram, features.T @ values.astype(float))
