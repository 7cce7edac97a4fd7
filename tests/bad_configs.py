"""Configs with a mistake in them, by what is wrong. Each is complete but for its mistake."""

GOOD = """\
name: example
data:
  source: iris
  split: {validation: 0.2, test: 0.2}
model:
  layers:
    - Dense: {units: 8, activation: relu}
    - Dense: {units: 3, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: 1e-3}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 16
  epochs: 2
"""

IMAGES = """\
data: {source: digits, split: {validation: 0.1, test: 0.1}}
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3}
    - Flatten
    - Dense: {units: 10, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""

BACKBONE = """\
data: {source: digits, split: {validation: 0.1, test: 0.1}}
model:
  layers:
    - backbone: {MobileNet: {weights: null, alpha: 0.25, pooling: avg, trainable: false}}
    - Dense: {units: 10, activation: softmax, name: head}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""

PHASES = """\
data: {source: iris, split: {validation: 0.2, test: 0.2}}
model:
  layers:
    - Dense: {units: 8, activation: relu, name: body}
    - Dense: {units: 3, activation: softmax, name: head}
training:
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  phases:
    - {epochs: 1, trainable: [head], optimizer: adam}
    - {epochs: 1, optimizer: {SGD: {learning_rate: 1e-3}}}
"""


def changed(*replacements: tuple[str, str], text: str = GOOD) -> str:
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return text


