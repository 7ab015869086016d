// Runs a program and counts what it does with the files of a folder; the n-th operation fails, is cut short, or never
// happens because the program is killed.
//
//   tracer LOG FAULT FIRST LAST POOR PROGRAM ARGUMENT...
//
// The folder is the current one. LOG gets a line for each operation: its number, name, traits and path, and `!` where
// the fault struck. FAULT is `none`, `kill`, `short`, or the number of an error; it strikes the operations FIRST to
// LAST that it can befall. POOR is 1 for a file system that has no hard links, locks, copies in the kernel, space set
// aside, or renames that replace nothing.
//
// Why ptrace and not a preloaded library: Rust's crates call the kernel past the C library, and the program under
// test is the one that is shipped. A filter of seccomp stops the calls of the table alone; x86-64 only.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NONE = -1 };

// What can befall an operation: S it takes space, I a signal may interrupt it, L it may do less than was asked for.
struct call {
    long number;
    const char *name;
    int dirfd, path, fd, length; // which arguments these are
    const char *traits;
    int poor; // the error of a file system that does not have it
};

static const struct call CALLS[] = {
    {SYS_open, "open", NONE, 0, NONE, NONE, "I", 0},
    {SYS_openat, "open", 0, 1, NONE, NONE, "I", 0},
    {SYS_read, "read", NONE, NONE, 0, 2, "IL", 0},
    {SYS_pread64, "read", NONE, NONE, 0, 2, "IL", 0},
    {SYS_readv, "read", NONE, NONE, 0, NONE, "I", 0},
    {SYS_preadv, "read", NONE, NONE, 0, NONE, "I", 0},
    {SYS_write, "write", NONE, NONE, 0, 2, "SIL", 0},
    {SYS_pwrite64, "write", NONE, NONE, 0, 2, "SIL", 0},
    {SYS_writev, "write", NONE, NONE, 0, NONE, "SI", 0},
    {SYS_pwritev, "write", NONE, NONE, 0, NONE, "SI", 0},
    {SYS_copy_file_range, "copy", NONE, NONE, 2, 4, "SIL", EOPNOTSUPP},
    {SYS_sendfile, "copy", NONE, NONE, 0, 3, "SIL", EINVAL},
    {SYS_fallocate, "allocate", NONE, NONE, 0, NONE, "SI", EOPNOTSUPP},
    {SYS_fsync, "sync", NONE, NONE, 0, NONE, "SI", 0},
    {SYS_fdatasync, "sync", NONE, NONE, 0, NONE, "SI", 0},
    {SYS_sync_file_range, "sync", NONE, NONE, 0, NONE, "SI", ENOSYS},
    {SYS_rename, "rename", NONE, 1, NONE, NONE, "S", 0},
    {SYS_renameat, "rename", 2, 3, NONE, NONE, "S", 0},
    {SYS_renameat2, "rename", 2, 3, NONE, NONE, "S", EINVAL},
    {SYS_link, "link", NONE, 1, NONE, NONE, "S", EPERM},
    {SYS_linkat, "link", 2, 3, NONE, NONE, "S", EPERM},
    {SYS_unlink, "unlink", NONE, 0, NONE, NONE, "", 0},
    {SYS_unlinkat, "unlink", 0, 1, NONE, NONE, "", 0},
    {SYS_rmdir, "unlink", NONE, 0, NONE, NONE, "", 0},
    {SYS_mkdir, "mkdir", NONE, 0, NONE, NONE, "S", 0},
    {SYS_mkdirat, "mkdir", 0, 1, NONE, NONE, "S", 0},
    {SYS_ftruncate, "truncate", NONE, NONE, 0, NONE, "SI", 0},
    {SYS_fchmod, "chmod", NONE, NONE, 0, NONE, "", 0},
    {SYS_fchown, "chown", NONE, NONE, 0, NONE, "", 0},
    {SYS_fsetxattr, "setxattr", NONE, NONE, 0, NONE, "S", EOPNOTSUPP},
    {SYS_flock, "lock", NONE, NONE, 0, NONE, "I", ENOLCK},
    {SYS_getdents64, "list", NONE, NONE, 0, NONE, "", 0},
};
enum { COUNT = sizeof CALLS / sizeof *CALLS };

static char folder[PATH_MAX];

static void fail(const char *what) {
    perror(what);
    exit(99);
}

// In the child: stops at each call of the table, then becomes the program.
static void become(char **program) {
    struct sock_filter filter[2 * COUNT + 2];
    int at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++) {
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, 0, 1);
        filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | i);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog all = {at, filter};
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) fail("ptrace");
    raise(SIGSTOP);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("prctl");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all)) fail("seccomp");
    execv(program[0], program);
    fail(program[0]);
}

