"""What is asked of a causal model is made of: its folder, reference examples, settings; all checked before any data is read."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from math import isqrt
from pathlib import Path
from typing import Any

from ..selectors.influence.ready import InfluenceJob, answers
from ..selectors.influence.rewards import Example, InfluenceModel, InfluenceSettings, check_product
from ..selectors.influence.samples import SampleModel
from . import corpus
from .errors import RecipeError, did_you_mean
from .local_models import find_folder
from .workspace import atomically

REFERENCE = ("path", "text_key", "prompt_key", "answer_after")
_LEAST = {"damping": 0.0, "step": 0.0, "fit_rows": 1, "context": 2, "max_tokens": 2, "batch_tokens": 1, "dimension": 1, "probes": 1}
_OUTER = ("", "model.", "transformer.")  # weights are saved without the name of what is around them


def place(settings: Mapping[str, Any]) -> Path:
    """The folder of the model. Raises ValueError where it is none, a library is missing, or a setting cannot be."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise ValueError("influence needs the extra 'influence': pip install 'tamis[influence]'")
    for name, least in _LEAST.items():
        value = settings.get(name)
        if value is not None and (value < least or value == 0):
            raise ValueError(f"{name} must be {f'{least} or more' if least else 'above 0'}, it is {value:g}")
    if "overlap" in settings and not 1 <= settings["overlap"] < settings["context"]:
        raise ValueError(f"overlap must be at least 1 and less than context ({settings['context']}), it is {settings['overlap']}")
    if settings.get("vectors") == "gradient" and isqrt(settings["dimension"]) ** 2 != settings["dimension"]:
        raise ValueError(f"dimension must be the square of a whole number, such as 256 or 1024; it is {settings['dimension']}")
    if settings.get("vectors") == "zeroth_order" and settings["precision"] != "float32":
        raise ValueError("vectors: zeroth_order needs precision: float32: in bfloat16 a small step moves no weight")
    if "product" in settings:
        check_product(settings["product"], settings["score"], settings["precision"])
    folder = find_folder(settings["model"], "config.json")
    if settings.get("adapter") is not None:
        find_folder(settings["adapter"], "adapter_config.json")
    elif settings["layers"] is not None:
        _check_layers(folder, settings["layers"])
    return folder


def _check_layers(folder: Path, pattern: str) -> None:
    try:
        wanted = re.compile(pattern)
    except re.error as e:
        raise ValueError(f"layers {pattern!r} is no pattern: {e}") from e
    names = list(_weights(folder))
    if names and not any(wanted.search(outer + name) for name in names for outer in _OUTER):
        raise ValueError(f"layers {pattern!r} is found in the name of no layer of {folder}; there are: {', '.join(names[:6])} ...")


def _weights(folder: Path) -> Iterator[str]:
    """Names of what has a matrix of weights."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "np") as held:
            names = held.keys()
            matrices = (n for n in names if n.endswith(".weight") and len(held.get_slice(n).get_shape()) == 2)
            yield from (n.removesuffix(".weight") for n in matrices)


def options(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Those of the step's settings that the model is loaded with."""
    known = {f.name for f in fields(InfluenceSettings)} | {"answer_after"}
    return tuple(sorted((k, v) for k, v in settings.items() if k in known))


def job(path: str, sha256: str, given: Mapping[str, Any]) -> InfluenceJob:
    """The model, loaded. Raises ValueError where it cannot be."""
    told = dict(given)
    after, sha256 = told.pop("answer_after"), sha256 + told.pop("adapter_sha256", "")
    return InfluenceJob(InfluenceModel(path, InfluenceSettings(**told), identity=sha256), after, atomically)


def reading(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Those of the step's settings that a model is loaded with which is only asked about rows."""
    return tuple((k, settings[k]) for k in ("answer_after", "batch_tokens", "device", "layers", "max_tokens", "precision"))


def sample_model(path: str, sha256: str, given: Mapping[str, Any]) -> SampleModel:
    """The model, loaded, a row as one window. Raises ValueError where it cannot be."""
    told = dict(given)
    after, most = told.pop("answer_after"), told.pop("max_tokens")
    return SampleModel(InfluenceModel(path, InfluenceSettings(context=most, **told), identity=sha256), after)


def reference_place(reference: Mapping[str, Any]) -> tuple[Path, tuple[tuple[str, Any], ...]]:
    """Where the reference examples lie, and how they are read. Raises ValueError where nothing lies there, or other columns."""
    for key, value in reference.items():
        if key not in REFERENCE:
            takes = did_you_mean(str(key), REFERENCE) or f" It has: {', '.join(REFERENCE)}."
            raise ValueError(f"reference: unknown key {key!r}.{takes}")
        if not isinstance(value, str) or not value:
            raise ValueError(f"reference: {key} must be text, not {value!r}")
    if "path" not in reference:
        raise ValueError("reference: path must be given: the file or folder with the examples that the model shall get better at")
    path = Path(reference["path"]).expanduser()
    if not path.exists():
        raise ValueError(f"reference: {reference['path']!r}: nothing lies there")
    told = {"text_key": "text", **{k: v for k, v in reference.items() if k != "path"}}
    try:
        sources = corpus.discover(str(path), base=Path.cwd())
        corpus.peek_schema(sources, tuple(told[k] for k in ("text_key", "prompt_key") if k in told))
    except RecipeError as e:
        said = str(e).replace("text_keys", "text_key").replace("dataset_path", "path")
        raise ValueError(f"reference: {said}") from e
    return path, tuple(sorted(told.items()))


def examples(path: str, given: Mapping[str, str]) -> list[Example]:
    """The reference texts, each with the first of its characters that counts; those that are null or empty are left out.

    Raises ValueError where none is left.
    """
    keys = [given["text_key"], *([given["prompt_key"]] if "prompt_key" in given else [])]
    found: list[Example] = []
    for split in corpus.cut(corpus.discover(path, base=Path.cwd())):
        for batch in corpus.read(split, text_keys=tuple(keys), batch_rows=8192, batch_bytes=1 << 24, tolerate=False):
            columns = [batch.column(key).to_pylist() for key in keys]
            found += _told(columns[0], columns[1] if len(keys) > 1 else None, given.get("answer_after"))
    if not found:
        raise ValueError(f"no example has a text in {given['text_key']!r}")
    return found


def _told(texts: Sequence[str | None], prompts: Sequence[str | None] | None, after: str | None) -> list[Example]:
    given = [f"{prompt}\n" if prompt else "" for prompt in prompts] if prompts is not None else [""] * len(texts)
    counted = zip(given, answers(texts, after), strict=True)
    return [(before + text, len(before) + start) for before, (text, start) in counted if text]
