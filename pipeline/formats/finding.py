"""Which files a recipe's `dataset_path` means, what is data among them, and what each one's content is."""

import difflib
import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ..errors import RecipeError
from .kinds import DOCUMENTATION, counted, format_of, one_family, readable, suffix_of
from .places import asking, digest_of, filesystem, is_remote, local_path, protocol_of, shown


@dataclass(frozen=True)
class Source:
    """One file of the corpus.

    Attributes:
        url: where it is opened: an absolute path or an fsspec URL (it may hold a password: never print it).
        source: its path below the dataset path, with '/': the part of a row's id that survives a move.
        bytes: size as stored.
        digest: "xxh3:..." of the content; remote, not read: "etag:..." or "ukey:..." as the store tells it.
        format, codec: how it is read.
        modified: of a local file, its time of last change in ns, looked up before its digest was.
    """

    url: str = field(repr=False)
    source: str
    bytes: int
    digest: str
    format: str
    codec: str | None = None
    modified: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class _Place:
    """What one path meant: the folder that its files are named from, and the files (path -> bytes)."""

    path: str
    prefix: str  # "" or "s3://": what makes a path openable
    root: str
    files: dict[str, int]
    named: bool  # one file, named by the user


def discover(
    dataset_path: str | Sequence[str], *, base: Path, suffixes: str | Sequence[str] = (), only: Sequence[str] = ()
) -> list[Source]:
    """The files of a dataset path, sorted by `source`: a file, a folder, a glob, a URL, or several of them.

    Relative paths start at `base`. In folders, hidden files (. and _) are passed over, and so is documentation:
    README*, LICENSE*, CHANGELOG*, checksums ..., and *.md where something else than text lies. What remains must be
    of one format; `suffixes` chooses, and makes text of a suffix that is no format. With `only`, of all these no others than
    those sources. Cost: reads local files once.

    Raises RecipeError where nothing lies there, several formats do, a file cannot be read, or one of `only` is not there.
    """
    wanted, asked = _wanted(suffixes), set(only)
    found = listing(dataset_path, base=base, suffixes=suffixes)
    missing = [name for name in only if name not in found]
    if missing:
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        raise RecipeError(f"only_files: {', '.join(missing[:3])}{more}: no such file below dataset_path")
    return [_source(url, name, size, wanted) for name, (url, size) in sorted(found.items()) if not asked or name in asked]


def listing(dataset_path: str | Sequence[str], *, base: Path, suffixes: str | Sequence[str] = ()) -> dict[str, tuple[str, int]]:
    """Source -> (url, bytes) of the files that `discover` answers, none of them read. Raises as that does."""
    wanted = _wanted(suffixes)
    given = [dataset_path] if isinstance(dataset_path, str) else list(dataset_path)
    paths = [path for text in given for path in _paths(text, base)]
    if not paths:
        raise RecipeError("dataset_path: nothing is given; name a file, a folder, a glob or a URL")
    places = [_look(path, base) for path in paths]
    chosen = {(p.prefix, file): p for p in places for file in _data(p, wanted)}
    one_family([PurePath(_bare(prefix, file)).name for prefix, file in chosen], wanted, " ".join(shown(p) for p in paths))
    names = _names(places, list(chosen))
    found = {names[prefix, file]: (prefix + file, place.files[file]) for (prefix, file), place in chosen.items()}
    if len(found) < len(chosen):  # web addresses that differ in their query
        raise RecipeError("dataset_path: more than one file would have the same name; copy them to a folder first")
    return found


def _wanted(suffixes: str | Sequence[str]) -> list[str]:
    return [s if s.startswith(".") else f".{s}" for s in ([suffixes] if isinstance(suffixes, str) else suffixes)]


