"""Configs of every kind, for the JSON Schema and for the editors that use it."""

from tests import bad_configs, bad_graphs, small_configs

EXPRESSIONS = """\
seed: $seed_of_mine
x-note: [anything, {at: all}]
vars: {seed_of_mine: 3, width: 16, folder: data, adam: {Adam: {learning_rate: $rate}}, rate: 1e-3, ends: [accuracy]}
data:
  source: {images: {path: $(folder)/digits, size: [8, $width], channels: $(1 + 2)}}
  split: {validation: $(1 / 10), test: 0.1, seed: null, x-why: small}
  preprocessing: [{Rescaling: $(1 / 255)}]
  augmentation:
    - RandomFlip: horizontal
    - Pipeline: [{RandomTranslation: {height_factor: 0.1, width_factor: [-0.1, $(0.1)]}}]
  cache: 'off'
model:
  x-model: none
  blocks:
    residual:
      parameters: {filters: , rate: 0.1}
      layers:
        - Conv2D: {filters: $filters, kernel_size: [3, $(2 + 1)], padding: SAME, activation: {ReLU: $rate}, name: x}
        - Conv2D: {filters: $filters, kernel_size: 3, padding: same, activation: null, use_bias: false}
        - Add: {from: [x, input]}
  layers:
    - Conv2D: {filters: 8, kernel_size: 1, kernel_regularizer: {L2: 1e-4}, kernel_initializer: he_normal}
    - repeat: {times: $(4 // 2), layers: [{residual: 8}, {residual: {filters: $(8 * (index + 1) // (index + 1))}}]}
    - MaxPooling2D:
    - GlobalAveragePooling2D
    - Dense: {units: $(2 * width), activation: gelu, kernel_constraint: {MaxNorm: 3}, name: shared}
    - Dropout: $rate
    - Dense: $classes
    - Softmax
training:
  optimizer: $adam
  loss: {SparseCategoricalCrossentropy: {from_logits: false}}
  metrics: $ends
  batch_size: $width
  epochs: 2
  callbacks: [{EarlyStopping: {patience: 3, monitor: val_loss}}, TerminateOnNaN, {ReduceLROnPlateau: {factor: 0.5}}]
  class_weights: balanced
  precision: mixed_bfloat16
  jit_compile: null
  threads: 1
  checkpoint: {every: 10 minutes, monitor: val_loss}
track: [tensorboard]
expect: {accuracy: ">= 0.5", seconds: "< 100"}
"""
TABLE = """\
data:
  source: {csv: {path: a.csv, delimiter: ";", missing: ["?"], quote: null, decimal: ",", x-from: a friend}}
  inputs:
    age: number
    income: {number: {missing: 3.5, scale: robust}}
    job: {category: 5}
    born: {date: {parts: [year, month]}}
    face: {image: {size: [4, 5], channels: 1}}
    voice: {audio: 1.5}
    words: {text: {length: 7}}
    junk: ignore
  target: {bought: {category: {strip: ".", replace: {y: yes}, positive: n}}}
  weights: importance
  split: {group: job, validation: 0.1, test: 0.1}
model:
  layers:
    - Dense: {units: 4, from: [age, income], name: numbers}
    - Embedding: {input_dim: 5000, output_dim: 4, from: words}
    - Flatten: {name: flat}
    - Concatenate: {from: [numbers, flat]}
    - Dense: {units: 2, activation: softmax}
training:
  optimizer: {AdamW: {learning_rate: {CosineDecay: {initial_learning_rate: 0.1, decay_steps: $(10 * steps_per_epoch)}}}}
  loss: sparse_categorical_crossentropy
  epochs: 1
  threshold: F1Score
  no_weight_decay: [bias]
  class_weights: {y: 1, n: 2.5}
"""
WINDOWS = """\
data:
  source: {parquet: a.parquet}
  windows: {length: 24, target: [level, flow], key: place, horizon: 1..4, known: [holiday], static: [size]}
  split: {test: 0.1, validation: 0.1, order: time}
model: {layers: [{Bidirectional: {layer: {LSTM: 8}}}, {RNN: {cell: [{LSTMCell: 4}, {GRUCell: {units: 4}}]}}, Dense: 1]}
training: {optimizer: {SGD: {learning_rate: 0.1, momentum: 0}}, loss: huber, metrics: [mae, {R2Score: }], epochs: 1}
"""
OUTPUTS = """\
data:
  source: {arrays: {path: a.npz, x: {left: a, right: b}, y: {digit: c, even: d}}}
  target: {digit: category, even: number}
model:
  layers:
    - Flatten: {from: left}
    - Dense: {units: 8, activation: relu, name: trunk}
    - Dense: {units: 10, activation: softmax, name: digit}
    - Dense: {units: 1, from: trunk, name: parity}
  outputs:
    digit: {loss: sparse_categorical_crossentropy, metrics: [accuracy], weight: 0.5}
    second: {loss: {Huber: {delta: 0.5}}, from: parity, target: even}
training: {optimizer: adam, epochs: 3}
"""
AUTOENCODER = """\
data: {source: mnist, target: input, preprocessing: [{Rescaling: $(1 / 255)}]}
model: {layers: [{Reshape: [784]}, {Dense: {units: 16, activation: {PReLU: {}}}}, {Dense: 784}, {Reshape: [28, 28]}]}
training: {optimizer: adam, loss: mse, epochs: 1}
"""
SHARED = """\
data: {source: iris}
model:
  layers:
    - Dense: {units: 4, name: twice}
    - twice
    - twice: {from: twice, name: third}
    - Dense: {units: 3, activation: softmax, from: third}
training: {optimizer: Adam, loss: sparse_categorical_crossentropy, metrics: [Accuracy, {F1Score: macro}], epochs: 1}
"""
LISTS_BY_NAME = """\
vars: {layers: [Flatten, {Dense: 10}], optimizer: sgd}
data: {source: digits}
model: {layers: $layers}
training: {optimizer: $optimizer, loss: sparse_categorical_crossentropy, epochs: 1}
"""

