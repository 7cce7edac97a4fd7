"""The final output of `dltool curve`."""

from typing import TYPE_CHECKING

from dltool.console.consoles import StreamConsole, data_text
from dltool.console.table_layout import aligned_table

if TYPE_CHECKING:
    from dltool.curve.outcome import CurveOutcome


def show_curve(outcome: "CurveOutcome", console: StreamConsole) -> None:
    """Print the mean and the range of each size, and what more rows would bring."""
    quantity = outcome.last.quantity
    table = aligned_table(numbers=("training rows", quantity.label, "lowest", "highest", "seeds"))
    for size in outcome.sizes:
        cells = quantity.texts(size.mean, min(size.values), max(size.values))
        table.add_row(f"{size.rows:,}", *cells, str(len(size.values)))
    console.print(table)
    console.print(data_text(f"measured: {outcome.remark}"), soft_wrap=True)
    console.print(data_text(outcome.words), style="bold", soft_wrap=True)
    console.print(data_text(f"see   {outcome.folder / 'curve.html'}"), soft_wrap=True)
