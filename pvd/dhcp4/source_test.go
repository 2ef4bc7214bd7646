package dhcp4

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"go.uber.org/goleak"

	"mifvif/pvd"
	"mifvif/pvd/dhcp"
	"mifvif/pvd/pvdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked is one message that a fake link saw.
type asked struct {
	after time.Duration
	kind  dhcpv4.MessageType
	dst   string
	q     *dhcpv4.DHCPv4
}

// fakeLink is a link with a server that answers as it is told.
type fakeLink struct {
	mu      sync.Mutex
	began   time.Time
	asked   []asked
	answer  func(q *dhcpv4.DHCPv4) [][]byte // called for every message
	reports []pvd.Report
	taken   []netip.Addr // by other hosts
}

func (l *fakeLink) open(Link) (*dhcp.Port, error) {
	p := &dhcp.Port{Hardware: testMAC, Frames: make(chan dhcp.Frame, 256), Close: func() {}}
	p.Send = func(f dhcp.Frame) error {
		q, err := dhcpv4.FromBytes(f.Payload)
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked = append(l.asked, asked{time.Since(l.began), q.MessageType(), f.Dst.String(), q})
		if l.answer == nil {
			return nil
		}
		for _, b := range l.answer(q) {
			p.Frames <- dhcp.Frame{Src: netip.MustParseAddr("10.1.0.1"), Peer: [6]byte{2, 0, 0, 0, 0, 9}, Payload: b}
		}
		return nil
	}
	return p, nil
}

func (l *fakeLink) kinds() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.asked {
		out = append(out, a.kind.String()+" "+a.dst)
	}
	return out
}

func (l *fakeLink) last() pvd.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reports) == 0 {
		return pvd.Report{}
	}
	return l.reports[len(l.reports)-1]
}

func (l *fakeLink) sent() []asked {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

func (l *fakeLink) heard() []pvd.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.reports)
}

// run plays f against a source that works on link.
func (l *fakeLink) run(t *testing.T, link Link, f func(s *Source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l.began = time.Now()
		s := New(Config{Deliver: func(r pvd.Report) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.reports = append(l.reports, r)
		}}, slog.New(slog.DiscardHandler))
		s.open = l.open
		s.inUse = func(_ context.Context, _ Link, addr netip.Addr) (bool, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return slices.Contains(l.taken, addr), nil
		}
		defer pvdtest.Run(t, s.Run)()
		s.Watch([]Link{link})
		synctest.Wait()
		f(s)
	})
}

// reply is a server's answer to q.
func answerTo(q *dhcpv4.DHCPv4, kind byte, options ...byte) []byte {
	b := message(kind, options...)
	copy(b[4:8], q.TransactionID[:])
	return b
}

// leasing answers DISCOVER and REQUEST with 10.1.0.100 for an hour.
func leasing(q *dhcpv4.DHCPv4) [][]byte {
	kind := map[dhcpv4.MessageType]byte{dhcpv4.MessageTypeDiscover: 2, dhcpv4.MessageTypeRequest: 5}[q.MessageType()]
	if kind == 0 {
		return nil
	}
	b := answerTo(q, kind, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 3, 4, 10, 1, 0, 1)
	copy(b[16:], []byte{10, 1, 0, 100})
	return [][]byte{b}
}

// sleep lets a while pass, and what happens in it happen.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var informed = Link{Index: 2, Name: "e1", Address: netip.MustParsePrefix("10.1.0.200/16")}

func TestInformIsTriedFourTimesAndAgainLater(t *testing.T) {
	l := &fakeLink{}
	l.run(t, informed, func(*Source) {
		sleep(9 * time.Minute)
		if len(l.sent()) != 4 {
			t.Fatalf("asked %d times, want 4", len(l.sent()))
		}
		at := time.Duration(0)
		for i, wait := range []time.Duration{0, 4 * time.Second, 8 * time.Second, 16 * time.Second} {
			if gap := l.sent()[i].after - at; gap < wait-time.Second || gap > wait+time.Second {
				t.Errorf("message %d came %v after the last, want %v", i, gap, wait)
			}
			at = l.sent()[i].after
		}
		q := l.sent()[0].q
		if !q.ClientIPAddr.Equal([]byte{10, 1, 0, 200}) || q.Options.Has(dhcpv4.OptionRequestedIPAddress) || q.Options.Has(dhcpv4.OptionIPAddressLeaseTime) || q.Options.Has(dhcpv4.OptionServerIdentifier) {
			t.Errorf("this is no DHCPINFORM: %v", q.Summary())
		}
		sleep(4 * time.Minute)
		if len(l.sent()) <= 4 {
			t.Error("nobody is asked again")
		}
	})
}

