/*
 * Asks one address for an ICMP echo at a steady pace and says what came back.
 *
 *   probe ADDRESS INTERVAL_US [PROGRESS_MS]
 *
 * It runs until SIGTERM or SIGINT, waits for stragglers, and prints one JSON
 * object a line on stdout: {"answering":…} with the first answer, {"progress":…}
 * every PROGRESS_MS, {"result":…} at the end. Moments are milliseconds since 1970.
 *
 * It is C, and not the harness itself, because it has to keep its pace while
 * everything else on the machine is busy: one thread, real-time priority where
 * that is allowed, a send record and a receive record for every single probe.
 * A slot it could not keep is skipped and counted, never sent late in a burst:
 * a burst says nothing about the moments that were missed.
 *
 * It knows nothing of CARP. What an outage means is for the reader.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000LL
/* An answer later than this counts as lost on the live display; it is taken back when it comes after all. */
#define PATIENCE_NS (100 * NS_PER_MS)
/* How long the end waits for stragglers: longer than one round of ARP (1 s). */
#define LINGER_NS (1200 * NS_PER_MS)
#define MOST_OUTAGES_PRINTED 1000

struct echo { /* the same 8 bytes in ICMP and ICMPv6, then ours */
  uint8_t type, code;
  uint16_t checksum, id, sequence;
  uint32_t magic, index;
  uint8_t padding[40];
};

struct probe {
  int64_t sentNs, answeredNs; /* since the start; answered 0: not (yet) */
};

static struct probe *probes;
static size_t sent, room;
static uint64_t received, duplicates, skipped, sendErrors;
static size_t judged;          /* probes before this one are older than PATIENCE */
static uint64_t judgedLost;    /* and this many of them have no answer */
static int64_t lastAnswerNs;
static int64_t startNs, wallOffsetNs;
static uint32_t magic;
static uint16_t id;
static bool v6;
static int sock;
static volatile sig_atomic_t stopping;

