package ra

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/lab/nd"
	"mifvif/netwatch"
	"mifvif/pvd"
)

// world is a Source on link e3 of the common laboratory's host.
type world struct {
	*lab.Common
	*Source
	link netwatch.Link

	mu      sync.Mutex
	reports []pvd.Report
}

func newWorld(t *testing.T, advert func(lab.Network) nd.RA) *world {
	t.Helper()
	labtest.Need(t)
	common, err := lab.NewCommon(lab.TwoRouters(advert), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := common.Close(); err != nil {
			t.Error(err)
		}
	})
	index, err := common.Host.LinkIndex("e3")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Common: common, link: netwatch.Link{Index: index, Name: "e3", MTU: 1500}}
	w.Source = New(Config{Deliver: w.deliver}, slog.New(slog.DiscardHandler))
	w.start(t)
	w.Watch(w.link)
	return w
}

// start runs the source in the host until the test ends.
func (w *world) start(t *testing.T) {
	t.Helper()
	var ns *os.File
	err := w.Host.Do(func() (err error) {
		ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = w.Run(ctx)
		}
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ns.Close()
	})
}

func (w *world) deliver(r pvd.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, r)
}

// heard returns the reports so far.
func (w *world) heard() []pvd.Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reports)
}

// eventually waits for a report.
func (w *world) eventually(t *testing.T, what string, is func(pvd.Report) bool) pvd.Report {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		heard := w.heard()
		if i := slices.IndexFunc(heard, is); i >= 0 {
			return heard[i]
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s; heard %+v, %+v", what, heard, w.Counters())
		}
	}
}

// TestTwoRoutersOnOneLink has one router name its domain and the other none.
func TestTwoRoutersOnOneLink(t *testing.T) {
	w := newWorld(t, func(n lab.Network) nd.RA {
		if n.Name == "r3b" {
			return n.PlainAdvert()
		}
		return nd.RA{}.With(nd.PvD{ID: "A.example.org", HTTP: true, Sequence: 5, Header: &nd.RA{Lifetime: time.Hour, Preference: nd.High}}.Option(
			nd.Prefix(n.Link6(), time.Hour, time.Hour, nd.OnLink|nd.Auto),
			nd.Resolvers(nd.Forever, n.Resolver6()), nd.Search(time.Hour, "corp.example.org")))
	})
	a, b := w.Network("r3a"), w.Network("r3b")
	got := w.eventually(t, "the explicit domain", func(r pvd.Report) bool { return r.ID != "" })
	if got.ID != "a.example.org" || got.Sender != a.Gateway6() || got.Ifindex != w.link.Index || got.RA.Lifetime != time.Hour ||
		got.RA.Preference != pvd.High || !got.RA.HTTP || got.RA.Sequence != 5 || !slices.Equal(got.RA.Nested.Prefixes, []netip.Prefix{a.Link6()}) ||
		len(got.Resolvers) != 1 || !got.Resolvers[0].Until.IsZero() || len(got.Search) != 1 {
		t.Errorf("r3a said %+v, %+v", got, got.RA)
	}
	got = w.eventually(t, "the implicit domain", func(r pvd.Report) bool { return r.ID == "" })
	if got.Sender != b.Gateway6() || len(got.Adverts) != 1 || got.Adverts[0].Prefix != b.Link6() || got.Resolvers[0].Addr.Addr() != b.Resolver6() {
		t.Errorf("r3b said %+v", got)
	}
}

// TestRoutersAreAsked silences the routers' clock: what is heard is an answer.
func TestRoutersAreAsked(t *testing.T) {
	w := newWorld(t, nil)
	asked, err := w.Node("r3a").Capture("lan", func(r lab.Record) bool { return r.Proto == 58 && r.SrcPort == 133<<8 })
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range w.Advertisers { // who is heard needs not be asked
		a.Silence()
	}
	for deadline := time.Now().Add(20 * time.Second); asked.Matched() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nobody solicited")
		}
		w.Watch()
		time.Sleep(100 * time.Millisecond) // Watch only says what is wanted: two calls in a row are one
		w.Watch(w.link)
		time.Sleep(solicitationDelay + 100*time.Millisecond)
	}
	for _, r := range asked.Records() {
		if r.TTL != 255 || !r.Src.IsLinkLocalUnicast() || r.Dst != netip.MustParseAddr("ff02::2") {
			t.Errorf("solicited by %v", r)
		}
	}
}

