"""The recipe: Data-Juicer's YAML and a little more, read safely, typed, every mistake found at once and located."""

import copy
import importlib.resources
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from . import custom, data_juicer, guards, overrides, steps, translate, user_code, validators
from .errors import RecipeError, did_you_mean
from .export import file_suffix
from .formats.places import shown_all
from .keys import IGNORED_KEYS, KEYS, REFUSED_KEYS, Tracer
from .lifelong.asked import PoolAsked, parse
from .steps import Step


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e5 as a number (YAML 1.2), refuses a key given twice, and says where a value cannot be read."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()
        except (ValueError, KeyError, AttributeError, TypeError) as e:  # 2020-99-99, !!int x, "\ud800"
            kind = str(node.tag).rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"{node.value!r:.80} is no {kind}", node.start_mark) from e
        return value


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789."))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be one word", key.start_mark)
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
        seen.add(key.value)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


@dataclass(frozen=True)
class Recipe:
    """What the user asked, typed and complete. Attributes are the recipe's keys; `notes` tells what was ignored."""

    name: str
    project_name: str
    dataset_path: tuple[str, ...]
    export_path: str
    workers: int
    text_keys: tuple[str, ...]
    suffixes: tuple[str, ...]
    process: tuple[Step, ...]
    seed: int
    engine: str
    set_aside: int | None
    guards: Mapping[str, float]
    work_dir: str | None
    export_type: str
    export_shard_size: int
    keep_stats: bool
    batch_rows: int
    spark_master: str | None
    spark_partitions: int
    folder: Path
    compat: str | None = None
    allow_code: bool = False
    only_files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    validators: tuple[Mapping[str, Any], ...] = ()
    custom_operator_paths: tuple[str, ...] = ()
    tracer: Tracer = field(default_factory=Tracer)
    pool: PoolAsked | None = None
    asked: Mapping[str, Any] | None = None


def load(path_or_words: str | Path | Mapping[str, Any], *, sets: Sequence[str] = (), **overrides: Any) -> Recipe:
    """The recipe in a YAML file, or already as a mapping.

    `overrides` replace top-level keys; `sets` are `KEY=VALUE` texts that also reach into steps (`process.3.min_ratio=0.3`,
    steps counted from 1). Raises RecipeError listing every mistake, with file, line, step and suggestion.
    """
    if isinstance(path_or_words, Mapping):
        words, name, folder = copy.deepcopy(dict(path_or_words)), "recipe", Path.cwd()
        lines: dict[Any, int] = {}
    else:
        path = Path(path_or_words)
        (words, lines), name, folder = _parse(_text(path), str(path)), str(path), path.resolve().parent
    for text in sets:
        _set(words, text)
    return _resolve(words | overrides, name, folder, lines)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as e:
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.y*ml")]) if path.parent.is_dir() else ""
        raise RecipeError(f"{path}: no such recipe.{near}") from e
    except (OSError, UnicodeDecodeError) as e:
        raise RecipeError(f"{path}: cannot be read as a recipe: {e}") from e


def _set(words: dict[str, Any], text: str) -> None:
    """Apply one `KEY=VALUE`; the value is read as YAML."""
    key, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"--set {text}: write KEY=VALUE, as in seed=7 or process.3.min_ratio=0.3")
    try:
        told = yaml.load(value, _Loader)
    except (yaml.YAMLError, RecursionError) as e:
        raise RecipeError(f"--set {text}: the value is not valid YAML") from e
    overrides.put(words, key.strip(), told, f"--set {text}")


def _parse(text: str, name: str) -> tuple[dict[str, Any], dict[Any, int]]:
    """The mapping, and the line on which each top-level key (by name) and each step (by number) stands."""
    try:
        words = yaml.load(text, _Loader)
        root = yaml.compose(text, _Loader)
    except RecursionError as e:
        raise RecipeError(f"{name}: nested more deeply than any recipe is") from e
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise RecipeError(f"{name}{where}: not valid YAML: {getattr(e, 'problem', None) or e}") from e
    if not isinstance(words, dict) or not isinstance(root, yaml.MappingNode):
        raise RecipeError(f"{name}: a recipe is a mapping with keys such as dataset_path, process, export_path")
    lines: dict[Any, int] = {}
    for key, value in root.value:
        lines[key.value] = key.start_mark.line + 1
        if key.value == "process" and isinstance(value, yaml.SequenceNode):
            lines |= {i: item.start_mark.line + 1 for i, item in enumerate(value.value, 1)}
    return words, lines


