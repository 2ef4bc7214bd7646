package relay

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// braid is a pretended multipath connection: every subflow that is asked for is
// connected at once, or never.
type braid struct {
	*net.TCPConn
	mu     sync.Mutex
	fallen bool
	early  bool // the server has acknowledged nothing
	broken string
	over   bool // the server has finished, and has all that was sent
	silent bool // no handshake is answered
	ends   []flow.Ends
	begun  []flow.Ends
	did    []string
}

func (b *braid) Whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.fallen
}

func (b *braid) Subflows() (connected, begun []flow.Ends, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fallen {
		return nil, nil, errors.New("fallen")
	}
	return slices.Clone(b.ends), slices.Clone(b.begun), nil
}

func (b *braid) Finished() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

func (b *braid) Join(d *pvd.Domain, src netip.Addr, dst netip.AddrPort, backup bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.early:
		return unix.ENOTCONN
	case d.Name == b.broken:
		return unix.ENETUNREACH
	}
	word := "join "
	if backup {
		word = "back up by "
	}
	b.did = append(b.did, word+d.Name)
	ends := flow.Ends{Local: netip.AddrPortFrom(src, 4000), Remote: dst}
	if b.silent {
		b.begun = append(b.begun, ends)
		return nil
	}
	b.ends = append(b.ends, ends)
	return nil
}

func (b *braid) Leave(ends flow.Ends) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.did = append(b.did, "leave "+ends.Local.Addr().String())
	is := func(e flow.Ends) bool { return e == ends }
	b.ends, b.begun = slices.DeleteFunc(b.ends, is), slices.DeleteFunc(b.begun, is)
	return nil
}

// change does f to the connection between two looks.
func (b *braid) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// history is what was done with the connection.
func (b *braid) history() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.did, ", ")
}

// braided has the world's uplinks dial with Multipath TCP under a rule, and returns
// the connection of the one flow that is opened.
func (w *world) braided(t *testing.T, rule scheduler.Rule) *braid {
	t.Helper()
	dial, far := listen(t)
	made := new(braid)
	w.uplinks.multipath = func(d *pvd.Domain, src netip.Addr, dst netip.AddrPort) (Multipath, error) {
		c, err := dial(t.Context(), d.Name)
		if err != nil {
			return nil, err
		}
		made.change(func() {
			made.TCPConn, made.ends = c, []flow.Ends{{Local: netip.AddrPortFrom(src, 4000), Remote: dst}}
		})
		return made, nil
	}
	w.publish(rule, w.set)
	w.open(1000)
	t.Cleanup(func() { (<-far).Close() })
	eventually(t, "the flow is listed", func() bool { return len(w.relay.Flows()) == 1 })
	return made
}

func (w *world) publish(rule scheduler.Rule, set *pvd.Set) {
	rule.Name, rule.Actor = "r", scheduler.Admin
	w.relay.cfg.Scheduler.Publish(set, &scheduler.Policy{Rules: []scheduler.Rule{rule}})
}