static void die(const char *what) {
  fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t nowNs(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec - startNs;
}

static double wallMs(int64_t ns) { return (double)(ns + startNs + wallOffsetNs) / 1e6; }

static void onSignal(int signal) {
  (void)signal;
  stopping = 1;
}

static uint16_t internetChecksum(const void *bytes, size_t length) {
  const uint16_t *words = bytes;
  uint32_t sum = 0;
  for (size_t i = 0; i < length / 2; i++) sum += words[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static void openSocket(const char *address) {
  struct sockaddr_in to4 = {.sin_family = AF_INET};
  struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
  v6 = inet_pton(AF_INET6, address, &to6.sin6_addr) == 1;
  if (!v6 && inet_pton(AF_INET, address, &to4.sin_addr) != 1) {
    fprintf(stderr, "probe: %s is no IPv4 or IPv6 address\n", address);
    exit(64);
  }
  sock = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  if (sock < 0) die("socket");
  int bytes = 4 << 20;
  if (setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  if (v6) {
    struct icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    if (setsockopt(sock, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) < 0) die("filter");
  } else {
    uint32_t filter = ~(1U << ICMP_ECHOREPLY); /* a set bit blocks */
    if (setsockopt(sock, SOL_RAW, 1 /* ICMP_FILTER */, &filter, sizeof filter) < 0) die("filter");
  }
  /* Connected: the kernel then hands over answers from this address only. */
  if (connect(sock, v6 ? (void *)&to6 : (void *)&to4, v6 ? sizeof to6 : sizeof to4) < 0) die("connect");
}

/* Real-time priority keeps the pace on a busy machine; a user namespace may not, and does without. */
static void hurry(void) {
  struct sched_param priority = {.sched_priority = 10};
  sched_setscheduler(0, SCHED_FIFO, &priority);
  prctl(PR_SET_TIMERSLACK, 1UL);
  /* Ten thousand a second is a load on the machine: it ends with whoever started us. */
  prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void sendProbe(void) {
  if (sent == room) {
    room = room ? room * 2 : 65536;
    probes = realloc(probes, room * sizeof *probes);
    if (!probes) die("memory");
  }
  struct echo echo = {.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO, .id = htons(id), .sequence = htons((uint16_t)sent),
                      .magic = magic, .index = (uint32_t)sent};
  if (!v6) echo.checksum = internetChecksum(&echo, sizeof echo); /* ICMPv6: the kernel's work */
  probes[sent] = (struct probe){.sentNs = nowNs()};
  sent++;
  /* The first refusal may be an old error waiting on the socket: ask again once. */
  if (send(sock, &echo, sizeof echo, 0) < 0 && send(sock, &echo, sizeof echo, 0) < 0) sendErrors++;
}

static void note(const struct echo *echo, int64_t now) {
  if (echo->magic != magic || ntohs(echo->id) != id || echo->index >= sent) return;
  struct probe *probe = &probes[echo->index];
  if (probe->answeredNs) {
    duplicates++;
    return;
  }
  probe->answeredNs = now;
  lastAnswerNs = now;
  if (echo->index < judged) judgedLost--;
  if (received++ == 0) {
    printf("{\"answering\":%.3f}\n", wallMs(now));
    fflush(stdout);
  }
}

static void receiveAll(void) {
  uint8_t buffer[2048];
  ssize_t length;
  while ((length = recv(sock, buffer, sizeof buffer, 0)) >= 0 || errno != EAGAIN) {
    if (length < 0) continue; /* an ICMP error about an earlier probe: that probe stays unanswered */
    size_t header = v6 ? 0 : (size_t)((struct iphdr *)buffer)->ihl * 4;
    struct echo echo;
    if ((size_t)length < header + sizeof echo) continue;
    memcpy(&echo, buffer + header, sizeof echo);
    note(&echo, nowNs());
  }
}

static void waitUntil(int64_t deadlineNs) {
  struct pollfd readable = {.fd = sock, .events = POLLIN};
  for (int64_t left; (left = deadlineNs - nowNs()) > 0 && !stopping;) {
    struct timespec timeout = {.tv_sec = left / 1000000000LL, .tv_nsec = left % 1000000000LL};
    if (ppoll(&readable, 1, &timeout, NULL) > 0) receiveAll();
  }
}

static void judge(int64_t now) {
  for (; judged < sent && probes[judged].sentNs < now - PATIENCE_NS; judged++)
    if (!probes[judged].answeredNs) judgedLost++;
}

static void printProgress(int64_t now) {
  judge(now);
  printf("{\"progress\":{\"at\":%.3f,\"sent\":%zu,\"received\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"silenceMs\":%.3f}}\n",
         wallMs(now), sent, received, judgedLost, (double)(now - lastAnswerNs) / 1e6);
  fflush(stdout);
}

static int ascending(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

/* When answers came, in order; the end of the run stands last. */
static int64_t *sortedArrivals(int64_t endNs) {
  int64_t *arrivals = malloc((received + 1) * sizeof *arrivals);
  if (!arrivals) die("memory");
  size_t count = 0;
  for (size_t i = 0; i < sent; i++)
    if (probes[i].answeredNs) arrivals[count++] = probes[i].answeredNs;
  qsort(arrivals, count, sizeof *arrivals, ascending);
  arrivals[count] = endNs;
  return arrivals;
}

static double latencyMaxMs(void) {
  int64_t most = 0;
  for (size_t i = 0; i < sent; i++)
    if (probes[i].answeredNs && probes[i].answeredNs - probes[i].sentNs > most) most = probes[i].answeredNs - probes[i].sentNs;
  return (double)most / 1e6;
}

/*
 * An outage is a silence (no answer arrives) during which at least one probe
 * was sent that never got an answer. It lasts from the first such probe to
 * the next answer. Judged by arrivals, so that a few probes which waited in a
 * queue for ARP and were answered a second late do not cut it in two.
 */
static void printOutages(const int64_t *arrivals) {
  int64_t longestOutage = 0, longestSilence = 0, firstLoss = -1, answeredAgain = -1;
  size_t next = 0, lost = 0, outages = 0;
  printf("\"outages\":[");
  for (size_t gap = 0; gap <= received; gap++) {
    int64_t from = gap ? arrivals[gap - 1] : 0, until = arrivals[gap], outageFrom = -1;
    size_t lostHere = 0;
    if (until - from > longestSilence) longestSilence = until - from;
    for (; next < sent && probes[next].sentNs < until; next++) {
      if (probes[next].answeredNs) continue;
      if (lostHere++ == 0) outageFrom = probes[next].sentNs;
    }
    if (!lostHere) continue;
    lost += lostHere;
    if (firstLoss < 0) firstLoss = outageFrom;
    if (until - outageFrom > longestOutage) {
      longestOutage = until - outageFrom;
      answeredAgain = gap < received ? until : -1;
    }
    if (outages++ >= MOST_OUTAGES_PRINTED) continue;
    printf("%s{\"fromAt\":%.3f,\"untilAt\":%.3f,\"lost\":%zu}", outages > 1 ? "," : "", wallMs(outageFrom), wallMs(until), lostHere);
  }
  printf("],\"lost\":%zu,\"longestOutageMs\":%.3f,\"longestSilenceMs\":%.3f", lost, (double)longestOutage / 1e6,
         (double)longestSilence / 1e6);
  if (firstLoss >= 0) printf(",\"firstLossAt\":%.3f", wallMs(firstLoss));
  if (answeredAgain >= 0) printf(",\"answeredAgainAt\":%.3f", wallMs(answeredAgain));
}

static void printResult(int64_t endNs, double intervalMs) {
  printf("{\"result\":{\"intervalMs\":%g,\"startedAt\":%.3f,\"endedAt\":%.3f,\"sent\":%zu,\"received\":%" PRIu64
         ",\"duplicates\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"sendErrors\":%" PRIu64 ",\"latencyMaxMs\":%.3f,",
         intervalMs, wallMs(0), wallMs(endNs), sent, received, duplicates, skipped, sendErrors, latencyMaxMs());
  printOutages(sortedArrivals(endNs));
  printf("}}\n");
}

/* Only the youngest probes can still be answered; an old loss is not worth waiting for. */
static bool stragglersMayCome(void) {
  for (size_t i = sent; i > 0 && probes[i - 1].sentNs > nowNs() - LINGER_NS; i--)
    if (!probes[i - 1].answeredNs) return true;
  return false;
}

int main(int argc, char **argv) {
  int64_t intervalNs = argc >= 3 ? atoll(argv[2]) * 1000 : 0, progressNs = argc >= 4 ? atoll(argv[3]) * NS_PER_MS : 0;
  if (intervalNs <= 0) {
    fprintf(stderr, "usage: probe ADDRESS INTERVAL_US [PROGRESS_MS]\n");
    return 64;
  }
  struct timespec mono, wall;
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  startNs = (int64_t)mono.tv_sec * 1000000000LL + mono.tv_nsec;
  wallOffsetNs = (int64_t)wall.tv_sec * 1000000000LL + wall.tv_nsec - startNs;
  id = (uint16_t)getpid();
  magic = (uint32_t)(startNs ^ (getpid() << 16));
  openSocket(argv[1]);
  signal(SIGTERM, onSignal);
  signal(SIGINT, onSignal);
  hurry();

  int64_t nextProgress = progressNs;
  for (int64_t slot = nowNs(); !stopping; slot += intervalNs) {
    for (; nowNs() - slot > intervalNs; slot += intervalNs) skipped++;
    waitUntil(slot);
    if (stopping) break;
    sendProbe();
    receiveAll();
    if (progressNs && nowNs() >= nextProgress) {
      printProgress(nowNs());
      nextProgress += progressNs;
    }
  }
  int64_t endNs = nowNs();
  for (stopping = 0; stragglersMayCome() && !stopping;) waitUntil(nowNs() + 10 * NS_PER_MS);
  printResult(endNs, (double)intervalNs / 1e6);
  return 0;
}
