"""The comparison on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ..reporting.comparison import COLUMNS, cell, columns, verdict


def show(console: Console, told: Mapping[str, Any]) -> None:
    """The table, and the differences where a small model was trained."""
    keys, pool = columns(told), told["pool"]
    table = Table(title=f"{pool['rows']:,} rows, {pool['tokens']:,.0f} tokens; {told['seeds']} seeds", title_justify="left")
    for head in ("share", "selector", *(COLUMNS[k][0] for k in keys)):
        table.add_column(head, justify="left" if head == "selector" else "right", no_wrap=True)
    for row in told["table"]:
        table.add_row(f"{row['share']:g}", row["name"], *(cell(row, k) for k in keys))
    console.print(table)
    for gap in told.get("differences", ()):
        interval = f"{gap['mean']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f}) {verdict(gap)}".rstrip()
        console.print(f"share {gap['share']:g}, {gap['name']} against {told['baseline']}: {gap['what']} {interval}", markup=False)