// TestOnlyTheLinksOwnRoutersAreHeard sends what RFC 4861 6.1.2 has hosts drop.
func TestOnlyTheLinksOwnRoutersAreHeard(t *testing.T) {
	w := newWorld(t, nil)
	w.eventually(t, "the first report", func(pvd.Report) bool { return true })
	evil := func(name string) []byte { return nd.RA{Lifetime: time.Hour}.With(nd.PvD{ID: name}.Option()).Bytes() }
	badCode := evil("code.example")
	badCode[1] = 1
	local := netip.MustParseAddr("fe80::bad")
	before := w.Counters().Invalid
	if err := w.Node("r3a").SendAdvert("lan",
		lab.Advert{Source: local, HopLimit: 254, Message: evil("hops.example")},
		lab.Advert{Source: netip.MustParseAddr("2001:db8:3::1"), Message: evil("source.example")},
		lab.Advert{Source: local, Message: badCode},
		lab.Advert{Source: local, Message: evil("short.example")[:15]},
		lab.Advert{Source: local, Message: append(evil("option.example"), 1, 0, 0, 0, 0, 0, 0, 0)},
		lab.Advert{Source: local, Message: evil("good.example")},
	); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, "the good one", func(r pvd.Report) bool { return r.ID == "good.example" })
	for _, r := range w.heard() {
		if r.ID != "" && r.ID != "good.example" {
			t.Errorf("%s was taken", r.ID)
		}
	}
	// The kernel itself keeps some from us; none may be missed by both.
	if got := w.Counters().Invalid - before; got == 0 || got > 5 {
		t.Errorf("%d messages were dropped, want those that the kernel let through", got)
	}
}

// TestAFloodIsBounded floods the link and listens for its own router.
func TestAFloodIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	own := w.Network("r3b").Gateway6()
	w.eventually(t, "the own router", func(r pvd.Report) bool { return r.Sender == own })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	sent, err := w.Node("r3a").Flood(ctx, "lan", 2000, func(i int) lab.Advert {
		return lab.Advert{Source: routerAt(i), Message: nd.RA{Lifetime: time.Hour}.With(nd.PvD{ID: fmt.Sprintf("flood%d.example", i)}.Option()).Bytes()}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Advertisers["r3b"].Set(nd.RA{Lifetime: 3 * time.Hour})
	w.eventually(t, "the own router after the flood", func(r pvd.Report) bool { return r.Sender == own && r.RA.Lifetime == 3*time.Hour })
	// Generous: the machine may have been slow, and the flood with it.
	if got, most := len(w.heard()), 100; sent < 1000 || got > most {
		t.Errorf("%d reports of %d messages, want at most %d", got, sent, most)
	}
}

// TestALinkThatVanishesUnderTheListener is told of late: until then nothing is heard,
// and what is heard of the next link of the name is the new one's.
func TestALinkThatVanishesUnderTheListener(t *testing.T) {
	w := newWorld(t, lab.Network.PlainAdvert)
	w.eventually(t, "a router", func(r pvd.Report) bool { return r.Ifindex == w.link.Index })
	if err := w.Host.DeleteLink("e3"); err != nil {
		t.Fatal(err)
	}
	before := processorTime(t)
	time.Sleep(300 * time.Millisecond)
	if spent := processorTime(t) - before; spent > 150*time.Millisecond {
		t.Errorf("%v of processor time in 300 ms of a link that is gone", spent)
	}
	peer, err := w.NewNode("again")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Veth(lab.End{Node: w.Host, Link: "e3"}, lab.End{Node: peer, Link: "lan"}, 1500); err != nil {
		t.Fatal(err)
	}
	index, err := w.Host.LinkIndex("e3")
	if err != nil {
		t.Fatal(err)
	}
	w.Watch(netwatch.Link{Index: index, Name: "e3", MTU: 1500})
	if _, err := peer.Advertise("lan", netip.MustParseAddr("fe80::77"), nd.RA{Lifetime: 600 * time.Second}); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, "the router of the new link", func(r pvd.Report) bool {
		return r.Ifindex == index && r.Sender == netip.MustParseAddr("fe80::77")
	})
}

// processorTime is what this process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
