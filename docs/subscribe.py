#!/usr/bin/env python3
"""A notifier for memplug in Python: refuses that a block goes offline, and tells all else.

Needs `pip install varlink`. Usage: subscribe.py SOCKET [BLOCK...]; the blocks are kept online.
Ends when the machine does.
"""
import sys

import varlink

INTERFACE = "io.memplug.Machine1"


def main(socket, kept):
    with varlink.Client(f"unix:{socket}") as client, \
            client.open(INTERFACE) as notices, client.open(INTERFACE) as answers:
        replies = notices.Subscribe(name="python", priority=50, limit_ms=5000, _more=True)
        secret = next(replies)["subscription"]
        print("subscribed", flush=True)
        for reply in replies:
            notice = reply["notice"]
            print(notice["event"], notice["block"], flush=True)
            if notice.get("answer_within_ms") is None:
                continue  # it is over: nothing to refuse
            refuse = notice["event"] == "going_offline" and notice["block"] in kept
            answers.Answer(
                subscription=secret,
                notice=notice["id"],
                answer="refuse" if refuse else "ok",
                reason="kept by python" if refuse else None,
            )


if __name__ == "__main__":
    try:
        main(sys.argv[1], {int(block) for block in sys.argv[2:]})
    except (BrokenPipeError, ConnectionError, OSError):
        pass