func TestInformBelievesOnlyTheAnswerToItsQuestion(t *testing.T) {
	l := &fakeLink{answer: func(q *dhcpv4.DHCPv4) [][]byte {
		foreign, other, lying, offer := answerTo(q, 5), answerTo(q, 5), answerTo(q, 5), answerTo(q, 2)
		foreign[7]++                // another transaction
		other[33]++                 // another host
		lying[12], lying[15] = 9, 9 // another client's address
		return [][]byte{{1, 2, 3}, foreign, other, lying, offer, answerTo(q, 5, 42, 4, 10, 1, 0, 123, 26, 2, 0, 1), answerTo(q, 5, 42, 4, 6, 6, 6, 6)}
	}}
	l.run(t, informed, func(s *Source) {
		if got := l.last(); len(l.heard()) != 1 || len(got.NTP) != 1 || got.NTP[0].Addr != netip.MustParseAddr("10.1.0.123") || !got.Until.IsZero() {
			t.Errorf("reports %+v", l.heard())
		}
		if diff := cmp.Diff(Counts{Malformed: 1, Foreign: 2, Lying: 2, Objects: 1}, s.Counts()); diff != "" {
			t.Error(diff)
		}
		sleep(65 * time.Minute)
		if len(l.heard()) != 2 {
			t.Errorf("%d reports after an hour, want 2", len(l.heard()))
		}
		s.Watch(nil)
		synctest.Wait()
		if got := l.last(); !got.Until.Equal(got.Received) || len(got.NTP) != 0 || got.Sender != netip.MustParseAddr("10.1.0.1") {
			t.Errorf("what was said is not withdrawn: %+v", got)
		}
	})
}

// TestEveryServerOfALinkIsHeard has two servers answer, of which one falls silent
// and is then replaced by a third.
func TestEveryServerOfALinkIsHeard(t *testing.T) {
	from := func(q *dhcpv4.DHCPv4, server byte) []byte {
		b := answerTo(q, 5, 3, 4, 10, 1, 0, server)
		at := slices.IndexFunc(b[240:], func(c byte) bool { return c == 54 }) + 240
		b[at+5] = server
		return b
	}
	round := 0
	l := &fakeLink{answer: func(q *dhcpv4.DHCPv4) [][]byte {
		if round++; round == 1 {
			return [][]byte{from(q, 1), from(q, 1), from(q, 2)}
		}
		return [][]byte{from(q, 3), from(q, 2)}
	}}
	l.run(t, informed, func(s *Source) {
		words := func() (out []string) {
			for _, r := range l.heard() {
				w := r.Sender.String()
				if !r.Until.IsZero() {
					w += " no more"
				}
				out = append(out, w)
			}
			return out
		}
		sleep(2 * time.Second)
		want := []string{"10.1.0.1", "10.1.0.2"}
		if diff := cmp.Diff(want, words()); diff != "" {
			t.Error(diff)
		}
		sleep(65 * time.Minute)
		want = append(want, "10.1.0.3", "10.1.0.2", "10.1.0.1 no more")
		if diff := cmp.Diff(want, words()); diff != "" {
			t.Error(diff)
		}
		s.Watch(nil)
		synctest.Wait()
		if diff := cmp.Diff(append(want, "10.1.0.2 no more", "10.1.0.3 no more"), words()); diff != "" {
			t.Error(diff)
		}
		if c := s.Counts(); c != (Counts{}) {
			t.Errorf("%+v", c)
		}
	})
}

func TestAFloodDoesNotHideTheNextTry(t *testing.T) {
	tries := 0
	l := &fakeLink{answer: func(q *dhcpv4.DHCPv4) [][]byte {
		if tries++; tries == 1 {
			return slices.Repeat([][]byte{{1}}, 200)
		}
		return [][]byte{answerTo(q, 5)}
	}}
	l.run(t, informed, func(s *Source) {
		sleep(6 * time.Second)
		if c := s.Counts(); len(l.heard()) != 1 || c.Malformed > 2*dhcp.MaxFrames {
			t.Errorf("%d reports, %+v", len(l.heard()), c)
		}
	})
}