def _paths(text: str, base: Path) -> list[str]:
    """One path, or Data-Juicer's several in one string; weights among them are refused."""
    words = text.split()
    if len(words) < 2 or _exists(text.strip(), base):
        return [text.strip()] if words else []
    paths = [word for word in words if not re.fullmatch(r"\d*\.?\d+", word)]
    if 2 * len(paths) == len(words):
        raise RecipeError(
            f"dataset_path {shown(text)!r}: weights are not supported yet. List the paths alone, {list(map(shown, paths))}, "
            f"and choose the mixture with a selector, or cut each file to size before"
        )
    several = (all if is_remote(text) else any)(is_remote(word) or _exists(word, base) for word in words)
    return words if several else [text.strip()]


def _exists(path: str, base: Path) -> bool:
    return not is_remote(path) and ((full := _absolute(path, base)).exists() or bool(_globbed(full)))


def _absolute(path: str, base: Path) -> Path:
    try:
        return Path(os.path.normpath((base / local_path(path).expanduser()).absolute()))
    except RuntimeError as e:  # ~nobody
        raise RecipeError(f"dataset_path {path!r}: there is no such home directory") from e


def _globbed(pattern: Path) -> list[Path]:
    """The files that a path with wildcards fits, hidden ones left out."""
    if not glob.has_magic(str(pattern)):
        return []
    root = Path(_fixed_part(str(pattern)))
    hits = root.glob(str(pattern.relative_to(root))) if root.is_dir() else ()
    return sorted(p for p in hits if not p.is_dir() and not _hidden(p.relative_to(root).parts))


def _look(path: str, base: Path) -> _Place:
    return _look_remote(path) if is_remote(path) else _look_local(path, base)


def _look_local(path: str, base: Path) -> _Place:
    full = _absolute(path, base)
    try:
        if full.is_file():
            return _Place(path, "", str(full.parent), {str(full): full.stat().st_size}, True)
        if full.is_dir():
            _not_an_output(full, path)
            seen = sorted(p for p in full.rglob("*") if not _hidden(p.relative_to(full).parts))
            _nothing_passed_over(seen, full, path)
            inside = [p for p in seen if not p.is_dir()]
            return _Place(path, "", str(full), {str(p): p.stat().st_size for p in inside}, False)
        if glob.has_magic(path):
            root, hits = _fixed_part(str(full)), _globbed(full)
            if hits:
                return _Place(path, "", root, {str(p): p.stat().st_size for p in hits}, len(hits) == 1)
            raise RecipeError(f"dataset_path {path!r}: no file fits this pattern in {root}")
    except OSError as e:
        raise RecipeError(f"dataset_path {path!r}: {e.filename or full} cannot be read ({e.strerror})") from e
    if full.exists():
        raise RecipeError(f"dataset_path {path!r} is neither a file nor a folder; a pipe or device cannot be read twice")
    raise RecipeError(f"dataset_path {path!r}: there is no such file or folder ({full}).{_advice(full)}")


def _nothing_passed_over(seen: list[Path], folder: Path, path: str) -> None:
    """Raises RecipeError for what lies in a folder and would be left out in silence, or stop the run for good."""
    for p in seen:
        if p.is_symlink() and p.is_dir():
            why = "is a link to another folder, which is not followed: name that folder in dataset_path too, or use a pattern"
        elif p.exists() and not p.is_dir() and not p.is_file():
            why = "is neither a file nor a folder"
        else:
            continue
        raise RecipeError(f"dataset_path {path!r}: {p.relative_to(folder)} {why}")


