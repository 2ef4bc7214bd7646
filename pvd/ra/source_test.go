package ra

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"mifvif/netwatch"
	"mifvif/pvd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLink is an endpoint in memory.
type fakeLink struct {
	in     chan message
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	asked []time.Time
}

func newFakeLink() *fakeLink {
	return &fakeLink{in: make(chan message), closed: make(chan struct{})}
}

func (f *fakeLink) read() (message, error) {
	select {
	case m := <-f.in:
		return m, nil
	case <-f.closed:
		return message{}, net.ErrClosed
	}
}

func (f *fakeLink) solicit() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, time.Now())
	return nil
}

func (f *fakeLink) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fakeLink) close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// fakeSource is a Source whose links are in memory.
type fakeSource struct {
	*Source

	mu      sync.Mutex
	opened  []*fakeLink
	reports []pvd.Report
	refused error // what listening fails with
}

func (f *fakeSource) open(netwatch.Link) (endpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused != nil {
		return nil, f.refused
	}
	f.opened = append(f.opened, newFakeLink())
	return f.opened[len(f.opened)-1], nil
}

func (f *fakeSource) deliver(r pvd.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, r)
}

func (f *fakeSource) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = err
}

// links returns the sockets opened so far.
func (f *fakeSource) links() []*fakeLink {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.opened)
}

// run starts a source inside a synctest bubble; it ends with the test.
func run(t *testing.T) *fakeSource {
	t.Helper()
	f := &fakeSource{}
	f.Source = New(Config{Deliver: f.deliver}, slog.New(slog.DiscardHandler))
	f.listen = f.open
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
		for i, l := range f.links() {
			select {
			case <-l.closed:
			default:
				t.Errorf("socket %d is still open", i)
			}
		}
	})
	return f
}

// pass lets time pass and everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func advertisement(lifetime byte) message {
	b := octets(plain)
	b[6], b[7] = 0, lifetime
	return message{netip.MustParseAddr("fe80::1"), 255, b}
}

func TestRoutersAreAskedThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, start := run(t), time.Now()
		f.Watch(link)
		pass(time.Minute)
		if first := f.links()[0].times(); len(first) != solicitations || first[0] != start {
			t.Fatalf("a link that was there at the beginning is asked at %v, began at %v", first, start)
		}
		f.Watch()
		synctest.Wait()
		start = time.Now()
		f.Watch(link)
		pass(time.Minute)
		asked := f.links()[1].times()
		if len(asked) != solicitations {
			t.Fatalf("asked %d times, want %d", len(asked), solicitations)
		}
		if asked[0].Sub(start) > solicitationDelay || asked[1].Sub(asked[0]) != solicitationEvery || asked[2].Sub(asked[1]) != solicitationEvery {
			t.Errorf("asked at %v, began at %v", asked, start)
		}
	})
}

func TestRoutersAreAskedNoMoreAfterOneHasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t)
		f.Watch(link)
		pass(solicitationDelay)
		f.links()[0].in <- advertisement(0) // no default router: it does not count
		pass(solicitationEvery)
		f.links()[0].in <- advertisement(9)
		pass(time.Minute)
		if got := len(f.links()[0].times()); got != 2 {
			t.Errorf("asked %d times, want 2", got)
		}
		if len(f.reports) != 2 || f.reports[1].RA.Lifetime != 9*time.Second {
			t.Errorf("reports %+v", f.reports)
		}
	})
}

func TestWatchIsLevelTriggered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t)
		other := netwatch.Link{Index: 8, Name: "e4", MTU: 1500}
		for _, step := range []struct {
			title string
			links []netwatch.Link
			open  []bool // of the sockets in their order
		}{
			{"one link", []netwatch.Link{link}, []bool{true}},
			{"the same", []netwatch.Link{link}, []bool{true}},
			{"two", []netwatch.Link{link, other}, []bool{true, true}},
			{"the first is gone", []netwatch.Link{other}, []bool{false, true}},
			{"it is back", []netwatch.Link{link, other}, []bool{false, true, true}},
			{"none", nil, []bool{false, false, false}},
		} {
			f.Watch(step.links...)
			synctest.Wait()
			var got []bool
			for _, l := range f.links() {
				select {
				case <-l.closed:
					got = append(got, false)
				default:
					got = append(got, true)
				}
			}
			if !slices.Equal(got, step.open) {
				t.Errorf("%s: sockets open %v, want %v", step.title, got, step.open)
			}
		}
	})
}

func TestALinkThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t)
		f.refuse(errors.New("no such device"))
		f.Watch(link)
		pass(time.Second)
		if len(f.links()) != 0 {
			t.Fatal("it listens on a link that is not there")
		}
		f.refuse(nil)
		pass(retryAfter)
		if len(f.links()) != 1 {
			t.Fatalf("%d sockets after %v, want 1", len(f.links()), retryAfter)
		}
		f.links()[0].close() // the device went away
		pass(retryAfter + time.Second)
		if len(f.links()) != 2 {
			t.Fatalf("%d sockets after the first broke, want 2", len(f.links()))
		}
	})
}

func TestWhatIsDroppedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t)
		f.Watch(link)
		synctest.Wait()
		bad := advertisement(1)
		bad.hopLimit = 254
		for range 100 {
			f.links()[0].in <- bad
		}
		for range routerBurst + 5 {
			f.links()[0].in <- advertisement(1)
		}
		synctest.Wait()
		want := Counters{Heard: 100 + routerBurst + 5, Invalid: 100, Limited: 5}
		if got := f.Counters(); got != want || len(f.reports) != routerBurst {
			t.Errorf("%+v and %d reports, want %+v and %d", got, len(f.reports), want, routerBurst)
		}
	})
}
