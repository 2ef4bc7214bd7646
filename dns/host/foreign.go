package host

import (
	"bytes"
	"os"
	"strconv"
)

// maxAncestors bounds the walk up the process tree.
const maxAncestors = 64

// foreign reports whether the file at path is one that a process we descend
// from sees while it lives in another network namespace: a change meant for
// ours would then cut off that one, which is mostly the whole machine. A
// namespace with a file of its own, such as ip-netns(8) mounts, is no such case.
func foreign(path string) bool {
	ours, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return false
	}
	here, err := os.Stat(path)
	if err != nil {
		return false
	}
	pid := os.Getpid()
	for range maxAncestors {
		proc := "/proc/" + strconv.Itoa(pid)
		// What may not be looked at says nothing; its parent may.
		theirs, err := os.Readlink(proc + "/ns/net")
		if err == nil && theirs != ours {
			if there, err := os.Stat(proc + "/root" + path); err == nil && os.SameFile(here, there) {
				return true
			}
		}
		if pid = parent(proc); pid <= 0 {
			return false
		}
	}
	return false
}

// parent returns the parent of a process (proc(5), stat), 0 if there is none.
func parent(proc string) int {
	b, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return 0
	}
	// "pid (name) state ppid …": the name may hold anything.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	pid, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return pid
}
