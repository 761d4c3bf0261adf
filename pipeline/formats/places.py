"""Where files lie: local paths by plain `open`, everything with a protocol through fsspec."""

import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import xxhash

from ..errors import RecipeError

PACKAGES = {
    "s3": "tamis[s3]", "s3a": "tamis[s3]", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs",
    "http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub", "sftp": "paramiko", "ssh": "paramiko",
}
_STORE_ERRORS = (  # of the libraries behind fsspec, those that are no OSError
    ("aiohttp", "ClientError"), ("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"), ("azure.core.exceptions", "AzureError"), ("paramiko", "SSHException"),
)
_USER = re.compile(r"(?<=://)[^/@\s'\"]*@")
_QUERY = re.compile(r"(?<=://)([^?\s'\"]*)\?[^\s'\"]*")


def shown(text: str) -> str:
    """`text` with user names, passwords and signatures taken out of the URLs in it: what may stand in a message.

    >>> shown("cannot open https://me:secret@host/a.jsonl?Signature=x")
    'cannot open https://host/a.jsonl'
    """
    return _QUERY.sub(r"\1", _USER.sub("", text))


def shown_all(told: Any) -> Any:
    """`shown` of a text, and of each text in lists of them; anything else as it is."""
    return [shown_all(t) for t in told] if isinstance(told, list | tuple) else shown(told) if isinstance(told, str) else told


def is_remote(url: str) -> bool:
    """Whether fsspec is needed: the URL names a protocol other than file."""
    return "://" in url and not url.startswith("file://")


def local_path(url: str) -> Path:
    """The local path that a plain path or a file:// URL means."""
    return Path(url.removeprefix("file://"))


def protocol_of(url: str) -> str:
    """`s3` of `s3://bucket/key`; of a chain (`zip://a::s3://b`) its first link."""
    return url.split("://", 1)[0].rsplit("::", 1)[-1]


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path inside it.

    Raises RecipeError where the protocol is unknown or its package is missing, with the pip line.
    """
    import fsspec

    protocol = protocol_of(url)
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as e:
        package = PACKAGES.get(protocol, protocol)
        raise RecipeError(f"{shown(url)}: reading {protocol}:// needs a package: pip install '{package}'") from e
    except ValueError as e:
        known = ", ".join(sorted({"file", "memory", *PACKAGES}))
        raise RecipeError(f"{shown(url)}: {shown(str(e))}. Protocols: {known}") from e
    return fs, path


@contextmanager
def asking(url: str) -> Iterator[None]:
    """While a store is asked: whatever its library raises comes as OSError, without secrets, in the cause too."""
    try:
        yield
    except _store_errors() as e:
        user = url.partition("://")[2].partition("/")[0].rpartition("@")[0]
        told = str(e).replace(f"{user}@", "") if user else str(e)
        raise OSError(" ".join(shown(told).split()) or type(e).__name__) from None


def _store_errors() -> tuple[type[BaseException], ...]:
    """Only those of libraries that are in use."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in _STORE_ERRORS)
    return tuple(e for e in found if isinstance(e, type) and issubclass(e, BaseException))


class _StoreFile:
    """A file of a store, opened for reading, whose errors are OSError."""

    def __init__(self, file: Any, url: str) -> None:
        self._file, self._url = file, url

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        with asking(self._url):
            data: bytes = self._file.read(size)
            return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_StoreFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def open_input(url: str) -> BinaryIO:
    """A file opened for reading bytes, seekable."""
    if not is_remote(url):
        return local_path(url).open("rb")
    fs, path = filesystem(url)
    with asking(url):
        return cast(BinaryIO, _StoreFile(fs.open(path, "rb"), url))


def read_range(url: str, start: int, stop: int) -> bytes:
    """The bytes `start <= i < stop` of a file; `stop` does not exceed the file's size. Cost: one request."""
    if stop <= start:
        return b""
    if not is_remote(url):
        with local_path(url).open("rb", buffering=0) as file:
            file.seek(start)
            return _read_all(file, stop - start)
    fs, path = filesystem(url)
    with asking(url):
        data: bytes = fs.cat_file(path, start=start, end=stop)
    return data


def _read_all(file: Any, wanted: int) -> bytes:
    data = file.read(wanted)  # one read suffices up to 2 GiB, save on odd file systems
    while len(data) < wanted and (more := file.read(wanted - len(data))):
        data += more
    return bytes(data)


def digest_of(url: str) -> str:
    """The content's name: "xxh3:" and 32 hex digits of a local file; of a remote one the store's own tag, unread."""
    if is_remote(url):
        fs, path = filesystem(url)
        with asking(url):
            info: dict[str, Any] = fs.info(path)
        tag = info.get("ETag") or info.get("etag")
        return f"etag:{str(tag).strip(chr(34))}:{info.get('size')}" if tag else f"ukey:{fs.ukey(path)}"
    hasher = xxhash.xxh3_128()
    with local_path(url).open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    return f"xxh3:{hasher.hexdigest()}"


def open_output(url: str) -> BinaryIO:
    """A file opened for writing bytes, its folders made."""
    if not is_remote(url):
        local_path(url).parent.mkdir(parents=True, exist_ok=True)
        return local_path(url).open("wb")
    fs, path = filesystem(url)
    with asking(url):
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        opened: BinaryIO = fs.open(path, "wb")
    return opened


class Sink:
    """An output file that counts and hashes what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.bytes, self.hash = file, 0, xxhash.xxh3_128()
        self.closed = False

    def write(self, data: Any) -> int:
        """Pass bytes on."""
        self.bytes += len(data)
        self.hash.update(data)
        self.file.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing: `finish` does."""

    def close(self) -> None:
        """Nothing: `finish` does."""


def finish(file: BinaryIO) -> None:
    """Close a written file; a local one is on the disk when this returns."""
    if isinstance(file, io.BufferedWriter):  # what `open` gives; a store's file is whole when it is closed
        file.flush()
        os.fsync(file.fileno())
    file.close()


def rename(pairs: Iterable[tuple[str, str]]) -> None:
    """Give each finished file its name, replacing what bears it: atomic for each local file, copy and delete in a store."""
    for old, new in pairs:
        if is_remote(old):
            fs, path = filesystem(old)
            fs.mv(path, filesystem(new)[1])
        else:
            local_path(old).replace(local_path(new))
            _sync_folder(local_path(new).parent)


def remove(url: str) -> None:
    """Delete a file, if it is there."""
    if not is_remote(url):
        local_path(url).unlink(missing_ok=True)
        return
    fs, path = filesystem(url)
    if fs.exists(path):
        fs.rm(path)


def names_in(folder: str) -> list[str]:
    """The names of the files in a folder; none where there is no such folder."""
    if not is_remote(folder):
        where = local_path(folder)
        return sorted(p.name for p in where.iterdir()) if where.is_dir() else []
    fs, path = filesystem(folder)
    return sorted(name.rpartition("/")[2] for name in fs.ls(path, detail=False, refresh=True)) if fs.exists(path) else []


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
