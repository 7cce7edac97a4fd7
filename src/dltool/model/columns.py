"""Columns of a table in Keras: the state fitted on the training rows, and the layers that use it.

A column becomes numbers in two steps. Its preprocessing (fill, scale, look up) is fixed once fitted and can be computed
once for all rows. Its encoding (one-hot vectors, embeddings) is part of the trained model."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dltool.config.columns import BooleanColumn, CategoryColumn, ColumnType, DateColumn, NumberColumn, TextColumn
from dltool.data.arrays.rows import Coded, Rows
from dltool.data.arrays.window_rows import values_once
from dltool.data.dates import DATE_PARTS, SECONDS_A_DAY
from dltool.data.facts import InputFacts
from dltool.data.scales import scale_of, signed_log
from dltool.errors import ConfigPath
from dltool.model.column_states import ColumnState, counted
from dltool.model.hub import tokenizer_files
from dltool.model.tokenizers import make_tokenizer, tokens_of

BEFORE_ALL_DATES = -(10**9)
"""Days; fits into int32, which Keras requires. A missing date is the smallest int64, which lies before."""


def learn(column: ColumnType, rows: Rows, place: ConfigPath = ()) -> ColumnState:
    """Return the state of `column`, whose config path is `place`, fitted on the training `rows` alone."""
    options = column.options
    if isinstance(options, NumberColumn):
        return learn_number(options, values_once(rows))
    if isinstance(options, BooleanColumn):
        values = values_once(rows)
        fill = most_frequent_number(values) if options.missing == "most_frequent" else 0.0
        return {"fill": fill, "missing": int(np.isnan(values).sum())}
    if isinstance(options, CategoryColumn):
        return learn_category(options, rows)
    if isinstance(options, DateColumn):
        return learn_date(options, values_once(rows))
    if isinstance(options, TextColumn) and options.preset is not None:
        files = tokenizer_files(options.preset, (*place, column.name, "preset"))
        return {name: base64.b64encode(content).decode() for name, content in files.items()}
    if isinstance(options, TextColumn):
        return learn_text(options, rows)
    return {}


def learn_number(options: NumberColumn, values: np.ndarray) -> ColumnState:
    """Return statistics in float64. `center` and `spread` are computed after missing values are filled. `missing` is
    their number; `low` and `high` are the range of the others, by which predictions know unusual values."""
    present = values[~np.isnan(values)].astype(np.float64)
    fill = 0.0
    if isinstance(options.missing, float | int):
        fill = float(options.missing)
    elif len(present):
        fill = float(np.mean(present) if options.missing == "mean" else np.median(present))
    filled = np.where(np.isnan(values), fill, values.astype(np.float64))
    center, spread = scale_of(options.scale, filled) if len(filled) else (0.0, 1.0)
    limits: dict[str, Any] = {"low": float(present.min()), "high": float(present.max())} if len(present) else {}
    if options.pieces is not None:
        scaled = ((signed_log(filled) if options.scale == "log" else filled) - center) / spread
        limits["edges"] = edges_of(options.pieces, scaled)
    return {"fill": fill, "center": center, "spread": spread, "missing": len(values) - len(present), **limits}


def edges_of(pieces: int, values: np.ndarray) -> list[float]:
    """Return at most `pieces` + 1 rising edges of intervals, float32 that differ: half of them quantiles of the values,
    so that values in crowded ranges fall into different intervals, and half of the distinct values, where most rows
    have the same one."""
    shares = np.linspace(0, 1, pieces // 2 + 1)
    values = values if len(values) else np.zeros(1)
    edges = np.unique([np.quantile(values, shares), np.quantile(np.unique(values), shares)]).astype(np.float32)
    edges = edges[np.diff(edges, prepend=-np.inf) > np.finfo(np.float32).tiny]
    return [float(edge) for edge in (edges if len(edges) > 1 else [edges[0], edges[0] + 1])]


def most_frequent_number(values: np.ndarray) -> float:
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return float(distinct[np.argmax(counts)]) if len(distinct) else 0.0


def learn_category(options: CategoryColumn, rows: Rows) -> ColumnState:
    return category_state(options, counted(rows))


def category_state(options: CategoryColumn, counts: Mapping[str, int]) -> ColumnState:
    """Return the sufficiently frequent values, sorted; the missing value, an empty string, may be one of them. `counts`
    are the rows of each value."""
    known = sorted(text for text, count in counts.items() if text and count >= options.min_count)
    # Keras requires at least one word.
    state: dict[str, Any] = {"vocabulary": known or [""], "missing": counts.get("", 0)}
    if options.missing == "as_category":
        state["vocabulary"] = ["", *known]
    elif options.missing == "most_frequent":
        state["fill"] = max(known, key=lambda text: counts[text], default="")
    return state


def learn_date(options: DateColumn, seconds: np.ndarray) -> ColumnState:
    present = seconds[seconds // SECONDS_A_DAY > BEFORE_ALL_DATES]
    fill = int(np.median(present)) if len(present) else 0
    filled = np.where(seconds // SECONDS_A_DAY > BEFORE_ALL_DATES, seconds, fill)
    scales = [scale_of("standard", np.asarray(DATE_PARTS[part](filled), np.float64)) for part in options.parts]
    center, spread = [center for center, _ in scales], [spread for _, spread in scales]
    ends = {"first": int(present.min()), "last": int(present.max())} if len(present) else {}
    return {"fill": fill, "center": center, "spread": spread, "missing": len(seconds) - len(present), **ends}


def learn_text(options: TextColumn, rows: Rows) -> ColumnState:
    layer = vectorization(options, "text")
    texts = rows[0 : len(rows)] if isinstance(rows, Coded) else values_once(rows)
    layer.adapt(keras.ops.convert_to_tensor(texts.astype(object), dtype="string"))
    state: dict[str, Any] = {"vocabulary": [str(word) for word in layer.get_vocabulary()]}
    weights = getattr(layer._lookup_layer, "idf_weights_const", None)
    return state if weights is None else {**state, "weights": [float(weight) for weight in np.asarray(weights)]}


def vectorization(options: TextColumn, name: str) -> Any:
    return keras.layers.TextVectorization(
        max_tokens=options.max_tokens,
        standardize=options.standardize,
        split=options.split,
        ngrams=options.ngrams,
        output_mode="int" if options.length is not None else options.output_mode,
        output_sequence_length=options.length,
        name=name,
    )


def prepare(column: ColumnType, state: ColumnState, raw: Any, title: str) -> Any:
    """Return the preprocessed values of the raw input `raw`, (batch,) or (batch, steps). Numbers are float32 with a
    last axis; categories and word sequences are int32 indices without one."""
    options = column.options
    if isinstance(options, NumberColumn):
        return preprocess_number(options, state, raw)
    if isinstance(options, BooleanColumn):
        is_missing = keras.ops.isnan(raw)
        fill = float(options.missing) if isinstance(options.missing, float | int) else state["fill"]
        return on_last_axis([keras.ops.where(is_missing, fill, raw), *indicator(options.indicator, is_missing)])
    if isinstance(options, CategoryColumn):
        return preprocess_category(options, state, raw, title)
    if isinstance(options, DateColumn):
        return preprocess_date(options, state, raw)
    if isinstance(options, TextColumn) and options.preset is not None:
        files = {name: base64.b64decode(content) for name, content in state.items()}
        return tokens_of(make_tokenizer(files, (), f"{title}_tokens"), raw, options.length or 0)
    if isinstance(options, TextColumn):
        layer = vectorization(options, f"{title}_words")
        words, weights = list(state["vocabulary"]), state.get("weights")
        layer.set_vocabulary(words, None if weights is None else np.array(weights[: len(words)]))
        return layer(raw)
    # Images and audio: Keras's layers would overflow in bytes.
    return keras.layers.Rescaling(1.0, name=f"{title}_cast")(raw) if raw.dtype == "uint8" else raw


def preprocess_number(options: NumberColumn, state: ColumnState, raw: Any) -> Any:
    is_missing = keras.ops.isnan(raw)
    filled = raw if options.missing == "error" else keras.ops.where(is_missing, state["fill"], raw)
    if options.scale == "log":
        # TensorFlow's logarithm varies in its last bits at the end of a batch; float32 hides those of float64.
        exact = keras.ops.cast(filled, "float64")
        filled = keras.ops.cast(keras.ops.sign(exact) * keras.ops.log1p(keras.ops.abs(exact)), "float32")
    if options.scale != "none":
        filled = (filled - state["center"]) / state["spread"]
    # Large numbers that differ little are float64 until they are scaled.
    filled = keras.ops.cast(filled, "float32") if raw.dtype == "float64" else filled
    return on_last_axis([filled, *indicator(options.indicator, is_missing)])


def indicator(is_wanted: bool, is_missing: Any) -> list[Any]:
    return [keras.ops.cast(is_missing, "float32")] if is_wanted else []


def on_last_axis(parts: list[Any]) -> Any:
    return keras.ops.stack(parts, axis=-1) if len(parts) > 1 else keras.ops.expand_dims(parts[0], -1)


def preprocess_category(options: CategoryColumn, state: ColumnState, raw: Any, title: str) -> Any:
    vocabulary, fill = list(state["vocabulary"]), state.get("fill")
    first = 0 if options.unknown == "error" else 1
    words = [*vocabulary, ""] if fill else vocabulary
    lookup = keras.layers.StringLookup(vocabulary=words, num_oov_indices=first, name=f"{title}_index")
    index = keras.ops.cast(lookup(raw), "int32")
    if fill:
        is_missing = keras.ops.equal(index, len(vocabulary) + first)
        index = keras.ops.where(is_missing, vocabulary.index(fill) + first, index)
    return index


def preprocess_date(options: DateColumn, state: ColumnState, raw: Any) -> Any:
    days = raw // SECONDS_A_DAY
    rest = raw - days * SECONDS_A_DAY
    is_missing = keras.ops.less(days, BEFORE_ALL_DATES)
    days = keras.ops.where(is_missing, state["fill"] // SECONDS_A_DAY, days)
    rest = keras.ops.where(is_missing, state["fill"] % SECONDS_A_DAY, rest)
    seconds = days * SECONDS_A_DAY + rest
    parts = []
    for part, center, spread in zip(options.parts, state["center"], state["spread"], strict=True):
        if part == "elapsed":
            # Integer seconds are exact; days as float32 are minutes off.
            elapsed = keras.ops.cast(seconds - round(center * SECONDS_A_DAY), "float32")
            parts.append(elapsed / (spread * SECONDS_A_DAY))
        else:
            parts.append((keras.ops.cast(DATE_PARTS[part](seconds), "float32") - center) / spread)
    return on_last_axis(parts)


def encode(column: ColumnType, state: ColumnState, prepared: Any, title: str) -> Any:
    """Return the encoded column as layers take it, with features on the last axis."""
    options = column.options
    if isinstance(options, NumberColumn) and options.pieces is not None:
        return in_pieces(state["edges"], prepared)
    if not isinstance(options, CategoryColumn):
        return prepared
    size = categories(options, state)
    if options.embedding is None:
        return keras.ops.one_hot(prepared, size)
    return keras.layers.Embedding(size, options.embedding, name=f"{title}_embedding")(prepared)


def in_pieces(edges: Sequence[float], prepared: Any) -> Any:
    """Return how far a scaled number is through each interval between `edges`, from 0 to 1, and the indicator behind
    it, if any. It is the piecewise linear encoding of Gorishniy et al., "On Embeddings for Numerical Features in
    Tabular Deep Learning", 2022."""
    low, high = np.array(edges[:-1], np.float32), np.array(edges[1:], np.float32)
    through = keras.ops.clip((prepared[..., :1] - low) / (high - low), 0, 1)
    return through if prepared.shape[-1] == 1 else keras.ops.concatenate([through, prepared[..., 1:]], axis=-1)


def categories(options: CategoryColumn, state: ColumnState) -> int:
    """Return the number of indices of a category, with that of unknown values, which is 0."""
    return len(state["vocabulary"]) + (options.unknown != "error")


def is_vector(found: InputFacts) -> bool:
    """Return whether the encoded input has only a feature axis, so that it can be concatenated with others."""
    if found.column is None:
        return len(found.shape) == 1 and found.dtype != "string"
    options = found.column.options
    is_numeric = isinstance(options, NumberColumn | BooleanColumn | CategoryColumn | DateColumn)
    return is_numeric or (isinstance(options, TextColumn) and options.length is None)