def _resolve(words: dict[str, Any], name: str, folder: Path, lines: dict[Any, int]) -> Recipe:
    wrong: list[str] = []
    notes: list[str] = []
    translate.translate(words, notes, wrong)
    for key in list(words):
        where = f"{name}:{lines[key]}" if key in lines else name
        if key in IGNORED_KEYS:
            notes.append(f"{where}: {key!r} is Data-Juicer's and steers its engine; ignored")
        elif key in REFUSED_KEYS:
            wrong.append(f"{where}: {key!r} is not supported: {REFUSED_KEYS[key]}")
        elif key not in KEYS and (near := did_you_mean(str(key), KEYS)):
            wrong.append(f"{where}: unknown key {key!r}.{near}")
        elif key not in KEYS:
            notes.append(f"{where}: unknown key {key!r}; ignored")
    values: dict[str, Any] = {}
    for key, (annotation, default) in KEYS.items():
        try:
            values[key] = steps.typed(key, annotation, words[key]) if words.get(key) is not None else default
        except ValueError as e:
            wrong.append(f"{name}:{lines[key]}: {e}" if key in lines else f"{name}: {e}")
            values[key] = default
    wrong += _wrong_values(values, name)
    text_keys = (values["text_keys"],) if isinstance(values["text_keys"], str) else tuple(values["text_keys"])
    paths = values["custom_operator_paths"]
    paths = [paths] if isinstance(paths, str) else paths
    if values["allow_code"]:
        wrong += [f"{name}: {p}" for p in custom.register(paths, folder, steps.known_names())]
    elif paths:
        wrong.append(f"{name}: custom_operator_paths: {user_code.WHY}")
    wrong += [f"{name}: {p}" for p in validators.problems(values["validators"])]
    pool, problems = parse(values["pool"])
    at = f"{name}:{lines['pool']}" if "pool" in lines else name
    wrong += [f"{at}: {p}" for p in problems]
    if not values["compat"] and IGNORED_KEYS & set(words):
        translate.differing(values["process"], notes)
    entries = translate.adapt(values["process"], values["compat"], values["substitutes"], notes, wrong)
    process = _process(entries, text_keys[0] if text_keys else "text", name, lines, wrong, notes, values["compat"])
    if not values["allow_code"]:
        wrong += [f"{name}{f':{s.line}' if s.line else ''}, step {s.number} ({s.name}): {user_code.WHY}"
                  for s in process if user_code.asked(s.op.resources, s.settings)]
    wrong += [f"{name}: op_list_to_trace: unknown operator {op!r}.{near}" for op in values["op_list_to_trace"]
              if steps.find(op) is None and (near := did_you_mean(op, steps.known_names())) and not data_juicer.known(op)]
    if wrong:
        raise RecipeError("\n".join(wrong))
    return replace(_recipe(values, words, name, folder, text_keys, process, notes), pool=pool)


def _wrong_values(values: dict[str, Any], name: str) -> list[str]:
    wrong = []
    if not values["dataset_path"]:
        wrong.append(f"{name}: dataset_path is missing: the file, folder, glob or URL that holds the rows")
    paths = [values["dataset_path"]] if isinstance(values["dataset_path"], str) else values["dataset_path"]
    if not values["export_path"].strip() or any("\0" in p for p in (*paths, values["export_path"], values["work_dir"] or "")):
        wrong.append(f"{name}: a path must not be empty, nor hold a NUL character")
    if min(values["np"], values["export_shard_size"], values["trace_num"]) < 0 or values["batch_rows"] < 1:
        wrong.append(f"{name}: np, export_shard_size and trace_num must not be negative, batch_rows must be at least 1")
    wrong += [f"{name}: {problem}" for problem in guards.problems(values["guards"])]
    told = _type_of_file(values["export_path"])
    if told and told != (values["export_type"] or told):
        asked, path = values["export_type"], values["export_path"]
        wrong.append(f"{name}: export_type {asked} contradicts export_path {path}, which is {told}")
    if not told and Path(values["export_path"]).suffix.lower() in _OTHER_FILES:
        wrong.append(f"{name}: export_path {values['export_path']} would be a folder of that name; "
                     "a file is .jsonl, .jsonl.zst, .jsonl.gz, .json or .parquet")
    if not values["text_keys"]:
        wrong.append(f"{name}: text_keys is empty: it names the column that holds the text")
    on_error = values["on_error"]
    count = on_error.get("set_aside") if isinstance(on_error, dict) and len(on_error) == 1 else None
    if isinstance(count, float) and count.is_integer():  # 1e5
        count = on_error["set_aside"] = int(count)
    if on_error != "stop" and not (isinstance(count, int) and not isinstance(count, bool) and count >= 0):
        wrong.append(f"{name}: on_error is 'stop' or '{{set_aside: N}}' (up to N broken rows go to the ledger), not {on_error!r}")
    return wrong


