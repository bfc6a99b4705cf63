#!/usr/bin/env python3
"""Gentle traffic for the guestbook: page views, reads and now and then a write, through the ingress gateway."""
import argparse
import http.client
import random
import sys
import time
import urllib.parse

PATHS = ["/"] * 4 + ["/guestbook.php?cmd=get&key=messages"] * 5 + ["/guestbook.php?cmd=set&key=messages&value={}"]
WORDS = ["hello", "ahoy", "kalimera", "bonjour", "moin", "ciao"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--host", default="guestbook.lvh.me")
    parser.add_argument("--rate", type=float, default=4, help="requests per second (4)")
    parser.add_argument("--count", type=int, default=0, help="end after this many (0: never)")
    arguments = parser.parse_args()
    address = urllib.parse.urlsplit(arguments.url).netloc
    connection, sent, failed = None, 0, 0
    due = time.monotonic()
    while not arguments.count or sent < arguments.count:
        due += random.expovariate(arguments.rate) if not arguments.count else 1 / arguments.rate
        time.sleep(max(0, due - time.monotonic()))
        path = random.choice(PATHS).format(",".join(random.sample(WORDS, 3)))
        try:
            connection = connection or http.client.HTTPConnection(address, timeout=15)
            connection.request("GET", path, headers={"Host": arguments.host, "User-Agent": "guestbook-traffic"})
            answer = connection.getresponse()
            answer.read()
            failed += answer.status >= 500
        except OSError:
            connection, failed = None, failed + 1
            time.sleep(0.5)
        except http.client.HTTPException:
            connection, failed = None, failed + 1
        sent += 1
    print(f"{sent} requests, {failed} failed")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
