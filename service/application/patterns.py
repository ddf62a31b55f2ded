"""Translates regular expressions of ECMA-262 into the syntax of the library that runs them. Pure.

Most are the same in both. Translated is what the library would refuse: `[]` and `[^]`, references to named groups,
literal brackets and braces, and some escapes.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})
    | \\k<(?P<group>\w+)>
    | (?P<nul>\\0(?![0-9]))
    | \\[ux]\{?[0-9a-fA-F]+\}? | \\[pP]\{[^}]*\}
    | \\(?P<plain>[^\x00-\x7f]|[<>])
    | (?P<backspace>\\b)
    | \\.
    | (?P<all>\[\^\]) | (?P<nothing>\[\])
    | (?P<begin>\[\^?)
    | (?P<end>\])
    | (?P<named>\(\?<(?P<name>\w+)>) | (?P<opened>\((?!\?))
    | \{[0-9]+(?:,[0-9]*)?\}
    | (?P<brace>[{}])
    | .""",
    re.DOTALL | re.VERBOSE,
)


def translated(pattern: str) -> str:
    """The same pattern in the library's syntax. An invalid pattern stays invalid."""
    groups = _groups(pattern)
    return "".join(_in_class(token) if in_class else _outside(token, groups) for token, in_class in _tokens(pattern))


def _tokens(pattern: str) -> Iterator[tuple[re.Match[str], bool]]:
    """Each token, and whether it is inside a character class."""
    in_class = False
    for token in _TOKEN.finditer(pattern):
        yield token, in_class
        # Classes do not nest, so `[]` and `[^]` inside a class end it.
        in_class = not (token["end"] or token["all"] or token["nothing"]) if in_class else token["begin"] is not None


def _in_class(token: re.Match[str]) -> str:
    if token["backspace"]:
        return r"\x08"
    return _anywhere(token)


def _outside(token: re.Match[str], groups: dict[str, int]) -> str:
    if token["all"]:
        return r"[\s\S]"
    if token["nothing"]:
        return "(?!)"
    if token["end"] or token["brace"]:
        return f"\\{token[0]}"
    if token["group"] in groups:
        return f"(?:\\{groups[token['group']]})"
    return _anywhere(token)


def _anywhere(token: re.Match[str]) -> str:
    if token["pair"]:
        high, low = int(token["pair"][2:6], 16), int(token["pair"][8:12], 16)
        return f"\\u{{{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:X}}}"
    if token["nul"]:
        return r"\x00"
    return token["plain"] or token[0]


def _groups(pattern: str) -> dict[str, int]:
    """The number of each group that has a name."""
    opened = (token for token, in_class in _tokens(pattern) if not in_class and (token["named"] or token["opened"]))
    return {token["name"]: number for number, token in enumerate(opened, 1) if token["name"]}
