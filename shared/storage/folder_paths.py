"""Keys as paths and back. A key is a stranger's text: whatever it is, its path stays below the folder, and no two keys
share one.

Between slashes everything but letters, digits, `_`, `-`, `~` and `.` is escaped as in URLs, and what would be `.` or
`..`, or nothing, as well. A name that is too long for a file system goes on in another folder behind a `+`. The last
name ends in `=`, so that `a` may be an object beside `a/b`.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from shared.errors import StorageRefused

MAX_KEY_BYTES = 1024
"""S3's limit."""

NAME_LENGTH = 200
END, MORE, NOTHING = "=", "+", "%"


def path_of(key: str) -> str:
    """The relative path of an object. Raises StorageRefused for what S3 does not take as a key either."""
    if not 0 < _size(key) <= MAX_KEY_BYTES:
        raise StorageRefused("This is no key of an object.")
    return _escaped(key) + END


def above(prefix: str) -> str:
    """The relative path of the folder below which all keys with this prefix are; empty for that of all."""
    names, slash, _ = prefix.rpartition("/")
    return _escaped(names) if slash and _size(names) >= 0 else ""


def key_of(path: str) -> str:
    """The key whose path this is."""
    names = path.removesuffix(END).replace(MORE + "/", "").split("/")
    return "/".join("" if name == NOTHING else unquote(name) for name in names)


def _size(text: str) -> int:
    """Its bytes; -1 when it is no Unicode."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1


def _escaped(path: str) -> str:
    return "/".join(map(_name, path.split("/")))


def _name(name: str) -> str:
    text = quote(name, safe="") or NOTHING
    parts = (text[start : start + NAME_LENGTH] for start in range(0, len(text), NAME_LENGTH))
    return (MORE + "/").join(part if part.strip(".") else part.replace(".", "%2E") for part in parts)