VALID = {
    "good": bad_configs.GOOD,
    "images": bad_configs.IMAGES,
    "backbone": bad_configs.BACKBONE,
    "phases": bad_configs.PHASES,
    "tiny": small_configs.TINY,
    "random": small_configs.EVERYTHING_RANDOM,
    **bad_graphs.GOOD,
    "expressions": EXPRESSIONS,
    "table": TABLE,
    "windows": WINDOWS,
    "outputs": OUTPUTS,
    "autoencoder": AUTOENCODER,
    "shared": SHARED,
    "lists-by-name": LISTS_BY_NAME,
}
"""Complete, and accepted by dltool before the data is read."""

PARTS = {
    "smoke": "extends: base.yaml\ntraining: {epochs: 1}\n",
    "several": "extends: [base.yaml, fast.yaml]\ndata: {source: {csv: {delimiter: ';'}}}\nmodel: {layers: [Flatten]}\n",
    "base": "extends: []\nname: base\ntraining: {optimizer: {Adam: {epsilon: 1e-6}}, batch_size: 64}\n",
    "windows": "extends: base.yaml\ndata: {windows: {length: 48}}\n",
    "output": "extends: base.yaml\nmodel: {outputs: {a: {weight: 2}}}\n",
}
"""Parts of configs, which extend others or say that they are built on."""

UNKNOWABLE = {
    # What names stand for, and arithmetic.
    *("sections-that-are-numbers", "layers-that-are-a-number", "data-that-is-a-number", "seed-of-the-data"),
    *("value-of-a-variable", "list-inside-text", "undefined-name", "misspelt-name", "division-by-zero"),
    *("function-call", "attribute", "half-a-number", "unset-environment-variable", "variable-of-itself"),
    *("variable-with-a-reserved-name", "power-too-large", "data-that-depends-on-itself"),
    *("undefined-name-in-a-source", "classes-in-a-source"),
    *("batch-size-of-itself", "epochs-of-themselves"),
    # Other files.
    *("extends-itself", "extends-a-missing-file", "extends-a-name-too-long-for-a-file"),
    # It could be the name of a block.
    "misspelt-key-of-a-backbone",
    # Several values that do not go together.
    *(
        "exclusive-options",
        "two-validation-sets",
        "expectation-of-nothing",
        "two-targets-of-one",
        "column-as-the-input",
    ),
    *("named-arrays-without-a-file", "unknown-target-of-arrays", "one-type-for-two-targets", "other-names-in-the-test"),
    *("phases-with-too-many-epochs", "fractions-over-one", "empty-split", "output-with-a-bad-name"),
    *("giant-image", "giant-image-in-a-column"),
    # Right in another place.
    *("null-loss", "encoding-of-no-text", "date-format-with-a-part-twice"),
    # JSON has no such numbers.
    *("learning-rate-nan", "learning-rate-infinite"),
}
"""Errors among the bad inputs that only dltool finds."""
