"""Tests of a program that uses RabbitMQ, without RabbitMQ: pytest examples/pytest"""

import threading

import pika
import pytest

import reports
from carrot_broker import ControlError, eventually


def test_report_moves_to_late_after_an_hour(broker, channel):
    reports.declare(channel)
    channel.confirm_delivery()
    assert reports.send(channel, "sales")

    broker.advance_clock(seconds=3599)
    assert broker.queue(queue="reports")["ready"] == 1
    broker.advance_clock(seconds=1)

    assert broker.queue(queue="reports")["ready"] == 0
    (late,) = broker.messages(queue="late")["messages"]
    assert late["body"] == "sales"
    assert late["properties"]["headers"]["x-first-death-reason"] == "expired"


def test_consumer_connects_again(broker, channel):
    reports.declare(channel)
    for text in ["sales", "end"]:
        broker.put(queue="reports", body=text)
    handled = []

    def handle(text):
        handled.append(text)
        if len(handled) == 1:
            broker.drop_connections(name="consumer")

    consumer = threading.Thread(target=reports.consume, args=(broker.url, handle), daemon=True)
    consumer.start()
    consumer.join(timeout=60)

    assert handled == ["sales", "sales", "end"]  # the first was lost before it was acknowledged
    broker.wait_until_idle(timeout_seconds=30)
    assert channel.is_open  # other connections were not lost


def test_refused_report_is_reported(broker, channel):
    reports.declare(channel)
    channel.confirm_delivery()
    broker.nack_publishes(count=1)

    assert not reports.send(channel, "sales")
    assert reports.send(channel, "sales")
    assert broker.queue(queue="reports")["ready"] == 1


def test_sender_is_notified_that_publishers_are_blocked(broker, channel):
    reports.declare(channel)
    connection, events = channel.connection, []
    connection.add_on_connection_blocked_callback(
        lambda _, frame: events.append(frame.method.reason)
    )
    connection.add_on_connection_unblocked_callback(lambda *_: events.append("unblocked"))

    def receive(count):
        connection.process_data_events(time_limit=0.05)
        return len(events) == count

    broker.block_publishers(reason="low on disk")
    assert reports.send(channel, "sales")
    eventually(lambda: receive(1))
    assert broker.queue(queue="reports")["ready"] == 0
    broker.unblock_publishers()
    eventually(lambda: receive(2))

    assert events == ["low on disk", "unblocked"]
    assert broker.queue(queue="reports")["ready"] == 1


def test_report_in_work_is_seen_from_outside(broker, channel):
    reports.declare(channel)
    properties = pika.BasicProperties(content_type="text/plain", headers={"page": 7})
    channel.basic_publish("", "reports", b"sales", properties)
    method, _, _ = channel.basic_get("reports")

    queue = broker.queue(queue="reports")
    assert (queue["ready"], queue["unacked"]) == (0, 1)
    assert queue["arguments"]["x-message-ttl"] == 3_600_000
    (held,) = broker.messages(queue="reports", state="unacked")["messages"]
    assert held["tag"] == method.delivery_tag
    assert held["properties"] == {"content_type": "text/plain", "headers": {"page": 7}}


def test_wrong_operation_is_an_error(broker):
    with pytest.raises(ControlError, match="unknown field .*minutes.*the fields are"):
        broker.advance_clock(seconds=1, minutes=60)
    with pytest.raises(ControlError, match="no queue") as refused:
        broker.queue(queue="none")
    assert refused.value.status == 404
