"""Prints each message as JSON, and answers with its payload in the same format and compression.

usage: kombu_echo.py URL QUEUE
"""

import json
import sys

from kombu import Connection, Consumer, Producer, Queue
from kombu.serialization import registry


def on_message(message):
    print(json.dumps(message.payload))
    producer.publish(
        message.payload,
        routing_key=message.properties["reply_to"],
        serializer=registry.type_to_name[message.content_type],
        compression=message.headers.get("compression"),
    )
    message.ack()


url, queue = sys.argv[1:]
queue = Queue(queue, auto_delete=True)
with Connection(url) as connection, Connection(url) as sending:
    producer = Producer(sending)
    with Consumer(connection, [queue], on_message=on_message, accept=["json", "msgpack"]):
        print("ready")
        while True:
            connection.drain_events()
