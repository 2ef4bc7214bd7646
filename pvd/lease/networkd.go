package lease

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

// maxFile bounds a state file in bytes, maxRoutes the routes kept of one.
const (
	maxFile   = 64 << 10
	maxRoutes = 64
)

// ErrFile says that a file is no state file.
var ErrFile = errors.New("no state file of systemd-networkd")

// assignments reads KEY=VALUE lines; values may stand in double quotes.
func assignments(b []byte) (map[string]string, error) {
	if len(b) > maxFile {
		return nil, ErrFile
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, ErrFile
		}
		all[key] = strings.Trim(value, `"`)
	}
	return all, nil
}

// ParseLease restates a file of /run/systemd/netif/leases about the interface: in
// the form of assignments, or JSON as newer versions write it.
func ParseLease(b []byte, ifindex int, received time.Time) (pvd.Report, error) {
	r := pvd.Report{Origin: pvd.FromDHCPv4, Ifindex: ifindex, Received: received}
	if strings.HasPrefix(strings.TrimSpace(string(b)), "{") {
		return r, fromJSON(&r, b)
	}
	all, err := assignments(b)
	if err != nil {
		return r, err
	}
	if all["ADDRESS"] == "" {
		return r, ErrFile
	}
	for _, a := range addresses(all["ROUTER"]) {
		hop(&r, a)
	}
	for _, a := range addresses(all["DNS"]) {
		wire.AddServer(&r, a.String())
	}
	for _, a := range addresses(all["NTP"]) {
		timeServer(&r, a)
	}
	for name := range strings.FieldsSeq(all["DOMAIN_SEARCH_LIST"] + " " + all["DOMAINNAME"]) {
		wire.AddSearch(&r, name)
	}
	routes := all["CLASSLESS_ROUTES"]
	if routes == "" {
		routes = all["STATIC_ROUTES"] + " " + all["ROUTES"]
	}
	for one := range strings.FieldsSeq(routes) {
		dst, via, _ := strings.Cut(one, ",")
		p, err1 := netip.ParsePrefix(dst)
		gw, err2 := netip.ParseAddr(via)
		if err1 == nil && err2 == nil {
			route(&r, p, gw)
		}
	}
	if uri, err := wire.PortalURI([]byte(all["CAPTIVE_PORTAL"])); err == nil {
		r.Portal = pvd.PortalAPI{URI: uri, Origin: pvd.FromDHCPv4}
	}
	return r, nil
}

// ParseLink restates a file of /run/systemd/netif/links: the resolvers and domains
// that networkd has the interface use, its user's own included.
func ParseLink(b []byte, ifindex int, received time.Time) (pvd.Report, error) {
	r := pvd.Report{Origin: pvd.FromManager, Ifindex: ifindex, Received: received}
	all, err := assignments(b)
	if err != nil {
		return r, err
	}
	for s := range strings.FieldsSeq(all["DNS"]) {
		wire.AddServer(&r, s)
	}
	for name := range strings.FieldsSeq(all["DOMAINS"]) {
		wire.AddDomain(&r, name)
	}
	for name := range strings.FieldsSeq(all["ROUTE_DOMAINS"]) {
		wire.AddDomain(&r, "~"+strings.TrimPrefix(name, "~"))
	}
	return r, nil
}

// octets is an IPv4 address as newer versions write it: four numbers.
type octets []int

func (o octets) addr() netip.Addr {
	if len(o) != 4 || slices.ContainsFunc(o, func(n int) bool { return n < 0 || n > 255 }) {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{byte(o[0]), byte(o[1]), byte(o[2]), byte(o[3])})
}

type jsonRoute struct {
	Destination, Gateway    octets
	DestinationPrefixLength int
}

func fromJSON(r *pvd.Report, b []byte) error {
	var in struct {
		Address octets
		Router  []octets
		Servers struct{ DNS, NTP []octets }

		Static    []jsonRoute `json:"Static_Routes"`
		Classless []jsonRoute `json:"Classless_Routes"`
	}
	if len(b) > maxFile || json.Unmarshal(b, &in) != nil || !in.Address.addr().IsValid() {
		return ErrFile
	}
	for _, o := range in.Router {
		hop(r, o.addr())
	}
	for _, o := range in.Servers.DNS {
		wire.AddServer(r, o.addr().String())
	}
	for _, o := range in.Servers.NTP {
		timeServer(r, o.addr())
	}
	routes := in.Classless
	if len(routes) == 0 {
		routes = in.Static
	}
	for _, x := range routes {
		route(r, netip.PrefixFrom(x.Destination.addr(), x.DestinationPrefixLength), x.Gateway.addr())
	}
	return nil
}

// addresses are the addresses in a list, what is none left out.
func addresses(list string) (all []netip.Addr) {
	for s := range strings.FieldsSeq(list) {
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, a)
		}
	}
	return all
}

func hop(r *pvd.Report, a netip.Addr) {
	if wire.Server(a) && len(r.NextHops) < wire.MaxServers {
		r.NextHops = append(r.NextHops, pvd.NextHop{Addr: a, Is6: a.Is6(), Metric: len(r.NextHops), Origin: r.Origin})
	}
}

func timeServer(r *pvd.Report, a netip.Addr) {
	if wire.Server(a) && len(r.NTP) < wire.MaxServers {
		r.NTP = append(r.NTP, pvd.TimeServer{Addr: a, Origin: r.Origin})
	}
}

// route adds a route; a default one is a next hop.
func route(r *pvd.Report, dst netip.Prefix, via netip.Addr) {
	if !dst.IsValid() || !via.IsValid() || len(r.Routes) == maxRoutes {
		return
	}
	if via.IsUnspecified() {
		via = netip.Addr{}
	}
	switch {
	case dst.Bits() == 0:
		hop(r, via)
	case wire.Server(dst.Addr()) || dst.Bits() == 1:
		r.Routes = append(r.Routes, pvd.Route{Dst: dst.Masked(), Via: via, Origin: r.Origin})
	}
}
