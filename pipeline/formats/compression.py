"""Compressed files as plain byte streams, in bounded memory: gzip and zstd, several members or frames in a row."""

from pathlib import PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa

from .rows import BrokenError

CODECS = {".gz": "gzip", ".zst": "zstd"}
_PIECE = 1 << 20


def codec_of(name: str) -> str | None:
    """The codec that a file name's last suffix means; None: stored plain."""
    return CODECS.get(PurePosixPath(name).suffix.lower())


class Unpacked:
    """A file read from its beginning, decompressed: `read(n)` answers n bytes, fewer only at the end.

    Raises BrokenError, at the offset in the decompressed stream, where the file ends early or is damaged.
    """

    def __init__(self, file: BinaryIO, codec: str | None) -> None:
        self.file, self.codec, self.at = file, codec, 0
        self._broken: BrokenError | None = None
        self._stream = self._started()
        self._failed: Any = None

    def _started(self) -> Any:
        return pa.CompressedInputStream(pa.PythonFile(self.file, "r"), self.codec) if self.codec else self.file

    def read(self, wanted: int) -> bytes:
        """The next `wanted` bytes. What can still be read before a break is answered first."""
        pieces, have = [], 0
        while have < wanted and not self._broken and (piece := self._piece(min(wanted - have, _PIECE))):
            pieces.append(piece)
            have += len(piece)
            self.at += len(piece)
        if self._broken and not have:
            raise self._broken
        return b"".join(pieces)

    def _piece(self, wanted: int) -> bytes:
        try:
            piece = bytes(self._stream.read(wanted))
            if not piece and self.codec and not self.file.tell():
                raise OSError("the file has 0 bytes")
            return piece
        except OSError as e:
            rest = self._rest() if self.codec else b""
            reason = f"the {self.codec or 'file'} stream breaks off or is damaged ({str(e).rstrip('.')})"
            self._broken = BrokenError(self.at + len(rest), reason)
            return rest

    def _rest(self) -> bytes:
        """What lies between here and the break: a read that fails keeps all it had, so these are of one byte each."""
        self.file.seek(0)
        self._failed, self._stream = self._stream, self._started()  # kept: its end would close the file
        rest = bytearray()
        try:
            skip = self.at
            while skip and (skipped := self._stream.read(min(skip, _PIECE))):
                skip -= len(skipped)
            while byte := self._stream.read(1):
                rest += byte
        except OSError:
            return bytes(rest)
        return bytes(rest)

    def close(self) -> None:
        """Close the file beneath."""
        self._stream.close()
        self.file.close()

    def __enter__(self) -> "Unpacked":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