func TestTheSameLinksAgainChangeNothing(t *testing.T) {
	l := &fakeLink{answer: func(q *dhcpv4.DHCPv4) [][]byte { return [][]byte{answerTo(q, 5)} }}
	l.run(t, informed, func(s *Source) {
		for range 10 {
			s.Watch([]Link{informed})
			synctest.Wait()
		}
		again := informed
		again.Attached++
		s.Watch([]Link{again})
		synctest.Wait()
		if len(l.sent()) != 2 {
			t.Errorf("asked %d times; want once for each attachment", len(l.sent()))
		}
	})
}

var leased = Link{Index: 2, Name: "e1", Mode: Client}

func TestTheClientLeasesRenewsAndReleases(t *testing.T) {
	l := &fakeLink{answer: leasing}
	l.run(t, leased, func(s *Source) {
		r := l.last()
		if len(r.Addresses) != 1 || r.Addresses[0].Prefix != netip.MustParsePrefix("10.1.0.100/24") || !r.Addresses[0].Ours || len(r.NextHops) != 1 || !r.Until.Equal(l.began.Add(time.Hour)) {
			t.Fatalf("the report of a lease is %+v", r)
		}
		other := leased // what its address makes of the domain is no new work
		other.Attached, other.Address = 7, r.Addresses[0].Prefix
		s.Watch([]Link{other})
		sleep(31 * time.Minute)
		if r := l.last(); !r.Until.After(l.began.Add(85 * time.Minute)) {
			t.Errorf("after a renewal the lease ends %v", r.Until.Sub(l.began))
		}
	})
	want := []string{"DISCOVER 255.255.255.255", "REQUEST 255.255.255.255", "REQUEST 10.1.0.1", "RELEASE 10.1.0.1"}
	if diff := cmp.Diff(want, l.kinds()); diff != "" {
		t.Error(diff)
	}
	renewal := l.sent()[2].q
	if renewal.ClientIPAddr.IsUnspecified() || renewal.Options.Has(dhcpv4.OptionServerIdentifier) || renewal.Options.Has(dhcpv4.OptionRequestedIPAddress) {
		t.Errorf("this is no renewal: %v", renewal.Summary())
	}
}

// TestAnAddressThatAnotherHostHasIsDeclined: the server is told, and the client
// begins anew after a while (RFC 2131 3.1.5), without a wish.
func TestAnAddressThatAnotherHostHasIsDeclined(t *testing.T) {
	l := &fakeLink{answer: leasing, taken: []netip.Addr{netip.MustParseAddr("10.1.0.100")}}
	l.run(t, leased, func(*Source) {
		sleep(9 * time.Second)
		if all := l.heard(); len(all) != 0 {
			t.Errorf("used all the same: %+v", all)
		}
		if diff := cmp.Diff([]string{"DISCOVER 255.255.255.255", "REQUEST 255.255.255.255", "DECLINE 255.255.255.255"}, l.kinds()); diff != "" {
			t.Fatal(diff)
		}
		q := l.sent()[2].q
		if !q.ClientIPAddr.IsUnspecified() || !q.RequestedIPAddress().Equal([]byte{10, 1, 0, 100}) || !q.ServerIdentifier().Equal([]byte{10, 1, 0, 1}) {
			t.Errorf("this is no DHCPDECLINE: %v", q.Summary())
		}
		l.mu.Lock()
		l.taken = nil
		l.mu.Unlock()
		sleep(10 * time.Second)
		if kinds := l.kinds(); len(kinds) != 5 || l.sent()[3].q.RequestedIPAddress() != nil || len(l.last().Addresses) != 1 {
			t.Errorf("then: %q, %+v", kinds, l.last())
		}
	})
}

// TestALeaseThatNobodyUsesIsGivenBack ends the client while it looks whether its
// address is free.
func TestALeaseThatNobodyUsesIsGivenBack(t *testing.T) {
	l := &fakeLink{answer: leasing}
	l.run(t, Link{}, func(s *Source) {
		s.inUse = func(ctx context.Context, _ Link, _ netip.Addr) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		}
		s.Watch([]Link{leased})
		synctest.Wait()
		s.Watch(nil)
		synctest.Wait()
		if kinds := l.kinds(); kinds[len(kinds)-1] != "RELEASE 10.1.0.1" || len(l.heard()) != 0 {
			t.Errorf("%q, %+v", kinds, l.heard())
		}
	})
}

