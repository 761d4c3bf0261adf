"""What a dataset path means: which files are data, how they are named, and what is said where nothing can be read."""

import itertools
from pathlib import Path

import pytest

from tamis.pipeline.corpus import cut, discover, peek_schema
from tamis.pipeline.errors import RecipeError
from tamis.pipeline.formats.kinds import counted, format_of, suffix_of
from tamis.pipeline.formats.places import shown

LINE = b'{"text": "a"}\n'


def lay(base: Path, *names: str, data: bytes = LINE) -> None:
    for name in names:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(data)


def names(base: Path, path, **options) -> list[str]:
    return [s.source for s in discover(path, base=base, **options)]


def refused(base: Path, path, **options) -> str:
    with pytest.raises(RecipeError) as e:
        discover(path, base=base, **options)
    return str(e.value)


def test_a_file_is_named_by_itself_a_folder_by_paths_below_it(tmp_path):
    lay(tmp_path, "d/b.jsonl", "d/a/z.jsonl", "d/a/y.json.gz", "d/.hidden.jsonl", "d/.git/x.jsonl", "d/_SUCCESS")
    assert names(tmp_path, "d/b.jsonl") == ["b.jsonl"]
    assert names(tmp_path, "d") == ["a/y.json.gz", "a/z.jsonl", "b.jsonl"]
    assert names(tmp_path, str(tmp_path / "d")) == names(tmp_path, f"file://{tmp_path}/d") == names(tmp_path, "d/")


def test_globs_are_named_from_the_folder_above_the_wildcard(tmp_path):
    lay(tmp_path, "d/a/x.jsonl", "d/b/x.jsonl", "d/b/y.csv")
    assert names(tmp_path, "d/*/x.jsonl") == ["a/x.jsonl", "b/x.jsonl"]
    assert names(tmp_path, "d/**/*.jsonl") == ["a/x.jsonl", "b/x.jsonl"]
    assert "no file fits this pattern in " + str(tmp_path / "d") in refused(tmp_path, "d/*.parquet")


def test_several_paths_keep_apart_files_of_one_name(tmp_path):
    lay(tmp_path, "p/x.jsonl", "q/x.jsonl")
    assert names(tmp_path, ["p", "q"]) == names(tmp_path, "p q") == names(tmp_path, ["p q"]) == ["p/x.jsonl", "q/x.jsonl"]
    assert names(tmp_path, ["p", "p/x.jsonl"]) == ["x.jsonl"], "a file that two paths mean is read once"


def test_a_path_may_hold_blanks(tmp_path):
    lay(tmp_path, "my data/x 2.jsonl")
    assert names(tmp_path, "my data/x 2.jsonl") == ["x 2.jsonl"]


def test_weights_are_refused_with_the_way_out(tmp_path):
    lay(tmp_path, "a.jsonl", "b/x.jsonl")
    message = refused(tmp_path, "0.3 a.jsonl 0.7 b")
    assert "weights are not supported yet" in message and "['a.jsonl', 'b']" in message


def test_digest_is_of_the_content(tmp_path):
    lay(tmp_path, "a.jsonl", "b.jsonl")
    a, b = discover(["a.jsonl", "b.jsonl"], base=tmp_path)
    assert a.digest == b.digest and a.digest.startswith("xxh3:") and len(a.digest) == 37 and a.bytes == len(LINE)
    lay(tmp_path, "a.jsonl", data=b'{"text": "b"}\n')
    assert discover("a.jsonl", base=tmp_path)[0].digest != b.digest


def test_documentation_in_a_folder_is_no_data(tmp_path):
    lay(tmp_path, "a.jsonl", "README.md", "LICENSE", "CHANGELOG.txt", "SHA256SUMS", "notes.md", "dataset_info.json", "a.jsonl.md5")
    assert names(tmp_path, ".") == ["a.jsonl"]


def test_md_files_are_data_where_only_text_lies(tmp_path):
    lay(tmp_path, "a.md", "b.txt", "README.md")
    assert names(tmp_path, ".") == ["a.md", "b.txt"]
    assert names(tmp_path, "README.md") == ["README.md"], "named by the user"


def test_mixed_kinds_are_refused_with_counts_and_the_setting(tmp_path):
    lay(tmp_path, "a.jsonl", "b.jsonl", "c.csv", "d.bin")
    message = refused(tmp_path, ".")
    assert "2 .jsonl, 1 .bin, 1 .csv" in message and "suffixes: [.jsonl]" in message
    assert names(tmp_path, ".", suffixes=[".jsonl"]) == names(tmp_path, ".", suffixes="jsonl") == ["a.jsonl", "b.jsonl"]