_OTHER_FILES = (".csv", ".tsv", ".txt", ".md", ".gz", ".zst", ".bz2", ".xz", ".zip", ".arrow", ".json", ".jsonl", ".parquet")


def _type_of_file(export_path: str) -> str | None:
    """What the file is that `export_path` names; None: it names a folder."""
    suffix = file_suffix(export_path)
    return ("parquet" if suffix == ".parquet" else "jsonl") if suffix else None


def _process(
    entries: list[Any], text_key: str, name: str, lines: dict[Any, int], wrong: list[str], notes: list[str],
    compat: str | None = None,
) -> tuple[Step, ...]:
    built: list[Step] = []
    for number, entry in enumerate(entries, 1):
        if entry is None:
            continue
        line = lines.get(number, 0)
        where = f"{name}{f':{line}' if line else ''}, step {number}"
        if isinstance(entry, str):
            entry = {entry: None}
        if not (isinstance(entry, dict) and len(entry) == 1):
            wrong.append(f"{where}: a step is one operator with its settings, as in '- text_length_filter: {{min_len: 10}}'")
            continue
        (op, given), = entry.items()
        if not isinstance(given, dict | None):
            wrong.append(f"{where} ({op}): its settings must be a mapping, not {given!r}")
            continue
        step, problems, ignored = steps.build(number, str(op), given or {}, text_key, line)
        wrong += [f"{where} ({op}): {p}" for p in problems]
        notes += [f"{where} ({op}): {n}" for n in ignored]
        if step:
            built.append(step)
    return tuple(_distinct_stats(built, compat, notes))


def _distinct_stats(built: list[Step], compat: str | None, notes: list[str]) -> list[Step]:
    """A filter used twice has a column of its own each time.

    Data-Juicer silently re-uses the first one's number, whatever column the second asks for; so does `compat`, within a pass.
    """
    taken: dict[str, int] = {}
    for i, step in enumerate(built):
        first = next((taken[s] for s in step.stats if s in taken), None)
        if first is not None:
            one_pass = all(s.kind in ("filter", "mapper") and not getattr(s.op, "many", False) for s in built[first : i + 1])
            if compat and one_pass and step.kind == "filter":
                built[i] = replace(step, stale=True)
                notes.append(f"step {step.number} ({step.name}): decides by the number that step {built[first].number} computed "
                             f"of {built[first].text_key!r}, as Data-Juicer does")
                continue
            if built[first].text_key != step.text_key:
                notes.append(f"step {step.number} ({step.name}): looks at {step.text_key!r}; Data-Juicer would take step "
                             f"{built[first].number}'s number, of {built[first].text_key!r} (compat: data-juicer does)")
            built[i] = replace(step, stats=tuple(f"{s}.step{step.number}" for s in step.stats))
        taken |= {s: i for s in built[i].stats if s not in taken}
    return built


