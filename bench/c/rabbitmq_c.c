/* rabbitmq-c, one thread: the practical lower bound. Parses name=value arguments and prints one line of JSON, like
 * the other peers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

#include "measure.h"

static void replied(amqp_connection_state_t connection, const char *what) {
  demand(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, what);
}

static amqp_connection_state_t dial(int port, int tls, const char *authority) {
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = tls ? amqp_ssl_socket_new(connection) : amqp_tcp_socket_new(connection);
  demand(socket != NULL, "making a socket");
  if (tls) demand(amqp_ssl_socket_set_cacert(socket, authority) == 0, "reading the authority");
  demand(amqp_socket_open(socket, "localhost", port) == 0, "connecting");
  amqp_rpc_reply_t reply = amqp_login(connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
  demand(reply.reply_type == AMQP_RESPONSE_NORMAL, "logging in");
  amqp_channel_open(connection, 1);
  replied(connection, "opening a channel");
  return connection;
}

static void send_one(amqp_connection_state_t connection, amqp_bytes_t queue, amqp_bytes_t body, int mode) {
  amqp_basic_properties_t properties;
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG;
  properties.delivery_mode = mode;
  properties.message_id = amqp_cstring_bytes("0123456789abcdefghijkl");
  demand(amqp_basic_publish(connection, 1, amqp_empty_bytes, queue, 0, 0, &properties, body) == AMQP_STATUS_OK, "publishing");
}

static uint64_t confirmed(amqp_connection_state_t connection) {
  amqp_frame_t frame;
  amqp_maybe_release_buffers(connection);
  demand(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "waiting for a confirm");
  demand(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "a confirm");
  return ((amqp_basic_ack_t *)frame.payload.method.decoded)->delivery_tag;
}

static uint64_t receive(amqp_connection_state_t connection) {
  amqp_envelope_t envelope;
  amqp_maybe_release_buffers(connection);
  demand(amqp_consume_message(connection, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "consuming");
  uint64_t tag = envelope.delivery_tag;
  amqp_destroy_envelope(&envelope);
  return tag;
}

int main(int count, char **arguments) {
  const char *work = argument(count, arguments, "work");
  size_t messages = strtoul(argument(count, arguments, "messages"), NULL, 10);
  size_t size = strtoul(argument(count, arguments, "size"), NULL, 10);
  size_t window = strtoul(argument(count, arguments, "window"), NULL, 10);
  int prefetch = atoi(argument(count, arguments, "prefetch"));
  int port = atoi(argument(count, arguments, "port"));
  int tls = atoi(argument(count, arguments, "tls"));
  if (atoi(argument(count, arguments, "threads")) > 1) unsupported();

  amqp_bytes_t queue = amqp_cstring_bytes(argument(count, arguments, "queue"));
  amqp_bytes_t body = {size, malloc(size ? size : 1)};
  memset(body.bytes, 'x', size);
  const char *authority = argument(count, arguments, "ca");

  if (strcmp(work, "publish") == 0) {
    amqp_connection_state_t connection = dial(port, tls, authority);
    start();
    for (size_t sent = 0; sent < messages; sent++) send_one(connection, queue, body, 1);
    demand(amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS).reply_type == AMQP_RESPONSE_NORMAL, "closing");
    finish(messages, NULL);
  }
  if (strcmp(work, "window") == 0 || strcmp(work, "each") == 0) {
    amqp_connection_state_t connection = dial(port, tls, authority);
    amqp_confirm_select(connection, 1);
    replied(connection, "asking for confirms");
    if (strcmp(work, "each") == 0) {
      double *latencies = malloc(messages * sizeof *latencies);
      send_one(connection, queue, body, 2);
      confirmed(connection);
      start();
      for (size_t sent = 0; sent < messages; sent++) {
        double since = now();
        send_one(connection, queue, body, 2);
        confirmed(connection);
        latencies[sent] = now() - since;
      }
      finish(messages, latencies);
    }
    start();
    uint64_t answered = 0;
    for (uint64_t sent = 1; sent <= messages; sent++) {
      send_one(connection, queue, body, 2);
      while (sent - answered >= window) answered = confirmed(connection);
    }
    while (answered < messages) answered = confirmed(connection);
    finish(messages, NULL);
  }
  if (strcmp(work, "consume") == 0) {
    amqp_connection_state_t connection = dial(port, tls, authority);
    amqp_basic_qos(connection, 1, 0, prefetch, 0);
    replied(connection, "setting the prefetch");
    start();
    amqp_basic_consume(connection, 1, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    replied(connection, "starting a consumer");
    for (size_t taken = 0; taken < messages; taken++)
      demand(amqp_basic_ack(connection, 1, receive(connection), 0) == AMQP_STATUS_OK, "acknowledging");
    demand(amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS).reply_type == AMQP_RESPONSE_NORMAL, "closing");
    finish(messages, NULL);
  }
  if (strcmp(work, "connect") == 0) {
    start();
    for (size_t opened = 0; opened < messages; opened++) {
      amqp_connection_state_t connection = dial(port, tls, authority);
      amqp_queue_declare(connection, 1, queue, 1, 0, 0, 0, amqp_empty_table);
      replied(connection, "looking for the queue");
      demand(amqp_connection_close(connection, AMQP_REPLY_SUCCESS).reply_type == AMQP_RESPONSE_NORMAL, "closing");
      demand(amqp_destroy_connection(connection) == AMQP_STATUS_OK, "closing");
    }
    finish(messages, NULL);
  }
  if (strcmp(work, "ping-pong") == 0) {
    amqp_connection_state_t to = dial(port, tls, authority), from = dial(port, tls, authority);
    double *latencies = malloc(messages * sizeof *latencies);
    amqp_basic_consume(from, 1, queue, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
    replied(from, "starting a consumer");
    for (size_t round = 0; round < messages + 100; round++) {
      if (round == 100) start();
      double since = now();
      send_one(to, queue, body, 1);
      receive(from);
      if (round >= 100) latencies[round - 100] = now() - since;
    }
    finish(messages, latencies);
  }
  unsupported();
}
