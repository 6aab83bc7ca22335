"""`python -m scripts.create_api_key NAME [--scope transcribe] [--scope admin]`: make an API key and print it, once.

Needs the gateway's environment, at least DATABASE_URL and REDIS_URL.
"""

from __future__ import annotations

import argparse
import sys

from pydantic import ValidationError

from shared.callers import keys
from shared.callers.limits import Limits
from shared.db import session
from shared.errors import ParleyError


def main() -> int:
    """Exit status 0 with the key alone on stdout; 1 with a message when the database cannot be used."""
    parser = argparse.ArgumentParser(description="Make an API key. It is printed once and not stored.")
    parser.add_argument("name", help="whose key it is, for people")
    parser.add_argument(
        "--scope", action="append", choices=keys.SCOPES, help="may be given twice; without it: transcribe"
    )
    parser.add_argument(
        "--retention-seconds",
        type=int,
        metavar="N",
        help="how long its finished tasks are kept; 0 is for ever",
    )
    options = parser.parse_args()
    if (options.retention_seconds or 0) not in range(2**31):
        parser.error("--retention-seconds must be 0 or more")
    try:
        with session() as work:
            row, key = keys.create(
                work,
                options.name,
                tuple(options.scope or ("transcribe",)),
                Limits(retention_seconds=options.retention_seconds),
            )
    except ValidationError as error:
        missing = ", ".join(str(entry["loc"][0]).upper() for entry in error.errors())
        sys.stderr.write(f"not set, or wrong: {missing}\n")
        return 1
    except ParleyError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stderr.write(f"key {row.id} for {row.name}, scopes {', '.join(row.scopes)}\n")
    sys.stdout.write(f"{key}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
