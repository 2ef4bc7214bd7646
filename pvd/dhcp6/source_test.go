package dhcp6

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/pvd"
	"mifvif/pvd/dhcp"
	"mifvif/pvd/pvdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testMAC() [6]byte { return [6]byte{2, 0, 0, 0, 0, 1} }

// answer is a reply with the identifiers and the given options.
func answer(transmit [3]byte, options ...byte) []byte {
	b := append([]byte{reply}, transmit[:]...)
	b = append(b, 0, optClient, 0, 10)
	b = append(b, identifier(testMAC())...)
	b = append(b, 0, optServer, 0, 4, 0, 3, 0, 1)
	return append(b, options...)
}

func lines(r pvd.Report) []string {
	var out []string
	for _, x := range r.Resolvers {
		line := "dns " + x.Addr.String()
		if x.Only {
			line += " only"
		}
		out = append(out, line)
	}
	return append(out, pvdtest.Rest(r)...)
}

func TestRepliesAreRestated(t *testing.T) {
	const (
		dns = "0017 0010 20010db8000100000000000000000053"
		rdn = "004a 0017 20010db8000100000000000000000053 00 04636f727000"
	)
	for _, test := range []struct {
		title, options string
		trusted        bool
		want           []string
		refused        int
	}{
		{"23", dns, false, []string{"dns [2001:db8:1::53]:53"}, 0},
		{"23 with half an address", "0017 0008 20010db800010000", false, nil, 1},
		{"23 with a group", "0017 0010 ff020000000000000000000000000001", false, nil, 1},
		{"24", "0018 000e 04636f7270076578616d706c6500", false, []string{"search corp.example"}, 0},
		{"24 with a pointer", "0018 0002 c000", false, nil, 1},
		{"56", "0038 0014 0001 0010 20010db8000100000000000000000123 0038 000a 0003 0006 046e74703100", false, []string{"ntp 2001:db8:1::123", "ntp ntp1"}, 0},
		{"56 with a group", "0038 0014 0001 0010 ff020000000000000000000000000123", false, nil, 1},
		{"74 untrusted", rdn, false, nil, 0},
		{"74 trusted", rdn, true, []string{"dns [2001:db8:1::53]:53 only", "zone corp"}, 0},
		{"84", "0054 000e 00 0055 0009 0d 64 30 20010db80001", false, []string{"selection 2001:db8:1::/48"}, 0},
		{"84 cut off", "0054 000d 00 0055 0009 0d 64 30 20010db800", false, nil, 1},
		{"103", "0067 001a 68747470733a2f2f63702e6578616d706c652e6e65742f617069", false, []string{"portal https://cp.example.net/api"}, 0},
		{"103 without TLS", "0067 0019 687474703a2f2f63702e6578616d706c652e6e65742f617069", false, nil, 1},
		{"144", "0090 0030 0001 0012 087265736f6c766572076578616d706c6500 0010 20010db8000100000000000000000053 0001000403646f74", false, []string{"dns [2001:db8:1::53]:853"}, 0},
		{"144, the name alone", "0090 0016 0001 0012 087265736f6c766572076578616d706c6500", false, []string{"named resolver.example"}, 0},
	} {
		r, err := Parse(answer([3]byte{1, 2, 3}, pvdtest.Octets(t, test.options)...))
		if err != nil {
			t.Errorf("%s: %v", test.title, err)
			continue
		}
		got, refused := r.Report(Link{Index: 2, Trusted: test.trusted}, netip.MustParseAddr("fe80::1"), time.Unix(1, 0))
		if diff := cmp.Diff(test.want, lines(got)); diff != "" || refused != test.refused {
			t.Errorf("%s: %d refused, want %d\n%s", test.title, refused, test.refused, diff)
		}
	}
}

func TestWhatIsNoReplyIsRefused(t *testing.T) {
	good := answer([3]byte{1, 2, 3})
	for title, b := range map[string][]byte{
		"empty":             nil,
		"a request":         append([]byte{11}, good[1:]...),
		"no server":         good[:18],
		"an option cut off": good[:len(good)-1],
		"half an option":    append(slices.Clip(good), 0, 23, 0),
		"a bad status":      answer([3]byte{}, 0, 13, 0, 2, 0, 1),
		"huge":              append(slices.Clip(good), make([]byte, 5000)...),
		"too many options":  append(slices.Clip(good), make([]byte, 4*200)...),
	} {
		if _, err := Parse(b); err == nil {
			t.Errorf("%s: taken, refuse it", title)
		}
	}
}

