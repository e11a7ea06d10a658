"""Character sets of messages: MSH-18 and table 0211 (HL7 v2.5.1, 2.15.9.18), as Python has them."""

from collections.abc import Sequence

_CODECS = {
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    **{f"8859/{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
_SWITCHED = {"ISO IR87", "ISO IR159", "ISO IR14"}  # reached from ASCII by the escapes of ISO 2022
_JAPANESE = "iso2022_jp_1"
KNOWN = frozenset({*_CODECS, *_SWITCHED})
"""The names of table 0211 that are understood."""


def codec_of(names: Sequence[str]) -> str | None:
    """The codec for what MSH-18 names, its repetitions in their order; None where one of them is not known.

    The first is what the message begins in; the others are switched to, which only the Japanese sets of ISO 2022 are.
    """
    named = [name.strip().upper() for name in names if name.strip()]
    if not set(named) <= KNOWN:
        return None
    if set(named) & _SWITCHED:
        return _JAPANESE if set(named) <= {*_SWITCHED, "ASCII"} else None
    return _CODECS[named[0]] if len(named) == 1 else None
