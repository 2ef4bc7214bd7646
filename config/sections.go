package config

import (
	"fmt"
	"net/netip"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mifvif/pvd"
)

func (r *reader) interfaces(cfg *Config, in *rawInterface) {
	if in == nil {
		return
	}
	if in.Name != nil {
		if cfg.Interface.Name = *in.Name; !validInterface(*in.Name) {
			r.at("$.interface.name", "%q is no interface name (1 to 15 characters, no blanks, slashes, colons or percent signs)", *in.Name)
		} else if *in.Name == "lo" {
			r.at("$.interface.name", "lo is the loopback interface (a name of its own, such as mif0)")
		}
	}
	r.mtu(cfg, in.MTU)
	if in.Addresses != nil {
		cfg.Interface.Addresses = r.interfaceAddresses(in.Addresses)
	}
	if in.DefaultRoute != nil {
		cfg.Interface.DefaultRoute = *in.DefaultRoute
	}
	if in.OnExit != nil {
		switch *in.OnExit {
		case "restore":
		case "block":
			cfg.Interface.Block = true
		default:
			r.at("$.interface.on_exit", "unknown on_exit %q%s (restore, block)", *in.OnExit, meant(*in.OnExit, []string{"restore", "block"}))
		}
	}
}

func (r *reader) mtu(cfg *Config, v any) {
	switch t := v.(type) {
	case nil:
	case string:
		if t != "auto" {
			r.at("$.interface.mtu", "mtu: %q is no size (auto, or 1280 to 65535)", t)
		}
	case uint64:
		if t < 1280 || t > 65535 {
			r.at("$.interface.mtu", "mtu: %d is out of range (auto, or 1280 to 65535)", t)
			return
		}
		cfg.Interface.MTU = int(t)
	default:
		r.at("$.interface.mtu", "mtu: a size is wanted here (auto, or 1280 to 65535)")
	}
}

// interfaceAddresses wants one address with its prefix length for each family
// at the most.
func (r *reader) interfaceAddresses(list []string) []netip.Prefix {
	var out []netip.Prefix
	families := make(map[bool]bool)
	for i, s := range list {
		at := fmt.Sprintf("$.interface.addresses[%d]", i)
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			r.at(at, "addresses: %q is no address with a prefix length (such as 198.18.0.1/15)", s)
		case !ownable(p):
			r.at(at, "addresses: %s is no address that mif0 can have (one of a private or benchmarking network, such as 198.18.0.1/15)", s)
		case families[p.Addr().Is6()]:
			r.at(at, "addresses: %s is a second address of its family (one IPv4 and one IPv6 address)", s)
		default:
			families[p.Addr().Is6()] = true
			out = append(out, p)
		}
	}
	if len(out) == 0 && len(r.problems) == 0 {
		r.at("$.interface.addresses", "addresses is empty (one IPv4 address, one IPv6 address, or both)")
	}
	return out
}

// ownable reports whether a host can have an address for itself that means something
// beyond a link.
func ownable(p netip.Prefix) bool {
	a := p.Addr()
	broadcast := a.Is4() && a.As4()[0] >= 240
	return p.Bits() > 0 && !broadcast && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && !a.Is4In6() &&
		(!a.Is4() || a.As4()[0] != 0)
}

func (r *reader) dns(cfg *Config, in *rawDNS) {
	if in == nil {
		return
	}
	if in.Listen != nil {
		cfg.DNS.Listen = r.addrs("$.dns.listen", "listen", in.Listen)
		for i, a := range cfg.DNS.Listen {
			if !slices.ContainsFunc(cfg.Interface.Addresses, func(p netip.Prefix) bool { return p.Contains(a) && p.Addr() != a }) {
				r.at(fmt.Sprintf("$.dns.listen[%d]", i), "listen: %s is not reached through mif0 (an address in the prefix of interface.addresses, other than mif0's own)", a)
			}
		}
	}
	if in.ManageHost != nil {
		modes := []string{"auto", "resolved", "resolvconf", "file", "none"}
		if cfg.DNS.ManageHost = *in.ManageHost; !slices.Contains(modes, *in.ManageHost) {
			r.at("$.dns.manage_host", "unknown manage_host %q%s (auto, resolved, resolvconf, file, none)", *in.ManageHost, meant(*in.ManageHost, modes))
		}
	}
	if len(cfg.DNS.Listen) == 0 && cfg.DNS.ManageHost != "none" && len(r.problems) == 0 {
		r.at("$.dns.listen", "listen is empty, and the host cannot be pointed at nothing (an address, or manage_host: none)")
	}
}

