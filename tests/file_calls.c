/* Counts, logs and lets fail the calls of one process on files below some directories; see file_calls.py.

   It stands before libc (LD_PRELOAD). Without a header, so that a compiler alone builds it. Variadic and plain functions
   are called alike on the processors that we know, so `open` has its mode always. */

typedef long ssize;
typedef unsigned long size;

extern void *dlsym(void *, const char *);
extern char *getenv(const char *);
extern char *strchr(const char *, int), *strdup(const char *), *strstr(const char *, const char *);
extern size strlen(const char *);
extern int strncmp(const char *, const char *, size);
extern int snprintf(char *, size, const char *, ...);
extern long strtol(const char *, char **, int);
extern int *__errno_location(void);
extern int kill(int, int), getpid(void);
extern ssize readlink(const char *, char *, size);

enum { KILL = -9, LIE = -1, OLD = -2, GONE = -3, CWD = -100, ROOM = 4352, NO_SPACE = 28 };

static int is_armed, count;
static long at, what;
static const char *only = "", *record = "", *below = "";

/* Let the call number `at` ("0": none, "-1": each) of those named in `only` (",fsync,unlink,"; "": all) on files below the
   directories `below` (each with a colon behind it) end with the error `what`. Every one of them is noted in `record`. */
void file_calls_arm(const char *which, const char *error, const char *names, const char *log, const char *directories)
{
    at = strtol(which, 0, 10), what = strtol(error, 0, 10);
    only = strdup(names), record = strdup(log), below = strdup(directories);
    is_armed = 1, count = 0;
}

static __attribute__((constructor)) void begin(void)
{
    if (getenv("FILE_CALLS_AT"))
        file_calls_arm(getenv("FILE_CALLS_AT"), getenv("FILE_CALLS_ERROR"), getenv("FILE_CALLS_ONLY"),
                       getenv("FILE_CALLS_LOG"), getenv("FILE_CALLS_BELOW"));
}

static int is_below(const char *path)
{
    for (const char *each = below, *end; (end = strchr(each, ':')); each = end + 1)
        if (!strncmp(path, each, (size)(end - each)))
            return 1;
    return 0;
}

/* Write the whole path of what is called on into `whole`, and tell whether it is one of those that count. */
static int counts(int directory, const char *path, char *whole)
{
    char link[64];
    ssize length = 0;
    if (!is_armed)
        return 0;
    if (directory != CWD && (!path || path[0] != '/')) {
        int before = *__errno_location();
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        length = readlink(link, whole, ROOM - 300);
        *__errno_location() = before;
        if (length <= 0)
            return 0;
    }
    snprintf(whole + length, (size)(ROOM - length), "%s%s", length && path ? "/" : "", path ? path : "");
    return is_below(whole);
}

/* Note the call `number` with the error that it ended with, and leave that to be seen. */
static void note(int number, const char *name, const char *path, const char *other, long flags, int failed)
{
    static int (*real_open)(const char *, int, int);
    static ssize (*real_write)(int, const void *, size);
    static int (*real_close)(int);
    char line[2 * ROOM + 128];
    int error = *__errno_location();
    if (!number || !*record)
        return;
    if (!real_open) {
        real_write = dlsym((void *)-1, "write"), real_close = dlsym((void *)-1, "close");
        real_open = dlsym((void *)-1, "open64");
    }
    int log = real_open(record, 02002101, 0600); /* write, create, append, close on exec */
    int length = snprintf(line, sizeof line, "%d\t%d\t%s\t%s\t%s\t%ld\t%d\n", getpid(), number, name, path, other, flags,
                          failed ? error : 0);
    if (log >= 0) {
        real_write(log, line, (size)length);
        real_close(log);
    }
    *__errno_location() = error;
}

/* Count a call and return its number; 0 where it is none of those that count. Here it ends for who is to be killed, and
   here somebody else deletes the file. */
