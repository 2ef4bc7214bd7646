package scheduler

import (
	"net/netip"
	"strings"

	"mifvif/flow"
	"mifvif/pvd"
)

// domain makes an online domain; words are addresses (prefixes), "internet",
// "metered", "degraded", "offline", "trusted", "overrides", or key=value:
// weight, metric (one digit or two), behind (a declared prefix), route
// (kernel), dhcp (a route from DHCP).
func domain(slot int, name string, words ...string) *pvd.Domain {
	d := &pvd.Domain{Name: name, Slot: uint16(slot), Attached: 1, State: pvd.Online, Weight: 1, Ifindex: slot + 2}
	metric, preference := 0, pvd.Medium
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "internet":
			d.Internet = true
		case "metered":
			d.Metered = true
		case "degraded":
			d.State = pvd.Degraded
		case "offline":
			d.State = pvd.Offline
		case "trusted":
			d.Trust = pvd.Trusted
		case "weight":
			d.Weight = number(value)
		case "metric":
			metric = number(value)
		case "behind":
			d.Prefixes = append(d.Prefixes, netip.MustParsePrefix(value))
		case "route":
			d.Routes = append(d.Routes, pvd.Route{Dst: netip.MustParsePrefix(value), Origin: pvd.FromKernel})
		case "dhcp":
			d.Routes = append(d.Routes, pvd.Route{Dst: netip.MustParsePrefix(value), Origin: pvd.FromDHCPv4})
		case "overrides":
		case "low":
			preference = pvd.Low
		case "high":
			preference = pvd.High
		default:
			d.Addresses = append(d.Addresses, pvd.Address{Prefix: netip.MustParsePrefix(w)})
		}
	}
	for _, is6 := range []bool{false, true} {
		if d.Internet && d.HasSource(is6) {
			d.NextHops = append(d.NextHops, pvd.NextHop{Is6: is6, Metric: metric, Preference: preference, Overrides: strings.Contains(strings.Join(words, " "), "overrides")})
		}
	}
	return d
}

func number(s string) int {
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// firstSource is a source choice as simple as can be; nobody has one for
// addresses in 192.0.2.128/25.
func firstSource(d *pvd.Domain, dst netip.Addr) (netip.Addr, bool) {
	if netip.MustParsePrefix("192.0.2.128/25").Contains(dst) {
		return netip.Addr{}, false
	}
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == dst.Is6() && !a.Deprecated {
			return a.Prefix.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// house returns a Scheduler over domains and policy.
func house(policy Policy, domains ...*pvd.Domain) *Scheduler {
	s := New(Config{Source: firstSource})
	s.Publish(pvd.NewSet(domains), &policy)
	return s
}

// to is a flow of this host's; name may be "".
func to(dst, name string) flow.Flow {
	f := flow.Flow{Proto: flow.TCP, Dst: netip.MustParseAddrPort(dst), Name: name, Src: netip.MustParseAddrPort("198.18.0.1:40000")}
	if f.Dst.Addr().Is6() {
		f.Src = netip.MustParseAddrPort("[2001:2::1]:40000")
	}
	return f
}

// names returns the candidates' names, best first, in one string.
func names(d Decision) string {
	var out []string
	for _, c := range d.Candidates() {
		out = append(out, c.Domain.Name)
	}
	return strings.Join(out, " ")
}

// two is a plain host with two uplinks behind NAT.
func two() []*pvd.Domain {
	return []*pvd.Domain{
		domain(0, "fiber", "internet", "10.1.0.2/24", "2001:db8:1::2/64", "metric=20"),
		domain(1, "lte", "internet", "10.2.0.2/24", "2001:db8:2::2/64", "metric=10"),
	}
}
