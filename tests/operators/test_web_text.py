"""The main text of web pages, and words of languages that are written without blanks."""

import re

import pyarrow as pa
import pytest

from tamis.operators.filters.words import num_words
from tamis.operators.mappers.segmentation import segmented
from tamis.operators.mappers.web_text import main_text
from tamis.pipeline.run import apply

SENTENCE = "Tea is a drink made of leaves and water. It is drunk hot in most places, and cold in some others. "
PAGE = (
    "<html><head><title>T</title><script>var x = 'code';</script><style>p {}</style></head><body><nav><ul><li><a href='/'>Home</a></li>"
    f"<li><a href='/a'>About us</a></li></ul></nav><article><h1>Tea</h1><p>{SENTENCE * 3}</p><p>Milk &amp; sugar: {SENTENCE}</p></article>"
    "<footer><p>Copyright 2020, all rights reserved</p></footer></body></html>"
)
TEXTS = {
    "zh": "我来到北京清华大学，天气很好。", "ja": "東京は日本の首都であり、世界最大の都市の一つである。", "th": "ฉันรักภาษาไทยเพราะฉันเป็นคนไทย",
}


@pytest.mark.parametrize("library", ["resiliparse", "trafilatura"])
def test_the_article_stays_and_what_is_around_it_goes(library: str) -> None:
    found, plain, none, empty = main_text(pa.array([PAGE, "a < b, no tag", None, ""]), library=library).to_pylist()
    assert found.count(SENTENCE.strip()) >= 2 and "Milk & sugar" in found and not re.search("code|About us|Copyright|<", found)
    assert (plain, none, empty) == ("a < b, no tag", None, "")


def test_all_that_is_visible_where_it_is_asked_for() -> None:
    found = main_text(pa.array([PAGE]), main_content=False)[0].as_py()
    assert "About us" in found and "Copyright" in found and "code" not in found
    with pytest.raises(ValueError, match="needs library: resiliparse"):
        main_text(pa.array([], pa.string()), library="trafilatura", main_content=False)


@pytest.mark.parametrize("lang, expected", [
    ("zh", ["我", "来到", "北京", "清华大学", "天气", "很", "好"]),
    ("ja", ["東京", "は", "日本", "の", "首都", "で", "あり", "世界", "最大", "の", "都市", "の", "一", "つ", "で", "ある"]),
    ("th", ["ฉัน", "รัก", "ภาษาไทย", "เพราะ", "ฉัน", "เป็น", "คนไทย"]),
])
def test_words_can_be_counted(lang: str, expected: list[str]) -> None:
    text = segmented(pa.array([TEXTS[lang]]), lang=lang)
    assert re.split(r"[ ，。、]+", text[0].as_py().strip("。")) == expected
    assert num_words(text)[0].as_py() == len(expected) - expected.count("一")  # which is among Data-Juicer's special characters


@pytest.mark.parametrize("lang", TEXTS)
@pytest.mark.parametrize("text", [
    "{0}", "abc{0}123 {0}\n\n{0}", " {0} ", "{0}Python{0}", "é{0}😀{0}\x00", "{0}" * 400, "「{0}」", "\u200b{0}\u3000{0}", "plain text. 3.14",
])
def test_nothing_changes_but_blanks_put_in(lang: str, text: str) -> None:
    given = text.replace("{0}", TEXTS[lang])
    answer = segmented(pa.array([None, given, "pad"]).slice(0, 2), lang=lang).to_pylist()
    assert answer[0] is None and len(answer[1]) >= len(given)
    at = 0
    for c in answer[1]:  # every code point in turn is the text's next, or a blank put in
        if at < len(given) and c == given[at]:
            at += 1
        else:
            assert c == " "
    assert at == len(given)


def test_another_column_is_what_filters_of_words_read() -> None:
    rows = [{"text": TEXTS["zh"] * 3}, {"text": "好"}]
    done = apply([{"word_segmentation_mapper": {"lang": "zh", "field_name": "apart"}},
                  {"words_num_filter": {"text_key": "apart", "min_num": 10}}], rows)
    assert done.stats.column("num_words").to_pylist() == [21, 1]
    assert done.table.to_pylist()[0]["text"] == TEXTS["zh"] * 3
