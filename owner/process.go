package owner

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxRecent bounds the processes that are asked first.
const maxRecent = 8

// processes finds who holds a socket. Most sockets are of a process that had one
// a moment ago, so those are looked at first; after them the processes of the
// socket's group, or all. Safe for concurrent use.
type processes struct {
	proc   string // /proc
	mu     sync.Mutex
	recent []int // pids, latest first
}

// holder returns the process that has the socket open and its name, 0 if there
// is none; group is where it should be.
func (p *processes) holder(inode uint32, group []int) (pid int, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, pid := range p.recent {
		if p.holds(pid, inode) {
			copy(p.recent[1:i+1], p.recent[:i])
			p.recent[0] = pid
			return pid, line(filepath.Join(p.proc, strconv.Itoa(pid), "comm"))
		}
	}
	if group == nil {
		group = p.all()
	}
	for _, pid := range group {
		if p.holds(pid, inode) {
			p.recent = append([]int{pid}, p.recent[:min(len(p.recent), maxRecent-1)]...)
			return pid, line(filepath.Join(p.proc, strconv.Itoa(pid), "comm"))
		}
	}
	return 0, ""
}

// all returns all processes there are, youngest first: those have sockets that
// nobody has asked about.
func (p *processes) all() []int {
	entries, err := os.ReadDir(p.proc)
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range slices.Backward(entries) {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// holds reports whether a process has a socket open.
func (p *processes) holds(pid int, inode uint32) bool {
	dir := filepath.Join(p.proc, strconv.Itoa(pid), "fd")
	fds, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer fds.Close()
	names, err := fds.Readdirnames(-1)
	if err != nil {
		return false
	}
	want := "socket:[" + strconv.FormatUint(uint64(inode), 10) + "]"
	for _, name := range names {
		if target, err := os.Readlink(filepath.Join(dir, name)); err == nil && target == want {
			return true
		}
	}
	return false
}

// socketInode returns the inode behind a descriptor, if it is a socket.
func socketInode(path string) (uint32, bool) {
	target, err := os.Readlink(path)
	if err != nil {
		return 0, false
	}
	digits, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 32)
	return uint32(n), err == nil
}

// line returns the first line of a file.
func line(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return first
}
