"""The small configs, data and models of the tests of training."""

from tests.training.conftest import dataset, make_config

__all__ = ["dataset", "make_config"]
