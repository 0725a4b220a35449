"""The client of pika's tutorial about remote procedure calls.

Prints each answer. Replies arrive in an exclusive queue, or directly.

usage: pika_rpc_client.py URL QUEUE exclusive|direct NUMBER...
"""

import sys
import uuid

import pika


class FibonacciRpcClient:
    def __init__(self, url, queue, replies):
        self.queue = queue
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        if replies == "direct":
            self.callback_queue = "amq.rabbitmq.reply-to"
        else:
            result = self.channel.queue_declare(queue="", exclusive=True)
            self.callback_queue = result.method.queue
        self.channel.basic_consume(
            queue=self.callback_queue, on_message_callback=self.on_response, auto_ack=True
        )
        self.response = None
        self.corr_id = None

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            self.response = (props, body)

    def call(self, number):
        self.response = None
        self.corr_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="",
            routing_key=self.queue,
            properties=pika.BasicProperties(
                reply_to=self.callback_queue, correlation_id=self.corr_id
            ),
            body=number,
        )
        while self.response is None:
            self.connection.process_data_events(time_limit=None)
        return self.response


url, queue, replies, *numbers = sys.argv[1:]
client = FibonacciRpcClient(url, queue, replies)
for number in numbers:
    props, body = client.call(number)
    kind = (props.headers or {}).get("carrot-error-kind")
    if kind is None:
        print(int(body))
    else:
        print(f"error {kind}: {body.decode()}")
