package cell

import (
	"fmt"
	"os"
	"syscall"

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

// Empty kills every process in the namespace, and reports whether none is left.
func (c *Cell) Empty() bool { return empty(c.has) }

// has reports whether a process, by its place in /proc, is in the namespace.
func (c *Cell) has(dir string) bool {
	name, err := os.Readlink(dir + "/ns/net")
	return err == nil && name == c.name
}

// Close ends the thread of the namespace. The namespace goes with the last that
// has it.
func (c *Cell) Close() { c.Stop() }

// Status is how a command ended.
type Status struct {
	Code   int            // of its exit, -1 if a signal ended it
	Signal syscall.Signal // that did, or 0
}
