/* The host board: a Linux program whose files are its flash, whose standard input and output are its pins, and whose UART is a tty. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "xsAll.h"
#include "xs.h"
#include "xsHost.h"
#include "xsmc.h"

#define SECTOR_BYTES 4096
#define RETAINED_BYTES 4096
/* Ends with this: the board wants to be started again, as a board does by itself. */
#define RESTART_CODE 75
#define MAX_PATH 1024
#define MAX_SERIALS 4

extern void *xsPreparationAndCreation(xsCreation **creation);

typedef struct {
  const char *name;
  size_t size;
  uint8_t *data;
} Partition;

static Partition gPartitions[] = {{"records", 1024 * 1024, NULL}, {"settings", 128 * 1024, NULL}};
#define PARTITIONS ((int)(sizeof(gPartitions) / sizeof(gPartitions[0])))

static const char *gFolder = NULL;
static const char *gSerials[MAX_SERIALS];
static int gSerialCount = 0;
static GMainLoop *gLoop = NULL;
static xsMachine *gMachine = NULL;
static xsSlot gOnLine;
static bool gListens = false;
static char gReason[16] = "power";

static void die(const char *what, const char *path) {
  fprintf(stderr, "picobolt host: %s %s: %s\n", what, path, strerror(errno));
  exit(1);
}

static const char *pathOf(const char *name) {
  static char path[MAX_PATH];
  if (snprintf(path, sizeof(path), "%s/%s", gFolder, name) >= (int)sizeof(path)) {
    errno = ENAMETOOLONG;
    die("cannot use the folder", gFolder);
  }
  return path;
}

/* What was written to a mapped file outlives this process, however it ends. */
static void openPartition(Partition *partition) {
  char name[64];
  struct stat status;
  snprintf(name, sizeof(name), "%s.bin", partition->name);
  const char *path = pathOf(name);
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0 || fstat(fd, &status)) die("cannot open", path);
  if (ftruncate(fd, (off_t)partition->size)) die("cannot size", path);
  partition->data = mmap(NULL, partition->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (partition->data == MAP_FAILED) die("cannot map", path);
  if (status.st_size == 0) memset(partition->data, 0xff, partition->size);
  close(fd);
}