func TestTimesAreBounded(t *testing.T) {
	for options, want := range map[string]time.Duration{
		"": 24 * time.Hour, "0020 0004 00000001": 10 * time.Minute, "0020 0004 00000e10": time.Hour, "0020 0004 ffffffff": never, "0020 0002 0001": 24 * time.Hour,
	} {
		r, err := Parse(answer([3]byte{}, pvdtest.Octets(t, options)...))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Refresh(); got != want {
			t.Errorf("%s: %v, want %v", options, got, want)
		}
	}
	for options, want := range map[string]bool{"0053 0004 0000003b": false, "0053 0004 0000003c": true, "0053 0004 00015180": true, "0053 0004 00015181": false} {
		r, _ := Parse(answer([3]byte{}, pvdtest.Octets(t, options)...))
		if _, ok := r.MaxWait(); ok != want {
			t.Errorf("%s: %v", options, ok)
		}
	}
}

func TestTheRequestAsksWhatItShould(t *testing.T) {
	b := message(Link{Trusted: true}, [3]byte{1, 2, 3}, testMAC(), 2*time.Second)
	want := pvdtest.Octets(t, "0b010203 0001000a 00030001020000000001 0008000200c8 00060012 0017 0018 0020 0038 0053 0054 0067 0090 004a")
	if diff := cmp.Diff(want, b); diff != "" {
		t.Error(diff)
	}
}

// record keeps what happened, in order, for a test that looks on.
type record[T any] struct {
	mu  sync.Mutex
	all []T
}

func (r *record[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, v)
}

func (r *record[T]) list() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// serverAt is where the identifier of answer's server ends.
const serverAt = 25

// fake is a link whose servers answer as they are told.
func fake(answers func(transmit [3]byte) [][]byte) (open func(Link) (*dhcp.Port, error), asked *record[time.Time]) {
	asked = new(record[time.Time])
	return func(Link) (*dhcp.Port, error) {
		p := &dhcp.Port{Hardware: testMAC(), Frames: make(chan dhcp.Frame, 256), Close: func() {}}
		p.Send = func(f dhcp.Frame) error {
			asked.add(time.Now())
			for _, a := range answers([3]byte(f.Payload[1:4])) {
				src := netip.MustParseAddr("fe80::1").As16()
				if len(a) > serverAt {
					src[15] = a[serverAt] // each server by its identifier
				}
				p.Frames <- dhcp.Frame{Src: netip.AddrFrom16(src), Payload: a}
			}
			return nil
		}
		return p, nil
	}, asked
}

func run(t *testing.T, answers func(transmit [3]byte) [][]byte, f func(s *Source, asked *record[time.Time], reports *record[pvd.Report])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var reports record[pvd.Report]
		s := New(Config{Deliver: reports.add}, slog.New(slog.DiscardHandler))
		open, asked := fake(answers)
		s.open = open
		defer pvdtest.Run(t, s.Run)()
		s.Watch([]Link{{Index: 2, Name: "e1"}})
		time.Sleep(maxDelay)
		synctest.Wait()
		f(s, asked, &reports)
	})
}

func TestSilenceIsAskedLessAndLess(t *testing.T) {
	run(t, func([3]byte) [][]byte { return nil }, func(_ *Source, asked *record[time.Time], _ *record[pvd.Report]) {
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		all := asked.list()
		if n := len(all); n < 12 || n > 16 {
			t.Errorf("asked %d times in three hours", n)
		}
		if gap := all[1].Sub(all[0]); gap < 900*time.Millisecond || gap > 1100*time.Millisecond {
			t.Errorf("the first wait is %v", gap)
		}
	})
}

func TestOnlyTheReplyToTheQuestionIsBelievedAndRefreshed(t *testing.T) {
	dns := pvdtest.Octets(t, "0017 0010 20010db8000100000000000000000053 0020 0004 00000e10")
	run(t, func(transmit [3]byte) [][]byte {
		other := transmit
		other[0]++
		stranger := answer(transmit, dns...)
		stranger[17]++
		return [][]byte{{1}, answer(other, dns...), stranger, answer(transmit, dns...)}
	}, func(s *Source, asked *record[time.Time], reports *record[pvd.Report]) {
		if all := reports.list(); len(all) != 1 || len(all[0].Resolvers) != 1 {
			t.Fatalf("reports %+v", all)
		}
		if diff := cmp.Diff(Counts{Malformed: 1, Foreign: 2}, s.Counts()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Hour + 2*time.Second)
		synctest.Wait()
		if len(asked.list()) != 2 || len(reports.list()) != 2 {
			t.Errorf("asked %d times in an hour", len(asked.list()))
		}
		s.Watch(nil)
		synctest.Wait()
		all := reports.list()
		if last := all[len(all)-1]; !last.Until.Equal(last.Received) || len(last.Resolvers) > 0 {
			t.Errorf("not withdrawn: %+v", last)
		}
	})
}

