package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"mifvif/lab"
)

func splitTunnel(ctx context.Context, e *Env) error {
	if err := e.AddRecords("vpn", fmt.Sprintf("srv.corp.example.com. A %v", lab.Behind())); err != nil {
		return err
	}
	inTunnel, err := e.Host.Capture("e4", toward(lab.Public4(), lab.Public6()))
	if err != nil {
		return err
	}
	var outside []*lab.Capture
	for _, link := range []string{"e1", "e2"} {
		c, err := e.Host.Capture(link, func(r lab.Record) bool { return e.Network("vpn").Owns(r.Dst) })
		if err != nil {
			return err
		}
		outside = append(outside, c)
	}
	for range 5 {
		if err := errors.Join(e.Fetch(ctx, "srv.corp.example.com", "vpn"), e.FetchUDP(ctx, "srv.corp.example.com", "vpn")); err != nil {
			return err
		}
		addr, err := e.Address(ctx, "www.example.net")
		if err != nil {
			return err
		}
		t, err := e.Ask(ctx, netip.AddrPortFrom(addr, lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			return err
		}
		if t.Network != "n1" && t.Network != "n2" {
			return fmt.Errorf("www.example.net was reached by %q", t.Network)
		}
	}
	if m, err := e.Resolve(ctx, "no.corp.example.com", dns.TypeA); err != nil || m.Rcode != dns.RcodeNameError {
		return fmt.Errorf("a company's name that is none: %v, %w", m, err)
	}
	for _, c := range outside {
		if err := nothing(c, "packets for the company were seen outside of its tunnel"); err != nil {
			return err
		}
	}
	return steps(
		func() error { return nothing(inTunnel, "public packets were seen in the tunnel") },
		func() error { return e.OnlyAsked("corp.example.com.", "vpn") },
		func() error { return e.neverAsked("vpn", "example.net.") },
	)
}

// neverAsked returns an error if a network's resolver was asked about names with
// the suffix.
func (e *Env) neverAsked(network, suffix string) error {
	for _, q := range e.Resolvers[network].Log.Queries() {
		if strings.HasSuffix(strings.ToLower(q.Name), suffix) {
			return fmt.Errorf("the resolver of %s was asked %v", network, q)
		}
	}
	return nil
}

func specialService(ctx context.Context, e *Env) error {
	if err := e.AddRecords("n2", "svc.op.example.com. A 10.2.0.80", "svc2.op.example.com. A 192.168.50.80"); err != nil {
		return err
	}
	elsewhere, err := e.Host.Capture("e1", toward(netip.MustParseAddr("10.2.0.80"), lab.Overlap()))
	if err != nil {
		return err
	}
	for range 5 {
		for _, name := range []string{"svc.op.example.com", "svc2.op.example.com"} {
			if err := errors.Join(e.Fetch(ctx, name, "n2"), e.FetchUDP(ctx, name, "n2")); err != nil {
				return err
			}
		}
	}
	return steps(
		func() error { return nothing(elsewhere, "packets for the service left by the other network") },
		func() error { return e.OnlyAsked("op.example.com.", "n2") },
	)
}
