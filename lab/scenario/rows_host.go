package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"mifvif/lab"
)

// hostRows are RFC 6418 3.2: what a node with several interfaces is.
func hostRows() []Scenario {
	return []Scenario{
		{ID: "3.2-1", Title: "unmodified curl, dig, ping and traceroute work, both families (the kernel too)", Run: ordinaryHost},
		{ID: "3.2-2", Title: "every address of an interface is known with its domain and usable as a source", Run: manyAddresses},
		{ID: "3.2-3", Title: "three provisioning domains are used at the same moment", Layout: lab.WithTunnel, Config: byPort + corporate, Run: threeDomains},
		{ID: "3.2-4", Title: "an interface without link layer is an uplink beside a physical one", Layout: withPointToPoint, Config: tunnelRule, Run: virtualInterface},
		{ID: "3.2-6", Title: "an IPv4-only and an IPv6-only network carry a family each (the kernel too)", Layout: oneFamilyEach, Run: familyEach},
		{ID: "3.2-7", Title: "flows of one network do not notice that the other one fails", Config: byPort, Run: independent},
		{ID: "3.2-9", Title: "nothing is forwarded between uplinks, no foreign source leaves the host (host mode)", Run: noForwarding},
	}
}

func ordinaryHost(ctx context.Context, e *Env) error {
	before := e.Host.TxPackets("mif0")
	for _, url := range []string{"http://203.0.113.80/", "http://[2001:db8:ff::80]/", "http://www.example.net/"} {
		out, err := e.Tool(ctx, "curl", "-sS", "--max-time", "10", url)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(out, "SRC=") {
			return fmt.Errorf("curl %s: %q", url, out)
		}
	}
	for kind, want := range map[string]string{"A": "203.0.113.80", "AAAA": "2001:db8:ff::80"} {
		for _, way := range []string{"+notcp", "+tcp"} {
			out, err := e.Tool(ctx, "dig", "+short", way, "www.example.net", kind)
			if err != nil {
				return err
			}
			if strings.TrimSpace(out) != want {
				return fmt.Errorf("dig %s %s: %q, want %s", way, kind, out, want)
			}
		}
	}
	if err := pingAndTrace(ctx, e); err != nil {
		return err
	}
	if e.Daemon != nil && e.Host.TxPackets("mif0") < before+20 {
		return errors.New("the traffic did not go through mif0")
	}
	return nil
}

func pingAndTrace(ctx context.Context, e *Env) error {
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		for _, size := range []string{"56", "4000"} { // the latter in fragments
			if _, err := e.Tool(ctx, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "3", "-s", size, dst.String()); err != nil {
				return err
			}
		}
		for _, probe := range []string{"-U", "-I"} {
			if err := e.trace(ctx, probe, dst); err != nil {
				return err
			}
		}
	}
	return nil
}

// trace has traceroute find a network's router, then the server. One try of three
// counts: the kernel queues an error before it notes it in the socket, and who reads
// the queue in between, as one in 10,000 does, is told of an error for ever;
// traceroute looks at nothing else then, and misses every reply.
func (e *Env) trace(ctx context.Context, probe string, dst netip.Addr) error {
	var out string
	for range 3 {
		var err error
		if out, err = e.Tool(ctx, "traceroute", "-n", "-q", "1", "-w", "3", "-m", "5", probe, dst.String()); err != nil {
			return err
		}
		hops := strings.Split(strings.TrimSpace(out), "\n")[1:]
		if e.App != e.Host && len(hops) > 0 {
			hops = hops[1:] // the host is a hop of its client's
		}
		if len(hops) == 2 && e.hopNetwork(hops[0]) != "" && strings.Contains(hops[1], dst.String()) {
			return nil
		}
	}
	return fmt.Errorf("traceroute %s %v: want a network's router, then the server, got:\n%s", probe, dst, out)
}

// hopNetwork names the network of a traceroute's line, "" if it is none's.
func (e *Env) hopNetwork(line string) string {
	for field := range strings.FieldsSeq(line) {
		if addr, err := netip.ParseAddr(field); err == nil {
			return e.NetworkOf(addr)
		}
	}
	return ""
}