static int next(const char *name, const char *path)
{
    char listed[64];
    snprintf(listed, sizeof listed, ",%s,", name);
    if (*only && !strstr(only, listed))
        return 0;
    int number = ++count;
    if (what == KILL && at == number)
        kill(getpid(), 9);
    if (what == GONE && at == number) {
        int (*delete_it)(const char *) = dlsym((void *)-1, "unlink");
        delete_it(path);
    }
    return number;
}

static int is_chosen(int number) { return number && (at == -1 || at == number); }

/* Tell whether the call `number` is the one to fail, and with what. */
static int fails(int number)
{
    if (!is_chosen(number) || what <= 0)
        return 0;
    *__errno_location() = (int)what;
    return 1;
}

#define REAL(kind, name, ...)                  \
    static kind (*real)(__VA_ARGS__);          \
    if (!real)                                 \
        real = dlsym((void *)-1, #name)
/* A function of libc, what it is called in the log, and what of its arguments names the file. */
#define CALL(kind, failure, name, said, flags, directory, path, typed, ...)                \
    kind name typed                                                                        \
    {                                                                                      \
        char whole[ROOM];                                                                  \
        static kind(*real) typed;                                                          \
        if (!real)                                                                         \
            real = dlsym((void *)-1, #name);                                               \
        if (!counts(directory, path, whole))                                               \
            return real(__VA_ARGS__);                                                      \
        int number = next(said, whole);                                                    \
        kind result = fails(number) ? failure : real(__VA_ARGS__);                         \
        note(number, said, whole, "", (long)(flags), result == (kind)failure);             \
        return result;                                                                     \
    }

#define OPEN(name) CALL(int, -1, name, "open", how, CWD, p, (const char *p, int how, int mode), p, how, mode)
#define OPEN_AT(name) CALL(int, -1, name, "open", how, d, p, (int d, const char *p, int how, int mode), d, p, how, mode)
#define STAT(name) CALL(int, -1, name, "stat", 0, CWD, p, (const char *p, void *facts), p, facts)
OPEN(open) OPEN(open64) OPEN_AT(openat) OPEN_AT(openat64)
STAT(stat) STAT(stat64) STAT(lstat) STAT(lstat64) STAT(statvfs) STAT(statvfs64)
CALL(int, -1, fstat, "fstat", 0, d, 0, (int d, void *facts), d, facts)
CALL(int, -1, fstat64, "fstat", 0, d, 0, (int d, void *facts), d, facts)
CALL(int, -1, fstatat, "stat", 0, d, p, (int d, const char *p, void *facts, int how), d, p, facts, how)
CALL(int, -1, fstatat64, "stat", 0, d, p, (int d, const char *p, void *facts, int how), d, p, facts, how)
CALL(int, -1, access, "access", 0, CWD, p, (const char *p, int mode), p, mode)
CALL(int, -1, faccessat, "access", 0, d, p, (int d, const char *p, int mode, int how), d, p, mode, how)
CALL(void *, 0, opendir, "opendir", 0, CWD, p, (const char *p), p)
CALL(void *, 0, fdopendir, "opendir", 0, d, 0, (int d), d)
CALL(int, -1, mkdir, "mkdir", 0, CWD, p, (const char *p, int mode), p, mode)
CALL(int, -1, mkdirat, "mkdir", 0, d, p, (int d, const char *p, int mode), d, p, mode)
CALL(int, -1, chmod, "chmod", mode, CWD, p, (const char *p, int mode), p, mode)
CALL(int, -1, fchmodat, "chmod", mode, d, p, (int d, const char *p, int mode, int how), d, p, mode, how)
CALL(int, -1, fchmod, "fchmod", mode, d, 0, (int d, int mode), d, mode)
CALL(int, -1, unlink, "unlink", 0, CWD, p, (const char *p), p)
CALL(int, -1, unlinkat, "unlink", 0, d, p, (int d, const char *p, int how), d, p, how)
CALL(int, -1, rmdir, "rmdir", 0, CWD, p, (const char *p), p)
CALL(int, -1, fsync, "fsync", 0, d, 0, (int d), d)
CALL(int, -1, fdatasync, "fsync", 0, d, 0, (int d), d)
CALL(int, -1, flock, "flock", how, d, 0, (int d, int how), d, how)
CALL(int, -1, ftruncate, "ftruncate", 0, d, 0, (int d, long length), d, length)
CALL(int, -1, ftruncate64, "ftruncate", 0, d, 0, (int d, long long length), d, length)
CALL(ssize, -1, read, "read", 0, d, 0, (int d, void *to, size most), d, to, most)

/* A function that takes a file from one name to another. */
#define TWO(name, said, typed, from, old, to, new, ...)                                    \
    int name typed                                                                         \
    {                                                                                      \
        char source[ROOM], target[ROOM];                                                   \
        static int(*real) typed;                                                           \
        if (!real)                                                                         \
            real = dlsym((void *)-1, #name);                                               \
        int one = counts(from, old, source), two = counts(to, new, target);                \
        if (!one && !two)                                                                  \
            return real(__VA_ARGS__);                                                      \
        int number = next(said, source);                                                   \
        int result = fails(number) ? -1 : real(__VA_ARGS__);                               \
        note(number, said, source, target, 0, result == -1);                               \
        return result;                                                                     \
    }
TWO(rename, "rename", (const char *a, const char *b), CWD, a, CWD, b, a, b)
TWO(renameat, "rename", (int d, const char *a, int e, const char *b), d, a, e, b, d, a, e, b)
TWO(link, "link", (const char *a, const char *b), CWD, a, CWD, b, a, b)
TWO(linkat, "link", (int d, const char *a, int e, const char *b, int how), d, a, e, b, d, a, e, b, how)

/* Write into `d` what the file FILE_CALLS_OLD holds. */
static void write_old(int d, ssize (*write_it)(int, const void *, size))
{
    char content[65536];
    REAL(int, open64, const char *, int, int);
    static ssize (*real_read)(int, void *, size);
    if (!real_read)
        real_read = dlsym((void *)-1, "read");
    int old = real(getenv("FILE_CALLS_OLD"), 0, 0);
    write_it(d, content, (size)real_read(old, content, sizeof content));
}

/* A full disk takes half of what it is given first. A disk that lies takes all, and keeps something else: one bit is
   another one, or all is what another place held before. */
ssize write(int d, const void *from, size most)
{
    char whole[ROOM];
    REAL(ssize, write, int, const void *, size);
    if (!counts(d, 0, whole))
        return real(d, from, most);
    int number = next("write", whole);
    ssize written = -1;
    if (fails(number)) {
        if (what == NO_SPACE && most > 1)
            real(d, from, most / 2), *__errno_location() = NO_SPACE;
    } else if (what == OLD && is_chosen(number)) {
        write_old(d, real);
        written = (ssize)most;
    } else if (what == LIE && is_chosen(number) && most) {
        char last = (char)(((const char *)from)[most - 1] ^ 1);
        written = real(d, from, most - 1) + real(d, &last, 1);
    } else
        written = real(d, from, most);
    note(number, "write", whole, "", (long)most, written == -1);
    return written;
}

/* A file is closed in any case, whatever is said about it. */
int close(int d)
{
    char whole[ROOM];
    REAL(int, close, int);
    if (!counts(d, 0, whole))
        return real(d);
    int number = next("close", whole), result = real(d);
    if (fails(number))
        result = -1;
    note(number, "close", whole, "", 0, result == -1);
    return result;
}

/* The end of a child is a moment to be killed at, and never fails. */
int waitpid(int child, int *status, int how)
{
    REAL(int, waitpid, int, int *, int);
    int found = real(child, status, how);
    if (is_armed && what <= 0 && found > 0)
        note(next("waitpid", ""), "waitpid", "", "", 0, 0);
    return found;
}
