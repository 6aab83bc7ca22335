"""Taking a form apart as it arrives, and what its fields mean."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.bodies.schemas import form_schema, json_schema
from api.bodies.submission import BatchItem, NewBatch, Parameters, Submission, UploadSubmission, UrlSubmission, names
from api.contracts import openai_forms
from api.delivery import content_disposition
from api.intake import parameters
from api.intake.form import MAX_FIELD_BYTES, MAX_FORM_BYTES, Form
from api.intake.parameters import parse
from shared.config import Settings
from shared.errors import FileTooLarge, IncompleteUpload, InvalidRequest, ModelNotAllowed
from shared.intake.filenames import safe_filename

BOUNDARY = "limit"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def read(*pieces: bytes, max_file_bytes: int = 10_000) -> tuple[Form, bytes]:
    """The form after all of its pieces, and the file's bytes."""
    collected = bytearray()
    form = Form(CONTENT_TYPE, collected.extend, field_names=names(Submission), max_file_bytes=max_file_bytes)
    for piece in pieces:
        form.write(piece)
    form.close()
    return form, bytes(collected)


def config(**values: object) -> Settings:
    return Settings.model_validate({"database_url": "postgresql://", "redis_url": "redis://", **values})


# ---- the form


@given(
    content=st.binary(max_size=300)
    | st.sampled_from([b"\r\n--limi", b"\r\n--limit", b"--limit", b"\r\r\n-"]).map(
        lambda tricky: tricky + b"x" + tricky
    ),
    cuts=st.lists(st.integers(0, 600), max_size=8),
)
def test_a_body_cut_anywhere_gives_the_same_file_and_fields(content: bytes, cuts: list[int]) -> None:
    """Where the network cuts the body changes nothing, also inside a boundary or something that looks like one."""
    if b"\r\n--" + BOUNDARY.encode() in content:
        content = content.replace(b"limit", b"limbo")  # the sender's duty: the boundary is not in the content
    body = part("lang", b"de") + part("file", content, "a.mp3") + part("prompt", "Grüße".encode()) + END
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    form, file = read(*(body[start:end] for start, end in pairwise(places)))
    assert (file, form.file_bytes) == (content, len(content))
    assert (form.fields, form.filename) == ({"lang": "de", "prompt": "Grüße"}, "a.mp3")


def test_a_body_without_its_end_is_incomplete() -> None:
    """A body that stops before the closing boundary is not taken for a short file."""
    with pytest.raises(IncompleteUpload):
        read(part("file", b"RIFF", "a.wav"))


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        (END, "file"),
        (part("lang", b"de") + END, "file"),
        (part("file", b"1", "a") + part("file", b"2", "b") + END, "file"),
        (part("lang", b"de") + part("lang", b"en") + END, "lang"),
        (part("colour", b"blue") + END, "colour"),
        (part("prompt", b"\xff\xfe") + END, "prompt"),
        (part("prompt", b"a\x00b") + END, "prompt"),
        (part("prompt", b"a" * (MAX_FIELD_BYTES + 1)) + END, "prompt"),
    ],
)
def test_a_wrong_field_is_named(body: bytes, parameter: str) -> None:
    """A missing, doubled, unknown, undecodable or endless field is an invalid request that names it."""
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert caught.value.detail["parameter"] == parameter


def test_an_unknown_field_is_refused_before_the_file_arrives() -> None:
    """A form whose first field is unknown fails while its file is still to be sent."""
    form = Form(CONTENT_TYPE, bytes, field_names=names(Submission), max_file_bytes=10)
    with pytest.raises(InvalidRequest):
        form.write(part("diarisation", b"true"))


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "multipart/form-data", "multipart/mixed; boundary=a"]
)
def test_another_kind_of_body_is_refused(content_type: str | None) -> None:
    """Only multipart/form-data with a boundary is read."""
    with pytest.raises(InvalidRequest):
        Form(content_type, bytes, field_names=names(Submission), max_file_bytes=10)


@pytest.mark.parametrize("body", [b"no boundary at all", b"--limit\r\nno colon\r\n\r\n", b"--limit\r\nX: y\r\n\r\n"])
def test_a_malformed_body_is_refused(body: bytes) -> None:
    """What is not multipart, or has a part without a name, is an invalid request."""
    with pytest.raises(InvalidRequest):
        read(body)


