package dhcp4

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/lab/serve"
	"mifvif/pvd"
	"mifvif/pvd/dhcp"
	"mifvif/pvd/pvdtest"
)

// world is the laboratory with a source in its host that works on e1.
func world(t *testing.T, layout lab.Layout) (*lab.Common, *Source, func() pvd.Report) {
	t.Helper()
	labtest.Need(t, "dnsmasq")
	c, err := lab.NewCommon(layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	reports := make(chan pvd.Report, 100)
	s := New(Config{Deliver: func(r pvd.Report) { reports <- r }}, slog.New(slog.DiscardHandler))
	s.open = func(l Link) (*dhcp.Port, error) {
		return in(c.Host, func() (*dhcp.Port, error) { return openPort(l) })
	}
	s.inUse = func(ctx context.Context, l Link, addr netip.Addr) (bool, error) {
		return in(c.Host, func() (bool, error) { return inUse(ctx, l, addr) })
	}
	stop := pvdtest.Run(t, s.Run)
	t.Cleanup(func() {
		stop()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, s, func() pvd.Report {
		t.Helper()
		select {
		case r := <-reports:
			return r
		case <-time.After(20 * time.Second):
			t.Fatal("no report")
		}
		return pvd.Report{}
	}
}

// in does something in a node's network namespace.
func in[T any](n *lab.Node, f func() (T, error)) (out T, err error) {
	err = n.Do(func() (err error) {
		out, err = f()
		return err
	})
	return out, err
}

func e1(t *testing.T, c *lab.Common) int {
	t.Helper()
	i, err := c.Host.LinkIndex("e1")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestDnsmasqAnswersDHCPInform(t *testing.T) {
	layout := lab.TwoNetworks()
	layout.Networks[0].DHCP = &lab.DHCP{Options: []string{
		"42,10.1.0.123", "114,https://portal.n1.example.com/api", "119,a.n1.example.com,b.n1.example.com",
		"121,0.0.0.0/0,10.1.0.1,10.66.0.0/24,10.1.0.1",
	}}
	c, s, next := world(t, layout)
	s.Watch([]Link{{Index: e1(t, c), Name: "e1", MTU: 1500, Address: netip.MustParsePrefix("10.1.0.2/24")}})
	got := strings.Join(lines(next()), "\n")
	for _, want := range []string{"default 10.1.0.1", "10.66.0.0/24 10.1.0.1", "search b.n1.example.com", "ntp 10.1.0.123", "portal https://portal.n1.example.com/api"} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s\n%s", want, got, c.Dnsmasq["n1"].Log())
		}
	}
}

func TestDnsmasqLeasesAndTakesBack(t *testing.T) {
	layout := lab.TwoNetworks()
	layout.Networks[0].DHCP = &lab.DHCP{}
	layout.Networks[0].Detached = true
	c, s, next := world(t, layout)
	s.Watch([]Link{{Index: e1(t, c), Name: "e1", MTU: 1500, Mode: Client}})
	r := next()
	if len(r.Addresses) != 1 || !netip.MustParsePrefix("10.1.0.0/24").Contains(r.Addresses[0].Prefix.Addr()) || len(r.NextHops) != 1 {
		t.Fatalf("the report %+v is of no lease\n%s", r, c.Dnsmasq["n1"].Log())
	}
	if leases, err := c.Dnsmasq["n1"].Leases(); err != nil || !strings.Contains(leases, r.Addresses[0].Prefix.Addr().String()) {
		t.Errorf("dnsmasq has no such lease: %q %v", leases, err)
	}
	s.Watch(nil)
	if got := next(); !got.Until.Equal(got.Received) {
		t.Errorf("not withdrawn: %+v", got)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if strings.Contains(c.Dnsmasq["n1"].Log(), "DHCPRELEASE") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lease is not given back:\n%s", c.Dnsmasq["n1"].Log())
		}
	}
}

// TestAnAddressOfTheLinksRouterIsNotTaken has a server lease what is in use, and
// then what is free.
func TestAnAddressOfTheLinksRouterIsNotTaken(t *testing.T) {
	layout := lab.TwoNetworks()
	layout.Networks[0].Detached = true
	c, s, next := world(t, layout)
	n := c.Network("n1")
	lease := []byte{51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0}
	server, err := c.AnswerDHCP("n1", serve.DHCPAnswers{Lease: n.Gateway4(), Options: lease})
	if err != nil {
		t.Fatal(err)
	}
	s.Watch([]Link{{Index: e1(t, c), Name: "e1", MTU: 1500, Mode: Client}})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if slices.ContainsFunc(server.Queries(), func(q serve.DHCPQuery) bool {
			return q.Type == serve.DHCPDecline && bytes.Equal(q.Options[50], n.Gateway4().AsSlice()) && len(q.Options[54]) == 4
		}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not declined: %+v", server.Queries())
		}
	}
	server.Set(serve.DHCPAnswers{Server: n.Gateway4(), Lease: n.Host4(), Options: lease})
	s.Watch([]Link{{Index: e1(t, c), Name: "e1", MTU: 1400, Mode: Client}}) // another link need not wait
	if r := next(); len(r.Addresses) != 1 || r.Addresses[0].Prefix.Addr() != n.Host4() {
		t.Errorf("the report is %+v", r)
	}
}

