// Package labtest is what tests that touch the kernel need of the machine. It knows
// nothing of worlds, so that every package's tests may use it.
package labtest

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Need skips the test where network namespaces cannot be made, which needs root, or
// one of the programs (a name to look for, or a path) is not there.
func Need(tb testing.TB, programs ...string) {
	tb.Helper()
	if os.Geteuid() != 0 {
		Missing(tb, "network namespaces need root")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			Missing(tb, p+" is not installed")
		}
	}
}

// Missing skips the test for want of something; under CI=true, where nothing may be
// wanting, it fails.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal(what + ", and CI must have it")
	}
	tb.Skip(what)
}

// Must ends a test whose world cannot be made as it is to be.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until something is, which it must be within a generous while.
func Eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// InNamespace runs f in a fresh network namespace. The thread is thrown away
// afterwards. f must not end the test's goroutine, on which it does not run.
func InNamespace(t *testing.T, f func()) {
	t.Helper()
	Need(t)
	var running sync.WaitGroup
	running.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread dies with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		f()
	})
	running.Wait()
}
