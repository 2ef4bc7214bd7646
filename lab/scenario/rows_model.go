package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"mifvif/lab"
)

// modelRows are RFC 6418 3.3 to 3.9: host models, sessions, ICE, connection
// managers, socket API.
func modelRows() []Scenario {
	return []Scenario{
		{ID: "3.3-1", Title: "strong host: no answer for another interface's address, no source on a foreign link", Run: strongHost},
		{ID: "3.3-2", Title: "two flows to one destination take different uplinks by their DSCP", Config: byDSCP, Run: differentiated},
		{ID: "3.4-1", Title: "sessions stay where they are when a better network appears, new ones use it", Layout: firstDetached, Config: byPort, Run: sessionsStay},
		{ID: "3.5-2", Title: "two routers with a prefix each on one link: a source stays with its router, although the other is preferred", Layout: secondPreferred, Config: byNextHop, Run: rightRouter("alpha", "beta")},
		{ID: "3.6-1", Title: "one UDP socket has one public address for every peer, per network", Config: byPort, Run: reflexive},
		{ID: "3.7-1", Title: "an app that requires a network fails at once without it and never uses another", Config: byPort, Run: requireFailsClosed},
		{ID: "3.8-4", Title: "what makes mif0 the way out is repaired, a killed daemon leaves a working host, a stopped one no trace", Run: ownsMapping},
		{ID: "3.9-1", Title: "an app that binds an uplink's address or device bypasses mif0", Run: nativeBypass},
	}
}

func strongHost(ctx context.Context, e *Env) error {
	n1, n2 := e.Network("n1"), e.Network("n2")
	// n2 tries to reach the address of e1 through e2: on the link, then routed.
	router := e.Node("n2")
	answers, err := e.Host.Capture("e2", func(r lab.Record) bool {
		return r.Out && (r.Src == n1.Host4() || r.Src == n1.Host6())
	})
	if err != nil {
		return err
	}
	for _, try := range []lab.Route{
		{To: netip.PrefixFrom(n1.Host4(), 32), Dev: "lan"},
		{To: netip.PrefixFrom(n1.Host4(), 32), Dev: "lan", Via: n2.Host4()},
		{To: netip.PrefixFrom(n1.Host6(), 128), Dev: "lan", Via: n2.Host6()},
	} {
		if err := router.AddRoute(try); err != nil {
			return err
		}
		if err := refusedBy(ctx, router, try.To.Addr(), false); err != nil {
			return err
		}
	}
	if err := nothing(answers, "the host answered on e2 for an address of e1"); err != nil {
		return err
	}
	// Asked on the right link it does answer.
	for _, own := range []netip.Addr{n1.Host4(), n1.Host6()} {
		if err := refusedBy(ctx, e.Node("n1"), own, true); err != nil {
			return err
		}
	}
	return ownSourceOnly(ctx, e)
}

// refusedBy connects from a router to a closed port of the host and says
// whether the host's refusal is what was wanted.
func refusedBy(ctx context.Context, router *lab.Node, host netip.Addr, want bool) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	if want {
		cancel()
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	}
	defer cancel()
	_, err := router.DialTCP(ctx, netip.AddrPortFrom(host, lab.PortClosed), lab.SocketOptions{})
	if refused := errors.Is(err, syscall.ECONNREFUSED); refused != want {
		return fmt.Errorf("%s asks the host's %v: %w", router.Name, host, err)
	}
	return nil
}

// ownSourceOnly has an app bind the address of e2: its packets leave by e2 and
// are never seen on e1.
func ownSourceOnly(ctx context.Context, e *Env) error {
	n2 := e.Network("n2")
	foreign, err := e.Host.Capture("e1", func(r lab.Record) bool { return r.Src == n2.Host4() || r.Src == n2.Host6() })
	if err != nil {
		return err
	}
	for i, src := range []netip.Addr{n2.Host4(), n2.Host6()} {
		opt := lab.SocketOptions{Source: netip.AddrPortFrom(src, 0)}
		if err := e.Carried(ctx, "n2", bothFamilies(lab.PortEcho)[i], opt); err != nil {
			return fmt.Errorf("bound to %v: %w", src, err)
		}
	}
	return nothing(foreign, "a source of e2 was sent on e1")
}

const (
	expedited = 46 << 2
	classOne  = 8 << 2
	// Nothing but the code point may lead a flow to its network.
	byDSCP = `
defaults: {algorithm: priority, affinity: none}
rules:
  - {name: voice, match: {dscp: [ef]}, require: [e1]}
  - {name: bulk, match: {dscp: [cs1]}, require: [e2]}
`
)