func manyAddresses(ctx context.Context, e *Env) error {
	prefix := netip.MustParsePrefix
	more := []netip.Prefix{prefix("10.2.7.2/24"), prefix("2001:db8:2:1::2/64"), prefix("2001:db8:2:2::2/64")}
	router := []netip.Prefix{prefix("10.2.7.1/24"), prefix("2001:db8:2:1::1/64"), prefix("2001:db8:2:2::1/64")}
	if err := e.Node("n2").AddAddress("lan", router...); err != nil {
		return err
	}
	if err := e.Host.AddAddress("e2", more...); err != nil {
		return err
	}
	err := within(ctx, func() error { return e.listed(ctx, "e2", append(more, prefix("10.2.0.2/24"))) })
	if err != nil {
		return err
	}
	for _, p := range more {
		dst := public4(lab.PortEcho)
		if p.Addr().Is6() {
			dst = public6(lab.PortEcho)
		}
		t, err := e.Ask(ctx, dst, lab.SocketOptions{Source: netip.AddrPortFrom(p.Addr(), 0)})
		if err != nil {
			return err
		}
		if t.Source.Addr() != p.Addr() || t.Network != "n2" {
			return fmt.Errorf("an app bound to %v was seen as %v by %s", p.Addr(), t.Source, t.Network)
		}
	}
	return nil
}

// listed returns an error unless `mifvif pvds` shows all addresses in the
// domain of an interface.
func (e *Env) listed(ctx context.Context, link string, addrs []netip.Prefix) error {
	var answer any
	if err := e.JSON(ctx, &answer, "pvds"); err != nil {
		return err
	}
	domain, err := json.Marshal(find(answer, "interface", link))
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if !strings.Contains(string(domain), `"`+a.Addr().String()) {
			return fmt.Errorf("the domain of %s does not list %v: %s", link, a.Addr(), domain)
		}
	}
	return nil
}

// find returns the first object in a JSON document whose key has that value.
func find(doc any, key, value string) any {
	switch d := doc.(type) {
	case map[string]any:
		if d[key] == value {
			return d
		}
		for _, part := range d {
			if found := find(part, key, value); found != nil {
				return found
			}
		}
	case []any:
		for _, part := range d {
			if found := find(part, key, value); found != nil {
				return found
			}
		}
	}
	return nil
}

const corporate = `
pvds:
  - {name: corp, interface: e4, prefixes: [10.9.0.0/16], internet: false}
`

func threeDomains(ctx context.Context, e *Env) error {
	inner := netip.AddrPortFrom(lab.Behind(), lab.PortEcho)
	var open []*Talk
	defer func() {
		for _, t := range open {
			t.Close()
		}
	}()
	for _, flow := range []struct {
		dst     netip.AddrPort
		network string
	}{{public4(onlyE1), "n1"}, {public6(onlyE2), "n2"}, {inner, "vpn"}, {public6(onlyE1), "n1"}, {public4(onlyE2), "n2"}} {
		t, err := e.Talk(ctx, flow.dst, lab.SocketOptions{})
		if err != nil {
			return err
		}
		open = append(open, t)
		if t.Network != flow.network {
			return fmt.Errorf("%v was carried by %q, want %q", flow.dst, t.Network, flow.network)
		}
	}
	for _, t := range open {
		if err := t.Say(); err != nil {
			return fmt.Errorf("all open at once, by %s: %w", t.Network, err)
		}
	}
	for _, link := range []string{"e1", "e2", "e4"} {
		if err := e.listed(ctx, link, nil); err != nil {
			return err
		}
	}
	return nil
}

func withPointToPoint() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[1].Impairment = &lab.WireConfig{PointToPoint: true}
	return l
}

const tunnelRule = `
pvds:
  - {name: tunnel, interface: e2}
rules:
  - {name: by-e1, match: {port: [7001]}, require: [e1]}
  - {name: by-tunnel, match: {port: [7002]}, require: [tunnel]}
`

func virtualInterface(ctx context.Context, e *Env) error {
	for i := range 2 {
		if err := e.Carried(ctx, "n1", bothFamilies(onlyE1)[i], lab.SocketOptions{}); err != nil {
			return err
		}
		if err := e.Carried(ctx, "n2", bothFamilies(onlyE2)[i], lab.SocketOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func oneFamilyEach() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].NoIPv6, l.Networks[1].NoIPv4 = true, true
	return l
}

func familyEach(ctx context.Context, e *Env) error {
	if err := e.Carried(ctx, "n1", public4(lab.PortEcho), lab.SocketOptions{}); err != nil {
		return err
	}
	if err := e.Carried(ctx, "n2", public6(lab.PortEcho), lab.SocketOptions{}); err != nil {
		return err
	}
	for family, network := range map[string]string{"-4": "n1", "-6": "n2"} {
		out, err := e.Tool(ctx, "curl", "-sS", family, "--max-time", "10", "http://www.example.net/")
		if err != nil {
			return err
		}
		if !strings.Contains(out, "NET="+network) {
			return fmt.Errorf("curl %s by name: %q, want it by %s", family, out, network)
		}
	}
	return nil
}
