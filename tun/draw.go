package tun

import (
	"errors"
	"net/netip"

	"mifvif/netwatch"
)

// Numbers of what draws traffic into mif0 (contract: tables 64180-64189, rule
// priorities 6410-6419).
const (
	drawTable = 64180
	drawRule  = 6415 // (c)

	metricThrow = 1
	metricDraw  = 100
	metricBlock = 1 << 30
)

// Drawing says what mif0 is to attract.
type Drawing struct {
	Ifindex int          // of mif0; 0: nothing is drawn
	Sources []netip.Addr // mif0's own addresses, the hints of the default routes
	// Throw are destinations that are left to the main table: on-link prefixes
	// of the uplinks.
	Throw []netip.Prefix
	LANs  []string // interfaces whose hosts are carried too
	// Block leaves an unreachable default behind mif0's, so that nothing leaves
	// when mifvif is not running (on_exit: block).
	Block bool
}

// always are the destinations that mean something on one link only.
func always() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"), netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("ff00::/8"), netip.MustParsePrefix("fe80::/10"),
	}
}

// routes returns what the drawing's table holds.
func (d Drawing) routes() []netwatch.Route {
	seen := make(map[netip.Prefix]bool)
	var routes []netwatch.Route
	for _, list := range [][]netip.Prefix{always(), d.Throw} {
		for _, p := range list {
			if !seen[p] {
				seen[p] = true
				routes = append(routes, netwatch.Route{Table: drawTable, Type: netwatch.Throw, Dst: p, Metric: metricThrow})
			}
		}
	}
	for _, dst := range []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} {
		if d.Ifindex != 0 {
			routes = append(routes, netwatch.Route{
				Table: drawTable, Dst: dst, Ifindex: d.Ifindex, Metric: metricDraw, Source: d.source(dst.Addr().Is6()),
			})
		}
		if d.Block {
			routes = append(routes, netwatch.Route{Table: drawTable, Type: netwatch.Unreachable, Dst: dst, Metric: metricBlock})
		}
	}
	return routes
}

// source returns mif0's address of a family, zero if it has none.
func (d Drawing) source(is6 bool) netip.Addr {
	for _, a := range d.Sources {
		if a.Is6() == is6 {
			return a
		}
	}
	return netip.Addr{}
}

// rules returns who is led to the drawing's table: what the host itself sends,
// and the LANs.
func (d Drawing) rules() []netwatch.Rule {
	var rules []netwatch.Rule
	for _, iif := range append([]string{"lo"}, d.LANs...) {
		rules = append(rules,
			netwatch.Rule{Priority: drawRule, Iif: iif, Table: drawTable},
			netwatch.Rule{Priority: drawRule, Iif: iif, Table: drawTable, Is6: true})
	}
	return rules
}

// Apply makes the kernel draw as d says, given what it has now. It repairs what
// others changed and does nothing where nothing is to do.
func (d Drawing) Apply(st netwatch.State) error {
	return errors.Join(
		netwatch.SyncRoutes(st.Routes, d.routes(), ownTable),
		netwatch.SyncRules(st.Rules, d.rules(), ownRule),
	)
}

// Undraw removes everything a Drawing made, found by its numbers. With block
// the refusal and the rule that leads to it stay, on purpose.
func Undraw(block bool) error {
	st, err := netwatch.Read()
	if err != nil {
		return err
	}
	if block {
		return Drawing{Block: true}.Apply(st)
	}
	return errors.Join(
		netwatch.SyncRules(st.Rules, nil, ownRule),
		netwatch.SyncRoutes(st.Routes, nil, ownTable),
	)
}

func ownTable(table int) bool   { return table == drawTable }
func ownRule(priority int) bool { return priority == drawRule }
