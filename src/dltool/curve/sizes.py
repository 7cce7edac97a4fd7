"""The sizes of a learning curve: from few training rows to all of them, each the same multiple of the one before."""

from dltool.errors import ConfigError, Problem

LEAST_ROWS = 20
"""Training rows below which models say little about those with more."""
FACTOR = 2


def sizes_of(rows: int, count: int) -> list[int]:
    """Return at most `count` numbers of rows, ascending up to `rows`, each twice the one before; closer together if the
    first would be less than `LEAST_ROWS`. Raises ConfigError: there are too few rows."""
    least = max(LEAST_ROWS, rows / FACTOR ** (count - 1))
    if rows < FACTOR * LEAST_ROWS:
        message = f"a learning curve takes at least {FACTOR * LEAST_ROWS} training examples, and there are {rows}"
        raise ConfigError(Problem(("data",), message))
    ratio = (rows / least) ** (1 / (count - 1))
    return sorted({round(rows / ratio**step) for step in range(count)})
