"""Fixtures: a broker for each test, and channels of pika."""

import pika
import pytest

from carrot_broker import Broker


@pytest.fixture
def broker():
    """A broker of its own, because a test breaks its broker."""
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def channel(broker):
    """A channel of pika on the broker."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    yield connection.channel()
    if connection.is_open:
        connection.close()
