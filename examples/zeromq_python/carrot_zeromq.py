"""A client of Carrot's ZeroMQ host, with pyzmq. Copy this file into your program.

docs/zeromq-protocol.md defines the octets. A client belongs to one thread. After a HostError or a
TimeoutError, close the client and make another: ZeroMQ connects again by itself, but the host has
forgotten the channel and its consumers.
"""

import os
import struct
import time
import uuid
from collections import deque
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import zmq

# Calls of a client, and messages of a host.
HELLO, OPEN, DECLARE_QUEUE, PUBLISH, CONSUME, SETTLE, GOODBYE = 1, 2, 5, 12, 14, 16, 19
WELCOME, DONE, FAILED, DELIVERED, CONFIRMED, CANCELLED = 65, 66, 67, 68, 70, 71
CHANNEL_CLOSED, BLOCKED, UNBLOCKED, END = 72, 73, 74, 75

CHANNEL = 1
QUEUE_CONSUMER, REPLY_CONSUMER = 1, 2
DIRECT_REPLIES = "amq.rabbitmq.reply-to"
ACKNOWLEDGE, REQUEUE, DISCARD = 0, 1, 3
ACCEPTED, REFUSED = 0, 1

# The properties of AMQP 0-9-1 in their order: flag, name, and kind of value.
PROPERTIES = [
    (0x8000, "content_type", "text"),
    (0x4000, "content_encoding", "text"),
    (0x2000, "headers", "table"),
    (0x1000, "delivery_mode", "octet"),
    (0x0800, "priority", "octet"),
    (0x0400, "correlation_id", "text"),
    (0x0200, "reply_to", "text"),
    (0x0100, "expiration", "text"),
    (0x0080, "message_id", "text"),
    (0x0040, "timestamp", "number"),
    (0x0020, "type", "text"),
    (0x0010, "user_id", "text"),
    (0x0008, "app_id", "text"),
    (0x0004, "cluster_id", "text"),
]


class HostError(Exception):
    """An error that the host has named."""

    def __init__(self, reason, code=0):
        super().__init__(reason)
        self.code = code


@dataclass
class Delivery:
    """A message of the host. `headers` is an encoded table."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    properties: dict
    body: bytes


class Client:
    """A connection to a host, with one channel."""

    def __init__(self, url, name="python", timeout=10, heartbeat=5):
        """Connects. `timeout` bounds this and each call that waits for the host, in seconds.

        The socket connects again after three times `heartbeat` seconds without a host. A host
        that is back then ends the connection, so that `receive` raises HostError."""
        self.timeout = timeout
        self.calls = self.published = 0
        self.answers, self.deliveries, self.replies = {}, deque(), {}
        self.unconfirmed, self.failures = set(), []
        self.consumes_replies = False
        # Why the host accepts no messages at present.
        self.blocked = None
        parts = urlsplit(url)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.sndtimeo = int(timeout * 1000)
        self.socket.heartbeat_ivl = int(heartbeat * 1000)
        self.socket.heartbeat_timeout = int(heartbeat * 3000)
        if parts.username is not None:
            self.socket.plain_username = unquote(parts.username).encode()
            self.socket.plain_password = unquote(parts.password or "").encode()
        if parts.scheme == "zmq+ipc":
            self.address = f"ipc://{unquote(parts.path)}"
        else:
            self.address = f"tcp://{parts.hostname}:{parts.port or 5555}"
        try:
            self.socket.connect(self.address)
            self.call(HELLO, b"CARROT\x01" + os.urandom(16) + short(name), channel=0)
            confirms, no_limit = b"\x02", bytes(8)
            self.call(OPEN, confirms + no_limit)
        except BaseException:
            # An open socket would try the password again and again.
            self.socket.close(linger=0)
            raise

    def declare(self, queue):
        """Creates a durable queue, unless it exists."""
        durable, no_arguments = b"\x02", bytes(4)
        self.call(DECLARE_QUEUE, durable + short(queue) + no_arguments)

    def publish(self, queue, body, **properties):
        """Sends a message to a queue. `flush` waits for the confirm.

        Waits, up to `timeout`, while the host does not read."""
        mandatory, exchange = b"\x01", ""
        head = mandatory + short(exchange) + short(queue) + encode_properties(properties)
        self.send(PUBLISH, head, body=[body])
        self.published += 1
        self.unconfirmed.add(self.published)

    def flush(self):
        """Waits until the host has answered each message. Raises HostError if it lacks any."""
        self.wait(lambda: not self.unconfirmed, "confirm")
        if self.failures:
            failures, self.failures = self.failures, []
            raise HostError("; ".join(failures))

    def consume(self, queue, prefetch=10):
        """Starts to receive from a queue, with this number of unacknowledged messages at most."""
        self.call(CONSUME, struct.pack(">IBH", QUEUE_CONSUMER, 0, prefetch) + short(queue) + bytes(4))

    def receive(self, timeout=None):
        """Returns the next delivery; None after `timeout` seconds without one."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.deliveries:
            if not self.read(deadline):
                return None
        return self.deliveries.popleft()

    def settle(self, delivery, effect=ACKNOWLEDGE):
        """Acknowledges a delivery, or returns it to its queue, or discards it."""
        self.send(SETTLE, struct.pack(">BQQ", effect, delivery.tag, delivery.tag))

    def request(self, queue, body, **properties):
        """Sends a request to a server of the queue, and returns the delivery of its answer."""
        if not self.consumes_replies:
            automatic = 1
            head = struct.pack(">IBH", REPLY_CONSUMER, automatic, 0)
            self.call(CONSUME, head + short(DIRECT_REPLIES) + bytes(4))
            self.consumes_replies = True
        request = uuid.uuid4().hex
        properties.update(reply_to=DIRECT_REPLIES, correlation_id=request)
        self.publish(queue, body, **properties)
        self.wait(lambda: request in self.replies or self.failures, "reply")
        if request not in self.replies:
            self.flush()
        return self.replies.pop(request)

    def close(self):
        """Ends the connection once the host has handled everything. Unsettled messages return."""
        try:
            if not self.socket.closed:
                self.call(GOODBYE, channel=0)
        finally:
            self.socket.close(linger=0)

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error is None:
            self.close()
        self.socket.close(linger=0)

    def send(self, kind, fields=b"", channel=CHANNEL, number=0, body=()):
        try:
            self.socket.send_multipart([struct.pack(">BII", kind, channel, number) + fields, *body])
        except zmq.Again:
            # The host may have said why.
            while self.read(time.monotonic()):
                pass
            raise self.late("room for more messages") from None

    def call(self, kind, fields=b"", channel=CHANNEL):
        self.calls += 1
        number = self.calls
        self.send(kind, fields, channel, number)
        self.wait(lambda: number in self.answers, "answer")
        error = self.answers.pop(number)
        if error is not None:
            raise error

    def wait(self, is_there, what):
        deadline = time.monotonic() + self.timeout
        while not is_there():
            if not self.read(deadline):
                raise self.late(what)

    def late(self, what):
        if self.blocked is None:
            reason = "is a host there, and does it accept the user and the password?"
        else:
            reason = f"the host blocks publishers: {self.blocked}"
        return TimeoutError(f"no {what} of {self.address} in {self.timeout} s: {reason}")

    def read(self, deadline):
        """Handles one message of the host. Returns False if none arrives before the deadline."""
        left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
        if not self.socket.poll(left):
            return False
        head, *body = self.socket.recv_multipart()
        (kind, _channel, number), fields = struct.unpack(">BII", head[:9]), head[9:]
        if kind in (WELCOME, DONE):
            self.answers[number] = None
        elif kind == FAILED:
            self.answers[number] = decode_error(fields)
        elif kind == CONFIRMED:
            self.confirm(*struct.unpack(">QQB", fields[:17]), fields[17:])
        elif kind == DELIVERED:
            delivery = decode_delivery(fields, body[0])
            if number == REPLY_CONSUMER:
                self.replies[delivery.properties.get("correlation_id")] = delivery
            else:
                self.deliveries.append(delivery)
        elif kind == CANCELLED:
            raise HostError("the consumer was cancelled: its queue is gone")
        elif kind == BLOCKED:
            self.blocked = take_long(fields)[0].decode(errors="replace")
        elif kind == UNBLOCKED:
            self.blocked = None
        elif kind == CHANNEL_CLOSED:
            raise decode_error(fields, "the host closed the channel: ")
        elif kind == END:
            raise decode_error(fields, "the host ended the connection: ")
        return True

    def confirm(self, first, last, outcome, rest):
        self.unconfirmed.difference_update(range(first, last + 1))
        if outcome == REFUSED:
            self.failures.append(f"messages {first} to {last} were refused")
        elif outcome != ACCEPTED:
            code, text = struct.unpack(">H", rest[:2])[0], take_short(rest[2:])[0].decode()
            self.failures.append(f"messages {first} to {last} were returned: {code} {text}")


