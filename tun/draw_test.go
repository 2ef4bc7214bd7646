package tun_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/netwatch"
	"mifvif/tun"
)

// pull is the common laboratory with mif0 in its host.
type pull struct {
	*lab.Common
	t       *testing.T
	device  *tun.Device
	drawing tun.Drawing
}

func newPull(t *testing.T) *pull {
	t.Helper()
	labtest.Need(t)
	c, err := lab.NewCommon(lab.TwoNetworks(), nil)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	p := &pull{Common: c, t: t}
	must(t, c.Host.Do(func() (err error) {
		p.device, err = tun.Open(tun.Config{Name: "mif0", MTU: 1500, Addresses: []netip.Prefix{
			netip.MustParsePrefix("198.18.0.1/15"), netip.MustParsePrefix("2001:2::1/48"),
		}})
		return err
	}))
	t.Cleanup(p.kill)
	p.drawing = tun.Drawing{
		Ifindex: p.device.Ifindex(), Sources: []netip.Addr{addr("198.18.0.1"), addr("2001:2::1")},
		Throw: []netip.Prefix{
			netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("10.99.0.0/16"),
		},
	}
	eventually(t, "mif0's addresses may be used", func() bool {
		for _, a := range p.state().Addresses {
			if a.Tentative {
				return false
			}
		}
		return true
	})
	return p
}

// kill is what SIGKILL does to mif0.
func (p *pull) kill() { _ = p.device.Close() }

func (p *pull) state() (st netwatch.State) {
	p.t.Helper()
	must(p.t, p.Host.Do(func() (err error) {
		st, err = netwatch.Read()
		return err
	}))
	return st
}

func (p *pull) apply() {
	p.t.Helper()
	st := p.state()
	must(p.t, p.Host.Do(func() error { return p.drawing.Apply(st) }))
}

func (p *pull) snapshot() lab.Snapshot {
	p.t.Helper()
	s, err := p.Host.Snapshot()
	must(p.t, err)
	// The kernel fills its own table when it has time.
	return slices.DeleteFunc(s, func(line string) bool { return strings.Contains(line, "table 255") })
}

// way returns the interface, and the source the kernel chooses, to dst.
// ruleBySource leads e1's addresses to main, as the uplinks' rules lead them to
// their table.
func (p *pull) ruleBySource() {
	for _, src := range []string{"10.1.0.2/32", "2001:db8:1::2/128"} {
		rule := netlink.NewRule()
		rule.Priority, rule.Table = 6413, 254
		_, rule.Src, _ = net.ParseCIDR(src)
		must(p.t, p.Host.Netlink().RuleAdd(rule))
		p.t.Cleanup(func() { _ = p.Host.Netlink().RuleDel(rule) })
	}
}

// wayFrom returns by which link a packet with that source goes.
func (p *pull) wayFrom(src string, dst netip.Addr) string {
	routes, err := p.Host.Netlink().RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{SrcAddr: addr(src).AsSlice()})
	if err != nil {
		return err.Error()
	}
	link, err := p.Host.Netlink().LinkByIndex(routes[0].LinkIndex)
	must(p.t, err)
	return link.Attrs().Name
}

func (p *pull) way(dst, iif, oif string) string {
	opts := &netlink.RouteGetOptions{Iif: iif, Oif: oif}
	if iif != "" {
		opts.SrcAddr = addr("10.1.0.77").AsSlice()
		if addr(dst).Is6() {
			opts.SrcAddr = addr("2001:db8:1::77").AsSlice()
		}
	}
	routes, err := p.Host.Netlink().RouteGetWithOptions(addr(dst).AsSlice(), opts)
	if err != nil {
		return err.Error()
	}
	link, err := p.Host.Netlink().LinkByIndex(routes[0].LinkIndex)
	must(p.t, err)
	if iif != "" {
		return link.Attrs().Name
	}
	return link.Attrs().Name + " from " + routes[0].Src.String()
}

func TestTheHostsTrafficIsDrawnIn(t *testing.T) {
	p := newPull(t)
	p.apply()
	ways := map[string]string{
		lab.Public4().String(): "mif0 from 198.18.0.1",
		lab.Public6().String(): "mif0 from 2001:2::1",
		"10.1.0.1":             "e1 from 10.1.0.2",
		"2001:db8:1::1":        "e1 from 2001:db8:1::2",
		"10.2.0.1":             "mif0 from 198.18.0.1", // not thrown: a rule may name it
		"10.99.0.1":            "mif0 from 198.18.0.1", // thrown, but on nobody's link
		"224.1.2.3":            "e1 from 10.1.0.2",
		"169.254.1.1":          "e1 from 10.1.0.2",
		"198.18.0.2":           "mif0 from 198.18.0.1",
	}
	for dst, want := range ways {
		if got := p.way(dst, "", ""); got != want {
			t.Errorf("%s goes to %q, want %q", dst, got, want)
		}
	}
	if got := p.way("fe80::1", "", "e2"); !strings.HasPrefix(got, "e2 ") {
		t.Errorf("a link-local destination on e2 goes to %q", got)
	}
	_, err := p.Host.DeleteRules(func(priority int) bool { return priority == 6416 || priority == 6412 })
	must(t, err)
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		if got := p.way(dst.String(), "", ""); !strings.HasPrefix(got, "e1 ") {
			t.Errorf("without rule (c) %s goes to %q: the test proves nothing", dst, got)
		}
	}
}

