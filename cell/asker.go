package cell

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asker is who asks for a command: the process that connected, as the kernel knows
// it. All of it is read before the process is found to be still there, so that
// none of it can be another's that has got its number.
type asker struct {
	pid      int
	uid, gid int
	groups   []int
	status   status
	limits   []unix.Rlimit   // by resource, without those that could not be read
	sched    *unix.SchedAttr // policy, priority and nice value
	cpus     unix.CPUSet
	oom      []byte // oom_score_adj
	cgroup   string // in the unified hierarchy, "" if not known
	spaces   []space
	root     unix.Stat_t
}

// space is one kind of namespace in which the asker is and we are not.
type space struct {
	name string
	fd   int
}

// Errors of askers that nobody can be for.
var (
	errStranger = errors.New("commands are run only for processes of mifvif's own user and process namespaces (run mifvif in the container too)")
	errGone     = errors.New("the process that asked has gone")
	errFiltered = errors.New("the process that asked is under a seccomp filter, which mifvif cannot put on a command")
	errJailed   = errors.New("the process that asked has another root directory (chroot) than its namespace")
)

// readAsker reads who is at the other end of a socket (unix(7), pidfd_open(2)).
func readAsker(socket int) (*asker, error) {
	peer, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, fmt.Errorf("find out who asks: %w", err)
	}
	if peer.Pid <= 0 {
		return nil, errStranger
	}
	a := &asker{pid: int(peer.Pid), uid: int(peer.Uid), gid: int(peer.Gid)}
	pidfd, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err != nil { // before Linux 6.5
		if pidfd, err = unix.PidfdOpen(a.pid, 0); err != nil {
			return nil, errGone
		}
	}
	defer unix.Close(pidfd)
	if a.groups, err = peerGroups(socket); err != nil {
		return nil, fmt.Errorf("find out whose groups: %w", err)
	}
	if err := a.read(); err != nil {
		a.close()
		return nil, err
	}
	if unix.PidfdSendSignal(pidfd, 0, nil, 0) != nil || a.status.uid != a.uid {
		a.close()
		return nil, errGone
	}
	return a, nil
}

// peerGroups returns the supplementary groups of who is at the other end of a
// socket, as they were when it connected (SO_PEERGROUPS, Linux 4.13).
func peerGroups(socket int) ([]int, error) {
	const most = 65536 // NGROUPS_MAX
	groups := make([]uint32, most)
	size := uint32(len(groups) * 4)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(socket), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil, errno
	}
	var out []int
	for _, g := range groups[:size/4] {
		out = append(out, int(g))
	}
	return out, nil
}

// read fills in what /proc and the kernel say of the process.
func (a *asker) read() error {
	for _, name := range []string{"user", "pid"} {
		if same, err := sameSpace(a.pid, name); err != nil || !same {
			return errors.Join(err, errStranger)
		}
	}
	b, err := os.ReadFile(a.proc("status"))
	if err != nil {
		return errGone
	}
	a.status = parseStatus(b)
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read our own status: %w", err)
	}
	if a.status.filters > parseStatus(own).filters {
		return errFiltered
	}
	if b, err = os.ReadFile(a.proc("limits")); err != nil {
		return errGone
	}
	a.limits = parseLimits(b)
	if a.sched, err = unix.SchedGetAttr(a.pid, 0); err != nil {
		return errGone
	}
	if err := unix.SchedGetaffinity(a.pid, &a.cpus); err != nil {
		return errGone
	}
	if a.oom, err = os.ReadFile(a.proc("oom_score_adj")); err != nil {
		return errGone
	}
	a.cgroup = unified(a.proc("cgroup"))
	if err := unix.Stat(a.proc("root"), &a.root); err != nil {
		return errGone
	}
	return a.openSpaces()
}

func (a *asker) proc(name string) string { return "/proc/" + strconv.Itoa(a.pid) + "/" + name }

// openSpaces opens the namespaces that the command is to be in. That of mounts is
// the last: behind it /proc may be another.
func (a *asker) openSpaces() error {
	for _, name := range []string{"ipc", "uts", "cgroup", "mnt"} {
		same, err := sameSpace(a.pid, name)
		if err != nil {
			return err
		}
		if same {
			continue
		}
		fd, err := unix.Open(a.proc("ns/"+name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return errGone
		}
		a.spaces = append(a.spaces, space{name, fd})
	}
	return nil
}

func (a *asker) close() {
	for _, s := range a.spaces {
		unix.Close(s.fd)
	}
}

// sameSpace reports whether a process is in our namespace of a kind.
func sameSpace(pid int, name string) (bool, error) {
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + name)
	if err != nil {
		return false, errGone
	}
	ours, err := os.Readlink("/proc/thread-self/ns/" + name)
	if err != nil {
		return false, fmt.Errorf("find our own namespace: %w", err)
	}
	return theirs == ours, nil
}

// status is what matters of proc_pid_status(5).
type status struct {
	uid       int    // real
	permitted uint64 // capabilities that it may use
	bounding  uint64 // those that an exec can ever give
	filters   int    // of seccomp
	locked    bool   // no_new_privs
}

// reachable returns the capabilities that a command of the process could have.
func (s *status) reachable() uint64 {
	if s.locked { // an exec gives none that it has not
		return s.bounding & s.permitted
	}
	return s.bounding
}

func parseStatus(b []byte) status {
	s := status{uid: -1}
	for line := range bytes.Lines(b) {
		key, value, _ := strings.Cut(string(line), ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "Uid":
			s.uid, _ = strconv.Atoi(fields[0])
		case "CapPrm":
			s.permitted, _ = strconv.ParseUint(fields[0], 16, 64)
		case "CapBnd":
			s.bounding, _ = strconv.ParseUint(fields[0], 16, 64)
		case "Seccomp_filters":
			s.filters, _ = strconv.Atoi(fields[0])
		case "NoNewPrivs":
			s.locked = fields[0] != "0"
		}
	}
	return s
}

// parseLimits reads /proc/PID/limits (proc(5)), a line for each resource in the
// order of their numbers; asking for another's by prlimit(2) takes a capability.
func parseLimits(b []byte) (out []unix.Rlimit) {
	const name = 26 // bytes, and then soft limit and hard limit
	lines := strings.Split(string(b), "\n")
	for _, line := range lines[min(1, len(lines)):] {
		if len(line) < name {
			return out
		}
		fields := strings.Fields(line[name:])
		if len(fields) < 2 {
			return out
		}
		out = append(out, unix.Rlimit{Cur: limit(fields[0]), Max: limit(fields[1])})
	}
	return out
}

// limit reads a number or "unlimited"; what is neither is 0.
func limit(s string) uint64 {
	if s == "unlimited" {
		return unix.RLIM_INFINITY
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// unified returns the path that a cgroup file names in the unified hierarchy
// (cgroups(7)), "" if it does not.
func unified(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if p, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return p
		}
	}
	return ""
}
