"""Train, validate and test Keras models from one YAML file."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dltool.notebook import compare, open_run, train

__version__ = "0.1.0"
__all__ = ["compare", "open_run", "train"]


def __getattr__(name: str) -> Any:
    # Importing the package, as every part of it does, imports nothing else.
    if name in __all__:
        from dltool import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
