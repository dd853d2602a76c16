/*
 * Sends Ethernet frames at a steady pace, as many as a bad network can.
 *
 *   flood DEVICE FRAMES_PER_SECOND SECONDS < FRAMES
 *
 * FRAMES are whole frames in hex, one a line, sent in turn. It prints
 * "flooding" when it begins, and at the end how many frames it sent and how
 * long that took, as {"sent":…,"seconds":…}. What the machine did not let it
 * send in time is left out: a burst afterwards would be another pace.
 *
 * It is C because 50,000 frames a second leave 20 microseconds for each, and
 * has real-time priority where that is allowed: a hostile network does not
 * wait for the boards that share this machine with it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define NS_PER_S 1000000000LL
#define TURN_NS 500000LL /* how often it looks what is due */
#define MOST_AT_ONCE 256
#define MOST_FRAMES 4096
#define FRAME_BYTES 1514

static struct iovec frames[MOST_FRAMES];
static struct mmsghdr messages[MOST_AT_ONCE];

static void die(const char *what) {
  fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t nowNs(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static unsigned readFrames(void) {
  static char line[2 * FRAME_BYTES + 2];
  unsigned count = 0;
  while (count < MOST_FRAMES && fgets(line, sizeof line, stdin)) {
    size_t bytes = strspn(line, "0123456789abcdefABCDEF") / 2;
    if (bytes < ETH_HLEN) continue;
    uint8_t *frame = malloc(bytes);
    if (!frame) die("malloc");
    for (size_t i = 0; i < bytes; i++) sscanf(line + 2 * i, "%2hhx", &frame[i]);
    frames[count++] = (struct iovec){frame, bytes};
  }
  if (count == 0) {
    fprintf(stderr, "flood: no frame to send\n");
    exit(64);
  }
  return count;
}

static int openDevice(const char *name) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
  if (address.sll_ifindex == 0) die(name);
  int sock = socket(AF_PACKET, SOCK_RAW, 0);
  if (sock < 0) die("socket");
  if (bind(sock, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  return sock;
}

/* Sends `due` frames, beginning with the one whose turn it is; says how many the kernel took. */
static int sendSome(int sock, unsigned count, uint64_t turn, int due) {
  for (int i = 0; i < due; i++) {
    messages[i].msg_hdr.msg_iov = &frames[(turn + (uint64_t)i) % count];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int taken = sendmmsg(sock, messages, (unsigned)due, 0);
  if (taken < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) die("sendmmsg");
  return taken < 0 ? 0 : taken;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: flood DEVICE FRAMES_PER_SECOND SECONDS < FRAMES\n");
    return 64;
  }
  prctl(PR_SET_PDEATHSIG, 9);
  struct sched_param first = {.sched_priority = 1};
  sched_setscheduler(0, SCHED_FIFO, &first); /* not allowed: then the pace may suffer, and is told */
  double perSecond = atof(argv[2]), seconds = atof(argv[3]);
  unsigned count = readFrames();
  int sock = openDevice(argv[1]);
  printf("flooding\n");
  fflush(stdout);

  int64_t startNs = nowNs(), endNs = startNs + (int64_t)(seconds * NS_PER_S), now = startNs;
  uint64_t sent = 0;
  double owed = 0;
  while (now < endNs) {
    struct timespec turn = {0, TURN_NS};
    nanosleep(&turn, NULL);
    int64_t before = now;
    now = nowNs();
    owed += perSecond * (double)(now - before) / NS_PER_S;
    if (owed > MOST_AT_ONCE) owed = MOST_AT_ONCE;
    int due = (int)owed;
    owed -= due;
    if (due > 0) sent += (uint64_t)sendSome(sock, count, sent, due);
  }
  printf("{\"sent\":%llu,\"seconds\":%.3f}\n", (unsigned long long)sent, (double)(now - startNs) / NS_PER_S);
  return 0;
}