// domains are those of a flow's subflows, in alphabetic order.
func (w *world) domains() string {
	var names []string
	for _, r := range w.relay.Flows() {
		for _, s := range r.Subflows {
			names = append(names, s.Domain.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestMultipathFlowLivesOnWithoutItsDomain(t *testing.T) {
	w := newWorld(t, 8, "a", "b", "c")
	news := told{make(chan string, 8)}
	w.relay.cfg.News = news
	c := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}, Forbid: []string{"c"}})
	eventually(t, "b stands by", func() bool { return w.domains() == "a b" })
	if got := c.history(); got != "back up by b" {
		t.Errorf("done: %q, want the one domain that is allowed", got)
	}
	w.relay.Retire(func(k pvd.Key, _ netip.Addr) bool { return k.Slot != 0 })
	if got, want := <-news.moved, netip.AddrPortFrom(server, 80).String()+" a -> b failure"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	eventually(t, "a is left", func() bool { return w.domains() == "b" })
	if rec := w.relay.Flows()[0]; rec.Domain.Name != "b" || !rec.Domain.Owns(rec.Source.Addr()) {
		t.Errorf("listed on %s from %s", rec.Domain.Name, rec.Source)
	}
	if live := w.relay.Live(); live[0] != 0 || live[1] != 1 {
		t.Errorf("live by slot: %v", live)
	}
	if !w.silence() {
		t.Fatal("the app was told something")
	}

	// Back again, it is where the rule wants it, and b stands by anew.
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if got, want := <-news.moved, netip.AddrPortFrom(server, 80).String()+" b -> a recovery"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	eventually(t, "both carry", func() bool { return w.domains() == "a b" })

	// Without any the app is told.
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto}, pvd.NewSet(nil))
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return false })
	if got := w.word(); got != "reset" {
		t.Errorf("the app hears %q, want a reset", got)
	}
	eventually(t, "the place is given back", func() bool { return len(w.relay.Flows()) == 0 })
	if live := w.relay.Live(); len(live) != 0 {
		t.Errorf("live by slot: %v", live)
	}
}

// TestMultipathFlowLeavesWhatItMayNotUse: what was a candidate and is none any more
// (captive, drained, forbidden) is left as long as something better carries; the
// last subflow is never taken.
func TestMultipathFlowLeavesWhatItMayNotUse(t *testing.T) {
	w := newWorld(t, 8, "a", "b")
	c := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a", "b"}})
	eventually(t, "b stands by", func() bool { return w.domains() == "a b" })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Forbid: []string{"b"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "b is left", func() bool { return w.domains() == "a" })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"b"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "b carries and a stands by", func() bool { return strings.HasSuffix(c.history(), "join b, leave 192.0.2.1, back up by a") })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "a carries and b stands by", func() bool {
		return strings.HasSuffix(c.history(), "leave 192.0.2.1, join a, leave 192.0.2.2, back up by b")
	})
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Forbid: []string{"a"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "a is left for what stood by", func() bool { return w.domains() == "b" })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Forbid: []string{"a", "b"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if !w.silence() || w.domains() != "b" {
		t.Errorf("it is on %q, and must stay on b; done: %s", w.domains(), c.history())
	}
}

// TestMultipathFlowThatIsOverWaitsForItsReader: the kernel ends the subflows of a
// connection that both sides have finished although its app has not read all of it;
// without any, it is reset only while there is something to carry.
func TestMultipathFlowThatIsOverWaitsForItsReader(t *testing.T) {
	w := newWorld(t, 8, "a")
	c := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto})
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if !w.silence() { // meanwhile it is looked at
		t.Fatal("the app was told something")
	}
	c.change(func() { c.over, c.ends, c.early = true, nil, true })
	if w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true }); !w.silence() {
		t.Fatal("the app was told something while it had not read everything")
	}
	c.change(func() { c.over = false }) // the app sends, and nobody can take it
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if got := w.word(); got != "reset" {
		t.Errorf("the app hears %q, want a reset", got)
	}
}

// TestHandshakeEndsWhereTheFlowMayNotGoAnyMore: it would be connected at some time,
// and carry until somebody looks.
func TestHandshakeEndsWhereTheFlowMayNotGoAnyMore(t *testing.T) {
	w := newWorld(t, 8, "a", "b")
	c := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}, Forbid: []string{"b"}})
	eventually(t, "it is looked at", func() bool { return w.domains() == "a" })
	c.change(func() { c.silent = true })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "a handshake is under way", func() bool { return c.history() == "back up by b" })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Forbid: []string{"b"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "it is ended", func() bool { return c.history() == "back up by b, leave 192.0.2.2" })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "it is begun anew", func() bool { return strings.HasSuffix(c.history(), "leave 192.0.2.2, back up by b") })
	w.relay.Retire(func(k pvd.Key, _ netip.Addr) bool { return k.Slot == 0 })
	eventually(t, "it ends with its domain", func() bool { return strings.HasSuffix(c.history(), "back up by b, leave 192.0.2.2") })
}

