package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"mifvif/lab"
)

func bindsHandle(ctx context.Context, e *Env) error {
	var domains []struct {
		Name, Interface string
		Handles         []netip.Addr
	}
	if err := e.JSON(ctx, &domains, "pvds"); err != nil {
		return err
	}
	for _, d := range domains {
		for _, a := range d.Handles {
			dst := public4(lab.PortEcho)
			if a.Is6() {
				dst = public6(lab.PortEcho)
			}
			opt := lab.SocketOptions{Source: netip.AddrPortFrom(a, 0)}
			if err := e.all(ctx, 5, d.Name, dst, opt); err != nil {
				return fmt.Errorf("bound to %v, the handle of %s: %w", a, d.Name, err)
			}
			if t, err := e.AskUDP(dst, opt); err != nil || t.Network != d.Name {
				return fmt.Errorf("bound to %v, the handle of %s: UDP was carried by %v (%w)", a, d.Name, t, err)
			}
			// The administrator lets n2 have none of this port.
			dst = netip.AddrPortFrom(dst.Addr(), 7001)
			t, err := e.Ask(ctx, dst, opt)
			switch {
			case d.Name == "n1" && err != nil:
				return err
			case d.Name != "n1" && err == nil:
				return fmt.Errorf("a domain that is denied was used: %s, by %s", t.Network, d.Name)
			}
		}
	}
	if len(domains) != 2 {
		return fmt.Errorf("there are %d domains, want 2", len(domains))
	}
	return nil
}

// referral opens a flow, asks where it went, and opens the next one there by the
// network's handle: what the app tells its peer about itself holds.
func referral(ctx context.Context, e *Env) error {
	var domains []struct {
		Name    string
		Handles []netip.Addr
	}
	if err := e.JSON(ctx, &domains, "pvds"); err != nil {
		return err
	}
	for _, d := range domains {
		for _, a := range d.Handles {
			dst := public4(firstE1)
			if a.Is6() {
				dst = public6(firstE1)
			}
			opt := lab.SocketOptions{Source: netip.AddrPortFrom(a, 0)}
			first, err := e.Talk(ctx, dst, opt)
			if err != nil {
				return err
			}
			defer first.Close()
			var flows []struct{ PvD, Dst, Source string }
			if err := e.JSON(ctx, &flows, "flows", "--pvd", d.Name); err != nil {
				return err
			}
			if !slices.ContainsFunc(flows, func(f struct{ PvD, Dst, Source string }) bool {
				return f.Dst == dst.String() && f.Source == first.Source.String()
			}) {
				return fmt.Errorf("the peer sees %v, and no flow over %s has that source: %v", first.Source, d.Name, flows)
			}
			second, err := e.Ask(ctx, netip.AddrPortFrom(dst.Addr(), firstE2), opt)
			if err != nil || second.Source.Addr() != first.Source.Addr() || second.Network != first.Network {
				return fmt.Errorf("the second flow is %+v, the first %v by %s (%w)", second, first.Source, first.Network, err)
			}
		}
	}
	if len(domains) != 2 {
		return fmt.Errorf("there are %d domains, want 2", len(domains))
	}
	return nil
}
