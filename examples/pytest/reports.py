"""The program under test: it sends reports, and consumes them."""

import pika


def declare(channel):
    """Reports that nobody consumes within an hour move to `late`."""
    channel.queue_declare("late", durable=True)
    channel.queue_declare(
        "reports",
        durable=True,
        arguments={
            "x-message-ttl": 3_600_000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "late",
        },
    )


def send(channel, text):
    """Sends a report. Returns whether the broker has confirmed it."""
    try:
        channel.basic_publish("", "reports", text.encode(), mandatory=True)
        return True
    except pika.exceptions.NackError:
        return False


def consume(url, handle):
    """Handles reports until one says `end`. Connects again when the connection is lost."""
    parameters = pika.URLParameters(url)
    parameters.client_properties = {"connection_name": "consumer"}
    while True:
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=1)
                for method, _, body in channel.consume("reports"):
                    handle(body.decode())
                    channel.basic_ack(method.delivery_tag)
                    if body == b"end":
                        return
        except pika.exceptions.AMQPError:
            pass  # at once, because the broker of a test is never away