def test_suffixes_make_text_of_what_is_no_format(tmp_path):
    lay(tmp_path, "a.py", "b/c.py", "d.jsonl")
    found = discover(".", base=tmp_path, suffixes=[".py"])
    assert [(s.source, s.format) for s in found] == [("a.py", "text"), ("b/c.py", "text")]


def test_nothing_found_says_what_was_looked_for_and_what_lies_there(tmp_path):
    lay(tmp_path, "d/a.bin", "d/README.md")
    message = refused(tmp_path, "d", suffixes=[".jsonl"])
    assert "Looked for .jsonl" in message and "1 .bin, 1 .md" in message
    assert "1 .bin is no format that is read" in refused(tmp_path, "d")
    (tmp_path / "empty").mkdir()
    assert "found nothing" in refused(tmp_path, "empty")
    assert "nothing is given" in refused(tmp_path, [])


def test_unknown_suffix_of_a_named_file(tmp_path):
    lay(tmp_path, "a.docx")
    message = refused(tmp_path, "a.docx")
    assert ".docx" in message and ".jsonl.zst" in message and "suffixes: [.docx]" in message


def test_a_misspelt_name_gets_a_hint(tmp_path):
    lay(tmp_path, "corpus.jsonl", "other.jsonl")
    message = refused(tmp_path, "corpus.jsnl")
    assert "Did you mean 'corpus.jsonl'?" in message and "other.jsonl" in message
    assert "no such file or folder" in refused(tmp_path, "no/such/place.jsonl")


def test_a_dangling_link_is_unreadable_not_passed_over(tmp_path):
    lay(tmp_path, "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "gone.jsonl")
    assert "b.jsonl cannot be read" in refused(tmp_path, ".")


def test_an_output_folder_is_not_read_as_a_corpus(tmp_path):
    lay(tmp_path, "out/data/part-00000.jsonl", "out/manifest.json")
    assert "'out/data'" in refused(tmp_path, "out")


def test_suffixes_of_names():
    assert suffix_of("a.b.JSONL.gz") == ".jsonl.gz" and suffix_of("LICENSE") == "" and suffix_of("x.tar.gz") == ".tar.gz"
    assert format_of("a.json.zst") == ("json", "zstd") and format_of("a.parquet.gz") == (None, None)
    assert format_of("a.gz") == (None, None) and format_of("a.v1.tsv") == ("tsv", None)
    assert counted(["a.x", "b.y", "c.y", "d"]) == "2 .y, 1 .x, 1 without suffix"


def test_secrets_never_show():
    assert shown("s3://key:secret@bucket/a https://u@h/x?X-Amz-Signature=1 b") == "s3://bucket/a https://h/x b"


def test_protocols_unknown_or_without_their_package(tmp_path, monkeypatch):
    import fsspec

    assert "Protocols: " in refused(tmp_path, "nosuch://user:secret@x/y.jsonl") and "secret" not in refused(tmp_path, "nosuch://user:secret@x/y.jsonl")

    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    assert "pip install 'tamis[s3]'" in refused(tmp_path, "s3://bucket/a.jsonl")


def test_text_files_share_splits_and_lines_have_ranges(tmp_path):
    lay(tmp_path, *(f"t/{i:03d}.txt" for i in range(50)), data=b"x" * 50_000)
    splits = cut(discover("t", base=tmp_path))
    assert [len(s.parts) for s in splits] == [20, 20, 10], "about 1 MiB each"
    lay(tmp_path, "big.jsonl", data=LINE * 400_000)
    splits = cut(discover("big.jsonl", base=tmp_path))
    assert [s.index for s in splits] == list(range(5)) and splits[0].start == 0 and splits[-1].stop == len(LINE) * 400_000
    assert all(a.stop == b.start for a, b in itertools.pairwise(splits))


def test_an_empty_file_has_no_split_and_no_columns(tmp_path):
    lay(tmp_path, "d/a.jsonl", data=b"")
    lay(tmp_path, "d/b.jsonl")
    sources = discover("d", base=tmp_path)
    assert len(cut(sources)) == 1 and peek_schema(sources, ["text"]).names == ["text"]
