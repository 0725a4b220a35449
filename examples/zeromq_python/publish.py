"""Publishes texts to a queue, and waits for their confirms: publish.py URL QUEUE TEXT..."""

import sys

from carrot_zeromq import Client

url, queue, *texts = sys.argv[1:]
with Client(url) as client:
    client.declare(queue)
    for text in texts:
        client.publish(queue, text.encode(), content_type="text/plain", delivery_mode=2)
    client.flush()
    print(len(texts), "confirmed")
