"""Tokenizers and n-gram models on this machine: where they are looked for, and how they are loaded."""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import orjson

from .long_texts import LONG, bits, separators

FILE = "tokenizer.json"


def find_tokenizer(name: str) -> Path:
    """The tokenizer.json that `name` means: a file, a folder or installed package with one, or what a hub's name has left in
    a local cache (Hugging Face's, or Data-Juicer's folders of models). Raises ValueError, naming the places, if there is none.
    """
    if importlib.util.find_spec("tokenizers") is None:
        raise ValueError("tokenizers are read by the extra 'tokens': pip install 'tamis[tokens]'")
    looked = list(_places(name))
    for path in looked:
        for file in (path, path / FILE, *sorted(path.glob(f"snapshots/*/{FILE}"), reverse=True)):
            if file.is_file() and file.suffix == ".json":
                return file
    places = ", ".join(str(p) for p in looked)
    raise ValueError(f"tokenizer {name!r} is not on this machine; looked for {FILE} in {places}. tamis never downloads: "
                     "save it there, or name a folder that has one")


def find_folder(name: str, holds: str) -> Path:
    """The folder with the file `holds` that `name` means; places as of `find_tokenizer`. Raises ValueError, naming them."""
    looked = list(_places(name))
    for path in looked:
        for folder in (path, *(p.parent for p in sorted(path.glob(f"snapshots/*/{holds}"), reverse=True))):
            if (folder / holds).is_file():
                return folder
    places = ", ".join(str(p) for p in looked)
    raise ValueError(f"model {name!r} is not on this machine; looked for {holds} in {places}. tamis never downloads: save it "
                     "there, or name a folder that has one")


def _places(name: str) -> Iterator[Path]:
    yield Path(name).expanduser()
    module = name.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec and spec.origin:
        yield Path(spec.origin).parent / "model"
    home = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser() / "hub")
    yield home / f"models--{name.replace('/', '--')}"
    for folder in data_juicer_folders("models"):
        yield folder / name


def data_juicer_folders(what: str) -> list[Path]:
    """Where Data-Juicer keeps what it has downloaded: `models` or `assets`."""
    home = Path(os.environ.get("DATA_JUICER_CACHE_HOME") or "~/.cache/data_juicer").expanduser()
    extra = os.environ.get("DATA_JUICER_EXTERNAL_MODELS_HOME", "") if what == "models" else ""
    own = os.environ.get(f"DATA_JUICER_{what.upper()}_CACHE")
    return [Path(p).expanduser() for p in [*extra.split(os.pathsep), *([own] if own else []), str(home / what)] if p]


def find_model(folder: str | None, *names: str) -> Path:
    """The first file of these names in `folder`, or in Data-Juicer's folders of models. Raises ValueError if there is none."""
    looked = [Path(folder).expanduser()] if folder else data_juicer_folders("models")
    for place in looked:
        for name in names:
            if (place / name).is_file():
                return place / name
    raise ValueError(f"no {' or '.join(names)} in {', '.join(str(p) for p in looked)}. tamis never downloads: put it there, "
                     "name its folder in model_dir, or leave the step out with `substitutes: {OPERATOR: skip}`")


def find_pieces(name: str) -> Path:
    """The SentencePiece model that `name` means: a file, or one in Data-Juicer's folders of models. Raises ValueError."""
    if importlib.util.find_spec("sentencepiece") is None:
        raise ValueError("SentencePiece models are read by the extra 'tokens': pip install 'tamis[tokens]'")
    looked = [Path(name).expanduser(), *(folder / name for folder in data_juicer_folders("models"))]
    for path in looked:
        if path.is_file():
            return path
    raise ValueError(f"tokenizer_model {name!r}: no such file; looked for {', '.join(map(str, looked))}. tamis never downloads: "
                     "put it there")


class SentencePieces:
    """A SentencePiece model."""

    def __init__(self, path: str) -> None:
        import sentencepiece

        try:
            self._model = sentencepiece.SentencePieceProcessor(model_file=path)
        except (OSError, RuntimeError) as e:
            raise ValueError(f"it is no SentencePiece model: {e}") from e

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text."""
        return list(self._model.encode_as_pieces(text))

    def bits(self, text: str) -> Iterator[list[str]]:
        """The pieces of a text in order, of a long one in several lists."""
        return bits(text, self.pieces, lambda: self._between)

    @cached_property
    def _between(self) -> str:
        return separators(self._model.id_to_piece(i) for i in range(self._model.get_piece_size()))


class NgramModel:
    """A KenLM model."""

    def __init__(self, path: str) -> None:
        import kenlm

        try:
            self._model = kenlm.Model(path)
        except OSError as e:
            raise ValueError(f"it is no KenLM model: {str(e)[:200]}") from e

    def score(self, line: str) -> float:
        """log10 of the line's probability."""
        return float(self._model.score(line))


class Tokenizer:
    """A tokenizer.json; counts, encodes and decodes without special tokens, whole texts."""

    def __init__(self, path: str) -> None:
        from tokenizers import Tokenizer as Reader

        told = orjson.loads(Path(path).read_bytes())
        if not isinstance(told, dict) or "model" not in told:
            raise ValueError("it is no tokenizer: it has no 'model'")
        self._reader = Reader.from_file(path)
        unknown = told["model"].get("unk_token")
        self._unknown = self._reader.token_to_id(unknown) if unknown else told["model"].get("unk_id")
        self._reader.no_truncation()
        self._reader.no_padding()

    def counts(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text."""
        short = [t for t in texts if len(t) <= LONG]
        found = iter(self._reader.encode_batch_fast(short, add_special_tokens=False))
        return [len(next(found).ids) if len(t) <= LONG else sum(map(len, self.bits(t))) for t in texts]

    def pieces(self, text: str) -> list[str]:
        """The tokens of a text as they are written; of what has none, the text itself."""
        found = self._reader.encode(text, add_special_tokens=False)
        if self._unknown not in found.ids:
            return list(found.tokens)
        told = zip(found.ids, found.tokens, found.offsets, strict=True)
        return [text[a:b] if number == self._unknown else token for number, token, (a, b) in told]

    def bits(self, text: str) -> Iterator[list[str]]:
        """The tokens of a text in order, as `pieces` has them, of a long one in several lists."""
        return bits(text, self.pieces, lambda: self._between)

    @cached_property
    def _between(self) -> str:
        return separators(self._reader.get_vocab(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        return list(self._reader.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens."""
        return str(self._reader.decode(tokens, skip_special_tokens=False))


class FastTextModel:
    """A fastText language model, as `operators.filters.language.LanguageModel` asks for it."""

    def __init__(self, path: str) -> None:
        import fasttext

        self._model = fasttext.load_model(path)

    def predict(self, text: str) -> tuple[str, float]:
        """The likeliest language and its probability; fastText knows an empty line too."""
        labels, scores = self._model.predict(text)
        return labels[0].removeprefix("__label__"), float(scores[0])

    def languages(self) -> list[str]:
        """The codes of all languages that the model knows."""
        labels, _ = self._model.predict("", k=10**4, threshold=-1.0)
        return sorted(label.removeprefix("__label__") for label in labels)
