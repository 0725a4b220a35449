"""Consumes messages of a queue, and acknowledges each: consume.py URL QUEUE [COUNT]"""

import sys

from carrot_zeromq import Client

url, queue, *count = sys.argv[1:]
with Client(url) as client:
    client.declare(queue)
    client.consume(queue, prefetch=10)
    print("ready")
    left = int(count[0]) if count else None
    while left != 0:
        delivery = client.receive()
        print(delivery.body.decode())
        # Without this, the message returns to its queue when the connection ends.
        client.settle(delivery)
        left = left and left - 1
