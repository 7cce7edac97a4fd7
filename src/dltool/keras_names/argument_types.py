"""Types of an argument's values, deduced from its name and default.

A type is written as words joined by `|`:

    int float number bool text null list mapping any code   plain values; `float` takes integers too and makes
                                                             them floats, `number` takes both and leaves them
    ints floats texts, ints:2                                lists, with their length if it is certain
    "same"                                                   one allowed string
    initializer, layer, …, layers                            a Keras object of that kind, or a list of layers

If unsure, the type is `any`: refusing a valid value is worse than missing an error."""

from typing import Any

SUFFIXES = {
    "_initializer": "initializer|null",
    "_regularizer": "regularizer|null",
    "_constraint": "constraint|null",
    "_activation": "activation|null",
}
PADDING = '"valid"|"same"'
DATA_FORMAT = '"channels_last"|"channels_first"|null'
REDUCTION = '"sum_over_batch_size"|"sum"|"mean"|"mean_with_sample_weight"|"none"|null'
BY_DEFAULT = {bool: "bool", int: "number", float: "float", str: "text"}

BY_NAME: dict[str, str] = {
    **dict.fromkeys(("axis", "output_padding", "salt", "shared_axes"), "int|ints|null"),
    **dict.fromkeys(
        ("baseline", "clipnorm", "clipvalue", "global_clipnorm", "l1", "l2", "loss_scale_factor", "threshold"),
        "float|null",
    ),
    **dict.fromkeys(("boundaries", "value_range", "values"), "list"),
    **dict.fromkeys(("cells", "layers"), "layers"),
    **dict.fromkeys(
        ("decay_rate", "initial_learning_rate", "precision", "recall", "sensitivity", "specificity"), "float"
    ),
    **dict.fromkeys(("decay_steps", "first_decay_steps", "warmup_steps"), "number"),
    **dict.fromkeys(
        ("depth_multiplier", "embeddings_freq", "head_dim", "histogram_freq", "k", "key_dim", "max_number"), "int"
    ),
    **dict.fromkeys(
        ("num_bins", "num_classes", "num_heads", "num_key_value_heads", "num_oov_indices", "num_ops"), "int"
    ),
    **dict.fromkeys(("num_query_heads", "num_regressors", "num_thresholds", "patience", "start_from_epoch"), "int"),
    **dict.fromkeys(("dims", "target_class_ids"), "ints"),
    **dict.fromkeys(
        ("ema_overwrite_frequency", "gradient_accumulation_steps", "ignore_class", "max_tokens", "num_labels"),
        "int|null",
    ),
    **dict.fromkeys(("output_sequence_length", "seed", "top_k"), "int|null"),
    **dict.fromkeys(("equation", "filename"), "text"),
    **dict.fromkeys(("idf_weights", "noise_shape"), "list|null"),
    **dict.fromkeys(("output_size", "profile_batch", "target_shape", "weights", "window"), "any"),
    "activation": "activation|null",
    "average": '"micro"|"macro"|"weighted"|null',
    "backward_layer": "layer|null",
    "cell": "layer|layers",
    "class_aggregation": '"uniform_average"|"variance_weighted_average"|null',
    "curve": '"ROC"|"PR"|"PRGAIN"|"roc"|"pr"|"prgain"',
    "data_format": DATA_FORMAT,
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
    return next((types for suffix, types in SUFFIXES.items() if name.endswith(suffix)), BY_NAME.get(name))


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
