package uplinks_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"mifvif/lab"
	"mifvif/netwatch"
	"mifvif/uplinks"
)

func TestApplyRestsAndRemoveLeavesNothing(t *testing.T) {
	b := newBench(t, lab.WithTunnel())
	before := b.snapshot()
	b.apply()
	with := b.snapshot()
	b.apply() // mifvif sees its own changes; a second look must not change anything
	st := b.state()
	b.apply()
	again := b.state()
	if !st.Equal(&again) {
		t.Errorf("a look at an unchanged world changed it:\n%v\n%v", st, again)
	}
	if diff := with.Differences(b.snapshot()); len(diff) > 0 {
		t.Errorf("the second look changed\n%s", strings.Join(diff, "\n"))
	}
	must(t, b.Host.Do(b.set.Remove))
	if diff := before.Differences(b.snapshot()); len(diff) > 0 {
		t.Errorf("left behind or taken along:\n%s", strings.Join(diff, "\n"))
	}
	if _, err := os.Stat(b.undo); !os.IsNotExist(err) {
		t.Errorf("the undo record is left: %v", err)
	}
}

func TestWhatOthersRemoveOrChangeIsRepaired(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	want := b.snapshot()
	d := b.domain("e2")
	onNft := func(f func(*nftables.Conn)) error {
		return b.Host.Do(func() error {
			conn, err := nftables.New()
			if err != nil {
				return err
			}
			f(conn)
			return conn.Flush()
		})
	}
	ours := &nftables.Table{Family: nftables.TableFamilyINet, Name: "mifvif"}
	cases := map[string]func() error{
		"rules removed": func() error {
			_, err := b.Host.DeleteRules(func(p int) bool { return p >= 6410 && p <= 6415 })
			return err
		},
		"a table emptied": func() error {
			return b.Host.DeleteRoute(
				lab.Route{To: prefix("0.0.0.0/0"), Via: addr("10.2.0.1"), Dev: "e2", Table: d.Table(), Protocol: 64},
				lab.Route{To: prefix("0.0.0.0/0"), Kind: "unreachable", Table: d.Table(), Protocol: 64, Metric: 1 << 30})
		},
		"a route replaced": func() error {
			return b.Host.AddRoute(lab.Route{To: prefix("0.0.0.0/0"), Via: addr("10.2.0.77"), Dev: "e2", Table: d.Table(), Protocol: 64, Metric: 100})
		},
		"a route added in our name": func() error {
			return b.Host.AddRoute(lab.Route{To: prefix("10.66.0.0/16"), Via: addr("10.2.0.77"), Dev: "e2", Table: d.Table(), Protocol: 64})
		},
		"a rule added in our name": func() error {
			rule := netlink.NewRule()
			rule.Priority, rule.Table, rule.Protocol, rule.Family = 6413, 64299, 64, netlink.FAMILY_V4
			return b.Host.Netlink().RuleAdd(rule)
		},
		"the ruleset flushed, as a firewall's reload does": func() error {
			return onNft(func(c *nftables.Conn) { c.FlushRuleset() })
		},
		"the guard's chain flushed": func() error {
			return onNft(func(c *nftables.Conn) { c.FlushChain(&nftables.Chain{Name: "strong", Table: ours}) })
		},
		"a set emptied": func() error {
			return onNft(func(c *nftables.Conn) { c.FlushSet(&nftables.Set{Name: "owned4", Table: ours}) })
		},
		"a sysctl reset": func() error { return b.Host.SetSysctl("net/ipv4/conf/e1/arp_ignore", "0") },
		"a link taken down and up": func() error {
			if err := b.Detach("n1"); err != nil {
				return err
			}
			b.apply()
			return b.Attach("n1")
		},
	}
	for what, damage := range cases {
		t.Run(what, func(t *testing.T) {
			must(t, damage())
			if len(want.Differences(b.snapshot())) == 0 {
				t.Fatal("the damage does not show: the test proves nothing")
			}
			b.settle()
			b.apply()
			if diff := want.Differences(b.snapshot()); len(diff) > 0 {
				t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
			}
		})
	}
}

