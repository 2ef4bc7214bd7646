package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// claimRow is RFC 6418 6-4: a policy that is broken, and a network that claims what
// is another's.
func claimRow() Scenario {
	return Scenario{
		ID: "6-4", Title: "a broken policy is refused whole and the old one stays in force, and a network that claims a trusted one's zone does not get it",
		Layout: claimsCorp, Config: believesLab + byPort + corpTrusted, Prepare: claimCorp,
		Run: func(ctx context.Context, e *Env) error {
			return steps(func() error { return brokenPolicy(ctx, e) }, func() error { return zoneStays(ctx, e) })
		},
	}
}

// The domain that claims a zone it could own, if another did not, and the zone.
const (
	claimant    = "isp.example.com"
	corpZone    = "corp.example.com"
	corpTrusted = `
pvds:
  - {name: corp, interface: e4, internet: false, trusted: true, prefixes: [10.9.0.0/16], dns: {servers: [10.8.0.53], zones: [corp.example.com]}}
`
)

// claimsCorp is the world of offersInfo with the company's tunnel.
func claimsCorp() lab.Layout {
	l := offersInfo()
	l.Networks = append(l.Networks, lab.WithTunnel().Networks[2])
	return l
}

// claimCorp has r3b's domain say, with a valid certificate of its own, that the
// company's zone is its own.
func claimCorp(e *Env) error {
	if err := offerInfo(e); err != nil {
		return err
	}
	n := e.Network("r3b")
	e.info[n.Name].Set(claimant, serve.Info{Body: fmt.Sprintf(
		`{"identifier":"%s.","expires":"%s","prefixes":["%v"],"dnsZones":["%s","isp.example.com"]}`,
		claimant, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), n.Link6(), corpZone)})
	return errors.Join(
		e.AddRecords(n.Name, fmt.Sprintf("%s. AAAA %v", claimant, n.Resolver6().Next())),
		e.AddRecords("vpn", fmt.Sprintf("srv.%s. A %v", corpZone, lab.Behind())),
	)
}

// zoneStays wants the claimant to be believed about itself, and the zone to be
// asked and reached by the tunnel only.
func zoneStays(ctx context.Context, e *Env) error {
	if err := e.Daemon.SetConfig(believesLab + byPort + corpTrusted); err != nil {
		return err
	}
	if _, err := e.Daemon.CLI(ctx, "reload"); err != nil {
		return err
	}
	e.Advertisers["r3b"].Set(offer(e.Network("r3b"), claimant, 7))
	if err := later(ctx, func() error { return e.asked("r3b", claimant, 1) }); err != nil {
		return err
	}
	err := within(ctx, func() error {
		all, err := e.domains(ctx)
		if err != nil {
			return err
		}
		zones := make(map[string]bool)
		for _, o := range all[claimant].Objects {
			zones[o.Value] = zones[o.Value] || o.Kind == "zone" && o.Origin == "json"
		}
		if !zones[claimant] || zones[corpZone] {
			return fmt.Errorf("%s has its own zone: %v, and the company's: %v", claimant, zones[claimant], zones[corpZone])
		}
		return nil
	})
	if err != nil {
		return err
	}
	for range 10 {
		m, err := e.Resolve(ctx, "srv."+corpZone, dns.TypeA)
		if err != nil {
			return err
		}
		if len(m.Answer) != 1 {
			return fmt.Errorf("the company's name has the answer %v", m.Answer)
		}
		if err := e.Carried(ctx, "vpn", netip.AddrPortFrom(lab.Behind(), lab.PortEcho), lab.SocketOptions{}); err != nil {
			return err
		}
	}
	return e.OnlyAsked(corpZone+".", "vpn")
}

func brokenPolicy(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	for broken, says := range map[string]string{
		"rules:\n  - {name: a, require: [e1], forbid: [e1]}\n":                               `mifvif.yaml:2:5: rule "a" forbids every domain`,
		"rules:\n  - {name: a, locked: true, require: [e1]}\n  - {name: b, require: [e2]}\n": `mifvif.yaml:3:5: rule "b" contradicts the locked rule "a"`,
		"rules: &r\n  - {name: a, require: *r}\n":                                            "mifvif.yaml:",
		"rules: [\n":  "mifvif.yaml:1:",
		"rulez: []\n": "mifvif.yaml:1:1:",
		strings.Replace(byPort, "prefer: [e2]", "prefer: [e2], locked: maybe", 1): "mifvif.yaml:6:",
	} {
		if err := e.Daemon.SetConfig(broken); err != nil {
			return err
		}
		exit, err := e.Daemon.CLI(ctx, "reload")
		if err != nil {
			return err
		}
		if exit.Code != 2 || !strings.Contains(exit.Stderr, says) {
			return fmt.Errorf("a broken policy was taken, or not said where it is broken (%s): %v", says, exit)
		}
		if err := e.all(ctx, 3, "n2", public4(firstE2), lab.SocketOptions{}); err != nil {
			return fmt.Errorf("the old policy is not in force: %w", err)
		}
	}
	return nil
}
