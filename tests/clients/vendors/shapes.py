"""The shape of a request, written as data and checked with the path of whatever is wrong.

A shape is a Python type (`str`, `int`, `float` for any number, `bool`, `dict`, `list`), a tuple of the allowed
constants, a list `[item]`, `Any`, a function `(value, path)`, one of the classes below, or a dict
`{"key": shape, "key?": optional shape}`. A dict shape is closed: a key it does not name is refused.
"""

import base64
import binascii
import re


class Refused(Exception):
    """What the vendor answers instead: turned into its own error shape by the dialect."""

    def __init__(self, message, path="", status=400, kind=None, unknown=False):
        super().__init__(message)
        self.message, self.path, self.status, self.kind, self.unknown = message, path, status, kind, unknown


class Either:
    """The first shape that fits; the last one's complaint when none does."""

    def __init__(self, *shapes):
        self.shapes = shapes


class Tagged:
    """A union told apart by the field `tag`. `missing` is the tag's value when it is absent."""

    def __init__(self, tag, cases, missing=None):
        self.tag, self.cases, self.missing = tag, cases, missing


class Null:
    """The shape, or null."""

    def __init__(self, shape):
        self.shape = shape


class Range:
    """A number from `low` to `high`, both allowed."""

    def __init__(self, kind, low, high):
        self.kind, self.low, self.high = kind, low, high


class Text:
    """A string of at least `least` and at most `most` characters that matches `pattern` as a whole."""

    def __init__(self, pattern=None, least=0, most=None):
        self.pattern, self.least, self.most = pattern and re.compile(pattern), least, most


def Any(_value, _path):
    """Whatever."""


def join(path, key):
    return "%s[%d]" % (path, key) if isinstance(key, int) else (path + "." if path else "") + key


def check(value, shape, path=""):
    """Raises `Refused` for the first thing in `value` that `shape` does not allow."""
    if isinstance(shape, dict):
        closed_object(value, shape, path)
    elif isinstance(shape, list):
        kind(value, list, path)
        for index, item in enumerate(value):
            check(item, shape[0], join(path, index))
    elif isinstance(shape, tuple):
        if isinstance(value, (dict, list)) or value not in shape:
            raise Refused("%r is not one of %s" % (value, ", ".join(map(str, shape))), path)
    elif isinstance(shape, type):
        kind(value, shape, path)
    elif isinstance(shape, Null):
        if value is not None:
            check(value, shape.shape, path)
    elif isinstance(shape, Either):
        either(value, shape, path)
    elif isinstance(shape, Tagged):
        kind(value, dict, path)
        name = value.get(shape.tag, shape.missing)
        if name not in shape.cases:
            raise Refused("unknown %s %r, expected one of %s" % (shape.tag, name, ", ".join(shape.cases)),
                          join(path, shape.tag))
        check(value, {shape.tag + "?": Any, **shape.cases[name]}, path)
    elif isinstance(shape, Range):
        kind(value, shape.kind, path)
        if not shape.low <= value <= shape.high:
            raise Refused("%r is not between %s and %s" % (value, shape.low, shape.high), path)
    elif isinstance(shape, Text):
        text(value, shape, path)
    else:
        shape(value, path)


def kind(value, wanted, path):
    good = isinstance(value, (int, float) if wanted is float else wanted)
    if not good or (wanted in (int, float) and isinstance(value, bool)):
        raise Refused("expected %s, got %s" % (wanted.__name__, type(value).__name__), path)


def closed_object(value, shape, path):
    kind(value, dict, path)
    for key, item in value.items():
        inner = shape.get(key, shape.get(key + "?"))
        if inner is None:
            raise Refused("unknown field", join(path, key), unknown=True)
        check(item, inner, join(path, key))
    for key in shape:
        if not key.endswith("?") and key not in value:
            raise Refused("missing field", join(path, key))


def either(value, shape, path):
    for attempt in shape.shapes[:-1]:
        try:
            check(value, attempt, path)
            return
        except Refused as refused:
            # The right branch, but something inside it is wrong: that is the message worth having.
            if refused.path != path:
                raise
    check(value, shape.shapes[-1], path)


def text(value, shape, path):
    kind(value, str, path)
    if len(value) < shape.least:
        raise Refused("must not be empty" if shape.least == 1 else "too short", path)
    if shape.most is not None and len(value) > shape.most:
        raise Refused("longer than %d characters" % shape.most, path)
    if shape.pattern and not shape.pattern.fullmatch(value):
        raise Refused("%r does not match %s" % (value[:80], shape.pattern.pattern), path)


MAGIC = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8", "image/webp": b"RIFF",
         "application/pdf": b"%PDF"}


def decode(data, path):
    """Standard base64 with padding, or `Refused`."""
    kind(data, str, path)
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("not valid base64", path) from None
    if not found:
        raise Refused("empty data", path)
    return found


def media(mime, data, path, allowed=None):
    """The bytes of base64 media whose beginning fits its type."""
    if allowed and mime not in allowed:
        raise Refused("unsupported media type %r" % mime, path)
    found = decode(data, path)
    magic = MAGIC.get(mime)
    if magic and not found.startswith(magic):
        raise Refused("the data is not %s" % mime, path)
    return found


def data_url(url, path, allowed=None):
    """`(mime, bytes)` of a data: URL; None for http(s)."""
    kind(url, str, path)
    if re.match(r"https?://[^/]", url):
        return None
    match = re.fullmatch(r"data:([a-z]+/[a-zA-Z0-9.+-]+);base64,(.*)", url, re.DOTALL)
    if not match:
        raise Refused("neither an http(s) URL nor a base64 data URL", path)
    return match[1], media(match[1], match[2], path, allowed)
