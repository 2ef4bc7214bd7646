package poll_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mifvif/poll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reader takes one byte a call.
type reader struct {
	fd     int
	bytes  atomic.Int32
	rested atomic.Int32 // how often it found nothing
	ended  atomic.Bool
}

func (r *reader) Ready() bool {
	var b [1]byte
	switch n, err := unix.Read(r.fd, b[:]); {
	case err != nil:
		r.rested.Add(1)
		return false
	case n == 0:
		r.ended.Store(true)
		return false
	}
	r.bytes.Add(1)
	return true
}

// pair returns two connected sockets.
func pair(t *testing.T) (near, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) })
	return fds[0], fds[1]
}

func running(t *testing.T) *poll.Poller {
	t.Helper()
	p, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if is() {
			return
		}
	}
	t.Errorf("not in time: %s", what)
}

func TestHandlersAreCalledUntilTheyHaveNothingLeft(t *testing.T) {
	p := running(t)
	const sockets = 300 // more than one round takes
	var all []*reader
	for i := range sockets {
		near, far := pair(t)
		if i%2 == 0 { // half of them have something before they are watched
			_, _ = unix.Write(far, make([]byte, i))
		}
		r := &reader{fd: near}
		all = append(all, r)
		if _, err := p.Add(near, r); err != nil {
			t.Fatal(err)
		}
		if i%2 != 0 {
			_, _ = unix.Write(far, make([]byte, i))
		}
		unix.Close(far)
	}
	for i, r := range all {
		eventually(t, "every byte and the end", func() bool { return int(r.bytes.Load()) == i && r.ended.Load() })
	}
}

func TestARemovedSocketIsForgotten(t *testing.T) {
	p := running(t)
	near, far := pair(t)
	defer unix.Close(far)
	r := &reader{fd: near}
	token, err := p.Add(near, r)
	if err != nil {
		t.Fatal(err)
	}
	p.Remove(token)
	_, _ = unix.Write(far, []byte("x"))
	time.Sleep(20 * time.Millisecond)
	if r.bytes.Load() != 0 || p.Watched() != 0 {
		t.Errorf("%d bytes were read, %d sockets are watched", r.bytes.Load(), p.Watched())
	}
}

func TestOnceIsOnceUntilItIsAskedForAgain(t *testing.T) {
	p := running(t)
	near, far := pair(t)
	defer unix.Close(far)
	r := &reader{fd: near}
	_, _ = unix.Write(far, []byte("x"))
	token, err := p.AddOnce(near, r)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first byte, and that there are no more", func() bool { return r.rested.Load() == 1 })
	_, _ = unix.Write(far, []byte("y"))
	time.Sleep(20 * time.Millisecond)
	if n := r.bytes.Load(); n != 1 {
		t.Errorf("%d bytes were read before it was asked for the second", n)
	}
	if err := p.Again(near, token); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second byte", func() bool { return r.bytes.Load() == 2 })
}

func TestAClosedDescriptorIsRefused(t *testing.T) {
	p := running(t)
	if _, err := p.Add(-1, &reader{}); err == nil || p.Watched() != 0 {
		t.Errorf("watched %d sockets, error %v", p.Watched(), err)
	}
}

func TestABusyHandlerDoesNotHoldUpTheEnd(t *testing.T) {
	p, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	near, far := pair(t)
	defer unix.Close(far)
	_, _ = unix.Write(far, []byte("x"))
	if _, err := p.Add(near, busy{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	if p.Run(ctx); time.Since(began) > 2*time.Second {
		t.Errorf("it took %v to end", time.Since(began))
	}
}

type busy struct{}

func (busy) Ready() bool { return true }
