package cell

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// emptyWithin bounds how long processes may take to die.
const emptyWithin = 2 * time.Second

// empty kills every process for which which, asked about its place in /proc, is
// true, and reports whether none is left.
func empty(which func(dir string) bool) bool {
	for end := time.Now().Add(emptyWithin); ; time.Sleep(10 * time.Millisecond) {
		if kill(which) == 0 {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// kill kills them once, but for those that are dead and not buried, and returns how
// many they were.
func kill(which func(dir string) bool) (found int) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() || !which(dir) {
			continue
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		if which(dir) { // still, and so it is the one that pidfd names
			found++
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // it may be gone by itself
		}
		unix.Close(pidfd)
	}
	return found
}

// EndLeft kills what commands have started that were marked by Stage and whose
// daemon was killed: the kernel ends the command itself only. It reports whether
// none of it is left. Nobody gets such a mark but from Stage, or for himself.
func EndLeft(mark string) bool {
	return empty(func(dir string) bool {
		mounts, err := os.ReadFile(dir + "/mountinfo")
		return err == nil && marked(string(mounts), mark)
	})
}

// marked reports whether hide has put something into a mount namespace, by its
// mountinfo (proc_pid_mountinfo(5)).
func marked(mounts, mark string) bool {
	for line := range strings.Lines(mounts) {
		_, after, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[0] == "tmpfs" && fields[1] == mark {
			return true
		}
	}
	return false
}