def test_the_file_may_be_as_large_as_allowed_and_no_larger() -> None:
    """The limit itself is accepted, a byte more is not."""
    assert read(part("file", b"x" * 100, "a") + END, max_file_bytes=100)[0].file_bytes == 100
    with pytest.raises(FileTooLarge):
        read(part("file", b"x" * 101, "a") + END, max_file_bytes=100)


def test_what_follows_the_last_boundary_is_bounded() -> None:
    """Bytes after the form are skipped, but not for ever."""
    with pytest.raises(FileTooLarge):
        read(part("file", b"x", "a") + END, b"x" * (MAX_FORM_BYTES + 100), max_file_bytes=100)


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("meeting.mp3", "meeting.mp3"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\call.wav", "call.wav"),
        ("a\r\nSet-Cookie: b.mp3", "aSet-Cookie: b.mp3"),
        ("photo\u202egpm.exe", "photogpm.exe"),
        ("Besprechung 录音.m4a", "Besprechung 录音.m4a"),
        ("", None),
        ("..", None),
        ("folder/", None),
        ("x" * 300 + ".flac", "x" * 250 + ".flac"),
    ],
)
def test_a_filename_is_only_a_name(given_name: str, name: str | None) -> None:
    """Paths, control and direction characters are dropped, and a long name keeps its suffix."""
    assert safe_filename(given_name) == name


@given(st.text())
def test_no_filename_is_dangerous(given_name: str) -> None:
    """Whatever is sent, the name is short, has no separator and no control character, and fits a header."""
    name = safe_filename(given_name)
    if name is not None:
        assert 0 < len(name) <= 255
        assert not set(name) & {"/", "\\", "\r", "\n", "\x00"}
        assert content_disposition(name).isascii()
        assert "\r" not in content_disposition(name)


def test_a_download_is_named_after_its_recording() -> None:
    """An ASCII name goes as it is; any other has a fallback and the real name in UTF-8, as RFC 6266 says."""
    assert content_disposition("call.srt") == 'attachment; filename="call.srt"'
    assert content_disposition('Gruß "1".srt') == (
        "attachment; filename=\"Gru_ _1_.srt\"; filename*=UTF-8''Gru%C3%9F%20%221%22.srt"
    )


# ---- the fields


def test_fields_become_options() -> None:
    """Numbers, booleans and names arrive as text and are read as what they are."""
    submission = parse(
        {
            "lang": "German",
            "diarization": "true",
            "num_speakers": "2",
            "track": "3",
            "response_format": "srt",
            "temperature": "0.2",
            "model": "base",
            "priority": "batch",
            "timestamp_granularity": "word",
        },
        config(),
    )
    options = submission.options
    assert (options.language, options.diarization, options.num_speakers, options.format) == ("de", True, 2, "srt")
    assert options.track == 3
    assert (options.temperature, options.model, options.timestamp_granularity) == (0.2, "base", "word")
    assert submission.priority == "batch"


def test_spaces_around_a_value_are_none_of_it() -> None:
    """In every field but free text, whose spaces are the sender's."""
    submission = parse(
        {
            "diarization": " true ",
            "max_speakers": " 3",
            "format": "srt\n",
            "model": " base ",
            "task": " translate",
            "temperature": " 0.2 ",
            "track": " 2 ",
            "priority": " batch ",
            "prompt": " Kennedy ",
        },
        config(),
    )
    options = submission.options
    assert (options.diarization, options.max_speakers, options.format, options.model) == (True, 3, "srt", "base")
    assert (options.task, options.temperature, options.track, submission.priority) == ("translate", 0.2, 2, "batch")
    assert options.prompt == " Kennedy "


@pytest.mark.parametrize("body", [Parameters, Submission, UrlSubmission, UploadSubmission, BatchItem, NewBatch])
def test_openapi_lists_the_fields_that_are_read(body: type[Parameters]) -> None:
    """A body's schema has every name that a request may use, and no other."""
    assert json_schema(body)["properties"].keys() == names(body)


