"""A client of Carrot's ZeroMQ host, with pyzmq: docs/zeromq-protocol.md.

usage: zeromq_client.py URL publish QUEUE BODY...
       zeromq_client.py URL consume QUEUE COUNT
       zeromq_client.py URL serve QUEUE
       zeromq_client.py URL reconnect
"""

import os
import struct
import sys

import zmq

HELLO, OPEN, DECLARE_QUEUE, PUBLISH, CONSUME, SETTLE, GOODBYE = 1, 2, 5, 12, 14, 16, 19
WELCOME, DONE, DELIVERED, CONFIRMED, END = 65, 66, 68, 70, 75
CHANNEL, CONSUMER = 1, 1


def short(text):
    return bytes([len(text.encode())]) + text.encode()


class Host:
    """The connection to a host, with one open channel that has confirms."""

    def __init__(self, url):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.connect(url.replace("zmq://", "tcp://"))
        hello = b"CARROT\x01" + os.urandom(16) + short("python")
        assert self.call(HELLO, hello, channel=0)[0] == WELCOME
        self.call(OPEN, b"\x02" + bytes(8))
        self.published = 0

    def send(self, kind, fields=b"", channel=CHANNEL, number=0, body=()):
        self.socket.send_multipart([struct.pack(">BII", kind, channel, number) + fields, *body])

    def receive(self):
        head, *body = self.socket.recv_multipart()
        return head[0], head[9:], body[0] if body else None

    def call(self, kind, fields=b"", channel=CHANNEL):
        self.send(kind, fields, channel, number=1)
        kind, fields, body = self.receive()
        assert kind in (WELCOME, DONE), (kind, fields)
        return kind, fields, body

    def declare(self, queue):
        self.call(DECLARE_QUEUE, b"\x02" + short(queue) + bytes(4))

    def publish(self, queue, body, properties=b"\0\0"):
        self.send(PUBLISH, b"\x01" + short("") + short(queue) + properties, body=[body])
        self.published += 1

    def consume(self, queue, prefetch):
        settings = struct.pack(">IBH", CONSUMER, 0, prefetch) + short(queue) + bytes(4)
        self.call(CONSUME, settings)

    def acknowledge(self, tag):
        self.send(SETTLE, struct.pack(">BQQ", 0, tag, tag))

    def close(self):
        # Waits for the answer, before which the host has handled everything.
        self.call(GOODBYE, channel=0)


def correlation_and_reply(octets):
    """Reads two properties of a property list of AMQP 0-9-1."""
    (flags,), rest, found = struct.unpack(">H", octets[:2]), octets[2:], []
    for flag in (0x8000, 0x4000, 0x2000, 0x1000, 0x0800, 0x0400, 0x0200):
        if flags & flag:
            if flag == 0x2000:  # headers
                size = 4 + struct.unpack(">I", rest[:4])[0]
            else:  # delivery mode and priority have one octet, the others are strings
                size = 1 if flag in (0x1000, 0x0800) else 1 + rest[0]
            if flag in (0x0400, 0x0200):
                found.append(rest[1:size].decode())
            rest = rest[size:]
    return found


def delivered(fields):
    """Returns the tag and the properties of a delivery."""
    tag, _redelivered, length = struct.unpack(">QBB", fields[:10])
    rest = fields[10 + length :]
    return tag, rest[1 + rest[0] :]


def main():
    url, task, *arguments = sys.argv[1:]
    host = Host(url)
    if task == "publish":
        queue, *bodies = arguments
        for body in bodies:
            host.publish(queue, body.encode())
        last = 0
        while last < host.published:
            kind, fields, _ = host.receive()
            assert kind == CONFIRMED, (kind, fields)
            first, last, outcome = struct.unpack(">QQB", fields[:17])
            print("confirmed", first, "to", last, "outcome", outcome)
    elif task == "consume":
        queue, count = arguments
        host.declare(queue)
        host.consume(queue, prefetch=5)
        print("ready")
        for _ in range(int(count)):
            kind, fields, body = host.receive()
            assert kind == DELIVERED, (kind, fields)
            tag, _properties = delivered(fields)
            host.acknowledge(tag)
            print(tag, body.decode())
    elif task == "serve":
        host.declare(arguments[0])
        host.consume(arguments[0], prefetch=1)
        print("ready")
        while True:
            kind, fields, body = host.receive()
            if kind == CONFIRMED:
                continue
            tag, properties = delivered(fields)
            correlation, reply_to = correlation_and_reply(properties)
            answer = struct.pack(">H", 0x8400) + short("application/json") + short(correlation)
            host.publish(reply_to, str(2 * int(body)).encode(), answer)
            host.acknowledge(tag)
    elif task == "reconnect":
        print("ready")
        kind, fields, _ = host.receive()
        assert kind == END, kind
        # The socket connects again on its own, and the next host knows no channel.
        while not host.socket.poll(100):
            host.publish("nobody", b"lost")
        kind, fields, _ = host.receive()
        print("end" if kind == END else kind, "code", fields[0])
        return
    host.close()
    print("closed")


main()
