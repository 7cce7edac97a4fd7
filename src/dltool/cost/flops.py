"""Floating-point operations of a forward pass for one example, by formula.

A multiply-add counts as two, as in TensorFlow's own count. Bias, activations and merging count one for each number they
make, softmax five (maximum, subtract, exponential, sum, divide). Moving numbers counts nothing. Layers count as in
inference, without dropout and noise."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras

from dltool.model.calls import calls
from dltool.text import Shape

Formula = Callable[[Any, Sequence[Shape], Shape], float]

SOFTMAX = 5
BILINEAR = 8
"""Four neighbours, each with its weight."""
LAYER_NORMALIZATION = 7
"""Mean 1, variance 2, to mean 0 and variance 1 2, scale and offset 2."""


class UnknownCountError(Exception):
    """There is no formula, or a size varies between examples."""


def forward_flops(layer: Any, inputs: Sequence[Shape] = (), output: Shape = ()) -> int | None:
    """Count the operations of a layer for one example, or those of all layers of a model, which needs no shapes.

    The shapes `inputs` and `output` have no batch axis. Return None for layers that are not Keras's own, and for
    unknown shapes."""
    try:
        return round(count(layer, inputs, output))
    except UnknownCountError:
        return None


def training_flops(core: Any) -> int | None:
    """Estimate the operations of training on one example: those of a forward pass, and twice as many for the gradients
    of activations and weights (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361). Frozen layers take fewer."""
    forward = forward_flops(core)
    return None if forward is None else 3 * forward


def count(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    """Apply the layer's formula. Raises UnknownCountError."""
    if isinstance(layer, keras.Model):
        inside = list(calls(layer))
        if not inside:
            raise UnknownCountError
        return sum(count(call.layer, call.input_shapes, call.output_shape) for call in inside)
    if not isinstance(layer, keras.Layer):
        return operation(layer, inputs, output)
    # Not by name: a user's layer may have the same one, and some of Keras's have another.
    formula = next((found for name, found in FORMULAS.items() if getattr(keras.layers, name) is type(layer)), None)
    if formula is None and type(layer).__module__.startswith("keras."):
        formula = OF_APPLICATIONS.get(type(layer).__name__)
    if formula is None:
        raise UnknownCountError
    return formula(layer, inputs, output)


def elements(shape: Iterable[int | None]) -> int:
    """Return the number of elements. Raises UnknownCountError: a size varies."""
    sizes = list(shape)
    if None in sizes:
        raise UnknownCountError
    return math.prod(sizes)  # type: ignore[arg-type]


def per_output(operations: float) -> Formula:
    return lambda layer, inputs, output: operations * elements(output)


def operation(operation: Any, inputs: Sequence[Shape], output: Shape) -> float:
    """Count a keras.ops function in a model: one operation for each number it makes."""
    name = type(operation).__name__
    if name in SUMMING_OPERATIONS:
        raise UnknownCountError
    if name == "Matmul":
        return 2 * elements(output) * elements(inputs[0][-1:])
    return 0 if name in MOVING_OPERATIONS else elements(output)


SUMMING_OPERATIONS = {
    *("Einsum", "Tensordot", "Dot", "Vdot", "Inner", "DotProductAttention"),
    *("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv"),
}
MOVING_OPERATIONS = {
    *("Reshape", "Transpose", "ExpandDims", "Squeeze", "GetItem", "Concatenate", "Stack", "Split", "Cast", "Where"),
    *("OneHot", "Pad", "Flip", "Repeat", "Tile", "BroadcastTo", "Moveaxis", "Swapaxes", "Ravel", "Take"),
    "ConvertToTensor",
}


def activation(layer: Any, output: Shape) -> float:
    name = getattr(layer.activation, "__name__", "")
    return 0 if name == "linear" else (SOFTMAX if "softmax" in name else 1) * elements(output)


def kernel(multiplied: Formula) -> Formula:
    """Return the formula of a layer with a kernel, bias and activation; `multiplied` counts its multiply-adds."""
    return lambda layer, inputs, output: (
        2 * multiplied(layer, inputs, output) + (elements(output) if layer.use_bias else 0) + activation(layer, output)
    )


