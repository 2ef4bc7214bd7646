package additional

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

	"mifvif/pvd"
)

// stage is a Fetcher under test with what it asked and reported.
type stage struct {
	*Fetcher
	mu      sync.Mutex
	asked   []time.Duration // since the start
	reports []pvd.Report
	answer  func(*pvd.Domain) (*object, error)
}

// play runs f with a Fetcher in a bubble of time.
func play(t *testing.T, answer func(*pvd.Domain) (*object, error), f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{answer: answer}
		began := time.Now()
		var err error
		s.Fetcher, err = New(Config{
			Dial: func(context.Context, *pvd.Domain, string, string) (net.Conn, error) { return nil, errors.New("unused") },
			Deliver: func(r pvd.Report) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.reports = append(s.reports, r)
			},
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.get = func(_ context.Context, d *pvd.Domain) (*object, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked = append(s.asked, time.Since(began))
			return s.answer(d)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })
		f(s)
		stop()
		running.Wait()
	})
}

// offering is a domain that offers information, as instance n.
func offering(n int, change ...func(*pvd.Domain)) *pvd.Domain {
	d := &pvd.Domain{
		Name: "pvd.example.com", ID: "pvd.example.com", Explicit: true, Interface: "e1", Ifindex: 2, Slot: uint16(n), State: pvd.Online,
		Addresses:  []pvd.Address{{Prefix: netip.MustParsePrefix("2001:db8:1::2/64")}},
		Adverts:    []pvd.Advert{{Prefix: netip.MustParsePrefix("2001:db8:1::/64")}},
		Additional: pvd.Additional{HTTP: true, Delay: 1, Sequence: 7},
	}
	for _, f := range change {
		f(d)
	}
	return d
}

