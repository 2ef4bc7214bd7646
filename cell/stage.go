package cell

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors of a Stage, as Cell.Start gives them.
const (
	socketFD = 3 // to who asks, with a Request to be read
	reportFD = 4 // what went wrong is written there; exec closes it
)

// Stage turns this process, which Cell.Start has started as root, into the command
// that the asker at socketFD wants, with the asker's standard files and with what
// the asker is. resolv is what the command finds in /etc/resolv.conf, mark what
// EndLeft knows it by. Stage returns only when that fails, and has said why at
// reportFD.
func Stage(resolv, mark string) error {
	runtime.LockOSThread() // user and namespaces are a thread's, and exec makes it the process
	err := keepNothing()
	if err == nil {
		err = stage(resolv, mark)
	}
	_, _ = unix.Write(reportFD, []byte(err.Error())) // nobody is left to tell
	return err
}

// keepNothing has exec close all files, those included that somebody left open for
// the daemon.
func keepNothing() error {
	if err := unix.CloseRange(socketFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close mifvif's files (Linux 5.11 can): %w", err)
	}
	return nil
}

// stage goes from root to the command: nothing of the asker's is opened, looked up
// or run before the process is the asker's.
func stage(resolv, mark string) error {
	parent := os.Getppid()
	r, fds, err := receive(socketFD)
	if err != nil {
		return err
	}
	defer closeAll(fds)
	a, err := readAsker(socketFD)
	if err != nil {
		return err
	}
	defer a.close()
	for _, step := range []func() error{
		a.joinGroup,
		a.enterSpaces,
		func() error { return hide(resolv, mark) },
		a.takeLimits,
		a.becomeUser,
		func() error { return dieWith(parent) },
		func() error { return settleIn(r, fds) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return become(r)
}

// joinGroup moves the process into the asker's control group, whose limits hold for
// the command too. Hosts without the unified hierarchy do without.
func (a *asker) joinGroup() error {
	mount := unifiedMount("/proc/self/mountinfo")
	if mount == "" || a.cgroup == "" || a.cgroup == unified("/proc/self/cgroup") {
		return nil
	}
	if err := os.WriteFile(filepath.Join(mount, a.cgroup, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("join the control group of who asks: %w", err)
	}
	return nil
}

// unifiedMount returns where the whole unified hierarchy is mounted, "" for nowhere.
func unifiedMount(mountinfo string) string {
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 && fields[3] == "/" {
			return fields[4]
		}
	}
	return ""
}

// enterSpaces enters the asker's namespaces, but for that of the network.
func (a *asker) enterSpaces() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // else none of mounts can be entered
		return fmt.Errorf("part from the other threads: %w", err)
	}
	for _, s := range a.spaces {
		if err := unix.Setns(s.fd, 0); err != nil {
			return fmt.Errorf("enter the %s namespace of who asks: %w", s.name, err)
		}
	}
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return fmt.Errorf("look at the root directory: %w", err)
	}
	if root.Dev != a.root.Dev || root.Ino != a.root.Ino {
		return errJailed
	}
	return nil
}

// takeLimits takes over what the asker may use and how important it is.
func (a *asker) takeLimits() error {
	for i, l := range a.limits {
		if i == unix.RLIMIT_NOFILE && l.Cur == l.Max {
			l.Cur = min(l.Max, 1024) // the asker is a Go program, which has raised its own
		}
		if err := atMost(i, l); err != nil {
			return fmt.Errorf("set a limit: %w", err)
		}
	}
	if err := unix.SchedSetAttr(0, a.sched, 0); err != nil { // mifvif may be a real-time process
		return fmt.Errorf("set the scheduling policy and nice value: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &a.cpus); err != nil {
		return fmt.Errorf("set which CPUs may be used: %w", err)
	}
	err := os.WriteFile("/proc/self/oom_score_adj", a.oom, 0)
	if err != nil && !errors.Is(err, unix.EACCES) { // which says that it would be less likely to be killed
		return fmt.Errorf("set oom_score_adj: %w", err)
	}
	return nil
}

// atMost sets a limit, no higher than this process may.
func atMost(resource int, l unix.Rlimit) error {
	err := unix.Setrlimit(resource, &l)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(resource, &own); err != nil {
		return err
	}
	l.Cur, l.Max = min(l.Cur, own.Max), min(l.Max, own.Max)
	return unix.Setrlimit(resource, &l)
}

// becomeUser gives away everything the asker has not: capabilities that it could
// never get (capabilities(7): the bounding set), groups, user and keys.
func (a *asker) becomeUser() error {
	for c := range 64 {
		if a.status.reachable()&(1<<c) != 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop a capability: %w", err) // EINVAL: there is no such one
		}
	}
	if a.status.locked {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	if err := setGroups(a.groups); err != nil {
		return fmt.Errorf("take over the groups: %w", err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(a.gid), uintptr(a.gid), uintptr(a.gid)); errno != 0 {
		return fmt.Errorf("take over the group: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(a.uid), uintptr(a.uid), uintptr(a.uid)); errno != 0 {
		return fmt.Errorf("take over the user: %w", errno)
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("leave mifvif's keys: %w", err)
	}
	return nil
}

// dieWith has the kernel kill the command when mifvif is killed.
func dieWith(parent int) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask to end with mifvif: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("mifvif has ended")
	}
	return nil
}

// settleIn gives the command its files, terminal, umask and directory, by what the
// user may do.
func settleIn(r *Request, fds []int) error {
	for i, fd := range fds {
		if err := unix.Dup3(fd, i, 0); err != nil {
			return fmt.Errorf("hand over the standard files: %w", err)
		}
	}
	if r.Terminal {
		if err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 0); err != nil {
			return fmt.Errorf("take the terminal: %w", err)
		}
	}
	unix.Umask(r.Umask & 0o777)
	if err := unix.Chdir(string(r.Dir)); err != nil {
		return fmt.Errorf("go to %s: %w", r.Dir, err)
	}
	return nil
}

// become is execvp(3): it returns only when there is no such command.
func become(r *Request) error {
	args, env := texts(r.Args), texts(r.Env)
	var last error
	for _, path := range candidates(args[0], env) {
		err := syscall.Exec(path, args, env)
		if last == nil || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			last = err
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.EACCES) {
			break
		}
	}
	if errors.Is(last, unix.ENOENT) && !strings.Contains(args[0], "/") {
		last = exec.ErrNotFound
	}
	return fmt.Errorf("run %s: %w", args[0], last)
}

// candidates returns where a command may be.
func candidates(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, e := range env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			path = p
			break
		}
	}
	var out []string
	for dir := range strings.SplitSeq(path, ":") {
		out = append(out, "./"+name)
		if dir != "" {
			out[len(out)-1] = dir + "/" + name
		}
	}
	return out
}

func texts(all [][]byte) []string {
	out := make([]string, len(all))
	for i, b := range all {
		out[i] = string(b)
	}
	return out
}