def _look_remote(path: str) -> _Place:
    fs, inner = filesystem(path)
    prefix = f"{path.split('://', 1)[0]}://"
    where = _bare(prefix, inner)
    try:
        with asking(path):
            if glob.has_magic(where):
                root, details = _fixed_part(inner), fs.glob(inner, detail=True)
            elif fs.isfile(inner):
                root, details = where.rpartition("/")[0], {inner: fs.info(inner)}
            else:
                root, details = inner.rstrip("/"), fs.find(inner, detail=True)
    except (OSError, ValueError) as e:
        raise RecipeError(f"dataset_path {shown(path)!r}: cannot be listed ({shown(str(e)) or type(e).__name__})") from e
    unsized = sorted(_bare(prefix, n) for n, info in details.items() if info["type"] == "file" and info.get("size") is None)
    if unsized:
        raise RecipeError(f"{shown(unsized[0])}: its server does not tell how large it is, so it cannot be read in parts; "
                          "download it")
    files = {
        name.removeprefix(prefix): int(info["size"]) for name, info in sorted(details.items())  # http keeps its protocol
        if info["type"] == "file" and not _hidden(_bare(prefix, name)[len(root):].strip("/").split("/"))
    }
    if not files:
        raise RecipeError(f"dataset_path {shown(path)!r}: no such file, or nothing in that folder")
    return _Place(path, prefix, root.removeprefix(prefix), files, len(files) == 1 and inner.removeprefix(prefix) in files)


def _bare(prefix: str, path: str) -> str:
    """The path without the query of a web address: that is how it may be opened, and no part of its name."""
    return path.partition("?")[0] if prefix in ("http://", "https://") else path


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _fixed_part(pattern: str) -> str:
    """The folder above the first wildcard."""
    parts = pattern.split("/")
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first]) or "/"


def _not_an_output(folder: Path, path: str) -> None:
    if (folder / "manifest.json").is_file() and (folder / "data").is_dir():
        raise RecipeError(f"dataset_path {path!r} is the output folder of a run; its rows lie in {path.rstrip('/') + '/data'!r}")


def _advice(full: Path) -> str:
    parent = full.parent
    while not parent.is_dir():
        parent = parent.parent
    names = sorted(p.name for p in parent.iterdir() if not p.name.startswith("."))
    near = difflib.get_close_matches(full.name, names, 1) if parent == full.parent else []
    there = f" In {parent} lie: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else f" {parent} is empty"
    return (f" Did you mean {near[0]!r}?" if near else "") + there


def _data(place: _Place, wanted: Sequence[str]) -> list[str]:
    """The data files of a place. Raises RecipeError where there are none."""
    if wanted:
        data = [f for f in place.files if _bare(place.prefix, f).lower().endswith(tuple(w.lower() for w in wanted))]
    elif place.named:
        data = list(place.files)
    else:
        data = [f for f in place.files if not DOCUMENTATION.fullmatch(PurePath(f).name)]
        if any(format_of(f)[0] not in (None, "text") for f in data):
            data = [f for f in data if suffix_of(f) != ".md"]
    if not data:
        known = " ".join(wanted or readable())
        raise RecipeError(
            f"dataset_path {shown(place.path)!r}: no data file lies there. "
            f"Looked for {known}; found {counted(place.files) or 'nothing'}"
        )
    return data


def _names(places: list[_Place], chosen: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(prefix, path) -> path below the dataset path; of several paths, below the folder that all of them share."""
    prefixes = sorted({p.prefix for p in places})
    roots = {prefix: os.path.commonpath([p.root for p in places if p.prefix == prefix]) for prefix in prefixes}
    names = {}
    for prefix, file in chosen:
        relative = os.path.relpath(_bare(prefix, file), roots[prefix]).replace(os.sep, "/")
        names[prefix, file] = f"{protocol_of(prefix)}/{relative}" if prefix and len(prefixes) > 1 else relative
    return names


def _source(url: str, source: str, size: int, wanted: Sequence[str]) -> Source:
    try:
        source.encode()
    except UnicodeEncodeError as e:
        raise RecipeError(f"{source!a}: the name of this file is not UTF-8; rename it") from e
    format, codec = format_of(_bare(f"{url.partition('://')[0]}://", url), wanted)
    assert format is not None  # one_family has refused it
    try:
        modified = 0 if is_remote(url) else local_path(url).stat().st_mtime_ns
        return Source(url, source, size, digest_of(url), format, codec, modified)
    except OSError as e:
        raise RecipeError(f"{source}: cannot be read ({shown(e.strerror or str(e))})") from e
