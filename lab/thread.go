package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errGone is what a thread answers after it was stopped.
var errGone = errors.New("the node is closed")

// A thread is an OS thread that has left the others of this process for
// namespaces of its own and runs what it is given, one thing after another.
// Sockets opened on it, files opened on it and children started from it belong
// to its namespaces for ever, whoever uses them later. It also is the parent
// whose death kills the children, so it lives until stop.
type thread struct {
	work chan func()
	quit chan struct{}
	gone chan struct{}
}

// startThread starts a thread and prepares it with setup. When setup fails the
// thread has ended.
func startThread(setup func() error) (*thread, error) {
	t := &thread{work: make(chan func()), quit: make(chan struct{}), gone: make(chan struct{})}
	ready := make(chan error)
	go t.run(setup, ready)
	if err := <-ready; err != nil {
		<-t.gone
		return nil, err
	}
	return t, nil
}

// run never unlocks: the runtime ends the OS thread with the goroutine. The
// process's first thread cannot end, so it is passed over.
func (t *thread) run(setup func() error, ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		t.runElsewhere(setup, ready)
		return
	}
	defer close(t.gone)
	if err := setup(); err != nil {
		ready <- err
		return
	}
	ready <- nil
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.quit:
			return
		}
	}
}

// runElsewhere keeps the first thread occupied until another one has taken
// over.
func (t *thread) runElsewhere(setup func() error, ready chan<- error) {
	defer runtime.UnlockOSThread()
	taken := make(chan error)
	go t.run(setup, taken)
	ready <- <-taken
}

// do runs f on the thread and waits for it. f must not wait for anything slow
// and must not call do of the same thread.
func (t *thread) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case t.work <- func() { result <- f() }:
		return <-result
	case <-t.gone:
		return errGone
	}
}

// stop ends the thread; do fails from then on.
func (t *thread) stop() {
	close(t.quit)
	<-t.gone
}

// isolate moves the calling thread into a new network and a new mount
// namespace. Nothing mounted from here on is seen elsewhere.
func isolate() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make namespaces (the lab needs root): %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}