// TestForeignObjectsStay: only our protocol, our numbers and our name are ours.
func TestForeignObjectsStay(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	foreign := lab.Route{To: prefix("10.55.0.0/16"), Dev: "lan0", Table: 64200}
	must(t, b.Host.AddRoute(foreign))
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family = 6413, 77, netlink.FAMILY_V4
	must(t, b.Host.Netlink().RuleAdd(rule))
	before := b.snapshot()
	b.apply()
	b.apply()
	kept := func() {
		t.Helper()
		st := b.state()
		if !slices.ContainsFunc(st.Routes, func(r netwatch.Route) bool { return r.Dst == foreign.To }) {
			t.Error("a route of somebody else is gone")
		}
		if !slices.ContainsFunc(st.Rules, func(r netwatch.Rule) bool { return r.Table == 77 }) {
			t.Error("a rule of somebody else is gone")
		}
	}
	kept()
	must(t, b.Host.Do(b.set.Remove))
	kept()
	if diff := before.Differences(b.snapshot()); len(diff) > 0 {
		t.Errorf("left behind or taken along:\n%s", strings.Join(diff, "\n"))
	}
}

// TestNextDaemonTakesOver: what a killed daemon left is known by its numbers,
// and its undo record still has the host's own settings.
func TestNextDaemonTakesOver(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	before := b.snapshot()
	b.apply()
	with := b.snapshot()

	b.set = b.newSet() // the first one was killed
	b.apply()
	if diff := with.Differences(b.snapshot()); len(diff) > 0 {
		t.Errorf("the second daemon changed\n%s", strings.Join(diff, "\n"))
	}
	must(t, b.Host.Do(b.set.Remove))
	if diff := before.Differences(b.snapshot()); len(diff) > 0 {
		t.Errorf("left behind or taken along:\n%s", strings.Join(diff, "\n"))
	}
}

func TestCleanupNeedsNoRecord(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	must(t, b.Host.Do(uplinks.Cleanup))
	for _, line := range b.snapshot() {
		if strings.Contains(line, "mifvif") || strings.Contains(line, "proto 64") {
			t.Errorf("left: %s", line)
		}
	}
	st := b.state()
	for _, r := range st.Routes {
		if r.Protocol == netwatch.Protocol {
			t.Errorf("left: %v", r)
		}
	}
	for _, r := range st.Rules {
		if r.Protocol == netwatch.Protocol {
			t.Errorf("left: %+v", r)
		}
	}
	must(t, b.Host.Do(uplinks.Cleanup)) // nothing to do is no error
}

// TestSharedAddressGetsNoSourceRule: an address on two uplinks says nothing, so
// only mark and device lead out, and a strict reverse path filter is loosened.
func TestSharedAddressGetsNoSourceRule(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	must(t, b.Host.SetSysctl("net/ipv4/conf/e1/rp_filter", "1"))
	must(t, b.Host.AddAddress("e1", prefix("10.50.0.2/24")))
	must(t, b.Host.AddAddress("e2", prefix("10.50.0.2/24")))
	b.apply()
	for _, r := range b.state().Rules {
		if r.Src.Addr() == addr("10.50.0.2") {
			t.Errorf("%+v leads an address that is on two uplinks", r)
		}
	}
	for link, want := range map[string]string{"e1": "2", "e2": "0"} {
		got, err := b.Host.Sysctl("net/ipv4/conf/" + link + "/rp_filter")
		must(t, err)
		if got != want {
			t.Errorf("rp_filter of %s is %s, want %s", link, got, want)
		}
	}
	for _, link := range []string{"e1", "e2"} {
		via := map[string]string{"e1": "e1 via 10.1.0.1", "e2": "e2 via 10.2.0.1"}[link]
		if got := b.ask(way{dst: lab.Public4(), src: addr("10.50.0.2"), mark: b.domain(link).Mark()}); got != via {
			t.Errorf("%s's mark leads to %q, want %q", link, got, via)
		}
	}
}
