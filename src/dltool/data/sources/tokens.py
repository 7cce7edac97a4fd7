"""Sequences of word numbers → one int32 table, as keras.datasets and `pad_sequences` make it."""

from collections.abc import Sequence

import numpy as np

PADDING, START, RARE = 0, 1, 2
FIRST_WORD = 3


def padded_table(sequences: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """(rows, length) of int32 from published sequences of words 1, 2, … by frequency.

    Words are moved up by three to make room for padding, start and rare; every sequence begins with the start mark. The
    last `length` numbers are kept, with zeros in front of short ones.
    """
    table = np.full((len(sequences), length), PADDING - FIRST_WORD, dtype=np.int32)
    for row, words in enumerate(sequences):
        last = words[-length:]
        if last:
            table[row, length - len(last) :] = last
        if len(words) < length:
            table[row, length - len(words) - 1] = START - FIRST_WORD
    table += FIRST_WORD
    return table


def fitted_table(table: np.ndarray, length: int) -> np.ndarray:
    """A table of word numbers, cut or padded in front to `length` columns."""
    kept = table[:, -length:]
    return np.pad(kept, ((0, 0), (length - kept.shape[1], 0)), constant_values=PADDING)


def without_rare(table: np.ndarray, num_words: int | None) -> np.ndarray:
    """`table` with every number from `num_words` on replaced by 2."""
    return table if num_words is None else np.where(table < num_words, table, np.int32(RARE))
