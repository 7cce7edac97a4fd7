"""Configs whose models have one wrong number, name or shape: in graphs, blocks and repeats."""

from tests.bad_configs import changed

RESIDUAL = """\
data: {source: digits, split: {validation: 0.1, test: 0.1}}
model:
  blocks:
    convolution:
      parameters: {filters: , strides: 1, size: 3}
      layers:
        - Conv2D: {filters: $filters, kernel_size: $size, strides: $strides, padding: same}
        - BatchNormalization
    residual:
      parameters: {filters: 8, strides: 1}
      layers:
        - convolution: {filters: $filters, strides: $strides}
        - Activation: relu
        - convolution: {filters: $filters, name: main}
        - Conv2D: {filters: $filters, kernel_size: 1, strides: $strides, from: input, name: short}
        - Add: {from: [short, main]}
  layers:
    - convolution: 4
    - repeat:
        times: 2
        layers:
          - residual: {filters: $(8 * 2 ** index), strides: 2}
    - GlobalAveragePooling2D
    - Dense: {units: $classes, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""

UNET = """\
data: {source: digits, split: {validation: 0.1, test: 0.1}}
model:
  blocks:
    double:
      parameters: {filters: }
      layers:
        - repeat:
            times: 2
            layers:
              - Conv2D: {filters: $filters, kernel_size: 3, padding: same, activation: relu}
    up:
      parameters: {filters: , skip: }
      layers:
        - Conv2DTranspose: {filters: $filters, kernel_size: 2, strides: 2, name: larger}
        - Concatenate: {from: [$skip, larger]}
        - double: $filters
  layers:
    - double: {filters: 4, name: first}
    - MaxPooling2D: 2
    - double: {filters: 8, name: second}
    - MaxPooling2D: 2
    - double: 16
    - up: {filters: 8, skip: second}
    - up: {filters: 4, skip: first}
    - Flatten
    - Dense: {units: 10, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""

TWINS = """\
data: {source: digits, split: {validation: 0.1, test: 0.1}}
model:
  layers:
    - Flatten: {name: flat}
    - Dense: {units: 16, name: left, from: flat}
    - Dense: {units: 16, name: right, from: flat}
    - Dense: {units: 8, activation: relu, name: encoder, from: left}
    - encoder: {from: right, name: encoded}
    - Subtract: {from: [encoder, encoded], name: difference}
    - Multiply: {from: [difference, encoder]}
    - Dense: {units: 10, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""

SEQUENCE = """\
data: {source: digits, split: {validation: 0.1, test: 0.1}}
model:
  blocks:
    encoder:
      parameters: {width: 16, heads: 2}
      layers:
        - MultiHeadAttention: {num_heads: $heads, key_dim: 8, from: [input, input], name: attended}
        - Add: {from: [input, attended]}
        - LayerNormalization: {name: middle}
        - Dense: {units: 32, activation: gelu}
        - Dense: {units: $width, name: wide}
        - Add: {from: [middle, wide]}
  layers:
    - Reshape: {target_shape: [16, 4]}
    - Dense: 16
    - repeat: {times: 2, layers: [encoder]}
    - Bidirectional: {layer: {LSTM: {units: 6, return_sequences: true}}}
    - TimeDistributed: {layer: {Dense: 5}}
    - GlobalAveragePooling1D
    - Dense: {units: 10, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""

GOOD = {"residual": RESIDUAL, "unet": UNET, "twins": TWINS, "sequence": SEQUENCE}

SHAPES = {
    "short-filters": changed(("filters: $filters, kernel_size: 1", "filters: 8, kernel_size: 1"), text=RESIDUAL),
    "short-strides": changed(("kernel_size: 1, strides: $strides", "kernel_size: 1, strides: 1"), text=RESIDUAL),
    "main-filters": changed(("{filters: $filters, name: main}", "{filters: 12, name: main}"), text=RESIDUAL),
    "main-strides": changed(
        ("{filters: $filters, name: main}", "{filters: $filters, strides: 2, name: main}"), text=RESIDUAL
    ),
    "too-many-rounds": changed(("times: 2", "times: 5"), ("padding: same}", "padding: valid}"), text=RESIDUAL),
    "kernel-too-large": changed(("size: 3}", "size: 9}"), ("padding: same}", "padding: valid}"), text=RESIDUAL),
    "two-pools": changed(("    - Dense: {units: $c", "    - MaxPooling2D: 2\n    - Dense: {units: $c"), text=RESIDUAL),
    "add-the-block-input": changed(("from: [short, main]", "from: [input, main]"), text=RESIDUAL),
    "identity-that-changes": changed(("from: [short, main]", "from: [input, short]"), text=RESIDUAL),
    "convolution-after-pooling": changed(
        ("    - Dense: {units: $c", "    - convolution: 4\n    - Dense: {units: $c"), text=RESIDUAL
    ),
    "units": changed(("units: $classes", "units: 9"), text=RESIDUAL),
    "skip-of-another-level": changed(("skip: second", "skip: first"), text=UNET),
    "transpose-strides": changed(("strides: 2, name: larger", "strides: 3, name: larger"), text=UNET),
    "transpose-kernel": changed(("kernel_size: 2, strides: 2", "kernel_size: 3, strides: 2"), text=UNET),
    "pool-too-large": changed(
        ("    - MaxPooling2D: 2\n    - double: 16", "    - MaxPooling2D: 3\n    - double: 16"), text=UNET
    ),
    "concatenate-axis": changed(
        ("from: [$skip, larger]", "from: [$skip, larger], axis: 1"),
        ("{filters: 8, skip", "{filters: 6, skip"),
        text=UNET,
    ),
    "no-padding-in-a-repeat": changed(("padding: same, ", ""), text=UNET),
    "add-instead-of-concatenate": changed(
        ("Concatenate: {from: [$skip, larger]}", "Add: {from: [$skip, larger]}"),
        ("up: {filters: 4", "up: {filters: 3"),
        text=UNET,
    ),
    "flat-then-up": changed(
        (
            "    - up: {filters: 4, skip: first}\n    - Flatten\n",
            "    - Flatten\n    - up: {filters: 4, skip: first}\n",
        ),
        text=UNET,
    ),
    "three-pools": changed(
        ("    - double: 16", "    - repeat: {times: 3, layers: [MaxPooling2D: 2]}\n    - double: 16"), text=UNET
    ),
    "shared-with-another-width": changed(("units: 16, name: right", "units: 12, name: right"), text=TWINS),
    "shared-with-more-axes": changed(("name: right, from: flat", "name: right, from: input"), text=TWINS),
    "product-of-two-widths": changed(("[difference, encoder]", "[difference, right]"), text=TWINS),
    "subtract-three": changed(("[encoder, encoded]", "[encoder, encoded, left]"), text=TWINS),
    "subtract-one": changed(
        ("[encoder, encoded]", "encoder"), ("from: [difference, encoder]", "from: [difference, encoded]"), text=TWINS
    ),
    "dot-of-two-widths": changed(
        ("Multiply: {from: [difference, encoder]}", "Dot: {axes: 1, from: [difference, right]}"), text=TWINS
    ),
    "width-of-the-block": changed(("width: 16", "width: 15"), text=SEQUENCE),
    "width-before-the-block": changed(("- Dense: 16", "- Dense: 12"), text=SEQUENCE),
    "attention-without-value": changed(("from: [input, input]", "from: input"), text=SEQUENCE),
    "attention-of-images": changed(("    - Reshape: {target_shape: [16, 4]}\n    - Dense: 16\n", ""), text=SEQUENCE),
    "reshape": changed(("[16, 4]", "[16, 5]"), text=SEQUENCE),
    "sequence-is-gone": changed((", return_sequences: true", ""), text=SEQUENCE),
    "pooling-in-two-dimensions": changed(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), text=SEQUENCE),
    "recurrent-after-pooling": changed(
        ("    - Dense: {units: 10", "    - LSTM: 4\n    - Dense: {units: 10"), text=SEQUENCE
    ),
}
"""One wrong number or name each; Keras or dltool finds it when the shapes meet."""

NAMES = {
    "unknown-from": changed(("from: [short, main]", "from: [short, mian]"), text=RESIDUAL),
    "name-of-another-block": changed(("from: [short, main]", "from: [short, larger]"), text=RESIDUAL),
    "name-from-inside-a-block": changed(
        ("    - GlobalA", "    - Activation: {activation: relu, from: main}\n    - GlobalA"), text=RESIDUAL
    ),
    "output-that-nothing-takes": changed(("from: [difference, encoder]", "from: [encoded, encoder]"), text=TWINS),
    "name-twice": changed(("name: right, from: flat", "name: left, from: flat"), text=TWINS),
    "shared-before-it-is-there": changed(
        ("    - Flatten: {name: flat}", "    - encoder\n    - Flatten: {name: flat}"), text=TWINS
    ),
    "shared-with-arguments": changed(("encoder: {from: right,", "encoder: {units: 3, from: right,"), text=TWINS),
    "misspelt-block": changed(("    - convolution: 4", "    - convolutoin: 4"), text=RESIDUAL),
    "misspelt-layer-in-a-block": changed(("BatchNormalization", "BatchNormalisation"), text=RESIDUAL),
    "misspelt-argument-in-a-block": changed(("strides: $strides, padding", "stride: $strides, padding"), text=RESIDUAL),
    "misspelt-parameter": changed(
        ("{filters: $(8 * 2 ** index), strides: 2}", "{filter: 8, strides: 2}"), text=RESIDUAL
    ),
    "missing-parameter": changed(("    - convolution: 4", "    - convolution"), text=RESIDUAL),
    "unused-parameter": changed(("{filters: 8, strides: 1}", "{filters: 8, strides: 1, rate: 0.1}"), text=RESIDUAL),
    "undefined-in-a-block": changed(
        ("filters: $filters, kernel_size: 1", "filters: $width, kernel_size: 1"), text=RESIDUAL
    ),
    "index-outside-a-repeat": changed(("    - convolution: 4", "    - convolution: $(index + 1)"), text=RESIDUAL),
    "parameter-of-another-block": changed(
        ("kernel_size: 1, strides: $strides", "kernel_size: $size, strides: $strides"), text=RESIDUAL
    ),
    "cycle": changed(("        - BatchNormalization\n", "        - residual\n"), text=RESIDUAL),
    "block-called-like-a-layer": changed(("    convolution:", "    Dense:"), text=RESIDUAL),
    "block-without-layers": changed(("    residual:\n", "    empty: {layers: []}\n    residual:\n"), text=RESIDUAL),
    "unknown-key-of-a-block": changed(
        ("      parameters: {filters: 8, strides: 1}", "      parametres: {filters: 8, strides: 1}"), text=RESIDUAL
    ),
    "value-for-a-block-without-parameters": changed(
        ("      parameters: {width: 16, heads: 2}\n", ""),
        ("$heads", "2"),
        ("$width", "16"),
        ("[encoder]", "[encoder: 3]"),
        text=SEQUENCE,
    ),
    "repeat-without-times": changed(("        times: 2\n", ""), text=RESIDUAL),
    "repeat-zero-times": changed(("times: 2", "times: 0"), text=RESIDUAL),
    "repeat-half-times": changed(("times: 2", "times: 2.5"), text=RESIDUAL),
    "repeat-too-often": changed(("times: 2", "times: 1000000"), text=RESIDUAL),
    "repeat-with-another-key": changed(("times: 2", "times: 2\n        time: 3"), text=RESIDUAL),
    "filters-of-zero-in-a-block": changed(("    - convolution: 4", "    - convolution: 0"), text=RESIDUAL),
    "text-for-a-number-in-a-block": changed(("strides: 2}", "strides: two}"), text=RESIDUAL),
    "range-by-set": RESIDUAL,
}
"""Found from the config alone, but for the first six."""
