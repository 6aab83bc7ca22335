"""`python3 poller.py URL KEY TASK`: ask for a task ten times a second until stdin ends, by a new connection and by one
that is kept, in turn; then print as JSON how many answers there were, which failed, and the slowest."""

import http.client
import json
import select
import sys
import time
from urllib.parse import urlsplit

url, key, task = sys.argv[1:]
host = urlsplit(url).netloc
headers = {"Authorization": f"Bearer {key}"}
persistent = http.client.HTTPConnection(host, timeout=60)
count, failed, worst = 0, [], 0.0
while not select.select([sys.stdin], [], [], 0.1)[0]:
    connection = persistent if count % 2 else http.client.HTTPConnection(host, timeout=60)
    start = time.monotonic()
    try:
        connection.request("GET", f"/status/{task}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            failed.append(f"{answer.status} {body[:200].decode(errors='replace')}")
    except (OSError, http.client.HTTPException) as error:
        failed.append(f"{type(error).__name__}: {error}")
        persistent.close()
    count += 1
    worst = max(worst, time.monotonic() - start)
    if connection is not persistent:
        connection.close()
print(json.dumps({"sent": count, "failed": failed, "worst_s": round(worst, 2)}))
