"""A pool for life: each refresh takes the files that are new since the last one, compared with all rows taken before.

    POOL/                     the recipe's export_path
      pool.json               files known by name, size, time and digest; batches: files, rows, content hash. Replaced whole
      pending.json            the batch that is begun and not yet in pool.json: name, and digest of each of its files
      index/ or index-N/      of the deduplication step, or of each (incremental.md)
      batches/0001/           the run folder of each batch: data/, ledger/, manifest.json, report.html, recipe.yaml

A batch is settled before it is begun and then finished before anything newer is taken, so a crash at any moment costs
nothing that was done and no row is taken twice.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import recipe
from .errors import RecipeError, StaleError
from .execute import Progress, Silent
from .formats.finding import listing
from .formats.places import digest_of, is_remote, local_path
from .index import layout
from .index.layout import INDEXABLE
from .plan import base_of
from .recipe import Recipe
from .run import run
from .workspace import Place, atomically, read_json, write_json

FORMAT = 1
FIRST = "0001"  # the batch that begins the index


@dataclass(frozen=True)
class Pool:
    """The folder of a pool."""

    folder: Path

    @classmethod
    def of(cls, asked: Recipe) -> "Pool":
        """The pool that a recipe's `export_path` names. Raises RecipeError where that cannot be one."""
        place = Place.of(asked.export_path)
        if asked.pool is not None:
            raise RecipeError(f"{asked.name}: a refresh keeps all that stays, below export_path; `pool` keeps a chosen few, by "
                              "tamis run. Leave out one of the two (docs/lifelong.md)")
        if place.file or asked.work_dir:
            raise RecipeError(f"{asked.name}: a pool needs a folder as export_path, and no work_dir: each batch has its own")
        if place.run.exists() and any(place.run.iterdir()) and not (place.run / ".lock").exists():
            raise RecipeError(f"export_path {place.run} holds something that no refresh has written; name a folder of its own")
        return cls(place.run)

    def told(self) -> dict[str, Any]:
        """What pool.json says, or an empty pool. Raises StaleError for one of another format."""
        told = read_json(self.folder / "pool.json") or {"format": FORMAT, "files": {}, "batches": []}
        if told.get("format") != FORMAT:
            raise StaleError(f"{self.folder / 'pool.json'} is of format {told.get('format')}, this tamis writes {FORMAT}")
        return told

    def pending(self) -> dict[str, Any] | None:
        """The batch that is begun, if any."""
        return read_json(self.folder / "pending.json")

    def batch(self, name: str) -> Path:
        """The run folder of a batch."""
        return self.folder / "batches" / name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the books for a moment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def refresh(recipe_path: str | Path, progress: Progress | None = None, **overrides: Any) -> dict[str, Any]:
    """Take what is new into the recipe's pool; answer what `taken` does, `batches` empty where nothing is.

    What an earlier refresh began is finished first, as a batch of its own. Raises as `run` does.
    """
    done = []
    while (batch := begin(recipe_path, **overrides)) is not None:
        run(batch, progress or Silent(), **unwritten(recipe.load(recipe_path, **overrides), batch))
        done.append(taken(batch))
    pool = Pool.of(recipe.load(recipe_path, **overrides))
    return totals(pool.told()) | {"pool": str(pool.folder), "batches": done}


def begin(recipe_path: str | Path, **overrides: Any) -> Path | None:
    """The recipe of the next batch, written down in the pool: of the batch begun, else of what is new; None: nothing is new.

    Passwords and signatures of URLs are not written down: `unwritten` has them.
    Raises RecipeError where the recipe has no step that can be compared with what is known, StaleError where a file of a batch
    that was begun is gone or another by now.
    """
    asked = recipe.load(recipe_path, **overrides)
    pool, steps = Pool.of(asked), _steps(asked)
    with pool.lock():
        pending, told = pool.pending(), pool.told()
        entered = pending is not None and any(b["name"] == pending["name"] for b in told["batches"])
        if pending is not None and (entered or not _as_begun(pool, asked, pending)):
            pending = None
        if pending is None:
            new = _new(asked, told)
            write_json(pool.folder / "pool.json", told)
            if not new:
                (pool.folder / "pending.json").unlink(missing_ok=True)
                return None
            pending = {"name": f"{len(told['batches']) + 1:04d}", "files": new}
            write_json(pool.folder / "pending.json", pending)
        path = pool.batch(pending["name"]) / "batch.yaml"
        text = recipe.dump(_batch_recipe(asked, pool, pending, steps), public=True)
        atomically(path, lambda tmp: tmp.write_text(text, "utf-8"))
    return path


def unwritten(asked: Recipe, batch: Path | None = None) -> dict[str, Any]:
    """What the recipe, or its batch that is begun, says with passwords of URLs: the keys that a file in the pool has without."""
    if batch is not None:
        pool = Pool(batch.parents[2])
        asked = _batch_recipe(asked, pool, pool.pending() or {"name": batch.parent.name, "files": {}}, _steps(asked))
    public = recipe.words(asked, public=True)
    return {key: value for key, value in recipe.words(asked).items() if value != public[key]}