func (r *reader) router(cfg *Config, in *rawRouter, d *rawDiscovery) {
	if in != nil {
		r.lans(cfg, in.LANs)
	}
	if d != nil && d.CA != nil {
		if cfg.CA = *d.CA; !filepath.IsAbs(*d.CA) {
			r.at("$.discovery.ca", "ca: %q is no place for certificates (the absolute path of a PEM file)", *d.CA)
		}
	}
	if d == nil || d.Ignore == nil {
		return
	}
	cfg.Ignore = d.Ignore
	for i, p := range d.Ignore {
		if _, err := path.Match(p, ""); err != nil {
			r.at(fmt.Sprintf("$.discovery.ignore[%d]", i), "ignore: %q is no pattern (such as docker*)", p)
		}
	}
}

// lans reads the interfaces whose hosts are carried too.
func (r *reader) lans(cfg *Config, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("$.router.lans[%d]", i)
		switch {
		case !validInterface(name):
			r.at(at, "lans: %q is no interface name (such as br-lan)", name)
		case name == cfg.Interface.Name || name == "lo":
			r.at(at, "lans: %s has no hosts behind it (an interface such as br-lan)", name)
		case slices.Contains(cfg.LANs, name):
			r.at(at, "lans: %s is named twice", name)
		default:
			cfg.LANs = append(cfg.LANs, name)
		}
	}
}

func (r *reader) pvds(cfg *Config, list []rawPvD) {
	names, wholes := make(map[string]bool), make(map[string]bool)
	for i, in := range list {
		at := fmt.Sprintf("$.pvds[%d]", i)
		named, linked := at+".name", at+".interface"
		switch { // who has one has the other, as domains without an entry; a dot is a PvD id's
		case in.Name == "" && (in.Interface == "" || strings.Contains(in.Interface, ".")):
			r.at(at, "a domain without name (name: such as corp)")
			continue
		case in.Name == "":
			in.Name, named = in.Interface, linked
		case in.Interface == "" && !strings.Contains(in.Name, "."):
			in.Interface, linked = in.Name, named
		}
		switch {
		case names[in.Name]:
			r.at(named, "there are two domains named %q (names are unique)", in.Name)
		case in.Interface == "":
			r.at(at, "domain %q without interface (interface: such as wg0)", in.Name)
		case !validInterface(in.Interface):
			r.at(linked, "domain %q: %q is no interface name (1 to 15 characters, no blanks, slashes or colons)", in.Name, in.Interface)
		case whole(in) && wholes[in.Interface]:
			r.at(linked, "there are two domains for all of %s (tell them apart by next_hops, or name one by its PvD id)", in.Interface)
		}
		names[in.Name] = true
		wholes[in.Interface] = wholes[in.Interface] || whole(in)
		cfg.PvDs = append(cfg.PvDs, r.pvd(at, in))
	}
}

// whole reports whether an entry is about all of its interface: it has no next hop
// of its own, and its name is no PvD id, which is a domain name.
func whole(in rawPvD) bool { return len(in.NextHops) == 0 && !strings.Contains(in.Name, ".") }

func (r *reader) pvd(at string, in rawPvD) pvd.Declaration {
	d := pvd.Declaration{
		Name: in.Name, Interface: in.Interface,
		Addresses: r.addrs(at+".addresses", "addresses", in.Addresses),
		NextHops:  r.addrs(at+".next_hops", "next_hops", in.NextHops),
		Prefixes:  r.prefixes(at+".prefixes", "prefixes", in.Prefixes),
		Internet:  in.Internet, Trusted: in.Trusted, Metered: in.Metered, PreferPublic: in.Public, Weight: 1, Check: r.check(at+".check", in.Check),
	}
	if in.DHCP != nil {
		d.DHCP = r.dhcp(at+".dhcp", *in.DHCP)
	}
	if in.Weight != nil {
		if d.Weight = *in.Weight; d.Weight < 1 || d.Weight > 1000 {
			r.at(at+".weight", "weight %d is out of range (1 to 1000)", d.Weight)
		}
	}
	if in.Bandwidth != nil {
		d.Bandwidth.Down = r.amount(at+".bandwidth.down", "down", in.Bandwidth.Down, rates(), "100mbit")
		d.Bandwidth.Up = r.amount(at+".bandwidth.up", "up", in.Bandwidth.Up, rates(), "20mbit")
	}
	if in.Cap != nil {
		d.Cap = r.dataCap(at+".cap", in.Cap)
	}
	if in.DNS != nil {
		d.Servers = r.servers(at+".dns.servers", in.DNS.Servers)
		d.Zones, d.Search = in.DNS.Zones, in.DNS.Search
		for i, z := range in.DNS.Zones {
			if !validName(z) {
				r.at(fmt.Sprintf("%s.dns.zones[%d]", at, i), "zones: %q is no domain name (such as corp.example.com)", z)
			}
		}
		for i, s := range in.DNS.Search {
			if !validName(s) {
				r.at(fmt.Sprintf("%s.dns.search[%d]", at, i), "search: %q is no domain name (such as corp.example.com)", s)
			}
		}
	}
	return d
}

