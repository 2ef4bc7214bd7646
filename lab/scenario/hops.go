package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"mifvif/lab"
)

// routers are the networks on the shared link.
func (e *Env) routers() []lab.Network { return []lab.Network{e.Network("r3a"), e.Network("r3b")} }

// formed waits until the host has formed an address of a router's prefix.
func (e *Env) formed(ctx context.Context, n lab.Network) (formed netip.Addr, err error) {
	return formed, within(ctx, func() error {
		all, err := e.Host.Addresses(n.Link)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(p netip.Prefix) bool { return n.Link6().Contains(p.Addr()) })
		if i < 0 {
			return fmt.Errorf("the host has no address in %v, it has %v", n.Link6(), all)
		}
		formed = all[i].Addr()
		return nil
	})
}

// parted waits until the host has an address of each router of the shared link,
// which it returns, and until mifvif has heard them both.
func (e *Env) parted(ctx context.Context, names ...string) (map[string]netip.Addr, error) {
	formed := make(map[string]netip.Addr)
	for _, n := range e.routers() {
		var err error
		if formed[n.Name], err = e.formed(ctx, n); err != nil {
			return nil, err
		}
	}
	if e.Daemon == nil {
		return formed, nil
	}
	return formed, within(ctx, func() error {
		all, err := e.domains(ctx)
		if err != nil {
			return err
		}
		for i, n := range e.routers() {
			if err := all[names[i]].is(n, formed[n.Name]); err != nil {
				return fmt.Errorf("domain %s: %w", names[i], err)
			}
		}
		return nil
	})
}

// hops observes the shared link for packets that go to the wrong router.
type hops struct {
	capture *lab.Capture
	macs    map[string][6]byte // of the routers
	env     *Env
}

func (e *Env) watchHops() (*hops, error) {
	h := &hops{macs: make(map[string][6]byte), env: e}
	for _, n := range e.routers() {
		mac, err := e.Node(n.Name).MAC("lan")
		if err != nil {
			return nil, err
		}
		h.macs[n.Name] = mac
	}
	var err error
	h.capture, err = e.Host.Capture("e3", func(r lab.Record) bool {
		return r.Out && r.Src.Is6() && r.Src.IsGlobalUnicast() && r.Dst.IsGlobalUnicast()
	})
	return h, err
}

// observed is parted, with the link watched from then on.
func (e *Env) observed(ctx context.Context, names ...string) (map[string]netip.Addr, *hops, error) {
	sources, err := e.parted(ctx, names...)
	if err != nil {
		return nil, nil, err
	}
	h, err := e.watchHops()
	return sources, h, err
}

// verdict returns an error if a packet went to another router than its source's,
// or if any router got too few for a proof.
func (h *hops) verdict(atLeast int) error {
	seen := map[string]int{}
	for _, r := range h.capture.Records() {
		owner := h.env.NetworkOf(r.Src)
		if mac, ok := h.macs[owner]; !ok || r.DstMAC != mac {
			return fmt.Errorf("a packet with a source of %q went to %x (the routers are %x): %v", owner, r.DstMAC, h.macs, r)
		}
		seen[owner]++
	}
	missed, err := h.capture.Missed()
	if err != nil {
		return err
	}
	if missed > 0 {
		return errBlind
	}
	for name := range h.macs {
		if seen[name] < atLeast {
			return fmt.Errorf("%s got %d packets, want at least %d: %v", name, seen[name], atLeast, seen)
		}
	}
	return nil
}
