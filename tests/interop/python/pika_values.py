"""Sends each type of header value that pika writes, or prints the headers of messages.

NAME is a fanout exchange to send to, or a queue to receive from.

usage: pika_values.py URL NAME send|receive
"""

import sys

import pika
from values import OCTETS, VALUES, nested


def send(channel, exchange):
    channel.basic_publish(exchange, "", b"", pika.BasicProperties(headers=VALUES))
    channel.basic_publish(exchange, OCTETS, OCTETS, pika.BasicProperties(correlation_id=OCTETS))
    channel.basic_publish(exchange, "", b"nested", pika.BasicProperties(headers=nested()))
    channel.basic_publish(exchange, "", b"last")
    channel.connection.close()


def receive(channel, queue):
    for method, properties, body in channel.consume(queue):
        for name, value in (properties.headers or {}).items():
            kind = type(value).__name__
            # The repr of long, which is pika's type of 64-bit integers, has a suffix.
            print(f"{name}: {kind} {int(value) if kind == 'long' else repr(value)}")
        print(f"{method.routing_key!r} {properties.correlation_id!r} {body!r}")
        channel.basic_ack(method.delivery_tag)


url, name, action = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
{"send": send, "receive": receive}[action](connection.channel(), name)