YAML = {
    "tab-indent": changed(("  source: iris", "\tsource: iris")),
    "unclosed-bracket": changed(("metrics: [accuracy]", "metrics: [accuracy")),
    "unclosed-brace": changed(("split: {validation: 0.2, test: 0.2}", "split: {validation: 0.2, test: 0.2")),
    "unclosed-quote": changed(("name: example", "name: 'example")),
    "two-colons": changed(("name: example", "name: an: example")),
    "duplicate-key": GOOD + "seed: 1\nname: other\n",
    "empty-file": "",
    "only-a-comment": "# nothing yet\n",
    "list-at-the-top": "- name: example\n",
    "scalar-at-the-top": "example\n",
    "two-documents": GOOD + "---\n" + GOOD,
    "custom-tag": changed(("name: example", "name: !mine example")),
    "python-tag": changed(("name: example", "name: !!python/object/apply:os.system [echo]")),
    "integer-tag": changed(("epochs: 2", "epochs: !!int foo")),
    "alias-bomb": "x-a: &a [0,0,0,0,0,0,0,0,0,0]\n"
    + "".join(f"x-{n}: &{n} [{', '.join(['*' + p] * 10)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True))
    + GOOD,
    "merge-bomb": "x-a: &a {k: 1}\n"
    + "".join(
        f"x-{n}: &{n} {{<<: [{', '.join(['*' + p] * 9)}]}}\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + GOOD,
    "variable-bomb": "vars:\n  a: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n"
    + "".join(f"  {n}: [{', '.join(['$' + p] * 10)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True))
    + changed(("metrics: [accuracy]", "metrics: $i")),
    "alias-to-itself": "x-a: &a [*a]\n" + GOOD,
    "undefined-alias": changed(("name: example", "name: *example")),
    "too-deep": "x-a: " + "[" * 3000 + "]" * 3000 + "\n" + GOOD,
    "wrong-indentation": changed(("  batch_size", " batch_size")),
    "control-character": changed(("example", "exa\x07mple")),
    "merge-key": "x-base: &base {epochs: 2}\n" + changed(("  epochs: 2", "  <<: *base")),
    "many-digits": changed(("epochs: 2", "epochs: " + "9" * 5000)),
}

YAML_BYTES = {
    "nul-byte": GOOD.encode().replace(b"example", b"exa\0mple"),
    "latin-1": GOOD.replace("example", "größe").encode("latin-1"),
    "too-large": b"# " + b"x" * 1_100_000,
}

KEYS_AND_TYPES = {
    "misspelt-backbone": changed(("MobileNet:", "MobilNet:"), text=BACKBONE),
    "misspelt-argument-of-a-backbone": changed(("pooling: avg", "poling: avg"), text=BACKBONE),
    "pooling-that-no-backbone-has": changed(("pooling: avg", "pooling: average"), text=BACKBONE),
    "backbone-with-its-classifier": changed(("pooling: avg", "include_top: true"), text=BACKBONE),
    "backbone-as-a-layer": changed(("backbone: {MobileNet: {", "MobileNet: {"), ("false}}", "false}"), text=BACKBONE),
    "misspelt-key-of-a-backbone": changed(("backbone:", "bakbone:"), text=BACKBONE),
    "two-backbones-in-one": changed(("false}}", "false}, ResNet50: {}}"), text=BACKBONE),
    "layer-as-a-backbone": changed(("MobileNet: {", "Dense: {"), text=BACKBONE),
    "backbone-inside-a-layer": changed(
        ("backbone: {MobileNet: {", "TimeDistributed: {layer: {backbone: {MobileNet: {"),
        ("false}}", "false}}}}"),
        text=BACKBONE,
    ),
    "backbone-without-a-name": changed(
        ("backbone: {MobileNet: {weights: null, alpha: 0.25, pooling: avg, trainable: false}}", "backbone"),
        text=BACKBONE,
    ),
    "phases-and-an-optimizer": changed(("  metrics:", "  optimizer: adam\n  epochs: 3\n  metrics:"), text=PHASES),
    "neither-phases-nor-epochs": changed(("  epochs: 2\n", "")),
    "optimizer-null": changed(
        ("optimizer: {Adam: {learning_rate: 1e-3}}", "optimizer: null"), ("epochs: 2", "epochs: ~")
    ),
    "misspelt-key-of-a-phase": changed(("trainable: [head]", "trianable: [head]"), text=PHASES),
    "phase-without-epochs": changed(("{epochs: 1, trainable", "{trainable"), text=PHASES),
    "phase-with-another-optimizer-name": changed(("optimizer: adam}", "optimizer: adan}"), text=PHASES),
    "no-phases": changed(
        ("    - {epochs: 1, trainable: [head], optimizer: adam}\n", ""),
        ("    - {epochs: 1, optimizer: {SGD: {learning_rate: 1e-3}}}\n", ""),
        ("  phases:\n", "  phases: []\n"),
        text=PHASES,
    ),
    "phases-as-a-mapping": changed(
        ("    - {epochs: 1, trainable: [head], optimizer: adam}\n", "    epochs: 1\n"),
        ("    - {epochs: 1, optimizer: {SGD: {learning_rate: 1e-3}}}\n", ""),
        text=PHASES,
    ),
    "text-for-a-list-of-names": changed(("trainable: [head]", "trainable: head"), text=PHASES),
    "misspelt-key": changed(("optimizer:", "optimzer:")),
    "key-at-the-wrong-level": changed(("  batch_size: 16\n", "")) + "batch_size: 16\n",
    "number-as-key": changed(("name: example", "3: example")),
    "null-as-key": changed(("name: example", "~: example")),
    "list-as-key": changed(("name: example", "? [a, b]\n: example")),
    "yes-as-a-number": changed(("units: 8", "units: yes")),
    "yes-as-a-boolean": changed(("units: 8", "units: 8, use_bias: yes")),
    "leading-zero": changed(("units: 8", "units: 010")),
    "base-60": changed(("name: example", "name: 1:30")),
    "number-as-text": changed(("name: example", "name: 3.10")),
    "text-as-number": changed(("epochs: 2", "epochs: ten")),
    "fraction-as-whole-number": changed(("epochs: 2", "epochs: 3.5")),
    "boolean-as-number": changed(("batch_size: 16", "batch_size: true")),
    "missing-keys": changed(("  loss: sparse_categorical_crossentropy\n", ""), ("  epochs: 2\n", "")),
    "missing-section": "name: example\ndata: {source: iris}\n",
    "null-value": changed(("epochs: 2", "epochs:")),
    "null-loss": changed(("loss: sparse_categorical_crossentropy", "loss:")),
    "control-characters-in-a-key": changed(("  optimizer:", '  "\\e[31m\\u202eoptimizer":')),
    "name-of-100,000-characters": changed(("relu", "relu" * 25_000)),
    "undefined-name-in-a-source": changed(("iris", "{csv: {path: a.csv, delimiter: $x}}")),
    "classes-in-a-source": changed(("iris", "{images: {path: a, size: [8, 8], channels: $classes}}")),
    "encoding-of-no-text": changed(("iris", "{csv: {path: a.csv, encoding: zlib}}\n  target: a")),
    "date-format-with-a-part-twice": changed(
        ("iris", '{csv: a.csv}\n  target: a\n  inputs: {b: {date: {format: "%d %d"}}}')
    ),
    "batch-size-of-itself": changed(("batch_size: 16", "batch_size: $steps_per_epoch")),
    "epochs-of-themselves": changed(("epochs: 2", "epochs: $(epochs + 1)")),
    "sample-rate-of-a-billion": changed(("iris", "{audio: {path: a, rate: 1000000000}}")),
    "null-section": "name: example\ndata:\nmodel:\ntraining:\n",
    "scalar-for-a-list": changed(("metrics: [accuracy]", "metrics: accuracy")),
    "list-for-a-mapping": changed(("data:\n  source: iris\n  split: {validation: 0.2, test: 0.2}", "data: [iris]")),
    "mapping-for-a-scalar": changed(("epochs: 2", "epochs: {count: 2}")),
    "source-in-a-list": changed(("source: iris", "source: [iris]")),
    "sections-that-are-numbers": "data: {source: {arrays: a.npz}}\nmodel: $classes\ntraining: $epochs\n",
    "layers-that-are-a-number": changed(
        ("source: iris", "source: {arrays: a.npz}"),
        ("metrics: [accuracy]", "metrics: [$classes]\n  callbacks: $input_shape\n  class_weights: $classes"),
    ),
    "data-that-is-a-number": "data: $steps_per_epoch\n" + IMAGES.partition("\n")[2],
    "seed-of-the-data": changed(("name: example", "seed: $classes"), ("source: iris", "source: {arrays: a.npz}")),
    "every-layer-unknown": changed(("Dense: {units: 8", "Densse: {units: 8"), ("Dense: {units: 3", "Desne: {units: 3")),
    "no-layers": "data: {source: iris}\nmodel: {layers: []}\ntraining: {optimizer: adam, loss: mse, epochs: 1}\n",
    "digits-in-groups": changed(("name: example", "seed: 1_000")),
    "expectation-without-a-sign": GOOD + "expect: {accuracy: 0.9}\n",
    "value-of-a-variable": "vars: {w: ten}\n" + changed(("epochs: 2", "epochs: $w")),
    "list-inside-text": "vars: {w: [1, 2]}\n" + changed(("name: example", "name: run-$(w)")),
    "exclusive-options": changed(("source: iris", "source: {arrays: {path: a.npz, x: x.npy, y: y.npy}}")),
    "two-validation-sets": changed(("source: iris", "source: iris\n  validation: wine")),
    "unknown-activation": changed(("activation: relu", "activation: relux")),
    "unknown-layer": changed(("Dense: {units: 8", "Densse: {units: 8")),
    "unknown-optimizer": changed(("{Adam: {learning_rate: 1e-3}}", "adamm")),
    "unknown-loss": changed(("sparse_categorical_crossentropy", "sparse_crossentropy")),
    "unknown-metric": changed(("[accuracy]", "[acuracy]")),
    "unknown-source": changed(("source: iris", "source: irsi")),
    "unknown-source-option": changed(("source: iris", "source: {mnist: {paht: a.npz}}")),
    "unknown-argument": changed(("units: 8", "unitz: 8")),
    "missing-argument": changed(("{units: 8, activation: relu}", "{activation: relu}")),
    "layer-as-optimizer": changed(("{Adam: {learning_rate: 1e-3}}", "Dense")),
    "optimizer-as-layer": changed(("Dense: {units: 8, activation: relu}", "Adam")),
    "two-names-in-one-item": changed(("- Dense: {units: 8, activation: relu}", "- Dense: 8\n      activation: relu")),
    "import-path": changed(("Dense: {units: 8, activation: relu}", "os.system: {command: echo}")),
    "keras-import-path": changed(("Dense: {units: 8", "keras.layers.Dense: {units: 8")),
    "lambda-layer": changed(("Dense: {units: 8, activation: relu}", "Lambda: 'x + 1'")),
    "text-for-a-number-argument": changed(("learning_rate: 1e-3", 'learning_rate: "1e-3"')),
    "null-argument": changed(("units: 8", "units: null")),
    "half-a-precision": changed(("epochs: 2", "epochs: 2\n  precision: bfloat16")),
    "wrong-precision": changed(("epochs: 2", "epochs: 2\n  precision: float15")),
    "undefined-name": changed(("units: 8", "units: $undefined")),
    "misspelt-name": changed(("units: 3", "units: $clases")),
    "division-by-zero": changed(("units: 8", "units: $(1/0)")),
    "function-call": changed(("name: example", "name: $(__import__('os').system('echo'))")),
    "attribute": changed(("units: 8", "units: $(classes.real)")),
    "braces": changed(("units: 3", "units: ${classes}")),
    "half-a-number": changed(("units: 8", "units: $(classes / 2)")),
    "unset-environment-variable": changed(("name: example", "name: $(env.DLTOOL_TEST_UNSET)")),
    "variable-of-itself": "vars: {a: $b, b: $a}\n" + GOOD,
    "variable-with-a-reserved-name": "vars: {classes: 5}\n" + GOOD,
    "power-too-large": changed(("units: 8", "units: $(9**9**9)")),
    "extends-itself": "extends: example.yaml\n" + GOOD,
    "extends-a-name-too-long-for-a-file": "extends: " + "long" * 1000 + ".yaml\n" + GOOD,
    "extends-a-missing-file": "extends: [basse.yaml]\n" + GOOD,
    "data-that-depends-on-itself": changed(("validation: 0.2", "validation: $(1 / classes)")),
    "expectation-of-nothing": GOOD + 'expect: {acuracy: ">= 0.5"}\n',
    "expectation-that-is-no-bound": GOOD + "expect: {accuracy: high}\n",
    "loss-beside-outputs": changed(("training:", "  outputs:\n    a: {loss: mse}\ntraining:")),
    "output-without-a-loss": changed(
        ("training:", "  outputs:\n    a: {metrics: [accuracy]}\ntraining:"),
        ("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", ""),
    ),
    "misspelt-key-of-an-output": changed(
        ("training:", "  outputs:\n    a: {los: mse, form: b}\ntraining:"),
        ("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", ""),
    ),
    "output-with-a-bad-name": changed(
        ("training:", "  outputs:\n    val_a: {loss: mse}\ntraining:"),
        ("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", ""),
    ),
    "two-targets-of-one": changed(("source: iris", "source: iris\n  target: {a: category, b: number}")),
    "unknown-type-of-one-of-two-targets": changed(
        ("source: iris", "source: {csv: a.csv}\n  target: {a: categry, b: number}")
    ),
    "column-as-the-input": changed(("source: iris", "source: {csv: a.csv}\n  target: {a: input}")),
    "named-arrays-without-a-file": changed(("source: iris", "source: {arrays: {x: {a: b}, y: {c: d}}}")),
    "named-arrays-that-are-none": changed(
        ("source: iris", "source: {arrays: {path: a.npz, x: {a: 1}, y: {}}}"),
    ),
    "unknown-target-of-arrays": changed(
        ("source: iris", "source: {arrays: {path: a.npz, y: {a: b, c: d}}}\n  target: {aa: number}")
    ),
    "one-type-for-two-targets": changed(
        ("source: iris", "source: {arrays: {path: a.npz, y: {a: b, c: d}}}\n  target: category")
    ),
    "other-names-in-the-test": changed(
        ("source: iris", "source: {arrays: {path: a.npz, y: {a: b, c: d}}}\n  test: {arrays: {path: b.npz, y: {a: b}}}")
    ),
    "two-mistakes": changed(("epochs: 2", "epochs: ten"), ("units: 8", "unitz: 8")),
}

RANGE = {
    "width-of-a-backbone-zero": changed(("alpha: 0.25", "alpha: 0"), text=BACKBONE),
    "phase-of-no-epochs": changed(("{epochs: 1, trainable", "{epochs: 0, trainable"), text=PHASES),
    "learning-rate-of-a-phase-zero": changed(("1e-3", "0"), text=PHASES),
    "phases-with-too-many-epochs": changed(("epochs: 1, opt", "epochs: 100000, opt"), text=PHASES),
    "learning-rate-zero": changed(("1e-3", "0")),
    "learning-rate-negative": changed(("1e-3", "-0.1")),
    "learning-rate-nan": changed(("1e-3", ".nan")),
    "learning-rate-infinite": changed(("1e-3", ".inf")),
    "batch-size-zero": changed(("batch_size: 16", "batch_size: 0")),
    "epochs-zero": changed(("epochs: 2", "epochs: 0")),
    "epochs-too-many": changed(("epochs: 2", "epochs: 100001")),
    "dropout-one": changed(("Dense: {units: 8, activation: relu}", "Dropout: 1.0")),
    "dropout-negative": changed(("Dense: {units: 8, activation: relu}", "Dropout: {rate: -0.5}")),
    "fractions-over-one": changed(("validation: 0.2, test: 0.2", "validation: 0.6, test: 0.5")),
    "fraction-of-one": changed(("validation: 0.2", "validation: 1.0")),
    "empty-split": changed(("validation: 0.2", "validation: 0.0001")),
    "ten-billion-units": changed(("units: 8", "units: 10000000000")),
    "patience-negative": changed(("epochs: 2", "epochs: 2\n  callbacks: [{EarlyStopping: {patience: -1}}]")),
    "run-name-outside": changed(("name: example", "name: ../x")),
    "seed-too-large": changed(("name: example", "seed: 4294967296")),
    "seed-negative": changed(("name: example", "seed: -1")),
    "units-zero": changed(("units: 8", "units: 0")),
    "giant-image": changed(("source: iris", "source: {images: {path: images, size: [40000, 40000]}}")),
    "giant-image-in-a-column": changed(
        (
            "source: iris",
            "source: {csv: people.csv}\n  target: label\n  inputs: {photo: {image: {size: [9000, 9000], channels: 3}}}",
        )
    ),
    "giant-runs-of-words": changed(
        (
            "source: iris",
            (
                "source: {csv: people.csv}\n  target: label\n"
                "  inputs: {about: {text: {ngrams: 1000000000, length: 1000000000}}}"
            ),
        )
    ),
    "giant-runs-of-words-in-a-layer": changed(
        (
            "  split:",
            (
                "  preprocessing: [{TextVectorization: {ngrams: [1, 1000000000], output_sequence_length: 900000}}]\n"
                "  split:"
            ),
        )
    ),
}

BUILT = {
    "one-channel-for-a-backbone": BACKBONE,
    "small-images-for-a-backbone": changed(
        ("    - backbone", "    - Concatenate: {from: [input, input, input]}\n    - backbone"), text=BACKBONE
    ),
    "vector-for-a-backbone": changed(("    - backbone", "    - Flatten\n    - backbone"), text=BACKBONE),
    "pattern-that-means-no-layer": changed(("trainable: [head]", 'trainable: [head, "boddy", "conv*"]'), text=PHASES),
    "phase-in-which-nothing-learns": changed(
        ("units: 8, activation: relu, name: body", "units: 8, trainable: false"),
        ("softmax, name: head", "softmax, name: head, trainable: false"),
        text=PHASES,
    ),
    "pooling-to-nothing": changed(
        ("    - Flatten\n", "    - MaxPooling2D: 4\n    - MaxPooling2D: 4\n    - Flatten\n"), text=IMAGES
    ),
    "too-many-parameters": changed(
        ("    - Dense: {units: 8, activation: relu}\n", "    - Dense: 100000\n    - Dense: 100000\n")
    ),
    "five-outputs-for-three-classes": changed(("units: 3", "units: 5")),
    "dense-on-an-image": changed(("    - Flatten\n", ""), text=IMAGES),
    "softmax-with-logits": changed(
        ("loss: sparse_categorical_crossentropy", "loss: {SparseCategoricalCrossentropy: {from_logits: true}}")
    ),
    "linear-without-logits": changed(("units: 3, activation: softmax", "units: 3")),
    "no-channels": changed(("Dense: {units: 8, activation: relu}", "Conv2D: {filters: 4, kernel_size: 3}")),
    "three-channels-for-one": changed(
        ("    - Conv2D: {filters: 4, kernel_size: 3}\n", "    - Reshape: {target_shape: [8, 8, 3]}\n"), text=IMAGES
    ),
    "monitor-without-validation": changed(
        ("validation: 0.2, ", ""), ("epochs: 2", "epochs: 2\n  checkpoint: {monitor: val_loss}")
    ),
    "callback-monitor-without-validation": changed(
        ("validation: 0.2, ", ""), ("epochs: 2", "epochs: 2\n  callbacks: [{EarlyStopping: {patience: 2}}]")
    ),
    "metric-with-a-taken-name": changed(
        ("metrics: [accuracy]", "metrics: [{SparseCategoricalAccuracy: {name: seconds}}]")
    ),
    "misspelt-monitor": changed(("epochs: 2", "epochs: 2\n  checkpoint: {monitor: val_acuracy}")),
    "regression-loss-for-classes": changed(("sparse_categorical_crossentropy", "mse")),
    "one-hot-metric-for-class-numbers": changed(("[accuracy]", "[CategoricalAccuracy]")),
    "class-number-metric-for-one-hot": changed(
        ("sparse_categorical_crossentropy", "categorical_crossentropy"), ("[accuracy]", "[SparseCategoricalAccuracy]")
    ),
    "mixing-class-numbers": changed(("data: {", "data: {augmentation: [MixUp], "), text=IMAGES),
    "mixing-what-is-no-image": changed(
        ("  source: iris", "  source: iris\n  augmentation: [MixUp]"),
        ("sparse_categorical_crossentropy", "categorical_crossentropy"),
    ),
    "mixing-for-two-outputs": changed(
        ("data: {", "data: {augmentation: [MixUp], "),
        (
            "training: {",
            "  outputs: {a: {loss: kld, target: target}, b: {loss: kld, target: target, from: a}}\ntraining: {",
        ),
        ("activation: softmax}", "activation: softmax, name: a}"),
        ("loss: sparse_categorical_crossentropy, metrics: [accuracy], ", ""),
        text=IMAGES,
    ),
    "mixing-in-the-model": changed(("    - Flatten", "    - CutMix\n    - Flatten"), text=IMAGES),
    "mixing-inside-another-layer": changed(
        ("data: {", "data: {augmentation: [{Pipeline: {layers: [MixUp]}}], "),
        ("sparse_categorical_crossentropy", "categorical_crossentropy"),
        text=IMAGES,
    ),
    "classes-of-a-regression": changed(("source: iris", "source: diabetes"), ("units: 3", "units: $classes")),
    "class-loss-for-a-regression": changed(("source: iris", "source: diabetes")),
    "restoring-another-shape": changed(
        ("source: digits", "source: digits, target: input"),
        ("loss: sparse_categorical_crossentropy, metrics: [accuracy]", "loss: mse"),
        text=IMAGES,
    ),
    "output-of-no-layer": changed(
        ("training:", "  outputs:\n    flower: {loss: sparse_categorical_crossentropy, from: lst}\ntraining:"),
        ("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", ""),
        ("activation: softmax", "activation: softmax, name: last"),
    ),
    "layer-after-the-outputs": changed(
        ("training:", "    - Dense: 5\n  outputs:\n    last: {loss: sparse_categorical_crossentropy}\ntraining:"),
        ("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", ""),
        ("activation: softmax", "activation: softmax, name: last"),
    ),
    "five-outputs-of-one-output": changed(
        ("training:", "  outputs:\n    last: {loss: sparse_categorical_crossentropy}\ntraining:"),
        ("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", ""),
        ("units: 3, activation: softmax", "units: 5, activation: softmax, name: last"),
    ),
    "classes-of-several-targets": changed(
        ("source: iris", "source: {arrays: {path: a.npz, y: {a: b, c: d}}}"),
        ("training:", "  outputs: {a: {loss: mse}}\ntraining:"),
        ("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", ""),
        ("units: 3, activation: softmax", "units: $classes_a, name: a"),
    ),
}
