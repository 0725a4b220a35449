/* What the peers in C share: their arguments, and the measurement as one line of JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

static const char *argument(int count, char **arguments, const char *name) {
  size_t length = strlen(name);
  for (int index = 1; index < count; index++)
    if (strncmp(arguments[index], name, length) == 0 && arguments[index][length] == '=') return arguments[index] + length + 1;
  return "";
}

static void demand(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static double seconds(struct timeval after, struct timeval before) {
  return (after.tv_sec - before.tv_sec) + (after.tv_usec - before.tv_usec) / 1e6;
}

static double started;
static struct rusage before;

static void start(void) {
  getrusage(RUSAGE_SELF, &before);
  started = now();
}

static int ascending(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return (difference > 0) - (difference < 0);
}

/* Returns the peak of the resident memory. getrusage would include the program that started this one. */
static long peak_kib(void) {
  long kib = 0;
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &kib);
  return kib;
}

static void finish(size_t messages, double *latencies) {
  double took = now() - started;
  struct rusage after;
  getrusage(RUSAGE_SELF, &after);
  printf("{\"messages\":%zu,\"seconds\":%.6f,\"cpu_user\":%.6f,\"cpu_sys\":%.6f,\"rss_kb\":%ld", messages, took,
         seconds(after.ru_utime, before.ru_utime), seconds(after.ru_stime, before.ru_stime), peak_kib());
  if (latencies) {
    qsort(latencies, messages, sizeof *latencies, ascending);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f", latencies[(messages - 1) * 50 / 100] * 1e6, latencies[(messages - 1) * 99 / 100] * 1e6);
  }
  printf("}\n");
  exit(0);
}

static void unsupported(void) {
  printf("{\"unsupported\":true}\n");
  exit(0);
}
