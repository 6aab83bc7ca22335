"""What live text costs on this machine, measured before the first session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from shared.config import Settings
from shared.errors import ParleyError
from shared.telemetry.logs import get_logger
from tasks.live import models
from tasks.live.pace import Pace

log = get_logger(__name__)

ROUNDS = 3
"""The first is slower, as all is done for the first time. What the machine does besides makes a round slower and none
faster, so the fastest one counts."""

PAUSES_S = (0.0, 10.0, 20.0, 30.0)
"""Before each trial. A machine that has just started is busy with other things, and a worker would say for long that it
carries fewer than it does; one that is always busy is no faster later."""

PATIENCE_S = 2.0
"""A model that takes longer for a round is tried no more, as sessions may wait for it already; but the first round says
nothing of that."""


def run(config: Settings, pace: Pace, pauses_s: Iterable[float] = PAUSES_S) -> None:
    """Load the models of a session that asks for none, and let `pace` suppose what they cost at the least, until it is
    measured on a session. Where that cannot be had, nothing is supposed. Nothing is raised."""
    for pause_s in pauses_s:
        time.sleep(pause_s)
        if pause_s and pace.has_heard_speech:
            break  # now it is measured
        try:
            _run(config, pace)
        except ParleyError as error:
            log.warning("trial_failed", code=error.code, message=error.message)
        except Exception:
            log.exception("trial_failed", code="unexpected_error")


def _run(config: Settings, pace: Pace) -> None:
    from tasks.engines.speech_errors import engine_errors
    from tasks.listening import trial
    from tasks.listening.decoder import Decoder
    from tasks.listening.options import ListenOptions

    with models.usual(config) as (model, final_model), engine_errors("speech recognition"):
        pace.workers = models.workers(config)
        decoder, final_decoder = Decoder(model, None), Decoder(final_model, None)
        partial_s, final_s = fastest(pace, lambda: trial.partial(decoder), lambda: trial.final(final_decoder))
    pace.suppose(trial.cost(partial_s, final_s, ListenOptions().partial_every_s))
    names = {"model": model.name, "final_model": final_model.name}
    log.info("trial_done", **names, cost=pace.cost, places=pace.places(0))


def fastest(pace: Pace, partial: Callable[[], None], final: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the model's time that each of the two passes takes at least."""
    partials, finals = list[float](), list[float]()
    for number in range(ROUNDS):
        partials.append(_seconds(pace, partial))
        finals.append(_seconds(pace, final))
        if number and partials[-1] + finals[-1] > PATIENCE_S:
            break
    return min(partials), min(finals)


def _seconds(pace: Pace, work: Callable[[], None]) -> float:
    """What of the model's time it takes. Sessions may ask at the same time."""
    with pace.work() as share:
        work()
    return share.seconds
