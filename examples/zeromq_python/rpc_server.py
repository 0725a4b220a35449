"""Doubles numbers for the callers of a queue: rpc_server.py URL QUEUE"""

import json
import sys

from carrot_zeromq import DISCARD, Client

url, queue = sys.argv[1:]
with Client(url) as client:
    client.declare(queue)
    client.consume(queue, prefetch=1)
    print("ready")
    while True:
        request = client.receive()
        try:
            answer = json.dumps(2 * json.loads(request.body)).encode()
            caller = request.properties["reply_to"]
            number = request.properties["correlation_id"]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            # If the program ended here, the request would return, and end the next server, too.
            print("discarded:", type(error).__name__)
            client.settle(request, DISCARD)
            continue
        client.publish(
            caller, answer, content_type="application/json", correlation_id=number
        )
        client.settle(request)
        # The answers to callers that are gone were returned. Nobody waits for them.
        client.failures.clear()