// TestMultipathFlowGetsNoSubflowsOnceItIsOff: a rule that says so from now on leaves
// the flow where it is.
func TestMultipathFlowGetsNoSubflowsOnceItIsOff(t *testing.T) {
	w := newWorld(t, 8, "a", "b", "c")
	c := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}, Forbid: []string{"c"}})
	eventually(t, "b stands by", func() bool { return w.domains() == "a b" })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathOff}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if !w.silence() || c.history() != "back up by b" {
		t.Errorf("done: %q, want nothing more than there was", c.history())
	}
	w.relay.Retire(func(k pvd.Key, _ netip.Addr) bool { return k.Slot != 0 })
	eventually(t, "a is left for what is there", func() bool { return w.domains() == "b" })
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if !w.silence() || w.domains() != "b" {
		t.Errorf("it is on %q, want b; done: %s", w.domains(), c.history())
	}
}

func TestSubflowIsTriedAgainLater(t *testing.T) {
	w := newWorld(t, 8, "a", "b", "c")
	c := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}})
	eventually(t, "b and c stand by", func() bool { return w.domains() == "a b c" })
	c.change(func() { c.broken, c.ends = "b", c.ends[:1] }) // the network has reset both
	eventually(t, "c is back", func() bool { return w.domains() == "a c" })
	c.change(func() { c.broken = "" })
	eventually(t, "b is back", func() bool { return w.domains() == "a b c" })
}

func TestSubflowsWaitForTheServer(t *testing.T) {
	w := newWorld(t, 8, "a", "b")
	w.uplinks.multipath = nil
	made := w.braidedEarly(t)
	if !w.silence() || w.domains() != "a" {
		t.Errorf("it is on %q, want a", w.domains())
	}
	made.change(func() { made.early = false })
	eventually(t, "b stands by", func() bool { return w.domains() == "a b" })
}

func (w *world) braidedEarly(t *testing.T) *braid {
	t.Helper()
	made := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}, Forbid: []string{"b"}})
	made.change(func() { made.early = true })
	w.publish(scheduler.Rule{MPTCP: scheduler.MultipathAuto, Prefer: []string{"a"}}, w.set)
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	return made
}

// TestFlowThatBecameTCPStandsOnItsDomain: something on the way has taken the options
// out after the connect.
func TestFlowThatBecameTCPStandsOnItsDomain(t *testing.T) {
	for word, hears := range map[scheduler.MPTCP]string{scheduler.MultipathAuto: "reset with its domain", scheduler.MultipathRequire: "reset at once"} {
		t.Run(word.String(), func(t *testing.T) {
			w := newWorld(t, 8, "a", "b")
			c := w.braided(t, scheduler.Rule{MPTCP: word, Prefer: []string{"a"}})
			eventually(t, "b stands by", func() bool { return w.domains() == "a b" })
			c.change(func() { c.fallen = true })
			w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
			if word == scheduler.MultipathAuto {
				eventually(t, "it is known to be TCP", func() bool { return len(w.relay.Flows()) == 1 && !w.relay.Flows()[0].Multipath })
				if !w.silence() {
					t.Fatalf("the app hears something, want it %s", hears)
				}
				w.relay.Retire(func(k pvd.Key, _ netip.Addr) bool { return k.Slot != 0 })
			}
			if got := w.word(); got != "reset" {
				t.Errorf("the app hears %q, want it %s", got, hears)
			}
		})
	}
}

// TestFlowThatBecameTCPWithoutSubflows is one that was to be held and had none left.
func TestFlowThatBecameTCPWithoutSubflows(t *testing.T) {
	w := newWorld(t, 8, "a")
	c := w.braided(t, scheduler.Rule{MPTCP: scheduler.MultipathAuto, OnFailure: scheduler.FailHold})
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if !w.silence() { // meanwhile it is looked at
		t.Fatal("the app was told something")
	}
	c.change(func() { c.ends, c.early = nil, true })
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if !w.silence() {
		t.Fatal("the app was told something of a flow that is held")
	}
	c.change(func() { c.fallen = true })
	w.relay.Retire(func(pvd.Key, netip.Addr) bool { return true })
	eventually(t, "it is known to be TCP", func() bool { return !w.relay.Flows()[0].Multipath })
}

