"""Webhooks: endpoints, secrets, and the log of what was sent to whom."""

from __future__ import annotations

import uuid
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import views
from api.bodies.schemas import described
from api.bodies.webhooks import (
    Attempt,
    ChangedEndpoint,
    CreatedEndpoint,
    Deliveries,
    Delivery,
    DeliveryDetail,
    Endpoint,
    Endpoints,
    NewEndpoint,
    Secret,
)
from api.dependencies import CallerDep, DetachedCallerDep, SessionDep, SettingsDep
from api.errors import responses
from api.history.filters import Cursor, Limit
from api.intake import transfer
from api.intake.body_limits import json_body, optional_json_body
from shared import db
from shared.callers import quotas
from shared.errors import (
    BlockedAddress,
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    InvalidUrl,
    NotFound,
    TooManyDeliveries,
    Unauthorized,
    WrongState,
)
from shared.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from shared.webhooks import deliveries, endpoints, outbox
from shared.webhooks.outbox import DeliveryState
from tasks.app import ring

router = APIRouter(tags=["webhooks"], responses=responses(Unauthorized, Forbidden, DatabaseUnavailable))

ONE = "/webhooks/endpoints/{endpoint_id}"


@router.post(
    "/webhooks/endpoints",
    status_code=201,
    response_model=CreatedEndpoint,
    summary="Create an endpoint",
    openapi_extra=described(NewEndpoint),
    responses=responses(
        InvalidRequest, InvalidUrl, BlockedAddress, FileTooLarge, TooManyDeliveries, *transfer.REFUSALS
    ),
)
def create(
    caller: DetachedCallerDep,
    body: Annotated[NewEndpoint, Depends(json_body(NewEndpoint))],
    session: SessionDep,
    config: SettingsDep,
) -> CreatedEndpoint:
    """It is told of this key's tasks from now on. The answer shows the secret this once.

    curl -H "Authorization: Bearer $API_KEY" --json '{"url": "https://intranet.example/parley"}' $URL/webhooks/endpoints
    """
    url = outbox.check_url(body.url, config)
    endpoint, secret = endpoints.create(session, caller.id, url, body.events, body.description)
    quotas.check_deliveries(session, caller.id, config)
    return CreatedEndpoint(**dict(_endpoint(endpoint)), secret=secret.secret)


@router.get("/webhooks/endpoints", response_model=Endpoints, summary="All endpoints of this key")
def listing(caller: CallerDep, session: SessionDep) -> Endpoints:
    """Newest first, without their secrets."""
    return Endpoints(items=[_endpoint(row) for row in endpoints.listing(session, caller.id)])