func TestLANsAreDrawnInWhereNamed(t *testing.T) {
	p := newPull(t)
	must(t, p.Host.Forward())
	must(t, p.Attach("n1")) // forwarding made the kernel forget
	p.apply()
	for _, dst := range []string{lab.Public4().String(), lab.Public6().String()} {
		if got := p.way(dst, "e1", ""); got != "e1" {
			t.Errorf("what comes from e1 to %s goes to %q though e1 was not named", dst, got)
		}
	}
	p.drawing.LANs = []string{"e1"}
	p.apply()
	for _, dst := range []string{lab.Public4().String(), lab.Public6().String()} {
		if got := p.way(dst, "e1", ""); got != "mif0" {
			t.Errorf("what comes from e1 to %s goes to %q, want mif0", dst, got)
		}
	}
}

func TestDrawingRestsIsRepairedAndUndone(t *testing.T) {
	p := newPull(t)
	before := p.snapshot()
	p.drawing.Block, p.drawing.LANs = true, []string{"lan7"}
	p.apply()
	with := p.snapshot()
	st := p.state()
	p.apply()
	if again := p.state(); !st.Equal(&again) {
		t.Error("a look at an unchanged world changed it")
	}
	damages := map[string]func() error{
		"rules removed": func() error {
			_, err := p.Host.DeleteRules(func(priority int) bool { return priority == 6416 || priority == 6412 })
			return err
		},
		"default removed": func() error {
			return p.Host.DeleteRoute(lab.Route{To: netip.MustParsePrefix("0.0.0.0/0"), Dev: "mif0", Table: 64180, Metric: 100, Protocol: 64})
		},
		"default replaced": func() error {
			return p.Host.AddRoute(lab.Route{To: netip.MustParsePrefix("::/0"), Dev: "e1", Table: 64180, Metric: 100, Protocol: 64})
		},
	}
	for what, damage := range damages {
		must(t, damage())
		if len(with.Differences(p.snapshot())) == 0 {
			t.Errorf("%s: the damage does not show", what)
		}
		p.apply()
		if diff := with.Differences(p.snapshot()); len(diff) > 0 {
			t.Errorf("%s: not as before:\n%s", what, strings.Join(diff, "\n"))
		}
	}
	must(t, p.Host.Do(func() error { return tun.Undraw(false) }))
	if diff := before.Differences(p.snapshot()); len(diff) > 0 {
		t.Errorf("left behind or taken along:\n%s", strings.Join(diff, "\n"))
	}
}

// TestAfterAKill: mif0 goes with its process, and its routes with it.
func TestAfterAKill(t *testing.T) {
	for _, block := range []bool{false, true} {
		p := newPull(t)
		before := p.snapshot()
		p.drawing.Block = block
		p.apply()
		p.ruleBySource()
		before4, before6 := p.wayFrom("10.1.0.2", lab.Public4()), p.wayFrom("2001:db8:1::2", lab.Public6())
		p.kill()
		for _, got := range []string{p.wayFrom("10.1.0.2", lab.Public4()), p.wayFrom("2001:db8:1::2", lab.Public6())} {
			if block && got != "no route to host" {
				t.Errorf("on_exit: block, killed: what has e1's address goes to %q", got)
			}
		}
		if before4 != "e1" || before6 != "e1" {
			t.Errorf("while mif0 lives, what has e1's address goes to %q and %q", before4, before6)
		}
		for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
			got := p.way(dst.String(), "", "")
			if want := "no route to host"; block && got != want {
				t.Errorf("on_exit: block, killed: %s goes to %q, want %q", dst, got, want)
			}
			if !block && !strings.HasPrefix(got, "e1 ") {
				t.Errorf("on_exit: restore, killed: %s goes to %q, want e1", dst, got)
			}
		}
		must(t, p.Host.Do(func() error { return tun.Undraw(block) }))
		if got := p.way(lab.Public4().String(), "", ""); block && got != "no route to host" {
			t.Errorf("on_exit: block, stopped: the Internet is at %q", got)
		}
		must(t, p.Host.Do(func() error { return tun.Undraw(false) }))
		var diff []string
		for _, line := range before.Differences(p.snapshot()) {
			if !strings.Contains(line, "mif0") && !strings.Contains(line, "6413") {
				diff = append(diff, line)
			}
		}
		if len(diff) > 0 {
			t.Errorf("after the cleanup:\n%s", strings.Join(diff, "\n"))
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var must, eventually = labtest.Must, labtest.Eventually

func TestOnlyADeadTUNDeviceIsRemoved(t *testing.T) {
	p := newPull(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "mif7"
	must(t, p.Host.Do(func() error {
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN})
	}))
	must(t, p.Host.LinkUp("mif7"))
	for _, name := range []string{"mif7", "mif0", "e1", "absent"} {
		must(t, p.Host.Do(func() error { return tun.RemoveDead(name) }))
	}
	for name, want := range map[string]bool{"mif7": false, "mif0": true, "e1": true} {
		if _, err := p.Host.LinkIndex(name); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
}
