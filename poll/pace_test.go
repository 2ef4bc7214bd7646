package poll_test

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/poll"
)

// paced asks for pace at its first call, and takes all that is there.
type paced struct {
	poller  *poll.Poller
	fd      int
	token   poll.Token
	calls   atomic.Int64
	bytes   atomic.Int64
	rouse   atomic.Bool
	granted atomic.Bool
}

func (r *paced) Ready() bool {
	if r.calls.Add(1) == 1 {
		r.granted.Store(r.poller.Pace(r.fd))
	}
	if r.rouse.CompareAndSwap(true, false) {
		r.poller.Rouse(r.fd)
	}
	var b [4096]byte
	for {
		n, err := unix.Read(r.fd, b[:])
		if err != nil || n <= 0 {
			return false
		}
		r.bytes.Add(int64(n))
	}
}

// start watches r and has its first call come.
func (r *paced) start(t *testing.T, p *poll.Poller, far int) {
	t.Helper()
	var err error
	if r.token, err = p.Add(r.fd, r); err != nil {
		t.Fatal(err)
	}
	_, _ = unix.Write(far, []byte("x"))
	eventually(t, "the first call", func() bool { return r.calls.Load() > 0 })
}

// rests looks whether r is called any more, a little after it should not be.
func (r *paced) rests(t *testing.T) {
	t.Helper()
	time.Sleep(5 * time.Millisecond)
	before := r.calls.Load()
	time.Sleep(5 * time.Millisecond)
	if after := r.calls.Load(); after != before {
		t.Errorf("called %d times for nothing", after-before)
	}
}

// watched starts a poller with a paced Handler of one end of a pair.
func watched(t *testing.T) (r *paced, far int) {
	t.Helper()
	p := running(t)
	near, far := pair(t)
	t.Cleanup(func() { unix.Close(far) })
	r = &paced{poller: p, fd: near}
	r.start(t, p, far)
	return r, far
}

func TestWhoIsPacedIsCalledByTheClock(t *testing.T) {
	r, far := watched(t)
	began, before := time.Now(), r.calls.Load()
	sent := int64(1)
	for time.Since(began) < 20*time.Millisecond {
		if _, err := unix.Write(far, []byte("y")); err == nil {
			sent++
		}
	}
	calls, most := r.calls.Load()-before, int64(time.Since(began)/poll.Pause)+1
	if calls == 0 || calls > most {
		t.Errorf("%d calls in %v, want some and at most %d", calls, time.Since(began), most)
	}
	eventually(t, "every byte", func() bool { return r.bytes.Load() == sent })
	before = r.calls.Load()
	eventually(t, "calls although nothing comes", func() bool { return r.calls.Load() > before+10 })
}

func TestWhoIsRousedIsCalledWhenSomethingComes(t *testing.T) {
	r, far := watched(t)
	r.rouse.Store(true)
	eventually(t, "it rouses itself", func() bool { return !r.rouse.Load() })
	r.rests(t)
	_, _ = unix.Write(far, []byte("y"))
	eventually(t, "the second byte", func() bool { return r.bytes.Load() == 2 })
}

func TestARemovedSocketIsPacedNoLonger(t *testing.T) {
	r, _ := watched(t)
	r.poller.Remove(r.token)
	r.rests(t)
}

func TestOnlySoManyArePaced(t *testing.T) {
	p := running(t)
	var all []*paced
	for range 100 {
		near, far := pair(t)
		defer unix.Close(far)
		r := &paced{poller: p, fd: near}
		r.start(t, p, far)
		all = append(all, r)
	}
	got := 0
	for _, r := range all {
		if r.granted.Load() {
			got++
		}
	}
	if got != 64 {
		t.Errorf("%d are paced, want 64", got)
	}
}