// TestMultipathIsTriedWhereTheDecisionSaysSo counts dials: other flows cost none.
func TestMultipathIsTriedWhereTheDecisionSaysSo(t *testing.T) {
	const unable, fallen, whole = "unable", "fallen", "whole"
	for _, tc := range []struct {
		name  string
		word  scheduler.MPTCP
		host  string
		want  []string // dials
		again []string // those of the next flow
		hears string
	}{
		{"no rule", scheduler.MultipathInherit, whole, []string{"a"}, []string{"a"}, "something else"},
		{"off", scheduler.MultipathOff, whole, []string{"a"}, []string{"a"}, "something else"},
		{"auto", scheduler.MultipathAuto, whole, []string{"multipath a"}, []string{"multipath a"}, "something else"},
		{"auto where the host cannot", scheduler.MultipathAuto, unable, []string{"multipath a", "a"}, []string{"multipath a", "a"}, "something else"},
		{"auto where the server cannot", scheduler.MultipathAuto, fallen, []string{"multipath a"}, []string{"a"}, "something else"},
		{"require where the host cannot", scheduler.MultipathRequire, unable, []string{"multipath a", "multipath b"}, []string{"multipath a", "multipath b"}, "reset"},
		{"require where the server cannot", scheduler.MultipathRequire, fallen, []string{"multipath a", "multipath b"}, []string{"multipath a", "multipath b"}, "reset"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 8, "a", "b")
			dial, far := listen(t)
			w.uplinks.dial = dial
			if tc.host != unable {
				w.uplinks.multipath = func(d *pvd.Domain, src netip.Addr, dst netip.AddrPort) (Multipath, error) {
					c, err := dial(t.Context(), d.Name)
					return &braid{TCPConn: c, fallen: tc.host == fallen, early: true, ends: []flow.Ends{{Local: netip.AddrPortFrom(src, 1), Remote: dst}}}, err
				}
			}
			w.publish(scheduler.Rule{MPTCP: tc.word, Prefer: []string{"a", "b"}, Algorithm: scheduler.Priority}, w.set)
			for i, want := range [][]string{tc.want, tc.again} {
				w.wire.in <- syn(1000 + uint16(i))
				if got := w.word(); got != tc.hears {
					t.Errorf("flow %d: the app hears %q, want %q", i, got, tc.hears)
				}
				w.uplinks.mu.Lock()
				if !slices.Equal(w.uplinks.asked, want) {
					t.Errorf("flow %d: dialed %v, want %v", i, w.uplinks.asked, want)
				}
				w.uplinks.asked = nil
				w.uplinks.mu.Unlock()
			}
			for len(far) > 0 {
				(<-far).Close()
			}
		})
	}
}

// TestFailuresAreBounded: a network that comes and goes is another instance each
// time.
func TestFailuresAreBounded(t *testing.T) {
	b := bundle{failed: make(map[pvd.Key]failure)}
	now := time.Now()
	for i := range uint64(10 * maxFailed) {
		b.fail(&pvd.Domain{Attached: i}, now)
	}
	if n := len(b.failed); n == 0 || n > maxFailed {
		t.Errorf("%d are remembered, want %d at the most", n, maxFailed)
	}
	again := &pvd.Domain{Slot: 1}
	for _, want := range []time.Duration{retryAfter, 2 * retryAfter, 4 * retryAfter} {
		b.fail(again, now)
		if got := b.failed[again.Key()].until.Sub(now); got != want {
			t.Errorf("tried again after %v, want %v", got, want)
		}
	}
	for range 20 {
		b.fail(again, now)
	}
	if got := b.failed[again.Key()].until.Sub(now); got != retryAtMost {
		t.Errorf("tried again after %v, want %v at the most", got, retryAtMost)
	}
}
