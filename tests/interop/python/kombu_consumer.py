"""Prints the messages of a queue as lines of JSON. kombu declares the queue and its exchange.

usage: kombu_consumer.py URL EXCHANGE TYPE ROUTING_KEY QUEUE
"""

import json
import sys

from kombu import Connection, Consumer, Exchange, Queue

ACCEPT = ["json", "msgpack", "text/plain", "application/octet-stream"]


def show(value):
    return {"octets": value.hex()} if isinstance(value, bytes) else str(value)


def on_message(message):
    fields = {
        "payload": message.payload,
        "properties": message.properties,
        "routing": [message.delivery_info["exchange"], message.delivery_info["routing_key"]],
    }
    print(json.dumps(fields, default=show))
    message.ack()


url, name, kind, routing_key, queue = sys.argv[1:]
queue = Queue(
    queue,
    Exchange(name, type=kind),
    routing_key=routing_key,
    expires=600,
    message_ttl=60,
    max_length=1000,
    max_priority=9,
)
with Connection(url) as connection:
    with Consumer(connection, [queue], on_message=on_message, accept=ACCEPT):
        print("ready")
        while True:
            connection.drain_events()
