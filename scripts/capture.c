/*
 * Writes the frames of one device into a pcap file.
 *
 *   capture DEVICE FILE in|out|inout < FILTER
 *
 * FILTER is what `tcpdump -ddd` prints for a filter expression, or nothing.
 * It prints "capturing" when it begins. After every frame, or every few when
 * they come fast, it makes the file whole and prints the moment of the newest
 * in milliseconds since 1970. It runs until SIGTERM or SIGINT. Exit status 1:
 * the kernel had to drop a frame.
 *
 * It exists because tcpdump insists on becoming another user, which the root
 * of an unprivileged user namespace cannot.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define SNAPSHOT_BYTES 65536
#define MOST_INSTRUCTIONS 4096
#define MOST_AT_ONCE 1000

static volatile sig_atomic_t stopping;

static void die(const char *what) {
  fprintf(stderr, "capture: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void onSignal(int signal) {
  (void)signal;
  stopping = 1;
}

/* The text of `tcpdump -ddd`: a count, then four numbers for each instruction. */
static void attachFilter(int sock) {
  static struct sock_filter code[MOST_INSTRUCTIONS];
  unsigned count = 0, read = 0;
  if (scanf("%u", &count) != 1) return;
  while (read < count && read < MOST_INSTRUCTIONS) {
    struct sock_filter *each = &code[read];
    if (scanf("%hu %hhu %hhu %u", &each->code, &each->jt, &each->jf, &each->k) != 4) break;
    read++;
  }
  if (read != count) {
    fprintf(stderr, "capture: the filter has %u instructions of %u\n", read, count);
    exit(64);
  }
  struct sock_fprog program = {.len = (unsigned short)count, .filter = code};
  if (setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) die("filter");
}

/* Bound to no protocol until the filter is in place, so that nothing comes in before it. */
static int openSocket(const char *device) {
  int sock = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), on = 1, bytes = 16 << 20;
  if (sock < 0) die("socket");
  attachFilter(sock);
  if (setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  if (setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0) die("timestamps");
  struct sockaddr_ll from = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(device)};
  if (from.sll_ifindex == 0 || bind(sock, (void *)&from, sizeof from) < 0) die(device);
  struct packet_mreq all = {.mr_ifindex = from.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(sock, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0) die("promiscuous mode");
  return sock;
}

static struct timespec stampOf(struct msghdr *message) {
  struct timespec stamp = {0};
  for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each; each = CMSG_NXTHDR(message, each))
    if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_TIMESTAMPNS) memcpy(&stamp, CMSG_DATA(each), sizeof stamp);
  return stamp;
}

static void writeFrame(FILE *file, const uint8_t *frame, size_t length, struct timespec stamp) {
  uint32_t kept = length < SNAPSHOT_BYTES ? (uint32_t)length : SNAPSHOT_BYTES;
  uint32_t header[4] = {(uint32_t)stamp.tv_sec, (uint32_t)(stamp.tv_nsec / 1000), kept, (uint32_t)length};
  fwrite(header, sizeof header, 1, file);
  fwrite(frame, kept, 1, file);
}

/* Takes what is waiting, then makes the file whole, then says so. */
static void receiveAll(int sock, FILE *file, const char *direction) {
  static uint8_t frame[SNAPSHOT_BYTES];
  static char control[256];
  double newestMs = 0;
  for (int taken = 0; taken < MOST_AT_ONCE; taken++) {
    struct sockaddr_ll from;
    struct iovec part = {.iov_base = frame, .iov_len = sizeof frame};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(sock, &message, MSG_TRUNC);
    if (length < 0) break;
    const char *way = from.sll_pkttype == PACKET_OUTGOING ? "out" : "in";
    if (strcmp(direction, "inout") != 0 && strcmp(direction, way) != 0) continue;
    struct timespec stamp = stampOf(&message);
    writeFrame(file, frame, (size_t)length, stamp);
    newestMs = (double)stamp.tv_sec * 1e3 + (double)stamp.tv_nsec / 1e6;
  }
  if (newestMs == 0) return;
  fflush(file);
  printf("%.3f\n", newestMs);
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: capture DEVICE FILE in|out|inout < FILTER\n");
    return 64;
  }
  int sock = openSocket(argv[1]);
  FILE *file = fopen(argv[2], "w");
  if (!file) die(argv[2]);
  struct { uint32_t magic; uint16_t major, minor; uint32_t zone, accuracy, snapshot, link; } head = {
      0xa1b2c3d4, 2, 4, 0, 0, SNAPSHOT_BYTES, 1 /* Ethernet */};
  fwrite(&head, sizeof head, 1, file);
  fflush(file);
  signal(SIGTERM, onSignal);
  signal(SIGINT, onSignal);
  printf("capturing\n");
  fflush(stdout);
  while (!stopping) {
    struct pollfd readable = {.fd = sock, .events = POLLIN};
    poll(&readable, 1, 100);
    receiveAll(sock, file, argv[3]);
  }
  struct tpacket_stats seen = {0};
  socklen_t size = sizeof seen;
  getsockopt(sock, SOL_PACKET, PACKET_STATISTICS, &seen, &size);
  if (seen.tp_drops == 0) return 0;
  fprintf(stderr, "capture: the kernel dropped %u frames\n", seen.tp_drops);
  return 1;
}