static void noteReason(const char *reason) {
  int fd = open(pathOf("reset-reason"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return;
  if (write(fd, reason, strlen(reason)) < 0) perror("reset-reason");
  close(fd);
}

/* A note of why it ended is taken once: without one the power was cut, and what only a reset keeps is gone. */
static void takeReason(void) {
  int fd = open(pathOf("reset-reason"), O_RDONLY);
  if (fd < 0) {
    unlink(pathOf("retained.bin"));
    return;
  }
  ssize_t got = read(fd, gReason, sizeof(gReason) - 1);
  gReason[got > 0 ? got : 0] = 0;
  close(fd);
  unlink(pathOf("reset-reason"));
}

static Partition *partitionOf(xsMachine *the, xsSlot *slot, xsIntegerValue offset, size_t length) {
  xsIntegerValue index = xsmcToInteger(*slot);
  if (index < 0 || index >= PARTITIONS) xsRangeError("no such partition");
  Partition *partition = &gPartitions[index];
  if (offset < 0 || (size_t)offset + length > partition->size) xsRangeError("outside the partition");
  return partition;
}

/* The tty of a UART, by its number. */
void xs_host_serial(xsMachine *the) {
  xsIntegerValue index = xsmcToInteger(xsArg(0));
  if (index >= 0 && index < gSerialCount) xsmcSetString(xsResult, (char *)gSerials[index]);
}

void xs_host_flashSize(xsMachine *the) {
  xsmcSetInteger(xsResult, (xsIntegerValue)partitionOf(the, &xsArg(0), 0, 0)->size);
}

void xs_host_flashRead(xsMachine *the) {
  void *out;
  xsUnsignedValue length;
  xsIntegerValue offset = xsmcToInteger(xsArg(1));
  xsmcGetBufferWritable(xsArg(2), &out, &length);
  memcpy(out, partitionOf(the, &xsArg(0), offset, length)->data + offset, length);
}

void xs_host_flashProgram(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsIntegerValue offset = xsmcToInteger(xsArg(1));
  xsmcGetBufferReadable(xsArg(2), &bytes, &length);
  uint8_t *to = partitionOf(the, &xsArg(0), offset, length)->data + offset;
  for (xsUnsignedValue i = 0; i < length; i++) to[i] &= ((uint8_t *)bytes)[i];
}

void xs_host_flashErase(xsMachine *the) {
  xsIntegerValue offset = xsmcToInteger(xsArg(1)) * SECTOR_BYTES;
  memset(partitionOf(the, &xsArg(0), offset, SECTOR_BYTES)->data + offset, 0xff, SECTOR_BYTES);
}

void xs_host_print(xsMachine *the) {
  fputs(xsmcToString(xsArg(0)), stdout);
  fputc('\n', stdout);
  fflush(stdout);
}

static gboolean lineArrived(GIOChannel *channel, GIOCondition condition, gpointer unused) {
  (void)condition;
  (void)unused;
  gchar *line = NULL;
  GIOStatus status = g_io_channel_read_line(channel, &line, NULL, NULL, NULL);
  if (status == G_IO_STATUS_AGAIN) return G_SOURCE_CONTINUE;
  if (status != G_IO_STATUS_NORMAL) return G_SOURCE_REMOVE;
  g_strchomp(line);
  xsBeginHost(gMachine);
  {
    xsmcVars(1);
    xsTry {
      xsmcSetString(xsVar(0), line);
      xsCallFunction1(gOnLine, xsGlobal, xsVar(0));
    }
    xsCatch {
      fprintf(stderr, "picobolt host: %s\n", xsmcToString(xsException));
    }
  }
  xsEndHost(gMachine);
  g_free(line);
  return G_SOURCE_CONTINUE;
}

void xs_host_onLine(xsMachine *the) {
  if (gListens) xsUnknownError("one listener only");
  gListens = true;
  gOnLine = xsArg(0);
  xsRemember(gOnLine);
  GIOChannel *channel = g_io_channel_unix_new(STDIN_FILENO);
  g_io_channel_set_encoding(channel, NULL, NULL);
  g_io_add_watch(channel, G_IO_IN | G_IO_HUP, lineArrived, NULL);
  g_io_channel_unref(channel);
}

void xs_host_resetReason(xsMachine *the) { xsmcSetString(xsResult, gReason); }

void xs_host_restart(xsMachine *the) {
  (void)the;
  noteReason("restart");
  _exit(RESTART_CODE);
}

static void bite(int signal) {
  (void)signal;
  noteReason("watchdog");
  _exit(RESTART_CODE);
}

/* Starts or feeds it. */
void xs_host_watchdog(xsMachine *the) {
  xsIntegerValue timeoutMs = xsmcToInteger(xsArg(0));
  struct itimerval timer = {{0, 0}, {timeoutMs / 1000, (timeoutMs % 1000) * 1000}};
  signal(SIGALRM, bite);
  setitimer(ITIMER_REAL, &timer, NULL);
}

void xs_host_retainedRead(xsMachine *the) {
  uint8_t bytes[RETAINED_BYTES];
  int fd = open(pathOf("retained.bin"), O_RDONLY);
  if (fd < 0) return;
  ssize_t got = read(fd, bytes, sizeof(bytes));
  close(fd);
  if (got > 0) xsmcSetArrayBuffer(xsResult, bytes, (xsIntegerValue)got);
}

void xs_host_retainedWrite(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsmcGetBufferReadable(xsArg(0), &bytes, &length);
  if (length > RETAINED_BYTES) xsRangeError("larger than the retained memory");
  int fd = open(pathOf("retained.bin"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return;
  if (write(fd, bytes, length) < 0) perror("retained.bin");
  close(fd);
}

/* Chunks and slots of the JavaScript engine that hold something. */
void xs_host_usedBytes(xsMachine *the) {
  size_t slots = ((txMachine *)the)->currentHeapCount * sizeof(txSlot);
  xsmcSetInteger(xsResult, (xsIntegerValue)(slots + ((txMachine *)the)->currentChunksSize));
}

/* The engine gives up: out of memory, out of stack, an error nobody caught. A board restarts then. */
void fxAbort(xsMachine *the, int status) {
  (void)the;
  fprintf(stderr, "picobolt host: the engine stopped, %s\n", fxAbortString(status));
  noteReason("crash");
  _exit(RESTART_CODE);
}

static void usage(void) {
  fprintf(stderr,
          "usage: picobolt-host --folder <folder> [--serial <tty>]...\n"
          "  <folder> holds the flash; each <tty> is a UART, at most 4: a serial port or a pseudo terminal.\n"
          "  Pins: lines such as \"button 1\" on the standard input; outputs are printed likewise.\n");
  exit(2);
}

static void readOptions(int argc, char *argv[]) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 >= argc) usage();
    if (!strcmp(argv[i], "--folder")) gFolder = argv[i + 1];
    else if (!strcmp(argv[i], "--serial") && gSerialCount < MAX_SERIALS) gSerials[gSerialCount++] = argv[i + 1];
    else usage();
  }
  if (!gFolder) usage();
  if (mkdir(gFolder, 0700) && errno != EEXIST) die("cannot make", gFolder);
}

static txPreparation *preparation(void) { return xsPreparationAndCreation(NULL); }

static int startMain(void) {
  int failed = 0;
  xsBeginHost(gMachine);
  {
    xsmcVars(1);
    xsTry {
      xsVar(0) = xsImportNow(preparation()->main);
    }
    xsCatch {
      fprintf(stderr, "picobolt host: %s\n", xsmcToString(xsException));
      failed = 1;
    }
  }
  xsEndHost(gMachine);
  return failed;
}

int main(int argc, char *argv[]) {
  readOptions(argc, argv);
  for (int i = 0; i < PARTITIONS; i++) openPartition(&gPartitions[i]);
  takeReason();
  gMachine = fxPrepareMachine(NULL, preparation(), "picobolt", NULL, NULL);
  if (!gMachine) {
    fprintf(stderr, "picobolt host: no memory for the JavaScript engine\n");
    return 1;
  }
  gLoop = g_main_loop_new(NULL, FALSE);
  if (startMain()) return 1;
  g_main_loop_run(gLoop);
  return 0;
}
