"""What cutting English words asks to know: classes of code points, abbreviations, units, contractions (spaCy's, MIT licence)."""

import unicodedata
from functools import cache

import numpy as np

from .codepoints import CODE_POINTS
from .english_parts import APART, UNITS
from .english_words import CLOSES, DIGIT, HYPHEN, ICON, JOINT, LETTER, LOWER, OPENS, PUNCT, QUOTE, UPPER, state_of

_PUNCT = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
_CURRENCY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_ABBREVIATIONS = (
    "Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. "
    "La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. "
    "Va. Wash. Wis. a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. "
    "Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. "
    "u. v. w. x. y. z. ä. ö. ü. C++ and/or w/o ): :) :( :D :P ;) :/ :| :-) ;-) :-( <3"
)
_LEADING = "' s S d ll re em bout nuff cause cos coz cuz Cause Cos Coz Cuz"  # with an apostrophe before them; 'em
_TRAILING = "doin goin havin lovin nothin nuthin ol somethin"  # with one behind them
_STEMS = (
    "i you he she it we they who what when where why how there that this these those not could might must should would")


@cache
def tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(uint16[0x110000] of classes; sorted hashes: abbreviations, units, words that are contracted, contractions run together)."""
    kinds = np.zeros(CODE_POINTS, np.uint16)
    for code in range(CODE_POINTS):
        c = chr(code)
        if c.isalpha():
            kinds[code] = LETTER | (UPPER if not c.islower() else 0) | (LOWER if not c.isupper() else 0)
        elif code > 0xA0 and unicodedata.category(c) == "So":
            kinds[code] = ICON | OPENS | CLOSES
        kinds[code] |= DIGIT * c.isdecimal()
    for characters, bits in (
        (_PUNCT, PUNCT | OPENS | CLOSES), (_QUOTES, QUOTE | OPENS | CLOSES), ("—–", HYPHEN | OPENS | CLOSES), ("-~", HYPHEN),
        (_CURRENCY + "§%=", OPENS), (":<>=/", JOINT),
    ):
        kinds[[*map(ord, characters)]] |= np.uint16(bits)
    kinds.flags.writeable = False
    both = [w for t in _TRAILING.split() for w in (t, t.capitalize())]
    whole = [*_ABBREVIATIONS.split(), "‘s", "‘S"]
    for mark in "'’":
        whole += [*(mark + w.replace("'", mark) for w in _LEADING.split()), *(w + mark for w in both)]
    stems = [w for stem in _STEMS.split() for w in (stem, stem.capitalize())]
    together = [w.replace("-", "") for w in APART.split() if w.count("-") == 1]
    together += [f"{hour}{half}" for hour in range(1, 13) for half in ("am", "pm")]
    return kinds, _hashes(whole), _hashes(UNITS.split()), _hashes(stems), _hashes(together)


def _hashes(words: list[str]) -> np.ndarray:
    return np.unique(np.array([state_of(np.array([*map(ord, w)], np.uint32), 0, len(w)) for w in words], np.uint64))
