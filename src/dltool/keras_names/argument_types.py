"""Types of an argument's values, deduced from its name and default.

A type is written as words joined by `|`:

    int float number bool text null list mapping any code   plain values; `float` takes integers too and makes
                                                             them floats, `number` takes both and leaves them
    ints floats texts, ints:2                                lists, with their length if it is certain
    "same"                                                   one allowed string
    initializer, layer, …, layers                            a Keras object of that kind, or a list of layers

If unsure, the type is `any`: refusing a valid value is worse than missing an error."""

from typing import Any

PADDING = '"valid"|"same"'
REDUCTION = '"sum_over_batch_size"|"sum"|"mean"|"mean_with_sample_weight"|"none"|null'
BY_DEFAULT = {bool: "bool", int: "number", float: "float", str: "text"}

NAMES = {
    "any": "output_size profile_batch target_shape weights window",
    "float": "decay_rate initial_learning_rate precision recall sensitivity specificity",
    "float|null": "baseline clipnorm clipvalue global_clipnorm l1 l2 loss_scale_factor threshold",
    "int": (
        "depth_multiplier embeddings_freq head_dim histogram_freq k key_dim max_number num_bins num_classes num_heads "
        "num_key_value_heads num_oov_indices num_ops num_query_heads num_regressors num_thresholds patience "
        "start_from_epoch"
    ),
    "int|null": (
        "ema_overwrite_frequency gradient_accumulation_steps ignore_class max_tokens num_labels "
        "output_sequence_length seed top_k"
    ),
    "int|ints|null": "axis output_padding salt shared_axes",
    "ints": "dims target_class_ids",
    "layers": "cells layers",
    "list": "boundaries value_range values",
    "list|null": "idf_weights noise_shape",
    "number": "decay_steps first_decay_steps warmup_steps",
    "text": "equation filename",
}
BY_NAME = {
    **{name: types for types, names in NAMES.items() for name in names.split()},
    "activation": "activation|null",
    "average": '"micro"|"macro"|"weighted"|null',
    "backward_layer": "layer|null",
    "cell": "layer|layers",
    "class_aggregation": '"uniform_average"|"variance_weighted_average"|null',
    "curve": '"ROC"|"PR"|"PRGAIN"|"roc"|"pr"|"prgain"',
    "data_format": '"channels_last"|"channels_first"|null',
    "dtype": "text|mapping|null",
    "exclude_layers": "texts|null",
    "inner_optimizer": "optimizer",
    "label_weights": "floats|null",
    "layer": "layer",
    "learning_rate": "float|schedule",
    "name": "text|null",
    "quantization_config": "code|null",
    "reduction": REDUCTION,
    "summation_method": '"interpolation"|"majoring"|"minoring"|"Interpolation"|"Majoring"|"Minoring"',
    "thresholds": "float|floats|null",
    "tile_grid_size": "ints:2",
    "trainable": "bool",
    "update_freq": '"batch"|"epoch"|int',
    "use_cudnn": '"auto"|bool',
    "verbose": "int|bool",
    "vocabulary": "list|text|null",
}
"""Arguments whose name alone determines the type, in any class."""


def by_name(name: str) -> str | None:
    """Return the type that a name alone determines."""
    kinds = ("initializer", "regularizer", "constraint", "activation")
    return next((f"{kind}|null" for kind in kinds if name.endswith(f"_{kind}")), BY_NAME.get(name))


def or_null(types: str) -> str:
    return types if {"null", "any"} & set(types.split("|")) else f"{types}|null"


def deduce(name: str, default: Any, required: bool) -> str:
    """Deduce the type of an argument of a user class. `default` is ignored if it is `required`."""
    known = by_name(name)
    if known is None and (name, default) == ("padding", "valid"):
        known = PADDING
    if known is None:
        known = "any" if required else BY_DEFAULT.get(type(default), "any")
    return or_null(known) if default is None and not required else known
