/* libzmq without a broker: a child process is the other side. Parses name=value arguments and prints one line of
 * JSON, like the peers of the brokers. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "measure.h"

#define LONGEST_ADDRESS 64

/* Sends a frame, and demands that it was sent. */
static void send_frame(void *socket, const void *octets, size_t size, int flags) {
  demand(zmq_send(socket, octets, size, flags) == (int)size, "sending");
}

/* Receives a frame, of which no more than the size is kept. Returns its size. */
static size_t receive_frame(void *socket, void *octets, size_t size) {
  int received = zmq_recv(socket, octets, size, 0);
  demand(received >= 0, "receiving");
  return (size_t)received;
}

static void *open_socket(void *context, int type) {
  void *socket = zmq_socket(context, type);
  demand(socket != NULL, "making a socket");
  int none = 0;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none);
  return socket;
}

/* Answers each message with an empty one, for ever. */
static void answer(void *socket, int is_router) {
  unsigned char id[256];
  char *body = malloc(1 << 20);
  for (;;) {
    size_t length = is_router ? receive_frame(socket, id, sizeof id) : 0;
    receive_frame(socket, body, 1 << 20);
    if (is_router) send_frame(socket, id, length, ZMQ_SNDMORE);
    send_frame(socket, "", 0, 0);
  }
}

/* Sends the messages to the peer that said hello, of which at most prefetch are not answered. */
static void deliver(void *socket, size_t messages, size_t size, size_t prefetch) {
  unsigned char id[256], reply[1];
  char *body = malloc(size + 1);
  memset(body, 'x', size);
  size_t length = receive_frame(socket, id, sizeof id);
  receive_frame(socket, reply, sizeof reply);
  size_t answered = 0;
  for (size_t sent = 1; sent <= messages; sent++) {
    send_frame(socket, id, length, ZMQ_SNDMORE);
    send_frame(socket, body, size, 0);
    while (sent - answered >= prefetch) {
      receive_frame(socket, id, sizeof id);
      receive_frame(socket, reply, sizeof reply);
      answered++;
    }
  }
  pause();
}

static pid_t other_side;

static void end_other_side(void) {
  kill(other_side, SIGKILL);
  waitpid(other_side, NULL, 0);
}

int main(int count, char **arguments) {
  const char *work = argument(count, arguments, "work");
  size_t messages = strtoul(argument(count, arguments, "messages"), NULL, 10);
  size_t size = strtoul(argument(count, arguments, "size"), NULL, 10);
  size_t window = strtoul(argument(count, arguments, "window"), NULL, 10);
  size_t prefetch = strtoul(argument(count, arguments, "prefetch"), NULL, 10);
  int each = strcmp(work, "each") == 0, windowed = strcmp(work, "window") == 0, consume = strcmp(work, "consume") == 0;
  if (atoi(argument(count, arguments, "threads")) > 1 || (!each && !windowed && !consume)) unsupported();

  int addresses[2];
  char address[LONGEST_ADDRESS] = "";
  demand(pipe(addresses) == 0, "making a pipe");
  other_side = fork();
  demand(other_side >= 0, "starting the other side");
  if (other_side == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    void *socket = open_socket(zmq_ctx_new(), each ? ZMQ_REP : ZMQ_ROUTER);
    size_t length = sizeof address;
    demand(zmq_bind(socket, "tcp://127.0.0.1:*") == 0, "binding");
    demand(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, address, &length) == 0, "reading the address");
    demand(write(addresses[1], address, sizeof address) == sizeof address, "telling the address");
    if (consume) deliver(socket, messages, size, prefetch);
    answer(socket, windowed);
  }
  atexit(end_other_side);
  demand(read(addresses[0], address, sizeof address) == sizeof address, "reading the address");

  void *socket = open_socket(zmq_ctx_new(), each ? ZMQ_REQ : ZMQ_DEALER);
  demand(zmq_connect(socket, address) == 0, "connecting");
  char *body = malloc(size + 1), reply[1];
  memset(body, 'x', size);

  if (each) {
    double *latencies = malloc(messages * sizeof *latencies);
    send_frame(socket, body, size, 0);
    receive_frame(socket, reply, sizeof reply);
    start();
    for (size_t sent = 0; sent < messages; sent++) {
      double since = now();
      send_frame(socket, body, size, 0);
      receive_frame(socket, reply, sizeof reply);
      latencies[sent] = now() - since;
    }
    finish(messages, latencies);
  }
  if (windowed) {
    start();
    size_t answered = 0;
    for (size_t sent = 1; sent <= messages; sent++) {
      send_frame(socket, body, size, 0);
      for (; sent - answered >= window; answered++) receive_frame(socket, reply, sizeof reply);
    }
    for (; answered < messages; answered++) receive_frame(socket, reply, sizeof reply);
    finish(messages, NULL);
  }
  start();
  send_frame(socket, "", 0, 0);
  for (size_t taken = 0; taken < messages; taken++) {
    receive_frame(socket, body, size);
    send_frame(socket, "", 0, 0);
  }
  finish(messages, NULL);
}