// good answers with an object that is good for a day.
func good(*pvd.Domain) (*object, error) {
	return &object{Expires: time.Now().Add(24 * time.Hour), Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/48")}, Zones: []string{"corp.example.com"}}, nil
}

func (s *stage) show(domains ...*pvd.Domain) { s.Watch(pvd.NewSet(domains)) }

// count waits and returns how often was asked until then.
func (s *stage) count(wait time.Duration) int {
	time.Sleep(wait)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// last returns the last report, and whether it is in use.
func (s *stage) last() (r pvd.Report, used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reports) == 0 {
		return r, false
	}
	r = s.reports[len(s.reports)-1]
	return r, r.Until.After(r.Received)
}

func TestAnObjectIsFetchedOnceAndKeptFresh(t *testing.T) {
	play(t, good, func(s *stage) {
		s.show(offering(1))
		if n := s.count(firstWithin); n != 1 {
			t.Fatalf("asked %d times within %v", n, firstWithin)
		}
		r, used := s.last()
		if !used || r.ID != "pvd.example.com" || r.Ifindex != 2 || len(r.Zones) != 1 || r.Zones[0].Origin != pvd.FromJSON {
			t.Fatalf("reported %+v", r)
		}
		if n := s.count(11 * time.Hour); n != 1 {
			t.Errorf("asked again in the first half of its life")
		}
		if n := s.count(13 * time.Hour); n != 2 {
			t.Errorf("asked %d times within its life, want to be asked again in the second half", n)
		}
	})
}

func TestAnotherSequenceNumberEndsTheUseAtOnce(t *testing.T) {
	play(t, good, func(s *stage) {
		s.show(offering(1))
		s.count(time.Minute)
		for _, sequence := range []uint16{6, 6, 65535} { // smaller is different too
			before := s.count(0)
			s.show(offering(1, func(d *pvd.Domain) { d.Additional.Sequence = sequence }))
			synctest.Wait()
			after := s.count(2048*time.Millisecond + betweenFetches)
			if s.mu.Lock(); s.reports[len(s.reports)-1].Until.IsZero() {
				t.Error("a report without an end")
			}
			s.mu.Unlock()
			if sequence == 6 && before == 2 && after != 2 || after > before+1 {
				t.Errorf("sequence %d: asked %d times, then %d", sequence, before, after)
			}
		}
		if n := s.count(0); n != 3 {
			t.Errorf("asked %d times, want 3: at first and after two changes", n)
		}
	})
}

func TestFailureIsForTheWholeAttachment(t *testing.T) {
	fails := func(*pvd.Domain) (*object, error) { return nil, errors.New("404") }
	play(t, fails, func(s *stage) {
		s.show(offering(1))
		s.count(time.Minute)
		s.show(offering(1, func(d *pvd.Domain) { d.Additional.Sequence = 8 }))
		if n := s.count(24 * time.Hour); n != 1 {
			t.Errorf("asked %d times in spite of a failure", n)
		}
		s.show()
		s.show(offering(2))
		if n := s.count(time.Minute); n != 2 {
			t.Errorf("asked %d times, want once more after the network was joined again", n)
		}
	})
}

func TestRoutersThatAdvertiseMoreThanIsCoveredEndTheUse(t *testing.T) {
	play(t, good, func(s *stage) {
		s.show(offering(1))
		s.count(time.Minute)
		s.show(offering(1, func(d *pvd.Domain) {
			d.Adverts = append(d.Adverts, pvd.Advert{Prefix: netip.MustParsePrefix("2001:db8:2::/64")})
		}))
		n := s.count(48 * time.Hour)
		if _, used := s.last(); used || n != 1 {
			t.Errorf("in use %v, asked %d times", used, n)
		}
	})
}

func TestExpiryEndsTheUse(t *testing.T) {
	brief := func(d *pvd.Domain) (*object, error) {
		o, _ := good(d)
		o.Expires = time.Now().Add(time.Minute)
		return o, nil
	}
	play(t, brief, func(s *stage) {
		s.show(offering(1))
		s.count(time.Second)
		s.mu.Lock()
		s.answer = func(*pvd.Domain) (*object, error) { return nil, errors.New("gone") }
		s.mu.Unlock()
		s.count(time.Minute)
		if _, used := s.last(); used {
			t.Error("still in use after it has expired")
		}
	})
}

func TestANetworkIsAskedWithinBounds(t *testing.T) {
	fails := func(*pvd.Domain) (*object, error) { return nil, errors.New("404") }
	play(t, fails, func(s *stage) {
		var all []*pvd.Domain
		for n := range 30 {
			all = append(all, offering(n, func(d *pvd.Domain) { d.ID = string(rune('a'+n%26)) + ".example.com" }))
		}
		s.show(all...)
		if n := s.count(time.Hour); n != failuresEnd {
			t.Errorf("asked %d times, want %d: then the network has failed", n, failuresEnd)
		}
		for i := perNetwork; i < len(s.asked); i++ {
			if s.asked[i]-s.asked[i-perNetwork] < networkWindow {
				t.Errorf("asked at %v and %v: more than %d times in %v", s.asked[i-perNetwork], s.asked[i], perNetwork, networkWindow)
			}
		}
	})
}

func TestOneDomainIsNotAskedTwiceWithinTenSeconds(t *testing.T) {
	play(t, good, func(s *stage) {
		for i := range 100 {
			s.show(offering(1, func(d *pvd.Domain) { d.Additional.Sequence, d.Additional.Delay = uint16(i), 0 }))
			s.count(time.Second)
		}
		for i := 1; i < len(s.asked); i++ {
			if s.asked[i]-s.asked[i-1] < betweenFetches {
				t.Errorf("asked at %v and %v", s.asked[i-1], s.asked[i])
			}
		}
		if len(s.asked) < 5 {
			t.Errorf("asked at %v only", s.asked)
		}
	})
}

func TestWithoutTheHFlagOrAnAddressNothingIsAsked(t *testing.T) {
	play(t, good, func(s *stage) {
		s.show(
			offering(1, func(d *pvd.Domain) { d.Additional.HTTP = false }),
			offering(2, func(d *pvd.Domain) { d.Addresses = nil }),
			offering(3, func(d *pvd.Domain) { d.Explicit = false }),
			offering(4, func(d *pvd.Domain) { d.ID = "com" }),
			offering(5, func(d *pvd.Domain) { d.ID = "a/b.example" }),
		)
		if n := s.count(time.Hour); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestDelayAfterAChange(t *testing.T) {
	for delay, most := range map[uint8]time.Duration{0: 1024 * time.Millisecond, 1: 2048 * time.Millisecond, 15: 1 << 25 * time.Millisecond} {
		var all []time.Duration
		for range 1000 {
			all = append(all, afterChange(delay))
		}
		if got := slices.Max(all); got >= most || got < most*9/10 || slices.Min(all) > most/10 {
			t.Errorf("delay %d: from %v to %v, want from 0 to %v", delay, slices.Min(all), got, most)
		}
	}
}

// TestADomainThatVanishesInTheMiddleOfAFetch ends the fetch, which then counts
// neither as an answer nor as a failure: the next attachment asks again.
func TestADomainThatVanishesInTheMiddleOfAFetch(t *testing.T) {
	play(t, good, func(s *stage) {
		ended := make(chan error, 1)
		get := s.get
		s.get = func(ctx context.Context, _ *pvd.Domain) (*object, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		s.show(offering(1))
		time.Sleep(time.Second)
		synctest.Wait()
		s.show() // the interface is gone
		if err := <-ended; err == nil {
			t.Error("the fetch is not ended")
		}
		synctest.Wait()
		s.mu.Lock()
		if len(s.reports) != 0 {
			t.Errorf("reported: %+v", s.reports)
		}
		s.mu.Unlock()
		s.get = get
		s.show(offering(1, func(d *pvd.Domain) { d.Attached = 2 }))
		time.Sleep(time.Second)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.asked) != 1 || len(s.reports) != 1 {
			t.Errorf("asked %d times, %d reports, want one of each", len(s.asked), len(s.reports))
		}
	})
}