def convolution(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    channels = inputs[0][0 if layer.data_format == "channels_first" else -1]
    return elements(output) * (elements((*layer.kernel_size, channels)) // int(layer.groups))


def separable_convolution(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    places: float = elements(output) / layer.filters
    return places * (elements(layer.depthwise_kernel.shape) + elements(layer.pointwise_kernel.shape))


def einsum_dense(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    terms, result = layer.equation.split("->")
    axes = terms.split(",")[1]
    summed = elements(size for axis, size in zip(axes, layer.kernel.shape, strict=True) if axis not in result)
    bias = elements(output) if layer.bias_axes is not None else 0
    return 2 * elements(output) * summed + bias + activation(layer, output)


PER_UNIT = {"SimpleRNNCell": 2, "LSTMCell": 13, "GRUCell": 14, "ConvLSTMCell": 13}
"""Additions, products and activations of a step, for one unit, besides kernels and bias.

LSTM: four sums of two products, five activations, three products and one sum. GRU: three sums, three activations, reset
times state, and z·h + (1-z)·h'."""


def cell_step(cell: Any, places: float = 1) -> float:
    """Count one time step of one example; for a convolutional cell at `places` positions."""
    name = type(cell).__name__
    if name == "StackedRNNCells":
        return sum(cell_step(inner) for inner in cell.cells)
    if name not in PER_UNIT:
        raise UnknownCountError
    units: int = cell.filters if name == "ConvLSTMCell" else cell.units
    weights = elements(cell.kernel.shape) + elements(cell.recurrent_kernel.shape)
    bias = elements(cell.bias.shape) if cell.use_bias else 0
    return places * (2 * weights + bias + PER_UNIT[name] * units)


def convolutional_recurrent(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    one_step = output[1:] if layer.return_sequences else output
    return elements(inputs[0][:1]) * cell_step(layer.cell, elements(one_step) / layer.cell.filters)


def bidirectional(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    merging = 0 if layer.merge_mode in ("concat", None) else elements(output)
    return count(layer.forward_layer, inputs, output) + count(layer.backward_layer, inputs, output) + merging


def attention(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    """Count scores query · key, softmax, and the weighted sum of values."""
    query, value = inputs[0], inputs[1]
    pairs = elements(query[:-1]) * elements(value[:-1])
    score = 4 if type(layer).__name__ == "AdditiveAttention" else 2
    return pairs * (score * elements(query[-1:]) + SOFTMAX + 2 * elements(value[-1:]))


def multi_head_attention(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    """Count four projections, and attention for each head."""
    queries, values = elements(inputs[0][:-1]), elements(inputs[min(1, len(inputs) - 1)][:-1])
    projections = ((layer._query_dense, queries), (layer._key_dense, values), (layer._value_dense, values))
    total = 0.0
    for projection, places in (*projections, (layer._output_dense, queries)):
        weights, bias = projection.kernel.shape, projection.bias
        total += places * (2 * elements(weights) + (0 if bias is None else elements(bias.shape)))
    # The kernels are (features, heads, size of a head).
    _, heads, key_size = layer._query_dense.kernel.shape
    value_size: int = layer._value_dense.kernel.shape[-1]
    scores = queries * values * (2 * key_size + SOFTMAX + 2 * value_size)
    return float(total + heads * (scores + queries * key_size))


def dot(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return 2 * elements(output) * elements((inputs[0][axis - 1 if axis > 0 else axis],))


def rescaling(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    # With its defaults it converts integers to floats.
    is_cast = isinstance(layer.scale, int | float) and layer.scale == 1 and layer.offset == 0
    return 0 if is_cast else 2 * elements(output)


def up_sampling(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    return 0 if getattr(layer, "interpolation", "nearest") == "nearest" else BILINEAR * elements(output)


def spectrogram(layer: Any, inputs: Sequence[Shape], output: Shape) -> float:
    """Count for each frame a real Fourier transform (2.5 n log2 n), magnitudes (3 a frequency), and the mel filters."""
    size, mels = int(layer.fft_length), int(layer.num_mel_bins)
    return elements(output) / mels * (2.5 * size * math.log2(size) + (size // 2 + 1) * (3 + 2 * mels))


def over_dimensions(name: str, formula: Formula) -> dict[str, Formula]:
    return {name.format(dimensions): formula for dimensions in (1, 2, 3)}


MOVED = (
    *("Reshape", "Flatten", "Permute", "RepeatVector", "Concatenate", "Identity", "Masking"),
    *("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    *(f"{name}{dimensions}D" for name in ("SpatialDropout", "Cropping", "ZeroPadding") for dimensions in (1, 2, 3)),
    *("ActivityRegularization", "Embedding", "ReversibleEmbedding", "CenterCrop", "CategoryEncoding", "Discretization"),
    *("HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"),
)
"""Layers that compute nothing in inference."""
POOLING = [f"{kind}Pooling{dimensions}D" for kind in ("Max", "Average") for dimensions in (1, 2, 3)]
NOTHING: Formula = lambda layer, inputs, output: 0  # noqa: E731
EACH_INPUT: Formula = lambda layer, inputs, output: elements(inputs[0])  # noqa: E731
FORMULAS: Mapping[str, Formula] = {
    **dict.fromkeys(MOVED, NOTHING),
    "Dense": kernel(lambda layer, inputs, output: elements(output) * elements(inputs[0][-1:])),
    "EinsumDense": einsum_dense,
    **over_dimensions("Conv{}D", kernel(convolution)),
    # The kernel is (…, filters, channels): each input number is multiplied by it.
    **over_dimensions(
        "Conv{}DTranspose",
        kernel(lambda layer, inputs, output: elements(inputs[0]) * elements(layer.kernel.shape[:-1])),
    ),
    **dict.fromkeys(
        ("DepthwiseConv1D", "DepthwiseConv2D"),
        kernel(lambda layer, inputs, output: elements(output) * elements(layer.kernel_size)),
    ),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), kernel(separable_convolution)),
    **dict.fromkeys(
        ("RNN", "SimpleRNN", "LSTM", "GRU"),
        lambda layer, inputs, output: elements(inputs[0][:1]) * cell_step(layer.cell),
    ),
    **over_dimensions("ConvLSTM{}D", convolutional_recurrent),
    "Bidirectional": bidirectional,
    "TimeDistributed": lambda layer, inputs, output: (
        elements(output[:1]) * count(layer.layer, [shape[1:] for shape in inputs], output[1:])
    ),
    "SpectralNormalization": lambda layer, inputs, output: count(layer.layer, inputs, output),
    **dict.fromkeys(("Attention", "AdditiveAttention"), attention),
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention"), multi_head_attention),
    "Dot": dot,
    **dict.fromkeys(POOLING, lambda layer, inputs, output: elements(layer.pool_size) * elements(output)),
    **dict.fromkeys((f"{reach}{name}" for reach in ("Global", "Adaptive") for name in POOLING), EACH_INPUT),
    **dict.fromkeys(
        ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"),
        lambda layer, inputs, output: (len(inputs) - 1) * elements(output),
    ),
    **dict.fromkeys(("BatchNormalization", "Normalization"), per_output(2)),
    "Rescaling": rescaling,
    **dict.fromkeys(("LayerNormalization", "GroupNormalization"), per_output(LAYER_NORMALIZATION)),
    **dict.fromkeys(("RMSNormalization", "UnitNormalization"), per_output(4)),
    **dict.fromkeys(("ReLU", "LeakyReLU", "ELU", "PReLU"), per_output(1)),
    "Activation": lambda layer, inputs, output: activation(layer, output),
    "Softmax": per_output(SOFTMAX),
    **over_dimensions("UpSampling{}D", up_sampling),
    "Resizing": per_output(BILINEAR),
    "MelSpectrogram": spectrogram,
    # Keras convolves with sines and cosines; both count, whatever it returns.
    "STFTSpectrogram": lambda layer, inputs, output: 2 * 2 * elements(output) * int(layer.frame_length),
}
OF_APPLICATIONS: Mapping[str, Formula] = {"LayerScale": per_output(1), "StochasticDepth": NOTHING}
"""Layers inside keras.applications that have no public name."""