func TestAnswersOfAnotherLinkAreNotHeard(t *testing.T) {
	c, s, next := world(t, lab.TwoNetworks())
	liar, err := c.AnswerDHCP("n2", serve.DHCPAnswers{Options: []byte{42, 4, 6, 6, 6, 6}})
	if err != nil {
		t.Fatal(err)
	}
	s.Watch([]Link{{Index: e1(t, c), Name: "e1", MTU: 1500, Address: netip.MustParsePrefix("10.1.0.2/24")}})
	time.Sleep(100 * time.Millisecond) // for a question that leaves by the wrong link
	if q := liar.Queries(); len(q) != 0 {
		t.Errorf("n2 was asked: %+v", q)
	}
	if _, err := c.AnswerDHCP("n1", serve.DHCPAnswers{Options: []byte{42, 4, 10, 1, 0, 123}}); err != nil {
		t.Fatal(err)
	}
	if got := lines(next()); len(got) != 1 || got[0] != "ntp 10.1.0.123" {
		t.Errorf("the report is %q", got)
	}
}

func TestALinkWithoutHardwareAddressIsLeftAlone(t *testing.T) {
	c, _, _ := world(t, lab.TwoNetworks())
	err := c.Host.Do(func() error {
		_, err := openPort(Link{Index: 1, Name: "lo"})
		return err
	})
	if !errors.Is(err, ErrLink) {
		t.Errorf("opening lo: %v", err)
	}
}

// TestALinkThatVanishesInTheMiddle: of a question, of a lease, and of the look whether
// its address is free.
func TestALinkThatVanishesInTheMiddle(t *testing.T) {
	for what, link := range map[string]Link{
		"a question": {Name: "e1", MTU: 1500, Address: netip.MustParsePrefix("10.1.0.2/24")},
		"a lease":    {Name: "e1", MTU: 1500, Mode: Client},
		"a look":     {Name: "e1", MTU: 1500, Mode: Client},
	} {
		t.Run(what, func(t *testing.T) {
			layout := lab.TwoNetworks()
			layout.Networks[0].Detached = link.Mode == Client
			c, s, next := world(t, layout)
			vanish := func() {
				if err := c.Host.DeleteLink("e1"); err != nil {
					t.Error(err)
				}
			}
			if what == "a look" {
				look := s.inUse
				s.inUse = func(ctx context.Context, l Link, a netip.Addr) (bool, error) {
					vanish()
					return look(ctx, l, a)
				}
			}
			link.Index = e1(t, c)
			if link.Mode == Client {
				if _, err := c.AnswerDHCP("n1", serve.DHCPAnswers{Lease: c.Network("n1").Host4(), Options: []byte{51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0}}); err != nil {
					t.Fatal(err)
				}
			}
			s.Watch([]Link{link})
			if link.Mode == Client {
				if r := next(); len(r.Addresses) != 1 {
					t.Fatalf("the report is %+v", r)
				}
			} else {
				time.Sleep(20 * time.Millisecond) // the question is asked
			}
			if what != "a look" {
				vanish()
			}
			s.Watch(nil)
			if link.Mode == Client {
				if r := next(); !r.Until.Equal(r.Received) {
					t.Errorf("not withdrawn: %+v", r)
				}
			}
		})
	}
}
