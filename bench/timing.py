"""The timed steps of a peer, and the line of JSON that it prints."""

import json
import resource
import time


def report(step, count, unit, seconds, least=3):
    """Times `step` for so many seconds, `least` steps or more, after as many to warm up: `count` of
    `unit` a step."""
    for _ in range(least):
        step()
    rates, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds or len(rates) < least:
        start = time.perf_counter()
        loss = step()
        rates.append(count / (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({f"{unit}_per_s": rates, "peak_mib": peak, "loss": loss}))
