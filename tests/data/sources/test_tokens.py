import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dltool.data.sources.builtin_datasets import fitted_table, padded_table, without_rare


def as_keras_does(words: list[int], length: int, num_words: int | None) -> list[int]:
    """imdb.load_data(num_words=…) followed by pad_sequences(maxlen=length), for one text."""
    sequence = [1, *(word + 3 for word in words)]
    kept = [number if num_words is None or number < num_words else 2 for number in sequence][-length:]
    return [0] * (length - len(kept)) + kept


@given(
    st.lists(st.lists(st.integers(1, 50), max_size=12), min_size=1, max_size=8),
    st.integers(1, 10),
    st.none() | st.integers(4, 60),
)
def test_texts_become_what_keras_makes_of_them(texts, length, num_words):
    table = without_rare(padded_table(texts, length), num_words)
    assert table.dtype == np.int32
    assert table.tolist() == [as_keras_does(words, length, num_words) for words in texts]


def test_a_padded_table_keeps_its_last_columns_or_gets_zeros_in_front():
    table = np.array([[1, 2, 3]], np.int32)
    assert fitted_table(table, 2).tolist() == [[2, 3]]
    assert fitted_table(table, 5).tolist() == [[0, 0, 1, 2, 3]]
