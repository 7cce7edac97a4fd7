"""Ranges of the numbers in arguments of Keras objects, by argument name."""

import math
from dataclasses import dataclass

MOST_PARAMETERS = 1_000_000_000
"""Larger layers are refused at once: otherwise they would fail much later, for lack of memory."""


@dataclass(frozen=True)
class Range:
    """`least` ≤ value ≤ `most`; `above` and `below` exclude an end."""

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False


AT_LEAST_ONE = Range(least=1)
NOT_NEGATIVE = Range(least=0)
POSITIVE = Range(least=0, above=True)
FRACTION = Range(least=0, most=1)
BELOW_ONE = Range(least=0, most=1, below=True)

RANGES = {
    **dict.fromkeys(("units", "filters", "input_dim", "output_dim", "key_dim", "head_dim"), AT_LEAST_ONE),
    **dict.fromkeys(
        ("kernel_size", "pool_size", "strides", "dilation_rate", "size", "n", "depth_multiplier"), AT_LEAST_ONE
    ),
    **dict.fromkeys(("num_heads", "num_query_heads", "num_key_value_heads", "height", "width"), AT_LEAST_ONE),
    **dict.fromkeys(("max_tokens", "num_tokens", "num_bins", "num_classes", "top_k", "k"), AT_LEAST_ONE),
    **dict.fromkeys(("ema_overwrite_frequency", "Conv1D.groups", "Conv2D.groups"), AT_LEAST_ONE),
    **dict.fromkeys(("Conv3D.groups",), AT_LEAST_ONE),
    # More would fill the memory while fitting.
    "output_sequence_length": Range(least=1, most=100_000),
    "ngrams": Range(least=1, most=100),
    "gradient_accumulation_steps": Range(least=2),
    **dict.fromkeys(("rate", "dropout", "recurrent_dropout"), BELOW_ONE),
    "MinMaxNorm.rate": FRACTION,
    **dict.fromkeys(("learning_rate", "clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor"), POSITIVE),
    **dict.fromkeys(("decay_steps", "first_decay_steps"), POSITIVE),
    **dict.fromkeys(("initial_learning_rate", "end_learning_rate", "warmup_target", "warmup_steps"), NOT_NEGATIVE),
    **dict.fromkeys(("beta_1", "beta_2", "adam_beta_1", "adam_beta_2", "rho", "momentum"), BELOW_ONE),
    **dict.fromkeys(("ema_momentum", "BatchNormalization.momentum", "renorm_momentum"), FRACTION),
    **dict.fromkeys(("weight_decay", "epsilon", "epsilon_1", "epsilon_2", "l1", "l2", "negative_slope"), NOT_NEGATIVE),
    **dict.fromkeys(("patience", "cooldown", "start_from_epoch", "min_lr"), NOT_NEGATIVE),
    "ReduceLROnPlateau.factor": Range(least=0, most=1, above=True, below=True),
    "GaussianNoise.stddev": FRACTION,
    **dict.fromkeys(("label_smoothing", "precision", "recall", "sensitivity", "specificity"), FRACTION),
    **dict.fromkeys(("RandomNormal.stddev", "TruncatedNormal.stddev", "num_oov_indices"), NOT_NEGATIVE),
    "VarianceScaling.scale": POSITIVE,
    **dict.fromkeys((f"MobileNet{version}.alpha" for version in ("", "V2", "V3Small", "V3Large")), POSITIVE),
}
"""Ranges by argument, or by `Object.argument` if it differs from others of that name."""

PARAMETER_SIZES = {"units", "filters", "input_dim", "output_dim", "key_dim", "head_dim"}


def out_of_range(owner: str, argument: str, value: float) -> str:
    """Return the error of a number as an argument of the class `owner`, or an empty string."""
    if math.isnan(value):
        return "must be a number, not NaN"
    allowed = RANGES.get(f"{owner}.{argument}") or RANGES.get(argument)
    if allowed is None:
        return ""
    if math.isinf(value):
        return f"must be a finite number, got {value}"
    if argument in PARAMETER_SIZES and value > MOST_PARAMETERS:
        return f"expected at most {MOST_PARAMETERS:,} parameters, got {value:,} {argument}"
    shown = int(value) if value == int(value) else value
    if value < allowed.least or (value == allowed.least and allowed.above):
        return f"must be {'above' if allowed.above else 'at least'} {allowed.least:g}, got {shown}"
    if value > allowed.most or (value == allowed.most and allowed.below):
        return f"must be {'below' if allowed.below else 'at most'} {allowed.most:g}, got {shown}"
    return ""
