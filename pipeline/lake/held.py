"""Tables that must not go although they are contained in another: more would be lost with them than their rows."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from .finding import Place
from .tables import Table

_SEPARATORS = ";\t|,"


def held(tables: Iterable[Table], places: Mapping[str, Place]) -> dict[str, str]:
    """Why tables stay, by name: a folder that holds more than the table, files of another table, text of unknown columns.

    `tables`: those that were read; `places`: all that were found.
    """
    at = {str(place.path): name for name, place in places.items()}
    told = {name: f"{place.more} lies in its folder and is no part of it" for name, place in places.items() if place.more}
    for table in tables:
        if table.kind in ("csv", "tsv") and len(table.leaves) == 1 and (found := set(_SEPARATORS) & set(table.leaves[0])):
            told.setdefault(table.name, f"its columns may be separated by {min(found)!r}, they are read as one")
        for file in table.files if table.kind in ("delta", "iceberg") else ():
            for path in (file.path, *map(str, Path(file.path).parents)):
                if (owner := at.get(path, table.name)) != table.name:
                    told[owner] = f"{table.name} reads its files too"
    return told
