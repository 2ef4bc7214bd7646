package netwatch_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"mifvif/lab"
	"mifvif/netwatch"
)

// seen collects what a Watcher delivers.
type seen struct {
	mu     sync.Mutex
	states []netwatch.State
}

func (s *seen) add(st netwatch.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, st)
}

func (s *seen) last() (netwatch.State, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.states) == 0 {
		return netwatch.State{}, 0
	}
	return s.states[len(s.states)-1], len(s.states)
}

// watch runs a Watcher in n until the test ends.
func watch(t *testing.T, n *lab.Node) *seen {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := new(seen)
	done := make(chan error, 1)
	goIn := enter(t, n)
	go func() {
		if err := goIn(); err != nil {
			done <- err
			return
		}
		done <- netwatch.New(slog.New(slog.DiscardHandler)).Run(ctx, s.add)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestEveryKindOfChangeIsDelivered(t *testing.T) {
	n := newNode(t)
	s := watch(t, n)
	eventually(t, "the first state comes by itself", func() bool { _, count := s.last(); return count > 0 })
	steps := []struct {
		what string
		do   func() error
		is   func(netwatch.State) bool
	}{
		{"address", func() error { return n.AddAddress("e1", prefix("192.0.2.2/24")) }, func(st netwatch.State) bool {
			return slices.ContainsFunc(st.Addresses, func(a netwatch.Address) bool { return a.Prefix == prefix("192.0.2.2/24") })
		}},
		{"route", func() error {
			return n.AddRoute(lab.Route{To: prefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Dev: "e1"})
		}, func(st netwatch.State) bool {
			return slices.ContainsFunc(st.Routes, func(r netwatch.Route) bool { return r.Gateway == addr("192.0.2.1") })
		}},
		{"IPv6 route of an own table", func() error {
			return n.AddRoute(lab.Route{To: prefix("::/0"), Kind: "unreachable", Table: 64200})
		}, func(st netwatch.State) bool {
			return slices.ContainsFunc(st.Routes, func(r netwatch.Route) bool { return r.Table == 64200 })
		}},
		{"rule", func() error {
			return n.Do(func() error {
				return addForeign(netwatch.Rule{Priority: 7, Table: 9, Src: prefix("192.0.2.0/24")})
			})
		}, func(st netwatch.State) bool {
			return slices.ContainsFunc(st.Rules, func(r netwatch.Rule) bool { return r.Priority == 7 })
		}},
		{"link down", func() error { return n.LinkDown("e2") }, func(st netwatch.State) bool {
			return slices.ContainsFunc(st.Links, func(l netwatch.Link) bool { return l.Name == "e2" && !l.Up })
		}},
		{"link gone", func() error { return n.DeleteLink("e2") }, func(st netwatch.State) bool {
			return !slices.ContainsFunc(st.Links, func(l netwatch.Link) bool { return l.Name == "e2" })
		}},
	}
	for _, step := range steps {
		must(t, step.do())
		eventually(t, "the "+step.what+" is delivered", func() bool { st, _ := s.last(); return step.is(st) })
	}
}

func TestAPolicyOfIPsecIsDelivered(t *testing.T) {
	n := newNode(t)
	s := watch(t, n)
	policy := func(dir netlink.Dir) *netlink.XfrmPolicy {
		_, all, _ := net.ParseCIDR("0.0.0.0/0")
		return &netlink.XfrmPolicy{Dst: all, Src: all, Dir: dir, Action: netlink.XFRM_POLICY_BLOCK}
	}
	must(t, n.Do(func() error { return netlink.XfrmPolicyAdd(policy(netlink.XFRM_DIR_IN)) }))
	if read(t, n).Transforms {
		t.Error("one about what comes in counts")
	}
	must(t, n.Do(func() error { return netlink.XfrmPolicyAdd(policy(netlink.XFRM_DIR_OUT)) }))
	eventually(t, "that there is one is delivered", func() bool { st, _ := s.last(); return st.Transforms })
	must(t, n.Do(func() error { return netlink.XfrmPolicyDel(policy(netlink.XFRM_DIR_OUT)) }))
	eventually(t, "that there is none is delivered", func() bool { st, _ := s.last(); return !st.Transforms })
}

func TestAFirewallChangeIsDelivered(t *testing.T) {
	n := newNode(t)
	before := read(t, n).Firewall
	if before == 0 {
		t.Skip("this kernel has no nftables")
	}
	s := watch(t, n)
	eventually(t, "the first state comes", func() bool { _, count := s.last(); return count > 0 })
	must(t, n.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "somebody"})
		return conn.Flush()
	}))
	eventually(t, "the new generation is delivered", func() bool { st, _ := s.last(); return st.Firewall != before })
}

func TestNothingIsDeliveredTwice(t *testing.T) {
	n := newNode(t)
	settle(t, n)
	s := watch(t, n)
	eventually(t, "the first state comes", func() bool { _, count := s.last(); return count > 0 })
	for range 50 { // each is a notification, and leaves nothing changed
		must(t, n.AddAddress("e1", prefix("192.0.2.2/24")))
		must(t, n.DeleteAddress("e1", prefix("192.0.2.2/24")))
	}
	want := read(t, n)
	eventually(t, "the state settles", func() bool { st, _ := s.last(); return st.Equal(&want) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(s.states); i++ {
		if s.states[i-1].Equal(&s.states[i]) {
			t.Errorf("state %d is the one before", i)
		}
	}
}

func TestAStormOfChangesEndsInTheTruth(t *testing.T) {
	n := newNode(t)
	s := watch(t, n)
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24")))
	for i := range 2000 { // more than the socket's buffer takes
		r := lab.Route{To: prefix("10.0.0.0/8"), Via: addr("192.0.2.1"), Dev: "e1", Metric: i % 7}
		must(t, n.AddRoute(r))
		if i%2 == 1 {
			must(t, n.DeleteRoute(r))
		}
	}
	want := read(t, n)
	eventually(t, "what is delivered last is what the kernel has", func() bool { st, _ := s.last(); return st.Equal(&want) })
	if _, count := s.last(); count > 1500 {
		t.Errorf("%d states were delivered, they are not coalesced", count)
	}
}
