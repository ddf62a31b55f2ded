"""Patterns of ECMA-262 in the words of the engine that looks for them. Pure.

The engine reads most of them as they are. Here is what JavaScript takes and the engine refuses: classes of nothing and
of everything, groups referred to by name, brackets that are no syntax where they stand, and some escapes.
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


def in_words_of_the_engine(pattern: str) -> str:
    """The same pattern, as the engine takes it; what is wrong in both stays wrong."""
    groups = _groups(pattern)
    return "".join(_in_class(token) if in_class else _outside(token, groups) for token, in_class in _tokens(pattern))


def _tokens(pattern: str) -> Iterator[tuple[re.Match[str], bool]]:
    """Each token, and whether it stands in a class."""
    in_class = False
    for token in _TOKEN.finditer(pattern):
        yield token, in_class
        # In a class no other one begins, so that `[]` and `[^]` end it.
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