// dataCap parses a data cap: without a day it begins again on the first.
func (r *reader) dataCap(at string, in *rawCap) pvd.Cap {
	c := pvd.Cap{Bytes: r.amount(at+".bytes", "bytes", in.Bytes, sizes(), "50GB"), ResetDay: 1}
	if in.Bytes == nil {
		r.at(at, "cap without bytes (bytes: such as 50GB)")
	}
	if in.ResetDay != nil {
		if c.ResetDay = *in.ResetDay; c.ResetDay < 1 || c.ResetDay > 31 {
			r.at(at+".reset_day", "reset_day %d is no day of the month (1 to 31; a shorter month begins again on its last day)", c.ResetDay)
		}
	}
	switch in.OnReached {
	case "", "backup":
	case "stop":
		c.Stop = true
	default:
		r.at(at+".on_reached", "unknown on_reached %q%s (backup, stop)", in.OnReached, meant(in.OnReached, []string{"backup", "stop"}))
	}
	return c
}

// web reads where programs find what the socket tells, over HTTP. Every user of the
// host reaches it there, so that nobody else may.
func (r *reader) web(cfg *Config, at string) {
	a, err := netip.ParseAddrPort(at)
	switch {
	case err != nil || !a.Addr().IsLoopback() || a.Port() == 0:
		r.at("$.control.web", "web: %q is no loopback address with a port (such as 127.0.0.1:6418)", at)
	case !cfg.Control.Metrics:
		r.at("$.control.web", "web: there is nothing to serve without metrics (metrics: true, or leave web out)")
	default:
		cfg.Control.Web = a
	}
}

func (r *reader) control(cfg *Config, in *rawControl) {
	if in == nil {
		return
	}
	if in.Socket != nil {
		if cfg.Control.Socket = *in.Socket; !filepath.IsAbs(*in.Socket) || len(*in.Socket) > 100 {
			r.at("$.control.socket", "socket: %q is no place for a socket (an absolute path of at most 100 characters)", *in.Socket)
		}
	}
	if in.Group != nil {
		cfg.Control.Group = *in.Group
		if _, err := user.LookupGroup(*in.Group); err != nil && *in.Group != "" {
			r.at("$.control.group", "group: there is no group %q on this host (its members may use the commands)", *in.Group)
		}
	}
	if in.Profile != nil {
		cfg.Control.Profile = *in.Profile
	}
	if in.Metrics != nil {
		cfg.Control.Metrics = *in.Metrics
	}
	switch {
	case in.Web != nil && *in.Web != "":
		r.web(cfg, *in.Web)
	case in.Web != nil || !cfg.Control.Metrics:
		cfg.Control.Web = netip.AddrPort{}
	}
}

func (r *reader) limits(cfg *Config, in *rawLimits) {
	if in == nil {
		return
	}
	r.bound("tcp_flows", in.TCPFlows, &cfg.Limits.TCPFlows)
	r.bound("udp_flows", in.UDPFlows, &cfg.Limits.UDPFlows)
	r.bound("pending_connects", in.PendingConnects, &cfg.Limits.PendingConnects)
	if in.PerSource != nil {
		if cfg.Limits.PerSource = *in.PerSource; !(*in.PerSource > 0 && *in.PerSource <= 1) {
			r.at("$.limits.per_source", "per_source %g is out of range (above 0, up to 1)", *in.PerSource)
		}
	}
}

func (r *reader) bound(key string, in, out *int) {
	const most = 4 << 20
	if in == nil {
		return
	}
	if *out = *in; *in < 1 || *in > most {
		r.at("$.limits."+key, "%s %d is out of range (1 to %d)", key, *in, most)
	}
}
