package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mifvif/lab"
	"mifvif/lab/nd"
)

// selectionRows are RFC 6418 3.5, 4.3 and 5.4: address selection tables that
// networks hand out (RFC 7078).
func selectionRows() []Scenario {
	return watched([]Scenario{
		{ID: "3.5-1", Title: "a network's address selection table holds for what goes by it, and for nothing else", Layout: oneTable, Config: namedByRule("n1"), Run: tableOfItsOwn},
		{ID: "4.3-1", Title: "tables that favour each network's own addresses never put one network's source on the other", Layout: ownFavoured, Config: byPort, Run: sourcesStayAtHome},
		{ID: "5.4-A", Title: "each domain keeps the address selection table of its own network", Layout: ownFavoured, Config: named, Run: tablesByDomain},
	})
}

// Rows of selection tables as dnsmasq writes bytes (RFC 7078 3): the flags, and
// after them options 85 of label, precedence, prefix length and prefix.
const (
	noFlags    = "03"
	ipv4First  = ":00:55:00:0f:04:64:60:00:00:00:00:00:00:00:00:00:00:ff:ff"
	everything = ":00:55:00:03:01:28:00"
)

// ownFirst is a row that puts a network's /48 above everything, with a label of
// its own.
func ownFirst(n lab.Network) string {
	return fmt.Sprintf(":00:55:00:09:4d:7d:30:20:01:0d:b8:00:%02x", n.Number)
}

// handing has networks hand out tables by DHCPv6, as their routers tell hosts to
// ask for (O flag).
func handing(table func(lab.Network) string) lab.Layout {
	l := lab.TwoNetworks()
	for i := range l.Networks {
		n := &l.Networks[i]
		n.Advert = func(n lab.Network) nd.RA {
			ra := n.PlainAdvert()
			ra.Other = true
			return ra
		}
		n.DHCP = &lab.DHCP{}
		if t := table(*n); t != "" {
			n.DHCP.Options = []string{"option6:84," + t}
		}
	}
	return l
}

func oneTable() lab.Layout {
	return handing(func(n lab.Network) string {
		if n.Name == "n1" {
			return noFlags + ipv4First + everything
		}
		return ""
	})
}

func ownFavoured() lab.Layout {
	return handing(func(n lab.Network) string { return noFlags + ownFirst(n) + everything })
}

// namedByRule puts the general name on one network.
func namedByRule(network string) string {
	return named + fmt.Sprintf("rules:\n  - {name: by-name, match: {name: [%s]}, require: [%s]}\n", generalName, network)
}

// selections returns the rows of a domain's table.
func (e *Env) selections(ctx context.Context, domain string) ([]string, error) {
	all, err := e.domains(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, o := range all[domain].Objects {
		if o.Kind == "selection" {
			out = append(out, o.Value)
		}
	}
	return out, nil
}

// tableRows is how many rows each table here has.
const tableRows = 2

// has waits until a domain has its network's table.
func (e *Env) has(ctx context.Context, domain string) error {
	return within(ctx, func() error {
		have, err := e.selections(ctx, domain)
		if err == nil && len(have) != tableRows {
			err = fmt.Errorf("the table of %s is %v, want %d rows", domain, have, tableRows)
		}
		return err
	})
}

// families returns which families an app is told that the general name has.
func (e *Env) families(ctx context.Context) (string, error) {
	var out strings.Builder
	for _, family := range []struct {
		word  string
		qtype uint16
	}{{"IPv4 ", dns.TypeA}, {"IPv6 ", dns.TypeAAAA}} {
		m, err := e.Resolve(ctx, generalName, family.qtype)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == family.qtype }) {
			out.WriteString(family.word)
		}
	}
	return out.String(), nil
}

func tableOfItsOwn(ctx context.Context, e *Env) error {
	if e.Daemon != nil {
		if err := e.has(ctx, "n1"); err != nil {
			return err
		}
	}
	got, err := e.families(ctx)
	if err == nil && got != "IPv4 " {
		err = fmt.Errorf("by n1, whose table puts IPv4 first, an app is told of %q", got)
	}
	if err != nil {
		return err
	}
	if e.Daemon == nil {
		return errNoDaemon
	}
	if err := errors.Join(e.Daemon.SetConfig(namedByRule("n2")), e.Daemon.Reload()); err != nil {
		return err
	}
	return within(ctx, func() error {
		got, err := e.families(ctx)
		if err == nil && got != "IPv4 IPv6 " && got != "IPv6 " {
			err = fmt.Errorf("by n2, which has no table, an app is told of %q", got)
		}
		return err
	})
}

func sourcesStayAtHome(ctx context.Context, e *Env) error {
	if e.Daemon != nil {
		if err := errors.Join(e.has(ctx, "e1"), e.has(ctx, "e2")); err != nil {
			return err
		}
	}
	for range 20 {
		for network, port := range map[string]uint16{"n1": onlyE1, "n2": onlyE2} {
			for _, dst := range bothFamilies(port) {
				if err := e.Carried(ctx, network, dst, lab.SocketOptions{}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func tablesByDomain(ctx context.Context, e *Env) error {
	for _, n := range []string{"n1", "n2"} {
		if err := e.has(ctx, n); err != nil {
			return err
		}
		rows, err := e.selections(ctx, n)
		if err != nil {
			return err
		}
		own := e.Network(n).Own6().String()
		if !slices.ContainsFunc(rows, func(r string) bool { return len(r) >= len(own) && r[:len(own)] == own }) {
			return fmt.Errorf("the table of %s is %v, which has not its own %s", n, rows, own)
		}
	}
	return nil
}
