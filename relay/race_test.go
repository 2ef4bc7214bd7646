package relay

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/pvd"
	"mifvif/scheduler"
)

// racing has all the world's domains race, in their order.
func (w *world) racing(names ...string) {
	w.relay.cfg.Scheduler.Publish(w.set, &scheduler.Policy{Rules: []scheduler.Rule{
		{Name: "race", Actor: scheduler.Admin, Prefer: names, Race: true},
	}})
}

// TestASilentDomainLosesTheRace: the app's handshake is answered a quarter of a
// second later over the next domain; the silent attempt is ended and remembered.
func TestASilentDomainLosesTheRace(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	w := newWorld(t, 8, "a", "b", "c")
	w.racing("a", "b", "c")
	var ended error
	w.uplinks.dial = func(ctx context.Context, domain string) (*net.TCPConn, error) {
		if domain == "a" {
			<-ctx.Done()
			ended = ctx.Err()
			return nil, ctx.Err()
		}
		c, err := net.Dial("tcp4", l.Addr().String())
		check(t, err)
		return c.(*net.TCPConn), nil
	}
	began := time.Now()
	w.wire.in <- syn(1000)
	info, b := w.answer()
	if flags := b[info.L4+13]; flags != flagSYN|flagACK {
		t.Fatalf("the app gets flags %#x, want its handshake answered", flags)
	}
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("answered after %v: the second attempt did not wait for its turn", took)
	}
	w.uplinks.mu.Lock()
	asked := slices.Clone(w.uplinks.asked)
	w.uplinks.mu.Unlock()
	if !slices.Equal(asked, []string{"a", "b"}) || ended == nil {
		t.Errorf("asked %v, a ended with %v: want a ended when b answered, and c not asked", asked, ended)
	}
	way := func(slot uint16) scheduler.Way {
		p, _ := w.relay.cfg.Scheduler.Way(pvd.Key{Slot: slot, Attached: 1}, server)
		return p
	}
	if way(0).Failures != 1 || way(1).RTT == 0 || way(1).Failures != 0 {
		t.Errorf("remembered %+v of a, %+v of b", way(0), way(1))
	}
	w.wire.in <- segment(netip.AddrPortFrom(own, 1000), netip.AddrPortFrom(server, 80), flagRST, 2, 0)
}

// TestARaceEndsWithTheTruth: failures start the next attempt at once, a refusal
// is the answer, and when all have failed the app hears why.
func TestARaceEndsWithTheTruth(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ends  map[string]error
		asked []string
		hears string
	}{
		{"refused by the first", map[string]error{"a": unix.ECONNREFUSED}, []string{"a"}, "reset"},
		{"refused by the second", map[string]error{"a": unix.ENETUNREACH, "b": unix.ECONNREFUSED}, []string{"a", "b"}, "reset"},
		{"all unreachable", map[string]error{"a": unix.ENETUNREACH, "b": unix.ENETUNREACH, "c": unix.ENETUNREACH}, []string{"a", "b", "c"}, "net unreachable"},
		{"silence is no better answer", map[string]error{"a": unix.EHOSTUNREACH, "b": context.DeadlineExceeded, "c": context.DeadlineExceeded}, []string{"a", "b", "c"}, "host unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 8, "a", "b", "c")
			w.racing("a", "b", "c")
			w.uplinks.dial = func(_ context.Context, domain string) (*net.TCPConn, error) { return nil, tt.ends[domain] }
			w.wire.in <- syn(1000)
			if got := w.word(); got != tt.hears {
				t.Errorf("the app hears %q, want %q", got, tt.hears)
			}
			w.uplinks.mu.Lock()
			defer w.uplinks.mu.Unlock()
			if !slices.Equal(w.uplinks.asked, tt.asked) {
				t.Errorf("asked %v, want %v", w.uplinks.asked, tt.asked)
			}
		})
	}
}

// TestAttemptsThatFailAsTheirTimeIsOver: the next candidate is claimed and begun at
// the same moment, which is for the race detector to look at; each is tried once.
func TestAttemptsThatFailAsTheirTimeIsOver(t *testing.T) {
	w := newWorld(t, 16, "a", "b", "c")
	w.relay.cfg.Scheduler.Publish(w.set, &scheduler.Policy{Rules: []scheduler.Rule{
		{Name: "race", Actor: scheduler.Admin, Prefer: []string{"a", "b", "c"}, Algorithm: scheduler.Fastest},
	}})
	w.uplinks.dial = func(context.Context, string) (*net.TCPConn, error) {
		time.Sleep(10 * time.Millisecond) // the least that a fastest attempt has for itself
		return nil, unix.ENETUNREACH
	}
	const rounds, flows = 10, 12
	for round := range uint16(rounds) {
		for i := range uint16(flows) {
			w.wire.in <- syn(1000 + round*flows + i)
		}
		for range flows {
			if got := w.word(); got != "net unreachable" {
				t.Fatalf("the app hears %q", got)
			}
		}
	}
	w.uplinks.mu.Lock()
	defer w.uplinks.mu.Unlock()
	if got := len(w.uplinks.asked); got != 3*rounds*flows {
		t.Errorf("%d attempts for %d flows with three candidates", got, rounds*flows)
	}
}
