package uplinks_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/uplinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trap is where mif0's routes would be.
const (
	trapTable = 64180
	trapRule  = 6416
)

// bench is the common laboratory with a LAN behind the host, and a Set that is
// kept up with the host's kernel by hand.
type bench struct {
	*lab.Common
	t       *testing.T
	lan     *lab.Node // 10.77.0.9 behind the host's lan0
	builder *pvd.Builder
	set     *uplinks.Set
	pvds    *pvd.Set
	undo    string
}

// newBench builds the laboratory. Where mif0 would be there is a trap: whatever
// the host sends and no rule of ours has claimed is refused with EACCES.
func newBench(t *testing.T, layout lab.Layout) *bench {
	t.Helper()
	labtest.Need(t)
	c, err := lab.NewCommon(layout, nil)
	must(t, err)
	b := &bench{Common: c, t: t, undo: filepath.Join(t.TempDir(), "undo")}
	t.Cleanup(func() { must(t, c.Close()) })
	b.lan, err = c.NewNode("lanhost")
	must(t, err)
	must(t, c.Veth(lab.End{Node: c.Host, Link: "lan0"}, lab.End{Node: b.lan, Link: "eth0"}, 1500))
	must(t, c.Host.AddAddress("lan0", prefix("10.77.0.1/24"), prefix("2001:db8:77::1/64")))
	must(t, b.lan.AddAddress("eth0", prefix("10.77.0.9/24"), prefix("2001:db8:77::9/64")))
	must(t, b.lan.AddRoute(
		lab.Route{To: prefix("0.0.0.0/0"), Via: addr("10.77.0.1"), Dev: "eth0"},
		lab.Route{To: prefix("::/0"), Via: addr("2001:db8:77::1"), Dev: "eth0"}))
	b.settle()
	discovery := pvd.Discovery{Own: "mif0"}
	for _, n := range layout.Networks {
		if n.NoInternet { // nothing would tell it from a LAN
			discovery.Declarations = append(discovery.Declarations, pvd.Declaration{Name: n.Link, Interface: n.Link})
		}
	}
	b.builder = pvd.NewBuilder(discovery)
	b.set = b.newSet()
	must(t, c.Host.AddRoute(
		lab.Route{To: prefix("0.0.0.0/0"), Kind: "prohibit", Table: trapTable},
		lab.Route{To: prefix("::/0"), Kind: "prohibit", Table: trapTable, Dev: "lo"}))
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rule := netlink.NewRule()
		rule.Priority, rule.Table, rule.IifName, rule.Family = trapRule, trapTable, "lo", family
		must(t, c.Host.Netlink().RuleAdd(rule))
	}
	return b
}

func (b *bench) newSet(lans ...string) *uplinks.Set {
	undo, err := uplinks.OpenUndoLog(b.undo, slog.New(slog.DiscardHandler))
	must(b.t, err)
	return uplinks.New(uplinks.Config{Own: "mif0", LANs: lans, Undo: undo}, slog.New(slog.NewTextHandler(b.t.Output(), nil)))
}

// settle waits until no address of the host is tentative.
func (b *bench) settle() {
	b.t.Helper()
	eventually(b.t, "no address is tentative", func() bool {
		for _, a := range b.state().Addresses {
			if a.Tentative {
				return false
			}
		}
		return true
	})
}

func (b *bench) state() (st netwatch.State) {
	b.t.Helper()
	must(b.t, b.Host.Do(func() (err error) {
		st, err = netwatch.Read()
		return err
	}))
	return st
}

// apply does what the daemon does when the kernel's state has changed.
func (b *bench) apply() {
	b.t.Helper()
	st := b.state()
	b.pvds = b.builder.Build(st, pvd.Inputs{})
	must(b.t, b.Host.Do(func() error { return b.set.Apply(b.pvds, st) }))
}

// domain returns the domain of one of the host's links.
func (b *bench) domain(link string) *pvd.Domain {
	b.t.Helper()
	d := b.pvds.ByName(link)
	if d == nil {
		b.t.Fatalf("no domain %s", link)
	}
	return d
}

// dial connects from the host over a domain with a source of the destination's
// family.
func (b *bench) dial(d *pvd.Domain, dst netip.AddrPort, tos uint8) (*uplinks.TCP, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	var conn *uplinks.TCP
	err := b.Host.Do(func() (err error) {
		conn, err = b.set.DialTCP(ctx, d, sourceOf(b.t, d, dst.Addr().Is6()), dst, tos)
		return err
	})
	return conn, err
}

func sourceOf(t *testing.T, d *pvd.Domain, is6 bool) netip.Addr {
	t.Helper()
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 {
			return a.Prefix.Addr()
		}
	}
	t.Fatalf("%s has no address of the family", d.Name)
	return netip.Addr{}
}

func (b *bench) snapshot() lab.Snapshot {
	b.t.Helper()
	s, err := b.Host.Snapshot()
	must(b.t, err)
	// The kernel fills its own table when it has time.
	s = slices.DeleteFunc(s, func(line string) bool { return strings.Contains(line, "table 255") })
	must(b.t, b.Host.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "mifvif"}
		sets, err := conn.GetSets(table)
		if err != nil {
			return nil //nolint:nilerr // no table, no elements
		}
		for _, set := range sets {
			elements, err := conn.GetSetElements(set)
			if err != nil {
				return err
			}
			for _, e := range elements {
				s = append(s, fmt.Sprintf("element %s %q", set.Name, e.Key))
			}
		}
		return nil
	}))
	return s
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

var must, eventually = labtest.Must, labtest.Eventually
