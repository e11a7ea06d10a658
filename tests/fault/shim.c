/* Faults of the system beneath a node, from outside: loaded into its processes by LD_PRELOAD.

   It stands between the node and the C library for the calls by which files reach the disk and answers reach a peer.
   The page in $SHIM_PAGE, shared with the test, says what each call does: fail, be the last of its process, or pass; and
   by how much the clock is wrong. What was written and what was synced goes to the journal in $SHIM_JOURNAL, if there is
   one, from which the test rebuilds what a power cut would have left. Paths are those below $SHIM_ROOT.

   It does not see mmap (SQLite's -shm, which no power cut needs to keep) nor system calls made without the C library. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 64, KILL_BEFORE = 0, KILL_AFTER = -1 }; /* any other action is the errno that the call fails with */

struct rule {
    char call[16], pattern[112];
    int64_t first, last, action;
    uint64_t count; /* how many calls it has met, in all processes together */
};

struct page {
    int64_t clock_ns; /* how far the clock is ahead */
    uint64_t rules;
    struct rule rule[RULES];
};

struct entry { /* of the journal; followed by path, other and data */
    uint32_t kind, path_size, other_size, data_size;
    uint64_t inode, offset, since;
};

static struct page *page;
static int journal = -1;
static char root[PATH_MAX];
static size_t root_size;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIM_PAGE"), *record = getenv("SHIM_JOURNAL"), *folder = getenv("SHIM_ROOT");
    if (!path || !folder) return;
    root_size = (size_t)snprintf(root, sizeof root, "%s", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) abort();
    close(fd);
    if (record) journal = open(record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    page = mapped; /* last: until now every call passes */
}

/* -- what a call is about */

static const char *below(const char *path) {
    if (!page || strncmp(path, root, root_size)) return NULL;
    if (!path[root_size]) return ".";
    return path[root_size] == '/' ? path + root_size + 1 : NULL;
}

static const char *path_of(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = page ? readlink(link, buffer, PATH_MAX - 1) : -1;
    if (size < 0) return NULL;
    buffer[size] = 0;
    return below(buffer);
}

static const char *connection(int fd, char *buffer) {
    struct sockaddr_in ours, theirs;
    socklen_t size = sizeof ours, other = sizeof theirs;
    if (!page || getsockname(fd, (struct sockaddr *)&ours, &size) || ours.sin_family != AF_INET) return NULL;
    if (getpeername(fd, (struct sockaddr *)&theirs, &other)) return NULL;
    snprintf(buffer, PATH_MAX, "tcp:%d>%d", ntohs(ours.sin_port), ntohs(theirs.sin_port));
    return buffer;
}

/* -- what becomes of it */

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* 0 to go on, 1 to die afterwards, -1 with errno set to fail. */
static int verdict(const char *call, const char *path) {
    int outcome = 0;
    for (uint64_t each = 0; path && each < page->rules; each++) {
        struct rule *rule = &page->rule[each];
        if (fnmatch(rule->call, call, 0) || fnmatch(rule->pattern, path, 0)) continue;
        int64_t count = (int64_t)__atomic_add_fetch(&rule->count, 1, __ATOMIC_SEQ_CST);
        if (count < rule->first || count > rule->last) continue;
        if (rule->action == KILL_BEFORE) die();
        if (rule->action == KILL_AFTER) outcome = 1;
        else return errno = (int)rule->action, -1;
    }
    return outcome;
}

/* -- what is remembered of it */

static uint64_t now_in_journal(void) {
    struct stat status;
    return journal < 0 || fstat(journal, &status) ? 0 : (uint64_t)status.st_size;
}

static void note(char kind, const char *path, const char *other, uint64_t inode, uint64_t offset, uint64_t since,
                 const void *data, size_t size) {
    int error = errno;
    struct entry entry = {(uint32_t)kind, (uint32_t)strlen(path), other ? (uint32_t)strlen(other) : 0, (uint32_t)size,
                          inode, offset, since};
    struct iovec parts[] = {{&entry, sizeof entry}, {(void *)path, entry.path_size},
                            {(void *)(other ? other : ""), entry.other_size}, {(void *)data, size}};
    if (journal >= 0 && writev(journal, parts, 4) < 0) abort();
    errno = error;
}

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) ? 0 : status.st_ino;
}