@router.get(ONE, response_model=Endpoint, summary="One endpoint", responses=responses(NotFound))
def one(endpoint_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> Endpoint:
    """Where it is, what it is told of, and why it is disabled if it is."""
    return _endpoint(endpoints.get(session, caller.id, endpoint_id))


@router.patch(
    ONE,
    response_model=Endpoint,
    summary="Change an endpoint",
    openapi_extra=described(ChangedEndpoint, required=False),
    responses=responses(
        NotFound, InvalidRequest, InvalidUrl, BlockedAddress, FileTooLarge, TooManyDeliveries, *transfer.REFUSALS
    ),
)
def change(
    endpoint_id: uuid.UUID,
    caller: DetachedCallerDep,
    body: Annotated[ChangedEndpoint | None, Depends(optional_json_body(ChangedEndpoint))],
    session: SessionDep,
    config: SettingsDep,
) -> Endpoint:
    """Omitted fields stay. Pending deliveries go to the new `url`; with `enabled: false` they are not sent.

        curl -X PATCH -H "Authorization: Bearer $API_KEY" --json '{"events": ["task.failed"]}' \\
             $URL/webhooks/endpoints/$ENDPOINT_ID
    """
    endpoint = endpoints.get(session, caller.id, endpoint_id, lock=True)
    changes = (body or ChangedEndpoint()).model_dump(exclude_none=True)
    if "url" in changes:
        changes["url"] = outbox.check_url(changes["url"], config)
    endpoints.change(session, endpoint, **changes)
    if changes.get("enabled"):
        quotas.check_deliveries(session, caller.id, config)
    return _endpoint(endpoint)


@router.delete(ONE, status_code=204, summary="Delete an endpoint", responses=responses(NotFound))
def remove(endpoint_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> None:
    """With its secret and its part of the log. What waits for it is not sent."""
    endpoints.remove(session, endpoints.get(session, caller.id, endpoint_id, lock=True))


@router.post(
    ONE + "/rotate", response_model=Secret, summary="Rotate an endpoint's secret", responses=responses(NotFound)
)
def rotate(endpoint_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> Secret:
    """For 24 hours deliveries are signed with the old and the new secret. Rotating again voids the old one at once.

    curl -X POST -H "Authorization: Bearer $API_KEY" $URL/webhooks/endpoints/$ENDPOINT_ID/rotate
    """
    new_secret, until = endpoints.rotate(session, caller.id, endpoint_id)
    return Secret(secret=new_secret.secret, created_at=new_secret.created_at, previous_valid_until=until)


@router.post(
    ONE + "/test",
    status_code=202,
    response_model=Delivery,
    summary="Send an endpoint a test event",
    responses=responses(NotFound, WrongState, TooManyDeliveries),
)
def test(endpoint_id: uuid.UUID, caller: DetachedCallerDep, config: SettingsDep) -> Delivery:
    """An event `webhook.test`, whatever its filter. `GET /webhooks/deliveries/{id}` says what came of it."""
    with db.session() as work:
        endpoint = endpoints.get(work, caller.id, endpoint_id)
        endpoints.check_enabled(endpoint)
        quotas.spend_test(work, caller.id, caller.limits, config)
        row, bell = outbox.announce_test(work, endpoint)
        quotas.check_deliveries(work, caller.id, config)
        answer = _delivery(row)
    ring([bell])
    return answer


# ---- the secret of requests with a webhook_url


@router.get("/webhooks/secret", response_model=Secret, summary="The secret of this key's webhook_url requests")
def secret(caller: CallerDep, session: SessionDep) -> Secret:
    """What is sent to the `webhook_url` of a task or a batch is signed with it.

    curl -H "Authorization: Bearer $API_KEY" $URL/webhooks/secret
    """
    row = endpoints.secret(session, caller.id)
    return Secret(secret=row.secret, created_at=row.created_at)


@router.post("/webhooks/secret/rotate", response_model=Secret, summary="Rotate the secret of webhook_url requests")
def rotate_secret(caller: CallerDep, session: SessionDep) -> Secret:
    """For 24 hours deliveries are signed with the old and the new secret. Rotating again voids the old one at once."""
    new_secret, until = endpoints.rotate(session, caller.id, None)
    return Secret(secret=new_secret.secret, created_at=new_secret.created_at, previous_valid_until=until)


# ---- the log


@router.get(
    "/webhooks/deliveries",
    response_model=Deliveries,
    summary="Deliveries, sent and pending",
    responses=responses(InvalidRequest),
)
def log(
    response: Response,
    caller: CallerDep,
    session: SessionDep,
    limit: Limit = 20,
    cursor: Cursor = None,
    endpoint_id: Annotated[uuid.UUID | None, Query(description="Only those for this endpoint")] = None,
    task_id: Annotated[uuid.UUID | None, Query(description="Only those about this task")] = None,
    state: Annotated[DeliveryState | None, Query(description="Only those in this state")] = None,
) -> Deliveries:
    """Newest first, a page at a time, for 30 days. The header `Link: <...>; rel="next"` leads to the next page as well.

    curl -H "Authorization: Bearer $API_KEY" "$URL/webhooks/deliveries?state=failed"
    """
    before = views.row_before(cursor)
    rows, last = deliveries.page(
        session, caller.id, limit=limit, before=before, endpoint_id=endpoint_id, job_id=task_id, state=state
    )
    next_cursor = views.cursor_of(last)
    if next_cursor:
        filters = {"endpoint_id": endpoint_id, "task_id": task_id, "state": state and state.value}
        query = {"limit": limit, "cursor": next_cursor} | {name: value for name, value in filters.items() if value}
        response.headers["Link"] = f'</webhooks/deliveries?{urlencode(query)}>; rel="next"'
    return Deliveries(items=[_delivery(row) for row in rows], next_cursor=next_cursor)


@router.get(
    "/webhooks/deliveries/{delivery_id}",
    response_model=DeliveryDetail,
    summary="One delivery",
    responses=responses(NotFound),
)
def delivery(delivery_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> DeliveryDetail:
    """What was sent, and each attempt with the receiver's answer."""
    return _detail(session, deliveries.get(session, caller.id, delivery_id))


@router.post(
    "/webhooks/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=Delivery,
    summary="Send a delivery now",
    responses=responses(NotFound, WrongState, TooManyDeliveries),
)
def replay(delivery_id: uuid.UUID, caller: DetachedCallerDep, config: SettingsDep) -> Delivery:
    """Again if it was delivered, sooner if it waits, once more if it failed; always under the same id.

    curl -X POST -H "Authorization: Bearer $API_KEY" $URL/webhooks/deliveries/$DELIVERY_ID/replay
    """
    with db.session() as work:
        deliveries.get(work, caller.id, delivery_id)
        quotas.spend_test(work, caller.id, caller.limits, config)
        row, bell = deliveries.replay(work, caller.id, delivery_id)
        quotas.check_deliveries(work, caller.id, config)
        answer = _delivery(row)
    ring([bell])
    return answer


# ---- rows -> bodies


def _endpoint(row: WebhookEndpoint) -> Endpoint:
    return Endpoint(
        id=row.id,
        url=row.url,
        events=row.events,
        description=row.description,
        enabled=row.disabled_at is None,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
    )


def _delivery(row: WebhookDelivery) -> Delivery:
    return Delivery(
        id=row.id,
        event=row.event,
        url=row.url,
        endpoint_id=row.endpoint_id,
        task_id=row.job_id,
        batch_id=row.batch_id,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_at if row.state == DeliveryState.PENDING else None,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
    )


def _attempt(row: WebhookAttempt) -> Attempt:
    return Attempt(attempt=row.attempt, at=row.at, status=row.status, error=row.error, seconds=row.seconds)


def _detail(session: SessionDep, row: WebhookDelivery) -> DeliveryDetail:
    log = [_attempt(attempt) for attempt in deliveries.attempts(session, row.id)]
    return DeliveryDetail(**dict(_delivery(row)), payload=row.payload, log=log)
