"""Mappers: each setting does what its words say, by default as Data-Juicer; doing it twice changes nothing more."""

import itertools
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from tamis.operators.base import declared
from tamis.operators.catalog import by_name, table
from tamis.operators.mappers import (
    chinese,
    latex,
    personal_data,
    punctuation,
    replacing,
    sentence_split,
    sentences,
    source_code,
    unicode_form,
    words,
)
from tamis.operators.mappers import tables as text_tables
from tamis.operators.mappers.segmentation import segmented


def one(mapper: Callable[..., pa.Array], text: str, **how: Any) -> Any:
    return mapper(pa.array([text]), **how).to_pylist()[0]


DEFAULTS: dict[str, dict[str, Any]] = {  # Data-Juicer 1.6.1's, of the settings that are its own
    "clean_email_mapper": {"pattern": None, "repl": ""}, "clean_links_mapper": {"pattern": None, "repl": ""}, "clean_ip_mapper": {"pattern": None, "repl": ""},
    "fix_unicode_mapper": {"normalization": None}, "remove_comments_mapper": {"doc_type": "tex", "inline": True, "multiline": True},
    "remove_header_mapper": {"drop_no_head": True}, "remove_long_words_mapper": {"min_len": 1, "max_len": 2**63 - 1},
    "remove_words_with_incorrect_substrings_mapper": {"lang": "en", "tokenization": False, "substrings": None},
    "remove_repeat_sentences_mapper": {"lowercase": False, "ignore_special_character": True, "min_repeat_sentence_length": 2, "tokenizer": None},
    "remove_specific_chars_mapper": {"chars_to_remove": "◆●■►▼▲▴∆▻▷❖♡□"},
    "remove_non_chinese_character_mapper": {"keep_alphabet": True, "keep_number": True, "keep_punc": True}, "remove_table_text_mapper": {"min_col": 2, "max_col": 20},
    "replace_content_mapper": {"pattern": None, "repl": ""}, "sentence_split_mapper": {"lang": "en"}, "chinese_convert_mapper": {"mode": "s2t"},
    "text_chunk_mapper": {"max_len": None, "split_pattern": r"\n\n", "overlap_len": 0, "tokenizer": None},
    "extract_tables_from_html_mapper": {"tables_field_name": "html_tables", "retain_html_tags": False, "include_header": True},
    "python_lambda_mapper": {"lambda_str": "", "batched": False}, "python_file_mapper": {"file_path": "", "function_name": "process_single", "batched": False},
    "document_deduplicator": {"lowercase": False, "ignore_non_character": False}, "key_value_grouper": {"group_by_keys": None},
    "document_minhash_deduplicator": {"tokenization": "space", "window_size": 5, "lowercase": True, "ignore_pattern": None, "num_permutations": 256,
                                      "jaccard_threshold": 0.7, "num_bands": None, "num_rows_per_band": None, "tokenizer_model": None},
    "document_simhash_deduplicator": {"tokenization": "space", "window_size": 6, "lowercase": True, "ignore_pattern": None, "num_blocks": 6, "hamming_distance": 4},
    "document_line_deduplicator": {"frequency_threshold": 6, "lowercase": False, "ignore_special_character": False, "min_line_length": 2, "skip_brackets": True,
                                   "skip_markdown_headers": True, "skip_latex_env": True, "skip_html_tags": True},
    "character_repetition_filter": {"rep_len": 10}, "word_repetition_filter": {"rep_len": 10, "lang": "en", "tokenization": False},
    "flagged_words_filter": {"use_words_aug": False, "words_aug_group_sizes": (2,), "words_aug_join_char": "", "lang": "en"},
    "stopwords_filter": {"use_words_aug": False, "words_aug_group_sizes": (2,), "words_aug_join_char": "", "lang": "en"},
    "text_embd_similarity_filter": {"ebd_dim": 4096, "pooling": None}, "perplexity_filter": {"lang": "en"}, "language_id_score_filter": {"lang": ""},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_recipe_that_says_nothing_gets_what_data_juicer_gives(name: str) -> None:
    settings = by_name(name).settings
    assert {n: settings[n].default for n in DEFAULTS[name]} == DEFAULTS[name]


PLAIN = ["", "Plain text, with (some) punctuation. And more!", "naïve café 漢字 かな\n\nsecond  line\t tab", "a\u00a0b\u3000c\u200bd", "x@y.org http://a.b/c 1.2.3.4", "“quoted”…—１"]
AGAIN = [
    personal_data.without_emails, personal_data.without_links, replacing.without_ips, punctuation.english_punctuation, punctuation.without_characters,
    punctuation.only_chinese, unicode_form.fixed_unicode, unicode_form.one_kind_of_blank, words.without_long_words, words.without_words_holding,
    sentences.without_repeated_sentences, sentence_split.sentence_split, latex.without_bibliography, latex.from_first_heading, segmented,
]


@pytest.mark.parametrize("mapper", AGAIN, ids=lambda f: declared(f).name)
def test_a_second_time_changes_nothing_more(mapper: Callable[..., pa.Array]) -> None:
    once = mapper(pa.array(PLAIN))
    assert mapper(once).to_pylist() == once.to_pylist()


@given(st.text(st.sampled_from("ab .!?。…\n\"'A1Dr”) "), max_size=60))
def test_sentences_on_lines_change_no_letter_and_stay_where_they_are(text: str) -> None:
    once = one(sentence_split.sentence_split, text)
    assert "".join(once.split()) == "".join(text.split()) and one(sentence_split.sentence_split, once) == once


@pytest.mark.parametrize(("lang", "text", "lines"), [
    ("en", "He met Mr. Smith. Then left.", 2), ("de", "Das ist z.B. Eins. Und zwei.", 2), ("en", "Das ist z.B. Eins. Und zwei.", 3), ("DE-at", "Hr. Maier kam. Er ging.", 2),
    ("fr", "M. Dupont vient. Oui.", 2), ("es", "La Sra. Ruiz vino. Sí.", 2), ("it", "Il Sig. Rossi parla. Bene.", 2), ("pt", "A Sra. Silva veio. Sim.", 2),
    ("xx", "He met Mr. Smith. Then left.", 2), ("en", "¿Qué? ¡Sí! «No.» Bien.", 4), ("en", "It ended… but not. 3 came. ok", 2), ("en", "Was it E. coli? i. e. no.", 1),
])
def test_abbreviations_are_those_of_the_language(lang: str, text: str, lines: int) -> None:
    assert one(sentence_split.sentence_split, text, lang=lang).count("\n") == lines - 1


@pytest.mark.parametrize("languages", [sentence_split.ABBREVIATIONS])
def test_no_listed_abbreviation_ends_a_sentence(languages: dict[str, frozenset[str]]) -> None:
    for lang, listed in languages.items():
        for word in sorted(listed):
            assert one(sentence_split.sentence_split, f"We saw {word.capitalize()}. Here it is. End", lang=lang) == f"We saw {word.capitalize()}. Here it is.\nEnd", (lang, word)


def test_parts_of_chinese_text_are_kept_as_asked() -> None:
    text = "你好，World 123！\n\tß。𠀀"
    for alphabet, number, punc in itertools.product((True, False), repeat=3):
        kept = "".join(c for c in text if "\u4e00" <= c <= "\u9fa5" or (alphabet and c.isascii() and c.isalpha()) or (number and c in "123") or (punc and c in "， ！。"))
        assert one(punctuation.only_chinese, text, keep_alphabet=alphabet, keep_number=number, keep_punc=punc) == kept


@pytest.mark.parametrize(("inline", "multiline", "left"), [(True, True, "a\nb \\% d"), (True, False, "a\nb \\% d"), (False, True, "a % c\nb \\% d"), (False, False, "a % c\n% all\nb \\% d")])
def test_comments_go_as_asked(inline: bool, multiline: bool, left: str) -> None:
    assert one(latex.without_comments, "a % c\n% all\nb \\% d", inline=inline, multiline=multiline, doc_type=["tex"]) == left


def test_a_text_without_a_heading_is_empty_or_stays() -> None:
    text = pa.array(["no heading", "\\sectional{x}", "pre \\paragraph*[s]{A} b", None])
    assert latex.from_first_heading(text).to_pylist() == ["", "", "\\paragraph*[s]{A} b", None]
    assert latex.from_first_heading(text, drop_no_head=False).to_pylist() == ["no heading", "\\sectional{x}", "\\paragraph*[s]{A} b", None]


@pytest.mark.parametrize(("text", "expanded"), [
    ("\\newcommand{\\a}{x}\n\\a. \\ab \\a", "\\newcommand{x}{x}\nx. \\ab \\a"), ("\\newcommand*{\\a}{x}\n\\a!", "\\newcommand*{x}{x}\nx!"),
    ("\\newcommand{\\a}[1]{x #1}\n\\a!", "\\newcommand{\\a}[1]{x #1}\n\\a!"), ("\\def\\a{x} \\a!", "\\def\\a{x} \\a!"), ("\\def \\a {\\b}\n\\def\\b{y}\n\\a;", "\\def y {y}\n\\defy{y}\ny;"),
    ("no macro \\a", "no macro \\a"),
])
def test_macros_without_arguments_on_lines_of_their_own_are_put_in(text: str, expanded: str) -> None:
    assert one(latex.with_macros_expanded, text) == expanded


@pytest.mark.parametrize(("low", "high", "left"), [(2, 20, "x\nend\n"), (3, 20, "x\na|1\nb|2\nend\n"), (2, 2, "x\na b c\nd e f\nend\n"), (3, 3, "x\na|1\nb|2\nend\n"), (4, 20, None)])
def test_tables_have_as_many_columns_as_asked(low: int, high: int, left: str | None) -> None:
    text = "x\na|1\nb|2\na b c\nd e f\nend\n"
    assert one(text_tables.without_table_text, text, min_col=low, max_col=high) == (text if left is None else left)
    with pytest.raises(ValueError, match="min_col must be at least 2, it is 1"):
        one(text_tables.without_table_text, text, min_col=1)


def test_substrings_that_spoil_a_word() -> None:
    text = "see http://x.y or (www.z) and HREF= href=1 a//b word.comma"
    assert one(words.without_words_holding, text) == "see or and HREF="
    assert one(words.without_words_holding, text, substrings=["or"]) == "see http://x.y (www.z) and HREF= href=1 a//b"
    assert one(words.without_words_holding, text, substrings=[]) == text and one(words.without_words_holding, text, substrings=[""]) == ""
    with pytest.raises(ValueError, match="tokenizer model"):
        one(words.without_words_holding, text, tokenization=True)


@pytest.mark.parametrize(("text", "left"), [
    ("# a\n#b\n\n-- c\n// d\ncode # x", "code # x"), ("/* no right */\n# a", "/* no right */\n# a"), ("x /* COPYRIGHT */ y /* copyright */", "x  y /* copyright */"),
    ("/* copyright", "/* copyright"), ("#", ""), ("\n\n", ""), (" # a", " # a"),
])
def test_the_notice_of_a_program_goes(text: str, left: str) -> None:
    assert one(source_code.without_copyright, text) == left


@pytest.mark.parametrize(("mode", "text", "converted"), [
    ("s2t", "汉语", "漢語"), ("t2s", "漢語", "汉语"), ("s2twp", "鼠标里面的硅二极管", "滑鼠裡面的矽二極體"), ("t2jp", "廣", "広"), ("jp2t", "広", "廣"), ("s2hk", "台湾", "台灣"),
])
def test_chinese_in_the_characters_of_its_mode(mode: Any, text: str, converted: str) -> None:
    pytest.importorskip("opencc")
    assert chinese.other_characters(pa.array([text, "plain", None]), mode=mode).to_pylist() == [converted, "plain", None]


@pytest.mark.parametrize(("lang", "text"), [("zh", "我愛北京天安門"), ("ja", "東京に行きました"), ("th", "ฉันรักภาษาไทย")])
def test_blanks_stand_between_words_and_at_their_borders_only(lang: Any, text: str) -> None:
    pytest.importorskip({"zh": "rjieba", "ja": "fugashi", "th": "pythainlp"}[lang])
    apart = one(segmented, text, lang=lang)
    assert apart.replace(" ", "") == text and " " in apart and "  " not in apart and apart == apart.strip()
    for before, after in (("a", "b"), ("1", ""), ("(", ")"), ("“", "”"), ("。", "，"), ("\n", "\n")):
        opening = bool(before) and not before.isspace() and unicodedata.category(before) not in ("Ps", "Pi")
        assert one(segmented, before + text + after, lang=lang) == before + " " * opening + apart + (" " if after.isalnum() else "") + after
    other = segmented(pa.array([text, None]), lang=lang, field_name="apart")
    assert other.type.names == ["apart"] and other.to_pylist() == [{"apart": apart}, None]


def test_a_replacement_may_be_raw_python_text_and_dots_match_newlines() -> None:
    assert one(replacing.with_replacements, "a\nb c", pattern="r'a.b'", repl="<>") == "<> c" == one(replacing.with_replacements, "a\nb c", pattern='r"a.b"', repl="<>")
    assert one(replacing.with_replacements, "aXb", pattern=["(x)", "[ab]"], repl=["-", r"\g<0>\g<0>"]) == "aaXbb"
    assert one(replacing.with_replacements, "x", pattern="(?i)X", repl="") == "" and one(replacing.with_replacements, "", pattern="^", repl="new") == "new"
    assert one(replacing.with_replacements, "abc", pattern=[], repl="z") == "abc"
    assert one(replacing.with_replacements, "ab", pattern="a", repl=["1", "2"]) == "1b", "more replacements than patterns are of no use and no harm"


@given(st.lists(st.text(max_size=20) | st.none(), max_size=4), st.sampled_from([r"\w+", r"[aeiou]", r"\s", "(.)\\1", "x*"]), st.sampled_from(["", "<>", r"\g<0>!"]))
def test_replacing_is_regexs_own(texts: list[str | None], pattern: str, repl: str) -> None:
    expected = [None if t is None else regex.sub(pattern, repl, t, flags=regex.DOTALL) for t in texts]
    assert replacing.with_replacements(pa.array(texts, pa.string()), pattern=pattern, repl=repl).to_pylist() == expected


def test_mappers_that_have_nothing_to_do_hand_back_what_they_were_given() -> None:
    text = pa.array(["plain words only", None, ""])
    for mapper in (personal_data.without_emails, personal_data.without_links, replacing.with_replacements, unicode_form.fixed_unicode, latex.without_comments):
        assert mapper(text) is text, declared(mapper).name
    assert {op.name for op in table("mapper")} >= {name for name in DEFAULTS if name.endswith("_mapper")}
    assert re.fullmatch(r"[a-z0-9_]+_mapper", declared(segmented).name)