def _recipe(
    values: dict[str, Any], words: dict[str, Any], name: str, folder: Path, text_keys: tuple[str, ...],
    process: tuple[Step, ...], notes: list[str],
) -> Recipe:
    paths = values["dataset_path"]
    return Recipe(
        name=name, project_name=values["project_name"] or Path(name).stem,
        dataset_path=(paths,) if isinstance(paths, str) else tuple(paths),
        export_path=values["export_path"], workers=values["np"], text_keys=text_keys,
        suffixes=(values["suffixes"],) if isinstance(values["suffixes"], str) else tuple(values["suffixes"]),
        process=process, seed=values["seed"], engine=values["engine"],
        set_aside=values["on_error"]["set_aside"] if isinstance(values["on_error"], dict) else None,
        guards=dict(values["guards"]), work_dir=values["work_dir"],
        export_type=values["export_type"] or _type_of_file(values["export_path"]) or "parquet",
        export_shard_size=values["export_shard_size"], keep_stats=values["keep_stats_in_res_ds"],
        batch_rows=values["batch_rows"], spark_master=values["spark_master"], spark_partitions=values["spark_partitions"],
        folder=folder,
        compat=values["compat"], allow_code=values["allow_code"], only_files=tuple(values["only_files"]),
        notes=tuple(notes), asked=words,
        validators=tuple(values["validators"]), tracer=_tracer(values),
        custom_operator_paths=_several(values["custom_operator_paths"]),
    )


def _several(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _tracer(values: Mapping[str, Any]) -> Tracer:
    if not values["open_tracer"]:
        return Tracer()
    return Tracer(tuple(values["op_list_to_trace"]), values["trace_num"], _several(values["trace_keys"]))


def words(recipe: Recipe, public: bool = False) -> dict[str, Any]:
    """The resolved recipe as it could be written again: every setting spelt out; `public`: without the passwords of URLs."""
    process = []
    for step in recipe.process:
        settings = {**(step.shown_settings if public else step.settings), **{k: v for k, v in step.extra.items() if v is not None}}
        if step.text_key != recipe.text_keys[0]:
            settings["text_key"] = step.text_key
        if step.keep is not None:
            unit = step.op.unit.suffix  # type: ignore[union-attr]
            settings |= {f"min_{unit}": step.keep.min, f"max_{unit}": step.keep.max} if unit else {}
            settings |= {"min_closed_interval": step.keep.min_closed,
                         "max_closed_interval": step.keep.max_closed, "reversed_range": step.keep.reverse}
        process.append({step.name: {k: v for k, v in settings.items() if v is not None}})
    return {
        "project_name": recipe.project_name, "export_path": recipe.export_path,
        "dataset_path": shown_all(recipe.dataset_path) if public else list(recipe.dataset_path),
        "text_keys": list(recipe.text_keys), "suffixes": list(recipe.suffixes),
        **({"only_files": list(recipe.only_files)} if recipe.only_files else {}), "np": recipe.workers, "seed": recipe.seed,
        "engine": recipe.engine, "on_error": "stop" if recipe.set_aside is None else {"set_aside": recipe.set_aside},
        "export_type": recipe.export_type, "export_shard_size": recipe.export_shard_size,
        "keep_stats_in_res_ds": recipe.keep_stats, "batch_rows": recipe.batch_rows,
        **({"compat": recipe.compat} if recipe.compat else {}), **({"allow_code": True} if recipe.allow_code else {}),
        **{k: v for k, v in (("work_dir", recipe.work_dir), ("spark_master", recipe.spark_master),
                             ("spark_partitions", recipe.spark_partitions),
                             ("guards", dict(recipe.guards))) if v},
        **_as_asked(recipe), "process": process,
    }


def _as_asked(recipe: Recipe) -> dict[str, Any]:
    """Keys that most recipes do not have, where this one has them."""
    told: dict[str, Any] = {"validators": [dict(v) for v in recipe.validators]} if recipe.validators else {}
    if recipe.pool is not None:
        told["pool"] = recipe.pool.words()
    if recipe.custom_operator_paths:
        told["custom_operator_paths"] = list(recipe.custom_operator_paths)
    if recipe.tracer.number:
        told |= {"open_tracer": True, "trace_num": recipe.tracer.number}
        told |= {k: list(v) for k, v in (("op_list_to_trace", recipe.tracer.ops), ("trace_keys", recipe.tracer.keys)) if v}
    return told


def dump(recipe: Recipe, public: bool = False) -> str:
    """The resolved recipe as YAML that `tamis run` takes again; `public`: as of `words`."""
    return yaml.safe_dump(words(recipe, public), sort_keys=False, allow_unicode=True, width=120)


def bundled(name: str) -> Path:
    """A recipe that is installed with tamis."""
    return Path(str(importlib.resources.files("tamis.recipes") / f"{name}.yaml"))

