package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A LeakCheck remembers which namespaces a world had, to prove after its end
// that nobody holds one any more. A namespace that nobody holds is gone, and
// its links, routes and filters with it.
type LeakCheck struct{ ids map[string]string }

// LeakCheck must be made while the world is open.
func (w *World) LeakCheck() LeakCheck {
	c := LeakCheck{ids: make(map[string]string)}
	for _, n := range w.Nodes() {
		c.ids[n.ID()] = n.Name
	}
	return c
}

// ID returns the node's network namespace as the kernel names it,
// "net:[4026532261]".
func (n *Node) ID() string { return fmt.Sprintf("net:[%d]", n.id) }

// Held returns who still holds a namespace of the world; none is right. It
// looks at the threads of all processes and at the open files of this one. It
// waits up to patience for what ends by itself.
func (c LeakCheck) Held(patience time.Duration) []string {
	ids := make([]string, 0, len(c.ids))
	for id := range c.ids {
		ids = append(ids, id)
	}
	deadline := time.Now().Add(patience)
	for {
		held := Holders(ids)
		if len(held) == 0 || time.Now().After(deadline) {
			return held
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Holders returns the paths below /proc through which any of the network
// namespaces with these ids (see Node.ID) is held.
func Holders(ids []string) []string {
	var held []string
	for _, pattern := range []string{"/proc/[0-9]*/task/[0-9]*/ns/net", "/proc/self/fd/*"} {
		paths, _ := filepath.Glob(pattern) // the pattern is right
		for _, path := range paths {
			target, err := os.Readlink(path)
			if err == nil && slices.Contains(ids, target) {
				held = append(held, path+" -> "+target)
			}
		}
	}
	return held
}
