"""A multipart/form-data body, taken apart as it arrives: one file that is passed on, and small fields that are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from api.bodies.schemas import FILE
from shared.errors import FileTooLarge, IncompleteUpload, InvalidRequest
from shared.intake.filenames import safe_filename

MAX_FIELDS = 64
MAX_FIELD_BYTES = 64 * 1024
"""Far above the longest option: 2000 characters, each of at most 4 bytes."""

MAX_FORM_BYTES = 1024**2
"""What a body may hold besides the file: fields, headers, boundaries and what follows them."""


class Form:
    """Feed the body's bytes to `write`, then call `close`.

    `on_data` gets views of the bytes of the part `file_field` in order, and `filename` is that file's name. `fields`
    holds the other parts by name; those in `repeatable` may come more than once and are in `lists` instead. A field in
    `instead` takes the file's place: there must be exactly one of them all.

    Methods raise InvalidRequest, FileTooLarge and IncompleteUpload.
    """

    def __init__(
        self,
        content_type: str | None,
        on_data: Callable[[memoryview], object],
        *,
        field_names: Collection[str],
        max_file_bytes: int,
        file_field: str = FILE,
        repeatable: Collection[str] = (),
        instead: Collection[str] = (),
    ) -> None:
        self.fields: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.filename: str | None = None
        self.file_bytes = 0
        self.has_file = False
        self._on_data, self._field_names, self._max_file_bytes = on_data, field_names, max_file_bytes
        self._file_field, self._repeatable, self._instead = file_field, repeatable, instead
        self._parts = 0
        self._total_bytes = 0
        self._has_ended = False
        # of the part that is being read
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._name = ""
        self._text = bytearray()

        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise InvalidRequest("Send the recording as multipart/form-data.", parameter="Content-Type")
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise InvalidRequest("The boundary is too long.", parameter="Content-Type") from error

    def write(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._total_bytes += len(data)
        if self._total_bytes > self._max_file_bytes + MAX_FORM_BYTES:
            raise self._too_large()
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidRequest("The body is not valid multipart/form-data.") from error

    def close(self) -> None:
        """The body is over: it must have been complete and have held one file, or what takes its place."""
        if not self._has_ended:
            raise IncompleteUpload("The body ended before its last boundary.")
        name = self._file_field
        alternatives = [other for other in self._instead if self.fields.get(other, "").strip()]
        if self.has_file + len(alternatives) > 1:
            raise InvalidRequest(f"Send only one of {', '.join((name, *self._instead))}.", parameter=name)
        if not self.has_file and not alternatives:
            raise InvalidRequest(f"The form has no field `{name}` with the recording.", parameter=name)

    def check_length(self, content_length: str | None) -> None:
        """Refuse a body that announces itself as too large, before any of it is read."""
        length = int(content_length) if content_length and content_length.isdecimal() else 0
        if length > self._max_file_bytes + MAX_FORM_BYTES:
            raise self._too_large()

    # ---- callbacks of the parser, in the order in which it calls them

    def _on_part_begin(self) -> None:
        self._disposition = b""
        self._text = bytearray()

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition.decode("latin-1"))
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest("A part of the form has no name.")
        self._name = _decoded(options[b"name"], "a name")
        if self._name == self._file_field:
            if self.has_file:
                raise InvalidRequest("Send exactly one file.", parameter=self._file_field)
            self.has_file = True
            filename = options.get(b"filename", b"").decode("utf-8", "replace")
            self.filename = safe_filename(filename.replace("%22", '"'))  # how HTML's form encoding writes the quote
        elif self._name not in self._field_names and self._name not in self._repeatable:
            raise InvalidRequest(f"There is no parameter {self._name[:100]!r}.", parameter=self._name[:100])
        elif self._name in self.fields:
            raise InvalidRequest(f"{self._name} is given twice.", parameter=self._name)
        else:
            self._parts += 1
            if self._parts > MAX_FIELDS:
                raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields.")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file_field:
            self.file_bytes += end - start
            if self.file_bytes > self._max_file_bytes:
                raise self._too_large()
            self._on_data(memoryview(data)[start:end])
        else:
            if len(self._text) + end - start > MAX_FIELD_BYTES:
                raise InvalidRequest(f"{self._name} is too long.", parameter=self._name)
            self._text += data[start:end]

    def _on_part_end(self) -> None:
        if self._name in self._repeatable:
            self.lists.setdefault(self._name, []).append(_decoded(bytes(self._text), self._name))
        elif self._name != self._file_field:
            self.fields[self._name] = _decoded(bytes(self._text), self._name)

    def _on_end(self) -> None:
        self._has_ended = True

    def _too_large(self) -> FileTooLarge:
        return FileTooLarge(
            f"The file is larger than {self._max_file_bytes} bytes.", max_upload_bytes=self._max_file_bytes
        )


def _decoded(value: bytes, name: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not UTF-8.", parameter=name) from error
    if "\x00" in text:
        raise InvalidRequest(f"{name} contains a null character.", parameter=name)
    return text
