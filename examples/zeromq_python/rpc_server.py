"""Doubles numbers for the callers of a queue: rpc_server.py URL QUEUE"""

import json
import sys

from carrot_zeromq import Client

url, queue = sys.argv[1:]
with Client(url) as client:
    client.declare(queue)
    client.consume(queue, prefetch=1)
    print("ready")
    while True:
        request = client.receive()
        answer = json.dumps(2 * json.loads(request.body)).encode()
        client.publish(
            request.properties["reply_to"],
            answer,
            content_type="application/json",
            correlation_id=request.properties["correlation_id"],
        )
        client.settle(request)
