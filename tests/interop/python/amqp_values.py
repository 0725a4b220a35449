"""Sends each type of header value that py-amqp writes, or prints the headers of messages.

NAME is a fanout exchange to send to, or a queue to receive from.

usage: amqp_values.py URL NAME send|receive
"""

import sys
from urllib.parse import unquote, urlsplit

import amqp
from values import OCTETS, VALUES, nested


def send(channel, exchange):
    headers = VALUES | {"float": -0.1}
    channel.basic_publish(amqp.Message(b"", application_headers=headers), exchange)
    channel.basic_publish(amqp.Message(OCTETS, correlation_id=OCTETS), exchange, OCTETS)
    channel.basic_publish(amqp.Message(b"nested", application_headers=nested()), exchange)
    channel.basic_publish(amqp.Message(b"last"), exchange)
    channel.connection.close()


def on_message(message):
    for name, value in message.headers.items():
        print(f"{name}: {type(value).__name__} {value!r}")
    key, id = message.delivery_info["routing_key"], message.properties.get("correlation_id")
    print(f"{key!r} {id!r} {message.body!r}")


def receive(channel, queue):
    channel.basic_consume(queue, callback=on_message, no_ack=True)
    try:
        while True:
            channel.connection.drain_events()
    except UnicodeDecodeError as error:
        print(f"UnicodeDecodeError {error.object!r}")


url, name, action = sys.argv[1:]
url = urlsplit(url)
connection = amqp.Connection(
    host=f"{url.hostname}:{url.port}",
    userid=unquote(url.username),
    password=unquote(url.password),
    virtual_host=unquote(url.path[1:]),
)
connection.connect()
{"send": send, "receive": receive}[action](connection.channel(), name)