@pytest.mark.parametrize("form", openai_forms.FORMS.values())
def test_openapi_lists_fields_that_openais_forms_take(form: type[openai_forms.Form]) -> None:
    """Every name in the schema of a form of OpenAI's is one that the form may hold."""
    assert form_schema(form)["properties"].keys() <= openai_forms.field_names(form) | {*openai_forms.repeatable(form)}


@pytest.mark.parametrize(
    ("refresh", "expected"),
    [("true", True), (" YES ", True), ("1", True), ("no", False), ("off", False), (" ", False), (None, False)],
)
def test_a_url_is_read_with_its_own_fields(refresh: str | None, expected: bool) -> None:
    """The address and `refresh` are read beside the options; an empty field counts as left out."""
    fields = {"url": "https://media.example/1.mp3", "lang": "German", "refresh": refresh}
    body = parameters.read(UrlSubmission, fields)
    assert (body.url, body.refresh, body.language) == (fields["url"], expected, "de")


def test_a_wait_of_nothing_is_told_from_none() -> None:
    """`wait=0` overrides the header of a request, and a request without it does not."""
    assert (parse({"wait": "0"}, config()).wait_s, parse({}, config()).wait_s) == (0, None)


@pytest.mark.parametrize("fields", [{}, {"language": "auto"}, {"lang": "AUTO"}, {"language": " "}])
def test_auto_and_nothing_mean_detect(fields: dict[str, str]) -> None:
    """No language, an empty one and `auto` all ask for detection."""
    assert parse(fields, config()).options.language is None


def test_the_servers_model_is_used_when_a_request_names_none() -> None:
    assert parse({}, config(whisper_model="small")).options.model == "small"


@pytest.mark.parametrize("mode", ["batched", "accurate"])
def test_both_modes_are_one(mode: str) -> None:
    """Clients of 0.1 name one; as both decode alike, they share their answers."""
    assert parse({"mode": mode}, config()).options == parse({}, config()).options


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"language": "klingon"}, "language"),
        ({"languages": "en,klingon"}, "languages"),
        ({"languages": " , "}, "languages"),
        ({"languages": "en,de", "language": "en"}, "languages"),
        ({"languages": "en,de", "model": "tiny.en"}, "languages"),
        ({"lang": "de", "language": "de"}, "language"),
        ({"temperature": "2"}, "temperature"),
        ({"num_speakers": "0", "diarization": "true"}, "num_speakers"),
        ({"diarization": "perhaps"}, "diarization"),
        ({"track": "0"}, "track"),
        ({"track": "second"}, "track"),
        ({"format": "rtf"}, "format"),
        ({"priority": "now"}, "priority"),
        ({"wait": "-1"}, "wait"),
        ({"refresh": "true"}, "refresh"),
        ({"retention_seconds": "59"}, "retention_seconds"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"model": "tiny.en", "language": "fr"}, "language"),
    ],
)
def test_a_wrong_value_is_named(fields: dict[str, str], parameter: str) -> None:
    """A value out of range is an invalid request that names its parameter."""
    with pytest.raises(InvalidRequest) as caught:
        parse(fields, config())
    assert caught.value.detail["parameter"] == parameter


@pytest.mark.parametrize("listed", ["de,en", "EN, German", "en,de,en,", "english,DE"])
def test_a_list_of_languages_has_one_spelling(listed: str) -> None:
    """Codes and names in any order are the same request, so its answer is found again."""
    options = parse({"languages": listed, "language": "auto"}, config()).options
    assert (options.language, options.languages, options.possible_languages) == (None, "de,en", ("de", "en"))


def test_a_list_of_one_language_says_which_it_is() -> None:
    """Then there is nothing to find out."""
    assert parse({"languages": "German"}, config()).options == parse({"language": "de"}, config()).options


def test_numbers_of_speakers_have_to_agree() -> None:
    """An exact number excludes bounds, and any number needs diarization."""
    for fields in ({"num_speakers": "2"}, {"diarization": "1", "min_speakers": "3", "max_speakers": "2"}):
        with pytest.raises(InvalidRequest):
            parse(fields, config())


def test_only_models_of_the_list_can_be_had() -> None:
    """A model outside the operator's list is refused, whatever it is called."""
    for model in ("large-v3", "../../etc", "someone/else"):
        with pytest.raises(ModelNotAllowed):
            parse({"model": model}, config(whisper_models="tiny,base"))
