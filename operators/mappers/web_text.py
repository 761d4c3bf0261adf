"""The mapper that takes the main text out of a web page."""

from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ..base import mapper
from ..kernels.strings import rewrite


@mapper("html_extraction_mapper")
def main_text(
    text: pa.StringArray, *, library: Literal["resiliparse", "trafilatura"] = "resiliparse", main_content: bool = True,
    comments: bool = False, links: bool = False,
) -> pa.StringArray:
    """Main text of a web page in HTML: no menus, headers, footers, scripts; a text without a tag stays as it is.

    `library`: resiliparse (as for DCLM; fast) or trafilatura (as for FineWeb; slower, keeps more of what is text and less of
    what is not). `main_content` false: all visible text (resiliparse only). `comments`: readers' too; `links`: their targets
    too. A page in which nothing is found is empty. Empty: empty. Null: null. Cost: the library, about 40 MB a second or 1.
    Raises ValueError where the library is not installed. Source: Bevendorff et al. 2018 (Resiliparse), Barbaresi 2021.
    >>> main_text(pa.array(["1 < 2", None])).to_pylist()
    ['1 < 2', None]
    """
    if library == "trafilatura" and not main_content:
        raise ValueError("library: trafilatura finds main content only; main_content: false needs library: resiliparse")
    extract = _trafilatura(comments, links) if library == "trafilatura" else _resiliparse(main_content, comments, links)
    return rewrite(text, pc.match_substring_regex(text, "<[A-Za-z!/?]"), extract)


def _resiliparse(main_content: bool, comments: bool, links: bool) -> Callable[[str], str]:
    try:
        from resiliparse.extract.html2text import extract_plain_text
    except ImportError as e:
        raise ValueError(_ADVICE) from e

    def extract(page: str) -> str:
        return str(extract_plain_text(page, main_content=main_content, comments=comments, links=links, alt_texts=False))

    return extract


def _trafilatura(comments: bool, links: bool) -> Callable[[str], str]:
    try:
        import trafilatura
    except ImportError as e:
        raise ValueError(_ADVICE) from e

    def extract(page: str) -> str:
        return trafilatura.extract(page, include_comments=comments, include_links=links) or ""

    return extract


_ADVICE = "html_extraction_mapper needs the extra 'html': pip install 'tamis[html]'"