static unsigned long long *argument(struct user_regs_struct *regs, int index) {
    unsigned long long *all[] = {&regs->rdi, &regs->rsi, &regs->rdx, &regs->r10, &regs->r8, &regs->r9};
    return all[index];
}

static void of_descriptor(pid_t pid, int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

// The path that a call is about, from the folder on; empty where it lies elsewhere.
static void path_of(pid_t pid, const struct call *call, struct user_regs_struct *regs, char *out) {
    char path[2 * PATH_MAX] = "";
    if (call->path == NONE) {
        of_descriptor(pid, *argument(regs, call->fd), path);
    } else {
        char name[PATH_MAX] = "";
        unsigned long long from = *argument(regs, call->path);
        for (size_t i = 0; i + 1 < sizeof name; i++) { // byte by byte: the page behind may be none
            struct iovec here = {name + i, 1}, there = {(void *)(from + i), 1};
            if (process_vm_readv(pid, &here, 1, &there, 1, 0) != 1 || !name[i]) break;
        }
        int fd = call->dirfd == NONE ? AT_FDCWD : (int)*argument(regs, call->dirfd);
        if (name[0] == '/') snprintf(path, sizeof path, "%s", name);
        else {
            char base[PATH_MAX];
            if (fd == AT_FDCWD) strcpy(base, folder);
            else of_descriptor(pid, fd, base);
            snprintf(path, sizeof path, "%s/%s", base, name);
        }
    }
    size_t length = strlen(folder);
    int inside = !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
    snprintf(out, PATH_MAX, "%s", inside ? path + length + (path[length] == '/') : "");
    if (inside && !*out) strcpy(out, ".");
}

static const char *traits_of(const struct call *call, struct user_regs_struct *regs) {
    int flags = call->number == SYS_openat ? regs->rdx : call->number == SYS_open ? regs->rsi : 0;
    return flags & O_CREAT ? "SI" : call->traits;
}

int main(int count, char **arguments) {
    if (count < 7) return fputs("tracer LOG FAULT FIRST LAST POOR PROGRAM ARGUMENT...\n", stderr), 99;
    FILE *log = fopen(arguments[1], "we");
    const char *fault = arguments[2];
    long first = atol(arguments[3]), last = atol(arguments[4]), number = 0;
    int poor = atoi(arguments[5]), error = atoi(fault), status;
    if (!log || !getcwd(folder, sizeof folder)) fail("the folder or the log");
    pid_t child = fork();
    if (!child) become(arguments + 6);
    waitpid(child, &status, 0);
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options)) fail("ptrace");
    ptrace(PTRACE_CONT, child, 0, 0);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid != child) continue;
            fclose(log);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_SECCOMP) {
            unsigned long index;
            struct user_regs_struct regs;
            char path[PATH_MAX];
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &index);
            ptrace(PTRACE_GETREGS, pid, 0, &regs);
            const struct call *call = &CALLS[index];
            path_of(pid, call, &regs, path);
            if (*path) {
                const char *traits = traits_of(call, &regs);
                int at = ++number >= first && number <= last, refused = 0, killed = 0, shorter = 0;
                if (at && !strcmp(fault, "kill")) killed = 1;
                else if (at && !strcmp(fault, "short"))
                    shorter = strchr(traits, 'L') && *argument(&regs, call->length) > 1;
                else if (at && error == ENOSPC) refused = strchr(traits, 'S') ? error : 0;
                else if (at && error == EINTR) refused = strchr(traits, 'I') ? error : 0;
                else if (at) refused = error;
                int struck = refused || killed || shorter;
                // A rename that may replace is to be had everywhere.
                int plain = call->number == SYS_renameat2 && !regs.r8;
                if (!refused && poor && !plain) refused = call->poor;
                fprintf(log, "%ld\t%s\t%s\t%s\t%s\n", number, call->name, traits, path, struck ? "!" : "");
                fflush(log);
                if (killed) kill(child, SIGKILL);
                if (shorter) *argument(&regs, call->length) /= 2;
                if (refused) regs.orig_rax = -1, regs.rax = -refused;
                if (refused || shorter) ptrace(PTRACE_SETREGS, pid, 0, &regs);
            }
            signal = 0;
        } else if (event || signal == SIGSTOP || signal == SIGTRAP) signal = 0;
        ptrace(PTRACE_CONT, pid, 0, signal);
    }
    return 99;
}