/* -- the calls */

#define GUARDED(call, path, failure) \
    int last = verdict(call, path); \
    if (last < 0) return failure

#define FINISH(value) \
    do { if (last) die(); return value; } while (0)

static void opened(int fd, const char *path, int flags) {
    if (fd >= 0 && path && flags & (O_CREAT | O_TRUNC))
        note('c', path, NULL, inode_of(fd), 0, (uint64_t)!!(flags & O_TRUNC), NULL, 0);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        const char *known = below(path); \
        GUARDED(flags & O_CREAT ? "create" : "open", known, -1); \
        int fd = real(path, flags, mode); \
        opened(fd, known, flags); \
        FINISH(fd); \
    }
OPEN(open)
OPEN(open64)

static void written(int fd, const char *path, const void *data, ssize_t size, off64_t offset) {
    if (size > 0 && path) note('w', path, NULL, inode_of(fd), (uint64_t)offset, 0, data, (size_t)size);
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer);
    GUARDED("write", path, -1);
    ssize_t done = real(fd, data, size);
    if (path) written(fd, path, data, done, lseek64(fd, 0, SEEK_CUR) - done);
    FINISH(done);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(pwrite64);
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer);
    GUARDED("write", path, -1);
    ssize_t done = real(fd, data, size, offset);
    written(fd, path, data, done, offset);
    FINISH(done);
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer);
    GUARDED("truncate", path, -1);
    int failed = real(fd, size);
    if (!failed && path) note('t', path, NULL, inode_of(fd), (uint64_t)size, 0, NULL, 0);
    FINISH(failed);
}

#define SYNC(name) \
    int name(int fd) { \
        REAL(name); \
        char buffer[PATH_MAX]; \
        const char *path = path_of(fd, buffer); \
        GUARDED("sync", path, -1); \
        uint64_t since = now_in_journal(); /* what is written while it runs may not be on the disk afterwards */ \
        int failed = real(fd); \
        if (!failed && path) note('s', path, NULL, inode_of(fd), 0, since, NULL, 0); \
        FINISH(failed); \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    REAL(rename);
    const char *path = below(from), *target = below(to);
    GUARDED("rename", target, -1);
    int failed = real(from, to);
    if (!failed && path && target) note('r', path, target, 0, 0, 0, NULL, 0);
    FINISH(failed);
}

int unlink(const char *name) {
    REAL(unlink);
    const char *path = below(name);
    GUARDED("unlink", path, -1);
    int failed = real(name);
    if (!failed && path) note('u', path, NULL, 0, 0, 0, NULL, 0);
    FINISH(failed);
}

int mkdir(const char *name, mode_t mode) {
    REAL(mkdir);
    const char *path = below(name);
    GUARDED("mkdir", path, -1);
    int failed = real(name, mode);
    if (!failed && path) note('d', path, NULL, 0, 0, 0, NULL, 0);
    FINISH(failed);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    REAL(send);
    char buffer[PATH_MAX];
    const char *path = connection(fd, buffer);
    GUARDED("send", path, -1);
    if (path) note('n', path, NULL, 0, 0, 0, NULL, 0);
    ssize_t done = real(fd, data, size, flags);
    FINISH(done);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int failed = real(clock, time);
    if (!failed && page && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t all = time->tv_sec * 1000000000LL + time->tv_nsec + page->clock_ns;
        time->tv_sec = all / 1000000000LL;
        time->tv_nsec = all % 1000000000LL;
    }
    return failed;
}

time_t time(time_t *store) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (store) *store = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict when, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    when->tv_sec = now.tv_sec;
    when->tv_usec = now.tv_nsec / 1000;
    return 0;
}