// TestEveryServerOfALinkIsHeard has two servers answer, of which one falls silent
// and is then replaced by a third.
func TestEveryServerOfALinkIsHeard(t *testing.T) {
	refresh := pvdtest.Octets(t, "0020 0004 00000e10")
	round := 0
	run(t, func(transmit [3]byte) (all [][]byte) {
		servers := []byte{1, 1, 2}
		if round++; round > 1 {
			servers = []byte{3, 2}
		}
		for _, s := range servers {
			a := answer(transmit, refresh...)
			a[serverAt] = s
			all = append(all, a)
		}
		return all
	}, func(s *Source, _ *record[time.Time], reports *record[pvd.Report]) {
		words := func() (out []string) {
			for _, r := range reports.list() {
				w := r.Sender.String()
				if !r.Until.IsZero() {
					w += " no more"
				}
				out = append(out, w)
			}
			return out
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want := []string{"fe80::1", "fe80::2"}
		if diff := cmp.Diff(want, words()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Hour + 5*time.Second)
		synctest.Wait()
		want = append(want, "fe80::3", "fe80::2", "fe80::1 no more")
		if diff := cmp.Diff(want, words()); diff != "" {
			t.Error(diff)
		}
		s.Watch(nil)
		synctest.Wait()
		if diff := cmp.Diff(append(want, "fe80::2 no more", "fe80::3 no more"), words()); diff != "" {
			t.Error(diff)
		}
	})
}

// openIn opens the client's port in a node's network namespace.
func openIn(n *lab.Node, l Link) (p *dhcp.Port, err error) {
	err = n.Do(func() (err error) {
		p, err = openPort(l)
		return err
	})
	return p, err
}

// onE1 has a source ask on e1 until the test is over.
func onE1(t *testing.T, c *lab.Common, s *Source) {
	t.Helper()
	stop := pvdtest.Run(t, s.Run)
	t.Cleanup(func() {
		stop()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	index, err := c.Host.LinkIndex("e1")
	if err != nil {
		t.Fatal(err)
	}
	s.Watch([]Link{{Index: index, Name: "e1"}})
}

func TestDnsmasqAnswersInformationRequests(t *testing.T) {
	labtest.Need(t, "dnsmasq")
	layout := lab.TwoNetworks()
	layout.Networks[0].DHCP = &lab.DHCP{Options: []string{
		"option6:dns-server,[2001:db8:1::53]", "option6:domain-search,n1.example.com", "option6:103,https://portal.n1.example.com/api",
		"option6:84,00:00:55:00:09:0d:64:30:20:01:0d:b8:00:01",
	}}
	c, err := lab.NewCommon(layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	reports := make(chan pvd.Report, 10)
	s := New(Config{Deliver: func(r pvd.Report) { reports <- r }}, slog.New(slog.DiscardHandler))
	s.open = func(l Link) (*dhcp.Port, error) { return openIn(c.Host, l) }
	onE1(t, c, s)
	select {
	case r := <-reports:
		want := []string{"dns [2001:db8:1::53]:53", "search n1.example.com", "selection 2001:db8:1::/48", "portal https://portal.n1.example.com/api"}
		if diff := cmp.Diff(want, lines(r)); diff != "" {
			t.Errorf("%s\n%s", diff, c.Dnsmasq["n1"].Log())
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no report\n%s", c.Dnsmasq["n1"].Log())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer([3]byte{1, 2, 3}, binary.BigEndian.AppendUint32([]byte{0, 32, 0, 4}, 3600)...))
	f.Add(answer([3]byte{1, 2, 3}, pvdtest.Octets(f, "0038 0014 0001 0010 20010db8000100000000000000000123")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		if r.Refresh() != never && r.Refresh() < refreshLeast {
			t.Fatal("refreshed too often")
		}
		r.MaxWait()
		got, _ := r.Report(Link{Trusted: true}, netip.MustParseAddr("fe80::1"), time.Unix(1, 0))
		if len(got.NTP) > 16 || len(got.Search) > 64 {
			t.Fatalf("unbounded: %d, %d", len(got.NTP), len(got.Search))
		}
	})
}

// TestALinkThatVanishesInTheMiddleOfAQuestion ends the question when that is told.
func TestALinkThatVanishesInTheMiddleOfAQuestion(t *testing.T) {
	labtest.Need(t)
	c, err := lab.NewCommon(lab.TwoNetworks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 100)
	s := New(Config{Deliver: func(r pvd.Report) { t.Errorf("nobody has answered: %+v", r) }}, slog.New(slog.DiscardHandler))
	s.open = func(l Link) (*dhcp.Port, error) {
		p, err := openIn(c.Host, l)
		if err != nil {
			return nil, err
		}
		send := p.Send
		p.Send = func(f dhcp.Frame) error {
			err := send(f)
			asked <- struct{}{}
			return err
		}
		return p, nil
	}
	onE1(t, c, s)
	<-asked
	if err := c.Host.DeleteLink("e1"); err != nil {
		t.Fatal(err)
	}
	<-asked // into the void
	s.Watch(nil)
}
