package cell

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrEnded is what a Thread answers after it was stopped.
var ErrEnded = errors.New("the thread of the namespace has ended")

// A Thread is an OS thread that has left the others of this process for
// namespaces of its own and runs what it is given, one thing after another.
// Sockets opened on it, files opened on it and children started from it belong
// to its namespaces for ever, whoever uses them later. It also is the parent
// whose death kills the children, so it lives until Stop.
type Thread struct {
	work chan func()
	quit chan struct{}
	gone chan struct{}
}

// StartThread starts a thread and prepares it with setup. When setup fails the
// thread has ended.
func StartThread(setup func() error) (*Thread, error) {
	t := &Thread{work: make(chan func()), quit: make(chan struct{}), gone: make(chan struct{})}
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
func (t *Thread) run(setup func() error, ready chan<- error) {
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
func (t *Thread) runElsewhere(setup func() error, ready chan<- error) {
	defer runtime.UnlockOSThread()
	taken := make(chan error)
	go t.run(setup, taken)
	ready <- <-taken
}

// Do runs f on the thread and waits for it. f must not wait for anything slow
// and must not call Do of the same thread.
func (t *Thread) Do(f func() error) error {
	result := make(chan error, 1)
	select {
	case t.work <- func() { result <- f() }:
		return <-result
	case <-t.gone:
		return ErrEnded
	}
}

// Stop ends the thread; Do fails from then on.
func (t *Thread) Stop() {
	close(t.quit)
	<-t.gone
}