func differentiated(ctx context.Context, e *Env) error {
	for _, dst := range bothFamilies(lab.PortEcho) {
		if err := e.Carried(ctx, "n1", dst, lab.SocketOptions{TOS: expedited}); err != nil {
			return fmt.Errorf("EF: %w", err)
		}
		if err := e.Carried(ctx, "n2", dst, lab.SocketOptions{TOS: classOne}); err != nil {
			return fmt.Errorf("CS1: %w", err)
		}
	}
	return nil
}

// firstDetached starts with n2 only; n1, which the kernel and byPort's port
// 7003 rank first, comes later.
func firstDetached() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].Detached = true
	return l
}

func sessionsStay(ctx context.Context, e *Env) error {
	old, err := e.talks(ctx, 10, "n2", bothFamilies(firstE1)...)
	if err != nil {
		return err
	}
	defer closeAll(old)
	if err := e.Attach("n1"); err != nil {
		return err
	}
	if err := within(ctx, func() error {
		for _, dst := range bothFamilies(firstE1) {
			if err := e.Carried(ctx, "n1", dst, lab.SocketOptions{}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("new flows: %w", err)
	}
	for range 10 {
		for _, t := range old {
			if err := t.Say(); err != nil {
				return fmt.Errorf("a session that was there before: %w", err)
			}
		}
	}
	return nil
}

func requireFailsClosed(ctx context.Context, e *Env) error {
	for _, dst := range bothFamilies(onlyE1) {
		if err := e.Carried(ctx, "n1", dst, lab.SocketOptions{}); err != nil {
			return err
		}
	}
	leaked, err := e.Host.Capture("e2", ports(onlyE1))
	if err != nil {
		return err
	}
	if err := e.LinkDown("n1"); err != nil {
		return err
	}
	for _, dst := range bothFamilies(onlyE1) {
		if err := e.refusedAtOnce(ctx, dst); err != nil {
			return err
		}
	}
	if err := e.Carried(ctx, "n2", public4(firstE1), lab.SocketOptions{}); err != nil {
		return fmt.Errorf("other flows: %w", err)
	}
	if err := nothing(leaked, "packets of an app that requires e1 left by e2"); err != nil {
		return err
	}
	if err := e.LinkUp("n1"); err != nil {
		return err
	}
	return within(ctx, func() error { return e.Carried(ctx, "n1", public4(onlyE1), lab.SocketOptions{}) })
}

// refusedAtOnce returns nil when both TCP and UDP to dst are told in time that
// there is no way.
func (e *Env) refusedAtOnce(ctx context.Context, dst netip.AddrPort) error {
	const soon = time.Second
	return within(ctx, func() error {
		short, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		conn, err := e.Host.DialTCP(short, dst, lab.SocketOptions{})
		if err == nil {
			conn.Close()
			return fmt.Errorf("a connection to %v succeeded", dst)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("a connection to %v hangs instead of failing", dst)
		}
		return e.datagramRefused(dst, soon)
	})
}

// datagramRefused returns nil when a datagram to dst is answered with an error.
func (e *Env) datagramRefused(dst netip.AddrPort, soon time.Duration) error {
	conn, err := e.Host.DialUDP(dst, lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, network, err := askOnce(conn, soon)
	switch {
	case err == nil:
		return fmt.Errorf("a datagram to %v was carried by %q", dst, network)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("a datagram to %v vanishes instead of being refused", dst)
	}
	return nil
}

func nativeBypass(ctx context.Context, e *Env) error {
	if e.Daemon != nil {
		if _, err := e.Host.LinkIndex("mif0"); err != nil {
			return err
		}
	}
	n2 := e.Network("n2")
	through := func() uint64 { return e.Host.TxPackets("mif0") }
	before := through()
	for i, dst := range bothFamilies(lab.PortEcho) {
		own := []netip.Addr{n2.Host4(), n2.Host6()}[i]
		for what, opt := range map[string]lab.SocketOptions{
			"address": {Source: netip.AddrPortFrom(own, 0)},
			"device":  {Device: "e2"},
		} {
			t, err := e.Ask(ctx, dst, opt)
			if err == nil && (t.Network != "n2" || t.Source.Addr() != own) {
				err = fmt.Errorf("it was seen as %v by %q", t.Source, t.Network)
			}
			if err == nil {
				err = e.Carried(ctx, "n2", dst, opt)
			}
			if err != nil {
				return fmt.Errorf("an app bound to the %s of e2, to %v: %w", what, dst, err)
			}
		}
	}
	if now := through(); now > before+5 { // neighbour discovery and the like
		return fmt.Errorf("%d packets went through mif0", now-before)
	}
	return nil
}
