"""What the influence scorer is given: reference examples from files, layers by name, a folder of what was fitted."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny_causal import make

from tamis.pipeline import influence, resources, steps
from tamis.pipeline.workspace import atomically
from tamis.selectors.influence.curvature import Factors
from tamis.selectors.influence.saving import load, packed, save, unpacked


def read(**reference: str) -> list[tuple[str, int]]:
    path, options = influence.reference_place(reference)
    return influence.examples(str(path), dict(options))


def counted(told: list[tuple[str, int]]) -> list[str]:
    return [text[start:] for text, start in told]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of one reference set; a row without a prompt, one without text, one without the mark."""
    rows = [{"text": "Q: two and two A: four", "ask": "sums"}, {"text": "no mark", "ask": None}, {"text": None, "ask": "nothing"}]
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "examples" / "b.jsonl").write_text('{"text": "A: five A: six", "ask": ""}\n{"text": "", "ask": "more"}\n')
    return tmp_path / "examples"


def test_examples_are_the_texts_of_all_files(folder: Path) -> None:
    told = read(path=str(folder))
    assert told == [("Q: two and two A: four", 0), ("no mark", 0), ("A: five A: six", 0)]


def test_a_prompt_is_read_but_does_not_count(folder: Path) -> None:
    told = read(path=str(folder), prompt_key="ask")
    assert [text for text, _ in told] == ["sums\nQ: two and two A: four", "no mark", "A: five A: six"]
    assert counted(told) == ["Q: two and two A: four", "no mark", "A: five A: six"]


def test_only_what_follows_the_first_mark_counts(folder: Path) -> None:
    assert counted(read(path=str(folder), answer_after="A:")) == [" four", "", " five A: six"]
    assert counted(read(path=str(folder), answer_after="A:", prompt_key="ask")) == [" four", "", " five A: six"]


def test_its_content_names_the_stage_and_not_its_place(folder: Path, tmp_path: Path) -> None:
    settings = {"reference": {"path": str(folder)}}
    pin = resources.find("examples", "reference", settings)
    assert pin is not None and str(folder) not in json.dumps({k: v for k, v in pin.describe().items() if k != "file"})
    moved = folder.rename(tmp_path / "elsewhere")
    again = resources.find("examples", "reference", {"reference": {"path": str(moved)}})
    assert again is not None and again.sha256 == pin.sha256
    (moved / "a.jsonl").write_text('{"text": "other"}\n')
    other = resources.find("examples", "reference", {"reference": {"path": str(moved), "text_key": "text"}})
    assert other is not None and other.sha256 != pin.sha256


def test_a_folder_without_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reference: path .*: no data file lies there"):
        read(path=str(tmp_path))
    (tmp_path / "a.jsonl").write_text('{"text": ["a"]}\n')
    with pytest.raises(ValueError, match=r"reference: a\.jsonl.*text"):
        read(path=str(tmp_path))


@pytest.mark.parametrize(("kind", "pattern"), [("llama", r"^model\.layers\.1\."), ("gpt2", r"^transformer\.h\.0\.mlp"), ("gpt2", r"attn")])
def test_layers_are_known_by_the_names_that_the_model_gives_them(tmp_path: Path, kind: str, pattern: str) -> None:
    path = make(tmp_path / kind, kind)
    step, wrong, _ = steps.build(1, "influence_scorer", {"model": str(path), "reference": {"path": "x"}, "layers": pattern}, "text")
    assert step is not None and not wrong and influence.place(step.settings) == path
    job = influence.job(str(path), "digest", dict(influence.options({**step.settings, "device": "cpu"})))
    assert job.model.identity == "digest" and job.model.layers and all(pattern.strip("^").replace("\\", "")[:8] in n for n in job.model.layers)


def test_what_was_not_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments are written last: a run that dies before has saved nothing, one that dies in between no half."""
    import torch

    factors = {"a": Factors(torch.ones(2, 3), torch.eye(2), torch.eye(3)), "b": Factors(torch.ones(4, 3), torch.eye(4), torch.eye(3))}
    inputs = {"a": "a", "b": "a"}
    replace, moved = Path.replace, []

    def dies(self: Path, target: Path) -> Path:
        if len(moved) == 1:
            raise KeyboardInterrupt
        moved.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, "factors", packed(factors, inputs), {"seed": 0}, atomically)
    assert load(tmp_path, "factors", {"seed": 0}) is None
    monkeypatch.setattr(Path, "replace", replace)
    save(tmp_path, "factors", packed(factors, inputs), {"seed": 0}, atomically)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["factors.json", "factors.safetensors"]
    told = load(tmp_path, "factors", {"seed": 0}) or {}
    assert sorted(told) == ["left/a", "left/b", "right/a", "values/a", "values/b"], "an input factor that is shared lies there once"
    again = unpacked(told, inputs)
    assert again["b"].right is not None and again["a"].right is again["b"].right
    (tmp_path / "factors.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        load(tmp_path, "factors", {"seed": 0})
