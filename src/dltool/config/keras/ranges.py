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


PARAMETERS = Range(least=1, most=MOST_PARAMETERS)
ARGUMENTS = {
    PARAMETERS: "units filters input_dim output_dim key_dim head_dim",
    Range(least=1): (
        "kernel_size pool_size strides dilation_rate size n depth_multiplier num_heads num_query_heads "
        "num_key_value_heads height width max_tokens num_tokens num_bins num_classes top_k k ema_overwrite_frequency "
        "Conv1D.groups Conv2D.groups Conv3D.groups"
    ),
    # More would fill the memory while fitting.
    Range(least=1, most=100_000): "output_sequence_length",
    Range(least=1, most=100): "ngrams",
    Range(least=2): "gradient_accumulation_steps",
    Range(least=0, most=1, below=True): (
        "rate dropout recurrent_dropout beta_1 beta_2 adam_beta_1 adam_beta_2 rho momentum"
    ),
    Range(least=0, most=1): (
        "label_smoothing precision recall sensitivity specificity ema_momentum renorm_momentum MinMaxNorm.rate "
        "BatchNormalization.momentum GaussianNoise.stddev"
    ),
    Range(least=0, above=True): (
        "learning_rate clipnorm clipvalue global_clipnorm loss_scale_factor decay_steps first_decay_steps "
        "VarianceScaling.scale MobileNet.alpha MobileNetV2.alpha MobileNetV3Small.alpha MobileNetV3Large.alpha"
    ),
    Range(least=0): (
        "initial_learning_rate end_learning_rate warmup_target warmup_steps weight_decay epsilon epsilon_1 epsilon_2 "
        "l1 l2 negative_slope patience cooldown start_from_epoch min_lr num_oov_indices RandomNormal.stddev "
        "TruncatedNormal.stddev"
    ),
    Range(least=0, most=1, above=True, below=True): "ReduceLROnPlateau.factor Quantile.quantile",
}
RANGES = {argument: allowed for allowed, arguments in ARGUMENTS.items() for argument in arguments.split()}
"""Ranges by argument, or by `Object.argument` if it differs from others of that name."""


def out_of_range(owner: str, argument: str, value: float) -> str:
    """Return the error of a number as an argument of the class `owner`, or an empty string."""
    if math.isnan(value):
        return "must be a number, not NaN"
    allowed = RANGES.get(f"{owner}.{argument}") or RANGES.get(argument)
    if allowed is None:
        return ""
    if math.isinf(value):
        return f"must be a finite number, got {value}"
    if allowed is PARAMETERS and value > MOST_PARAMETERS:
        return f"expected at most {MOST_PARAMETERS:,} parameters, got {value:,} {argument}"
    shown = int(value) if value == int(value) else value
    if value < allowed.least or (value == allowed.least and allowed.above):
        return f"must be {'above' if allowed.above else 'at least'} {allowed.least:g}, got {shown}"
    if value > allowed.most or (value == allowed.most and allowed.below):
        return f"must be {'below' if allowed.below else 'at most'} {allowed.most:g}, got {shown}"
    return ""
