"""A batch as it is asked for: JSON -> checked items. The error of an item names it, as `items[3].url`."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from api.bodies.submission import ALIASES, BatchItem, NewBatch, by_name, names
from api.intake import by_url, fields, parameters
from api.intake.by_upload import UPLOAD_ID
from api.intake.parameters import JobSpec
from shared.config import Settings
from shared.errors import InvalidRequest, ParleyError
from shared.intake import sources
from shared.kernel.orders import RemoteSource
from shared.options import JobNotes

ITEMS, REFRESH, MAX_DURATION = "items", "refresh", "max_duration"
COMMON = names(NewBatch) - {ITEMS}
"""Fields that hold for every item unless it has its own."""

OF_AN_ITEM = names(BatchItem)
LANGUAGE = frozenset({"language", "languages"})
"""Of these an item has one: its own goes in place of the batch's, whichever that is."""

OF_THE_BATCH = ("reference", "webhook_url")
"""Notes that the batch keeps for itself; `webhook_url` is not handed on to its items."""


@dataclass(frozen=True, slots=True)
class Item:
    """One recording of a batch. That of an upload is looked up when the task is made."""

    source: RemoteSource | uuid.UUID
    spec: JobSpec


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """A checked request for many transcriptions. Of `notes` the batch has a reference and a webhook_url."""

    items: tuple[Item, ...]
    notes: JobNotes


def parse(body: Mapping[str, object], config: Settings) -> BatchSpec:
    """Check everything. Raises InvalidRequest, ModelNotAllowed, InvalidUrl, BlockedAddress and AdapterDisabled."""
    items = body.get(ITEMS)
    if not isinstance(items, list) or not items:
        raise InvalidRequest('items must be a list of objects such as {"url": "https://..."}.', parameter=ITEMS)
    if len(items) > config.max_batch_items:
        raise InvalidRequest(f"A batch has {config.max_batch_items} items at most.", parameter=ITEMS)
    rest = fields.flatten({name: value for name, value in body.items() if name != ITEMS}, field_names=COMMON)
    common = by_name(rest)
    notes = parameters.parse({name: common[name] for name in OF_THE_BATCH if name in common}, config).notes
    common.pop("webhook_url", None)
    return BatchSpec(tuple(_item(place, one, common, config) for place, one in enumerate(items)), notes)


def _item(place: int, item: object, common: Mapping[str, Any], config: Settings) -> Item:
    own_names: frozenset[str] = frozenset()
    try:
        if not isinstance(item, dict):
            raise InvalidRequest("must be an object.")
        own_names = frozenset({ALIASES.get(name, name) for name in item})
        own = by_name(fields.flatten(item, field_names=OF_AN_ITEM))
        replaced = LANGUAGE if LANGUAGE & own.keys() else frozenset()
        values = {name: value for name, value in common.items() if name not in replaced} | own
        named = [name for name in (by_url.URL, UPLOAD_ID) if values.get(name, "").strip()]
        if len(named) != 1:
            raise InvalidRequest("needs either url or upload_id.", parameter=named[0] if named else by_url.URL)
        if named == [UPLOAD_ID]:
            values.pop(REFRESH, None)  # of the URLs of the others
            if MAX_DURATION not in own:
                values.pop(MAX_DURATION, None)
        body = parameters.read(BatchItem, values)
        spec = parameters.spec(body, config)
        return Item(_upload_id(body.upload_id) if body.upload_id else _remote_source(body, config), spec)
    except ParleyError as error:
        raise named_item(error, place, own_names) from error


def _remote_source(item: BatchItem, config: Settings) -> RemoteSource:
    try:
        url = sources.check(item.url or "", config)
    except ParleyError as error:
        raise type(error)(error.message, **({"parameter": by_url.URL} | error.detail)) from error
    return RemoteSource(url, sources.fingerprint(url, str(uuid.uuid4()) if item.refresh or item.max_duration else ""))


def _upload_id(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value.strip())
    except ValueError as error:
        raise InvalidRequest("upload_id is not one that POST /uploads gave.", parameter=UPLOAD_ID) from error


def named_item(error: ParleyError, place: int, own_names: Collection[str]) -> ParleyError:
    """The same error, saying which item it is about, unless it is about a common option that is not in `own_names`."""
    parameter = error.detail.get("parameter")
    if parameter and parameter.partition(".")[0] in COMMON - frozenset(own_names):
        return error
    name = f"{ITEMS}[{place}]"
    named = {"parameter": f"{name}.{parameter}" if parameter else name}
    return type(error)(f"{name}: {error.message}", **(error.detail | named))
