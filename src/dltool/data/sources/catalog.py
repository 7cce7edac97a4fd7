"""The built-in datasets as published: shapes, classes, sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from dltool.config.schema import Data
from dltool.config.sources import CaliforniaHousingSource, Cifar100Source, Source, TokenSource

DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
wolf woman worm
"""
CIFAR100_COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
REUTERS = """
cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass crude
nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi iron-steel rubber
heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


def keras_share(rows: int, most: int | None = None) -> tuple[int, int]:
    """Divide one table, or the first `most` rows of it, like keras.datasets: the first 80 % (after a shuffle) for
    training, the rest for testing."""
    rows = rows if most is None else min(rows, most)
    training = int(rows * (1 - 0.2))
    return training, rows - training


@dataclass(frozen=True)
class Published:
    """A built-in dataset. `class_names` is empty if the target is a number; otherwise labels are indices into it.

    `share` gives the training and test rows of a dataset that is published as one table and divided on loading."""

    input_shape: tuple[int, ...]
    input_dtype: str
    class_names: tuple[str, ...]
    examples: int
    test_examples: int = 0
    share: Callable[[int], tuple[int, int]] | None = None


FIXED: Mapping[str, Published] = {
    "digits": Published((8, 8, 1), "uint8", DIGITS, 1797),
    "iris": Published((4,), "float32", ("setosa", "versicolor", "virginica"), 150),
    "wine": Published((13,), "float32", ("class_0", "class_1", "class_2"), 178),
    "breast_cancer": Published((30,), "float32", ("malignant", "benign"), 569),
    "diabetes": Published((10,), "float32", (), 442),
    "mnist": Published((28, 28, 1), "uint8", DIGITS, 60_000, 10_000),
    "fashion_mnist": Published((28, 28, 1), "uint8", FASHION, 60_000, 10_000),
    "cifar10": Published((32, 32, 3), "uint8", CIFAR10, 50_000, 10_000),
}


def published(source: Source) -> Published | None:
    """Return the built-in dataset that `source` names, with its options applied; None for the user's own data."""
    options = source.options
    if isinstance(options, Cifar100Source):
        names = CIFAR100_FINE if options.label_mode == "fine" else CIFAR100_COARSE
        return Published((32, 32, 3), "uint8", tuple(names.split()), 50_000, 10_000)
    if isinstance(options, TokenSource) and source.name == "imdb":
        return Published((options.length,), "int32", ("negative", "positive"), 25_000, 25_000)
    if isinstance(options, TokenSource):
        return Published((options.length,), "int32", tuple(REUTERS.split()), *keras_share(11_228), keras_share)
    if isinstance(options, CaliforniaHousingSource):
        share = partial(keras_share, most=600 if options.version == "small" else None)
        return Published((8,), "float32", (), *share(20_640), share)
    return FIXED.get(source.name)


def may_repeat(data: Data) -> bool:
    """Return whether duplicates are searched for: not in published datasets, overlapping windows and shards."""
    sources = [source for source in (data.source, data.validation, data.test) if source]
    return data.windows is None and not data.is_streamed and any(published(source) is None for source in sources)
