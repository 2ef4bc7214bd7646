package tun

import (
	"errors"
	"net/netip"
	"slices"

	"mifvif/netwatch"
)

// Numbers of what draws traffic into mif0 (contract: tables 64180-64189, rule
// priorities 6410-6419).
const (
	drawTable = 64180
	lanTable  = 64182
	deadTable = 64183
	deadRule  = 6412 // (k)
	drawRule  = 6416 // (c)
	mainTable = 254

	// group is mif0's interface group, by which rule (k) knows that it lives.
	group = 6418

	metricThrow = 1
	metricDraw  = 100
	metricBlock = 1 << 30
)

// Drawing says what mif0 is to attract.
type Drawing struct {
	Ifindex int          // of mif0; 0: nothing is drawn
	Sources []netip.Addr // mif0's own addresses, the hints of the default routes
	// Throw are destinations that are left to the main table: on-link prefixes
	// of the uplinks. One that the main table has no on-link route for is drawn in
	// all the same: it would leave by any default route there.
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

// routes returns what the drawing's table holds, given what main has.
func (d Drawing) routes(st netwatch.State) []netwatch.Route {
	var routes []netwatch.Route
	throw := func(p netip.Prefix) {
		routes = append(routes, netwatch.Route{Table: drawTable, Type: netwatch.Throw, Dst: p, Metric: metricThrow})
	}
	for _, p := range always() {
		throw(p)
	}
	for _, p := range d.Throw {
		if onLink(p.Masked(), st) {
			throw(p.Masked())
		}
	}
	for _, dst := range []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} {
		if d.Ifindex != 0 {
			routes = append(routes, netwatch.Route{
				Table: drawTable, Dst: dst, Ifindex: d.Ifindex, Metric: metricDraw,
				Gateway: hop(dst.Addr().Is6()), Source: d.source(dst.Addr().Is6()),
			})
		}
		if d.Block {
			routes = append(routes, netwatch.Route{Table: drawTable, Type: netwatch.Unreachable, Dst: dst, Metric: metricBlock})
			routes = append(routes, d.deadRoutes(dst)...)
		}
		if len(d.LANs) > 0 {
			routes = append(routes, d.lanRoutes(dst)...)
		}
	}
	return routes
}

// deadRoutes are the kill switch. While mif0 lives its route is the best, and
// rule (k) passes over it to the next rules; without mif0 everything ends here,
// before the rules by source. Those would lead out whatever has an uplink's
// address, and the kernel gives IPv6 sockets one when their first look finds no
// route.
func (d Drawing) deadRoutes(dst netip.Prefix) []netwatch.Route {
	routes := []netwatch.Route{{Table: deadTable, Type: netwatch.Unreachable, Dst: dst, Metric: metricBlock}}
	if d.Ifindex != 0 {
		routes = append(routes, netwatch.Route{Table: deadTable, Dst: dst, Ifindex: d.Ifindex, Gateway: hop(dst.Addr().Is6()), Metric: metricDraw})
	}
	for _, p := range always() {
		if p.Addr().Is6() == dst.Addr().Is6() {
			routes = append(routes, netwatch.Route{Table: deadTable, Type: netwatch.Throw, Dst: p, Metric: metricThrow})
		}
	}
	return routes
}

// lanRoutes returns what a LAN's hosts are led to: mif0 and nothing else. The
// neighbours on an uplink's link are no exception, since those know nothing of
// the LAN's addresses; and without mif0 they are refused, since no uplink may
// see a source that is not its own (BCP 38).
func (d Drawing) lanRoutes(dst netip.Prefix) []netwatch.Route {
	routes := []netwatch.Route{{Table: lanTable, Type: netwatch.Unreachable, Dst: dst, Metric: metricBlock}}
	if d.Ifindex != 0 {
		routes = append(routes, netwatch.Route{Table: lanTable, Dst: dst, Ifindex: d.Ifindex, Gateway: hop(dst.Addr().Is6()), Metric: metricDraw})
	}
	return routes
}

// onLink reports whether the main table reaches all of p on a link.
func onLink(p netip.Prefix, st netwatch.State) bool {
	for _, r := range st.Routes {
		if r.Table == mainTable && r.Type == netwatch.Unicast && !r.Gateway.IsValid() && !r.LinkDown &&
			r.Dst.Bits() > 0 && r.Dst.Bits() <= p.Bits() && r.Dst.Contains(p.Addr()) {
			return true
		}
	}
	return false
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

// Rules returns who is led to the drawing's tables: what the host itself sends,
// and the LANs.
func (d Drawing) Rules() []netwatch.Rule {
	var rules []netwatch.Rule
	for _, is6 := range []bool{false, true} {
		rules = append(rules, netwatch.Rule{Priority: drawRule, Iif: "lo", Table: drawTable, Is6: is6})
		if d.Block {
			rules = append(rules, netwatch.Rule{Priority: deadRule, Iif: "lo", Table: deadTable, Spared: group, Is6: is6})
		}
		for _, lan := range d.LANs {
			rules = append(rules, netwatch.Rule{Priority: drawRule, Iif: lan, Table: lanTable, Is6: is6})
		}
	}
	return rules
}

// Apply makes the kernel draw as d says, given what it has now. It repairs what
// others changed and does nothing where nothing is to do.
func (d Drawing) Apply(st netwatch.State) error {
	return errors.Join(
		netwatch.SyncRoutes(st.Routes, d.routes(st), ownTable),
		netwatch.SyncRules(st.Rules, d.Rules(), ownRule),
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
	return DrawNothing(st)
}

// Blocked reports whether the refusal of a Drawing with Block is in force.
func Blocked() (bool, error) {
	st, err := netwatch.Read()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(st.Rules, func(r netwatch.Rule) bool { return r.Priority == deadRule && r.Table == deadTable }), nil
}

// DrawNothing removes everything that a Drawing made, given what the kernel has now.
func DrawNothing(st netwatch.State) error {
	return errors.Join(
		netwatch.SyncRules(st.Rules, nil, ownRule),
		netwatch.SyncRoutes(st.Routes, nil, ownTable),
	)
}

func ownTable(table int) bool {
	return table == drawTable || table == lanTable || table == deadTable
}
func ownRule(priority int) bool { return priority == drawRule || priority == deadRule }