def short(text):
    return struct.pack(">B", len(text.encode())) + text.encode()


def take_short(octets):
    end = 1 + octets[0]
    return octets[1:end], octets[end:]


def take_long(octets):
    end = 4 + struct.unpack(">I", octets[:4])[0]
    return octets[4:end], octets[end:]


def encode_properties(properties):
    """Encodes the properties that are given. Tables are given encoded."""
    flags, values = 0, b""
    encode = {
        "text": short,
        "table": lambda table: struct.pack(">I", len(table)) + table,
        "octet": lambda number: struct.pack(">B", number),
        "number": lambda number: struct.pack(">Q", number),
    }
    for flag, name, kind in PROPERTIES:
        if name in properties:
            flags |= flag
            values += encode[kind](properties.pop(name))
    if properties:
        raise ValueError(f"unknown properties: {', '.join(properties)}")
    return struct.pack(">H", flags) + values


def decode_properties(octets):
    flags, rest = struct.unpack(">H", octets[:2])[0], octets[2:]
    found = {}
    for flag, name, kind in PROPERTIES:
        if not flags & flag:
            continue
        if kind == "text":
            value, rest = take_short(rest)
            value = value.decode(errors="replace")
        elif kind == "table":
            value, rest = take_long(rest)
        else:
            size = 1 if kind == "octet" else 8
            value, rest = int.from_bytes(rest[:size], "big"), rest[size:]
        found[name] = value
    return found


def decode_delivery(fields, body):
    tag, redelivered = struct.unpack(">QB", fields[:9])
    exchange, rest = take_short(fields[9:])
    key, rest = take_short(rest)
    names = (name.decode(errors="replace") for name in (exchange, key))
    return Delivery(tag, bool(redelivered), *names, decode_properties(rest), body)


def decode_error(fields, prefix=""):
    code, _number = struct.unpack(">BI", fields[:5])
    reason, rest = take_long(fields[5:])
    field, rest = take_short(rest)
    limit, _rest = take_long(rest)
    reason, field, limit = (text.decode(errors="replace") for text in (reason, field, limit))
    text = f"invalid {field}: {reason}: {limit}" if field else reason
    return HostError(prefix + text, code)
