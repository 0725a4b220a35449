"""Publishes a message of each kind of body to an exchange, which kombu declares.

usage: kombu_producer.py URL EXCHANGE TYPE ROUTING_KEY
"""

import sys

from kombu import Connection, Exchange, Producer

url, name, kind, routing_key = sys.argv[1:]
with Connection(url) as connection:
    producer = Producer(connection, exchange=Exchange(name, type=kind), routing_key=routing_key)
    producer.publish({"name": "Zoë", "price": 1.5, "tags": [1, None, True]})
    producer.publish("Grüße")
    producer.publish(b"\x00\xff\xfe")
    producer.publish(
        [1, 2],
        headers={"tenant": "acme", "attempt": 2},
        priority=5,
        expiration=90.5,  # seconds
        correlation_id="request-7",
        message_id="message-7",
        timestamp=1700000000,
        type="order.placed",
        reply_to="answers",
        app_id="shop",
        delivery_mode=1,
    )
