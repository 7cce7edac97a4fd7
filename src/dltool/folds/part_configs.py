"""The config of each fold and each further seed of a run: the run's own, for this part alone."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dltool.config.load import Document, build_config
from dltool.config.schema import Config
from dltool.config.text.dump import dump_yaml
from dltool.config.text.yaml_reader import parse_yaml
from dltool.data.checked import without_problems
from dltool.data.dataset import Dataset
from dltool.errors import RunError
from dltool.runs.files import PART, PARTS, Run
from dltool.runs.recorded import valid_config

FOLDS, SEEDS = PARTS


@dataclass(frozen=True)
class PartConfig:
    """A part of a run: "folds/3" is its path inside the run, "fold 3" its name in messages."""

    path: str
    words: str
    text: str


def part_configs(document: Document, config: Config, dataset: Dataset) -> Iterator[PartConfig]:
    """Yield the parts that `config`, with the facts of the data, asks for. Raises ConfigError: the config does not fit
    the number of examples of a fold."""
    if not config.data.split.has_folds:
        for index in range(1, config.training.seeds or 1):
            seeded = with_seed(config, index)
            yield part(f"{SEEDS}/{index + 1}", f"seed {seeded.seed}", seeded, {})
    elif dataset.split.folds is not None:
        folds = [*fold_configs(document, config, dataset)]
        for index in range(config.training.seeds or 1):
            for number, (words, of_fold, own) in enumerate(folds, 1 + index * len(folds)):
                seeded = with_seed(of_fold, index)
                with_words = f"{words} with seed {seeded.seed}" if config.training.seeds else words
                yield part(f"{FOLDS}/{number}", with_words, seeded, own)


def with_seed(config: Config, index: int) -> Config:
    """Return the config with the seed that is so many after its own, on the same split."""
    if not index:
        return config
    split = config.data.split
    split = split.model_copy(update={"seed": config.seed if split.seed is None else split.seed})
    data = config.data.model_copy(update={"split": split})
    return config.model_copy(update={"seed": (config.seed + index) % 2**32, "data": data})


def fold_configs(
    document: Document, config: Config, dataset: Dataset
) -> Iterator[tuple[str, Config, Mapping[str, int]]]:
    """Yield each fold: its name, the config with its numbers of examples, and its own keys of `data.split`."""
    split = config.data.split
    configs: dict[tuple[int, ...], Config] = {}
    assert dataset.split.folds is not None
    assert split.folds is not None
    for index, sizes in enumerate(dataset.split.folds.sizes):
        if sizes not in configs:
            # Values such as $examples are those of the fold.
            training, validation, test = sizes
            facts = replace(dataset.facts, examples=training, validation_examples=validation, test_examples=test)
            configs[sizes] = dataset.in_force(without_problems(build_config(document, facts.names()), facts))
        repeat, fold = divmod(index, split.folds)
        own = {"fold": fold + 1}
        words = f"fold {fold + 1}"
        if split.repeats is not None:
            own["repeat"], words = repeat + 1, f"{words} of repeat {repeat + 1}"
        yield words, configs[sizes], own


def part(path: str, words: str, config: Config, split: Mapping[str, Any]) -> PartConfig:
    data = config.data.model_copy(update={"final": None, "split": config.data.split.model_copy(update=split)})
    training = config.training.model_copy(update={"seeds": None})
    # The run as a whole is tracked, has the expectations, and keeps the weights that all parts start with.
    model = config.model.model_copy(update={"start": None})
    alone = {"track": (), "explain": False, "expect": {}, "data": data, "model": model, "training": training}
    return PartConfig(path, words, dump_yaml(config.model_copy(update=alone)))


def recorded_parts(run: Run) -> list[PartConfig]:
    """Return the parts that a run recorded when it began. Raises RunError: they are missing or damaged."""
    found = run.read_json(run.parts_record)
    parts = []
    for path, each in found.items():
        folder, _, number = path.partition("/")
        is_part = folder in PARTS and PART.fullmatch(number) and isinstance(each, dict)
        if not is_part or not all(isinstance(each.get(key), str) for key in ("words", "config")):
            raise RunError(f"{run.parts_record}: {json.dumps(path)[:100]} is not a fold or seed", "train a new run")
        parts.append(PartConfig(path, each["words"], each["config"]))
    return parts


def part_document(run: Run, found: PartConfig, config: Config) -> Document:
    """Return the config of a part as a document, with the sources in `config`, that of the run: they may have moved.
    Raises RunError: it is invalid."""
    shown_as = f"{run.parts_record}: {found.path}"
    recorded = valid_config(found.text.encode("utf-8", "replace"), shown_as)
    sources = {key: getattr(config.data, key) for key in ("source", "validation", "test")}
    text = dump_yaml(recorded.model_copy(update={"data": recorded.data.model_copy(update=sources)}))
    root = parse_yaml(text, shown_as)
    # Recorded paths are absolute, but for that of a table in the run.
    return Document(run.config, shown_as, root, {shown_as: text}, {shown_as: Path.cwd()}, text.encode())
