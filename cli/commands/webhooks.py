"""`parley webhooks`: addresses that are told of the ends of tasks, and what was sent to them."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from cli.arguments import Commands, identifier, positive
from cli.client import Server
from cli.commands.output import print_json, print_table, when
from cli.failures import Exit
from cli.screen import complain

EVENTS = ("task.completed", "task.failed", "task.cancelled", "batch.completed", "webhook.test")

STATES = ("pending", "sending", "delivered", "failed")

ATTEMPT_S = 20.0
"""A receiver has 10 s to answer by default; a worker sends at once."""

POLL_S = 0.3


def add(commands: Commands) -> None:
    """The commands and their arguments."""
    group = commands.group("webhooks", "manage the addresses that are notified of this key's tasks")
    group.add("list", listing, "list the endpoints of this API key")
    command = group.add("add", create, "create an endpoint and print its secret to stdout; it cannot be shown again")
    command.add_argument("address", metavar="URL", help="where to send: http or https, at a public address")
    command.add_argument(
        "--event", action="append", choices=EVENTS, help="what it is told of; repeat it for several; default all"
    )
    command.add_argument("--description", metavar="TEXT", help="for yourself")
    for name, run, does in (
        ("enable", enable, "let a disabled endpoint go on"),
        ("disable", disable, "stop sending to an endpoint"),
        ("rotate", rotate, "give an endpoint a new secret and print it to stdout; the old one signs for another 24 h"),
        ("remove", remove, "delete an endpoint with its log"),
        ("test", test, "send an endpoint a test event and say what it answered; exit code 1 if it was not delivered"),
    ):
        group.add(name, run, does).add_argument("endpoint", type=identifier, metavar="ENDPOINT")
    command = group.add("deliveries", deliveries, "list what was sent and what waits, newest first")
    command.add_argument("-n", "--limit", type=positive, default=20, metavar="N", help="number of them (default 20)")
    command.add_argument("--endpoint", type=identifier, metavar="ENDPOINT", help="only to this endpoint")
    command.add_argument("--task", type=identifier, metavar="TASK", help="only about this task")
    command.add_argument("--state", choices=STATES)
    command = group.add("replay", replay, "send a delivery again, now")
    command.add_argument("delivery", type=identifier, metavar="DELIVERY")


def listing(server: Server, options: Namespace) -> Exit:
    """Endpoints without their secrets."""
    items = server.json("GET", "/webhooks/endpoints")["items"]
    if options.json:
        print_json(items)
        return Exit.DONE
    rows = []
    for item in items:
        state = "enabled" if item["enabled"] else f"disabled: {item['disabled_reason'] or 'by request'}"
        rows.append((item["id"], state, " ".join(item["events"]), item["url"], item["description"]))
    print_table(("endpoint", "state", "events", "url", "description"), rows, folds="url")
    return Exit.DONE


def create(server: Server, options: Namespace) -> Exit:
    """stdout has the secret and nothing else."""
    body = {"url": options.address, "events": options.event, "description": options.description}
    body = {name: value for name, value in body.items() if value}
    return _secret(server.json("POST", "/webhooks/endpoints", body=body), options)


def rotate(server: Server, options: Namespace) -> Exit:
    path = f"/webhooks/endpoints/{options.endpoint}/rotate"
    return _secret({"id": options.endpoint, **server.json("POST", path)}, options)


def enable(server: Server, options: Namespace) -> Exit:
    return _switched(server, options, is_enabled=True)


def disable(server: Server, options: Namespace) -> Exit:
    return _switched(server, options, is_enabled=False)


def remove(server: Server, options: Namespace) -> Exit:
    server.send("DELETE", f"/webhooks/endpoints/{options.endpoint}")
    if options.json:
        print_json({"id": options.endpoint, "removed": True})
    else:
        print(f"{options.endpoint}  removed")
    return Exit.DONE


def test(server: Server, options: Namespace) -> Exit:
    """Send an event and wait for the receiver's answer."""
    delivery = server.json("POST", f"/webhooks/endpoints/{options.endpoint}/test")
    return _attempted(server, options, delivery["id"], 0)


def replay(server: Server, options: Namespace) -> Exit:
    """Send a delivery again and wait for the receiver's answer."""
    path = f"/webhooks/deliveries/{options.delivery}"
    attempts = len(server.json("GET", path)["log"])
    server.json("POST", f"{path}/replay")
    return _attempted(server, options, options.delivery, attempts)


def deliveries(server: Server, options: Namespace) -> Exit:
    """The newest deliveries first."""
    filters = {"endpoint_id": options.endpoint, "task_id": options.task, "state": options.state}
    items = server.items("/webhooks/deliveries", options.limit, **filters)
    if options.json:
        print_json(items)
        return Exit.DONE
    rows = [
        (
            item["id"],
            item["event"],
            item["state"],
            item["attempts"],
            when(item["created_at"]),
            item["task_id"] or item["batch_id"],
            item["url"],
        )
        for item in items
    ]
    print_table(("delivery", "event", "state", "attempts", "created (UTC)", "of", "url"), rows, folds="url")
    return Exit.DONE


def _secret(body: dict[str, Any], options: Namespace) -> Exit:
    if options.json:
        print_json(body)
        return Exit.DONE
    complain(f"Endpoint {body['id']}. Its secret is shown this once:")
    print(body["secret"], flush=True)
    return Exit.DONE


def _switched(server: Server, options: Namespace, *, is_enabled: bool) -> Exit:
    body = server.json("PATCH", f"/webhooks/endpoints/{options.endpoint}", body={"enabled": is_enabled})
    if options.json:
        print_json(body)
    else:
        print(f"{body['id']}  {'enabled' if body['enabled'] else 'disabled'}")
    return Exit.DONE


def _attempted(server: Server, options: Namespace, delivery_id: str, attempts: int) -> Exit:
    """Wait until there were more than so many attempts, and say what came of the last."""
    deadline = time.monotonic() + ATTEMPT_S
    while True:
        detail = server.json("GET", f"/webhooks/deliveries/{delivery_id}")
        if len(detail["log"]) > attempts or time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    is_delivered = detail["state"] == "delivered"
    if options.json:
        print_json(detail)
    else:
        log = detail["log"]
        answer = (f"status {log[-1]['status']}" if log[-1]["status"] else log[-1]["error"]) if log else "no answer yet"
        again = f"; tried again at {when(detail['next_attempt_at'])} UTC" if detail["next_attempt_at"] else ""
        print(f"{detail['id']}  {detail['state']}: {answer}{again}")
    return Exit.DONE if is_delivered else Exit.FAILED
