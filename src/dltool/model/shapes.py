"""How shapes are written in messages."""

Shape = tuple[int | None, ...]
"""Without the batch axis."""


def shown(shape: Shape) -> str:
    """(26, 26, 32), with ? for an axis whose length varies."""
    inside = ", ".join("?" if size is None else str(size) for size in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"
