# ruff: noqa: T201 (a program that prints)
"""The search one would write after KerasTuner's tutorial: Hyperband over a network for titanic.csv.

python tuner_script.py titanic.csv FOLDER SEED
"""

import json
import sys

import keras
import keras_tuner
import numpy as np
import pandas as pd

EPOCHS, FACTOR = 27, 3
MOST_TRIALS = 43
"""In these 30 networks begin: 27 in the first bracket, whose further rounds count as 13 trials, and 3 in the second."""
NUMBERS, CATEGORIES = ["age", "sibsp", "parch", "fare"], ["pclass", "sex", "embarked", "class", "who", "deck"]
CATEGORIES += ["adult_male", "embark_town", "alone"]


def arrays(file: str, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return inputs and targets of the training, validation and test rows."""
    table = pd.read_csv(file)
    order = np.random.default_rng(seed).permutation(len(table))
    test, validation, train = np.split(order, [len(order) // 5, len(order) * 35 // 100])
    table["fare"] = np.log1p(table["fare"])
    known = table[NUMBERS].isna().astype("float32").to_numpy()
    numbers = table[NUMBERS].fillna(table[NUMBERS].iloc[train].mean())
    numbers = (numbers - numbers.iloc[train].mean()) / numbers.iloc[train].std()
    inputs = np.hstack([numbers, known, pd.get_dummies(table[CATEGORIES].astype(str))]).astype("float32")
    targets = table["survived"].to_numpy("float32")
    return tuple((inputs[rows], targets[rows]) for rows in (train, validation, test))


def network(choose: keras_tuner.HyperParameters) -> keras.Model:
    model = keras.Sequential(
        [
            keras.layers.Dense(choose.Int("units", 8, 128, sampling="log"), activation="relu"),
            keras.layers.Dropout(choose.Float("dropout", 0.0, 0.6)),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    rate = choose.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def main(file: str, folder: str, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    train, validation, test = arrays(file, seed)
    tuner = keras_tuner.Hyperband(
        network, "val_loss", max_epochs=EPOCHS, factor=FACTOR, seed=seed, directory=folder, project_name="titanic"
    )
    tuner.oracle.max_trials = MOST_TRIALS
    tuner.search(*train, validation_data=validation, batch_size=32, verbose=0)
    best = tuner.oracle.get_best_trials(1)[0]
    model = tuner.get_best_models(1)[0]
    loss, accuracy = model.evaluate(*test, verbose=0)
    print(json.dumps({"trials": len(tuner.oracle.trials), "val_loss": best.score, "loss": loss, "accuracy": accuracy}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
