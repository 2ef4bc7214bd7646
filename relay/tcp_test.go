package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/quota"
	"mifvif/scheduler"
	"mifvif/stack"
)

// TestAppsHearHowTheDialsEnded lets each domain answer a SYN in its own way: the
// app hears the truth, and no other domain is asked behind the back of one that
// has refused.
func TestAppsHearHowTheDialsEnded(t *testing.T) {
	silence := context.DeadlineExceeded
	cases := []struct {
		name  string
		ends  []error // of a, b, c
		asked []string
		hears string // "" for silence
	}{
		{"refused", []error{unix.ECONNREFUSED, unix.EACCES}, []string{"a"}, "reset"},
		{"unreachable network", []error{unix.ENETUNREACH}, []string{"a"}, "net unreachable"},
		{"unreachable host", []error{unix.EHOSTUNREACH}, []string{"a"}, "host unreachable"},
		{"prohibited", []error{unix.EACCES}, []string{"a"}, "prohibited"},
		{"silence", []error{silence}, []string{"a"}, ""},
		{"silence, then refused", []error{silence, unix.ECONNREFUSED, unix.EACCES}, []string{"a", "b"}, "reset"},
		{"unreachable, then silence", []error{unix.ENETUNREACH, silence}, []string{"a", "b"}, "net unreachable"},
		{"no domain", nil, nil, "net unreachable"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			names := []string{"a", "b", "c"}[:len(c.ends)]
			w := newWorld(t, 8, names...)
			w.uplinks.dial = func(_ context.Context, domain string) (*net.TCPConn, error) {
				return nil, c.ends[slices.Index(names, domain)]
			}
			w.wire.in <- syn(1000)
			if c.hears == "" {
				if !w.silence() {
					t.Error("the app hears something, although the network said nothing")
				}
			} else if got := w.word(); got != c.hears {
				t.Errorf("the app hears %q, want %q", got, c.hears)
			}
			w.uplinks.mu.Lock()
			defer w.uplinks.mu.Unlock()
			if !slices.Equal(w.uplinks.asked, c.asked) {
				t.Errorf("asked %v, want %v", w.uplinks.asked, c.asked)
			}
		})
	}
}

// listen returns a dial function to a server on the loopback, and its far ends.
func listen(t *testing.T) (func(context.Context, string) (*net.TCPConn, error), <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	far := make(chan net.Conn, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			far <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for len(far) > 0 {
			(<-far).Close()
		}
	})
	return func(ctx context.Context, _ string) (*net.TCPConn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp4", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}, far
}

// open has the app open a connection and returns what it may send next.
func (w *world) open(port uint16) (seq, ack uint32) {
	w.t.Helper()
	w.wire.in <- syn(port)
	info, b := w.answer()
	got := b[info.L4:]
	if got[13] != flagSYN|flagACK {
		w.t.Fatalf("the app hears flags %#x, want SYN and ACK", got[13])
	}
	seq, ack = 2, binary.BigEndian.Uint32(got[4:])+1
	w.wire.in <- segment(netip.AddrPortFrom(own, port), netip.AddrPortFrom(server, 80), flagACK, seq, ack)
	return seq, ack
}

func TestFlowsWithoutGroundAreResetAndOthersLive(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1") // of domain "a"
	for what, alive := range map[string]func(pvd.Key, netip.Addr) bool{
		"the domain is dead":  func(pvd.Key, netip.Addr) bool { return false },
		"the address is gone": func(_ pvd.Key, source netip.Addr) bool { return source != addr },
	} {
		t.Run(what, func(t *testing.T) { testRetire(t, alive) })
	}
}

func testRetire(t *testing.T, alive func(pvd.Key, netip.Addr) bool) {
	t.Helper()
	w := newWorld(t, 8, "a")
	dial, far := listen(t)
	w.uplinks.dial = dial
	w.open(1000)
	up := <-far
	defer up.Close()
	eventually(t, "the flow is listed", func() bool { return len(w.relay.Flows()) == 1 })
	rec := w.relay.Flows()[0]
	if rec.Domain.Name != "a" || rec.Flow.Dst.Addr() != server || rec.Source.Port() == 0 || rec.Reason == "" {
		t.Errorf("listed as %+v", rec)
	}
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if !w.silence() {
		t.Fatal("a flow of a living domain was told something")
	}
	w.relay.Retire(alive)
	if got := w.word(); got != "reset" {
		t.Errorf("the app hears %q, want a reset", got)
	}
	_ = up.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := up.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the server reads %v, want a reset", err)
	}
	eventually(t, "the place is given back", func() bool { return len(w.relay.Flows()) == 0 })
}

// TestWhatIsHeldOutlivesItsGround (contract: on_failure: hold): the flow waits for
// its network's return.
func TestWhatIsHeldOutlivesItsGround(t *testing.T) {
	w := newWorld(t, 8, "a")
	dial, far := listen(t)
	w.uplinks.dial = dial
	w.relay.cfg.Scheduler.Publish(w.set, &scheduler.Policy{OnFailure: scheduler.FailHold})
	w.open(1000)
	defer func() { (<-far).Close() }()
	eventually(t, "the flow is listed", func() bool { return len(w.relay.Flows()) == 1 })
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return false })
	if !w.silence() || len(w.relay.Flows()) != 1 {
		t.Error("a flow that is held was told that its domain is gone")
	}
}

func TestTableOfFlowsIsBounded(t *testing.T) {
	w := newWorld(t, 1, "a")
	dial, far := listen(t)
	w.uplinks.dial = dial
	w.open(1000)
	defer func() { (<-far).Close() }()
	w.wire.in <- syn(1001)
	if !w.silence() {
		t.Error("a SYN beyond the limit was answered")
	}
	if n := w.relay.Drops()["too_many_flows"]; n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
}

func eventually(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Errorf("never: %s", what)
}

// TestOneUserDoesNotTakeTheTable: what is known of users is asked for only where it
// matters, and one of them gets a share of the table.
func TestOneUserDoesNotTakeTheTable(t *testing.T) {
	asked := 0
	var table flows
	table.init(&Config{MaxTCP: 100, Stack: stack.Config{PerSource: 0.66, Holder: func(f flow.Flow, ask bool) quota.Holder {
		if !ask {
			return quota.Holder{}
		}
		asked++
		return quota.User(uint32(f.Src.Port()))
	}}})
	open := func(user uint16, n int) (got int) {
		for range n {
			if _, ok := table.reserve(flow.Flow{Src: netip.AddrPortFrom(own, user)}); ok {
				got++
			}
		}
		return got
	}
	if got := open(1, 33); got != 33 || asked != 0 {
		t.Errorf("of the first third %d places after %d questions, want 33 after none", got, asked)
	}
	if got := open(1, 100); got != 33 {
		t.Errorf("the user got %d places more, want 33", got)
	}
	if got := open(2, 100); got != 33 {
		t.Errorf("another user got %d places, want 33", got)
	}
	for _, e := range table.live {
		table.release(e)
	}
	if got := open(2, 200); got != 66 {
		t.Errorf("when all is given back a user gets %d places, want 66", got)
	}
}