func TestALeaseThatNobodyRenewsIsOver(t *testing.T) {
	l := &fakeLink{answer: leasing}
	l.run(t, leased, func(*Source) {
		l.mu.Lock()
		l.answer = nil
		l.mu.Unlock()
		sleep(time.Hour - time.Second)
		if got := l.last(); got.Until.Equal(got.Received) {
			t.Error("withdrawn before its end")
		}
		kinds := l.kinds()
		if !slices.Contains(kinds[2:], "REQUEST 10.1.0.1") || kinds[len(kinds)-1] != "REQUEST 255.255.255.255" || len(kinds) > 30 {
			t.Errorf("renewing, then rebinding, in few messages: %q", kinds)
		}
		sleep(2 * time.Second)
		if got := l.last(); !got.Until.Equal(got.Received) || len(got.Addresses) != 0 {
			t.Errorf("used beyond its end: %+v", got)
		}
		sleep(time.Minute)
		kinds = l.kinds()
		if kinds[len(kinds)-1] != "DISCOVER 255.255.255.255" {
			t.Errorf("does not begin anew: %q", kinds)
		}
		if q := l.sent()[len(l.sent())-1].q; !q.RequestedIPAddress().Equal([]byte{10, 1, 0, 100}) {
			t.Error("does not ask for its old address")
		}
	})
}

func TestARefusedRenewalEndsTheLeaseAtOnce(t *testing.T) {
	l := &fakeLink{answer: leasing}
	l.run(t, leased, func(*Source) {
		l.mu.Lock()
		l.answer = func(q *dhcpv4.DHCPv4) [][]byte { return [][]byte{answerTo(q, 6)} }
		l.mu.Unlock()
		sleep(30*time.Minute + time.Second)
		if got := l.last(); !got.Until.Equal(got.Received) {
			t.Errorf("after a DHCPNAK: %+v", got)
		}
	})
}

func TestAServerThatRefusesWhatItOffersMakesNoStorm(t *testing.T) {
	l := &fakeLink{answer: func(q *dhcpv4.DHCPv4) [][]byte {
		if q.MessageType() == dhcpv4.MessageTypeRequest {
			return [][]byte{answerTo(q, 6)}
		}
		return leasing(q)
	}}
	l.run(t, leased, func(*Source) {
		sleep(10 * time.Minute)
		if n := len(l.sent()); n < 10 || n > 40 {
			t.Errorf("%d messages in ten minutes", n)
		}
	})
}

func TestAnAddressThatWasNotOfferedIsNotTaken(t *testing.T) {
	l := &fakeLink{answer: func(q *dhcpv4.DHCPv4) [][]byte {
		all := leasing(q)
		if q.MessageType() == dhcpv4.MessageTypeRequest {
			all[0][19] = 66
		}
		return all
	}}
	l.run(t, leased, func(s *Source) {
		sleep(time.Minute)
		if len(l.heard()) != 0 || s.Counts().Lying == 0 {
			t.Errorf("reports %+v, %+v", l.heard(), s.Counts())
		}
	})
}

func TestTheClientDoesWithoutIPv4WhereTheNetworkWantsIt(t *testing.T) {
	wait := binary.BigEndian.AppendUint32([]byte{108, 4}, 1800)
	answer := func(q *dhcpv4.DHCPv4) [][]byte {
		all := leasing(q)
		if len(all) > 0 {
			b := append(all[0][:len(all[0])-1], wait...)
			all[0] = append(b, 255)
		}
		return all
	}
	only := leased
	only.V6Only = true
	l := &fakeLink{answer: answer}
	l.run(t, only, func(*Source) {
		sleep(1799 * time.Second)
		if diff := cmp.Diff([]string{"DISCOVER 255.255.255.255"}, l.kinds()); diff != "" {
			t.Error(diff)
		}
		sleep(10 * time.Second)
		if len(l.kinds()) != 2 {
			t.Errorf("asks again after the wait: %q", l.kinds())
		}
	})
	l = &fakeLink{answer: answer}
	l.run(t, leased, func(*Source) {
		if len(l.heard()) != 1 {
			t.Error("option 108 that was not asked for means nothing")
		}
	})
}
