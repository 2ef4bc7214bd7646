package cell

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cell is a network namespace with nothing in it but what Open's furnish puts
// there. Its methods are safe for concurrent use.
type Cell struct {
	*Thread
	name string // of the namespace, as /proc has it
}

// Open makes a network namespace and runs furnish on its thread. The caller closes
// the Cell.
func Open(furnish func() error) (*Cell, error) {
	c := new(Cell)
	t, err := StartThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if c.name, err = os.Readlink("/proc/thread-self/ns/net"); err != nil {
			return fmt.Errorf("find the new namespace: %w", err)
		}
		return furnish()
	})
	if err != nil {
		return nil, err
	}
	c.Thread = t
	return c, nil
}

// emptyWithin bounds how long processes may take to die.
const emptyWithin = 2 * time.Second

// Empty kills every process in the namespace, and reports whether none is left.
func (c *Cell) Empty() bool {
	for end := time.Now().Add(emptyWithin); ; time.Sleep(10 * time.Millisecond) {
		left := c.inside()
		if len(left) == 0 {
			return true
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL) // it may be gone by itself
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// inside returns the processes in the namespace, but for those that are dead and
// not buried.
func (c *Cell) inside() []int {
	all, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil
	}
	var out []int
	for _, path := range all {
		name, err := os.Readlink(path)
		pid, perr := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err == nil && perr == nil && name == c.name && pid != os.Getpid() {
			out = append(out, pid)
		}
	}
	return out
}

// Close ends the thread of the namespace. The namespace goes with the last that
// has it.
func (c *Cell) Close() { c.Stop() }

// Status is how a command ended.
type Status struct {
	Code   int            // of its exit, -1 if a signal ended it
	Signal syscall.Signal // that did, or 0
}