def taken(batch: Path) -> dict[str, Any]:
    """Enter a finished batch, by its recipe, in the pool's books; answer its line. Does nothing where it is there already."""
    pool, name = Pool(batch.parents[2]), batch.parent.name
    with pool.lock():
        told, pending = pool.told(), pool.pending()
        known = next((b for b in told["batches"] if b["name"] == name), None)
        if known is not None:
            return dict(known)
        manifest = read_json(batch.parent / "manifest.json")
        if manifest is None or pending is None or pending["name"] != name:
            raise StaleError(f"{batch.parent}: this batch is not finished: refresh again")
        line = {"name": name, "files": len(pending["files"]), "rows_in": manifest["rows_in"], "rows_out": manifest["rows_out"],
                "content_hash": manifest["content_hash"], "folder": str(Path("batches") / name)}
        told["batches"].append(line)
        told["files"] |= {source: told_of | {"batch": name} for source, told_of in pending["files"].items()}
        write_json(pool.folder / "pool.json", told)
        (pool.folder / "pending.json").unlink()
    return line


def totals(told: Mapping[str, Any]) -> dict[str, int]:
    """How many files, rows read and rows kept a pool has."""
    return {"files": len(told["files"]), **{k: sum(b[k] for b in told["batches"]) for k in ("rows_in", "rows_out")}}


def _steps(asked: Recipe) -> list[int]:
    """Numbers of the steps that get an index."""
    steps = [s for s in asked.process if s.name in INDEXABLE]
    if not steps:
        raise RecipeError(f"{asked.name}: a pool compares what is new with what it has: the recipe needs {' or '.join(INDEXABLE)}")
    own = [s for s in steps if s.extra.get("against") or s.extra.get("remember")]
    if own:
        where = f"{asked.name}, step {own[0].number} ({own[0].name})"
        raise RecipeError(f"{where}: a pool keeps its own index; leave out against and remember")
    return [s.number for s in steps]


def _new(asked: Recipe, told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Files whose content is not known, with size, time and digest. Reads those alone whose size or time is not what it was."""
    found = listing(list(asked.dataset_path), base=base_of(asked), suffixes=asked.suffixes)
    digests = {f["digest"]: f["batch"] for f in told["files"].values()}
    new: dict[str, dict[str, Any]] = {}
    fresh: set[str] = set()
    for source, (url, size) in sorted(found.items()):
        modified = 0 if is_remote(url) else local_path(url).stat().st_mtime_ns
        known = told["files"].get(source)
        if known and modified and (known["bytes"], known["modified"]) == (size, modified):
            continue
        seen = {"bytes": size, "modified": modified, "digest": digest_of(url)}
        if seen["digest"] in digests:
            told["files"][source] = seen | {"batch": digests[seen["digest"]]}
        elif size and seen["digest"] not in fresh:  # a second file of one content adds nothing
            new[source] = seen
            fresh.add(str(seen["digest"]))
    return new


def _as_begun(pool: Pool, asked: Recipe, pending: Mapping[str, Any]) -> bool:
    """Whether the files of the batch that was begun are what they were; False: they are not, and no index knows of them."""
    there = listing(list(asked.dataset_path), base=base_of(asked), suffixes=asked.suffixes)
    now = {name: digest_of(there[name][0]) for name in pending["files"] if name in there}
    changed = sorted(name for name, told in pending["files"].items() if told["digest"] != now.get(name))
    if not changed:
        return True
    wanted = {(name, told["digest"]) for name, told in pending["files"].items()}
    if any(wanted & {tuple(i) for i in b.inputs} for m in _indexes(pool) for b in m.batches):
        gone = f"{', '.join(changed[:3])} is gone or has changed since: put it back as it was and refresh again"
        raise StaleError(f"{pool.folder}: batch {pending['name']} is begun, and {gone}")
    return False


def _indexes(pool: Pool) -> list[layout.Manifest]:
    found = (layout.read(folder) for folder in sorted(pool.folder.glob("index*")))
    return [m for m in found if m is not None]


def _batch_recipe(asked: Recipe, pool: Pool, pending: Mapping[str, Any], steps: list[int]) -> Recipe:
    """The recipe over the batch's files alone, each deduplication step compared with its index and remembered there."""
    words = recipe.words(asked) | {"export_path": str(pool.batch(pending["name"])), "only_files": sorted(pending["files"])}
    base = base_of(asked).absolute()
    words["dataset_path"] = [p if is_remote(p) else str(base / local_path(p).expanduser()) for p in asked.dataset_path]
    for number in steps:
        index = (pool.folder / (f"index-{number}" if len(steps) > 1 else "index")).absolute()
        known = {"remember": str(index)} if pending["name"] == FIRST else {"against": str(index), "remember": True}
        position = [s.number for s in asked.process].index(number)
        (name, settings), = words["process"][position].items()
        words["process"][position] = {name: settings | known}
    return recipe.load(words)


__all__ = ["Pool", "begin", "refresh", "taken", "totals", "unwritten"]
