package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mifvif/lab"
)

// translatedChecks show that TCP that the kernel translates is as true as what is
// terminated.
func translatedChecks() []Scenario {
	return []Scenario{
		{ID: "auto", Title: "the first connection to a server is terminated, the next ones the kernel translates, a client's too; nothing of that outlives mifvif", Layout: lab.WithLAN, Config: byPort + lanRule, Run: ownSources(learnsPaths)},
		{ID: "translated-told", Title: "apps of translated flows are told at once when their network dies or is to be left, and the next connect goes by another", Config: byPort + tells + zoned + translated, Run: ownSources(toldAtOnce)},
		{ID: "translated-silent", Title: "a network that answers to nothing or knows no way is left for the next one within the app's own connect", Layout: firstWired, Config: byPort + translated, Run: ownSources(leavesSilent)},
		{ID: "translated-bytes", Title: "every byte and checksum of translated flows is right, also behind a smaller link", Layout: lab.WithLAN, Config: byPort + bulk + lanRule + translated, Prepare: summed, Run: bytesRight},
		{ID: "translated-cut", Title: "of flows that the kernel translates segments may come in pieces, where the server lets routers cut it", Layout: lab.WithLAN, Config: byPort + tells + lanRule + translated, Prepare: cutOnTheWay, Run: comesInPieces},
		{ID: "untranslated", Title: "what the kernel cannot translate is terminated: smaller links, NAT64, Multipath TCP, a command's own network", Layout: sixOnlyFirst, Config: exceptions + translated, Prepare: smallerSecond, Run: terminatedInstead},
		{ID: "shortcuts", Title: "datagrams that keep passing between a socket and a server are translated by the kernel, and move when their network dies; nothing is while IPsec has a say", Config: byPort, Run: shortcuts},
		{ID: "auto-silent", Title: "without any policy, too, and a known network that falls silent costs the next connect no more than an unknown one", Layout: bothWired, Run: knownFallsSilent},
		{ID: "firewalled", Title: "a host with a stateful firewall and strict reverse path filters notices no difference", Layout: lab.WithLAN, Config: byPort + lanRule, Prepare: firewall, Run: firewalled},
		{ID: "flaps-translated", Title: "10,000 mixed flows while an uplink flaps, as in 4.2-6, with TCP translated by the kernel", Config: byPort + translated, Run: flapping},
	}
}

// ownSources wraps a scenario: no segment or datagram may leave by a link with a
// source of another network, of the LAN, or of mif0.
func ownSources(run func(context.Context, *Env) error) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		captures := make(map[string]*lab.Capture)
		for _, n := range e.Layout.Networks {
			c, err := e.Host.Capture(n.Link, func(r lab.Record) bool {
				return r.Out && (r.Proto == 6 || r.Proto == 17) && !n.Owns(r.Src) && !r.Src.IsLinkLocalUnicast()
			})
			if err != nil {
				return err
			}
			captures[n.Link] = c
		}
		if err := run(ctx, e); err != nil {
			return err
		}
		for link, c := range captures {
			if err := nothing(c, "with a source that is not "+link+"'s own"); err != nil {
				return err
			}
		}
		return nil
	}
}

// listing is a TCP flow of `mifvif flows --json`.
type listing struct {
	ID, Proto, Interface, Path string
	Src, Dst, Source           netip.AddrPort
	Tx                         uint64 `json:"tx_bytes"`
	Rx                         uint64 `json:"rx_bytes"`
}

// listing returns how a conversation is listed, nil if it is not.
func (e *Env) listing(ctx context.Context, t *Talk) (*listing, error) {
	var all []listing
	if err := e.JSON(ctx, &all, "flows"); err != nil {
		return nil, err
	}
	own := t.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	own = netip.AddrPortFrom(own.Addr().Unmap(), own.Port())
	i := slices.IndexFunc(all, func(l listing) bool { return l.Proto == "tcp" && l.Src == own })
	if i < 0 {
		return nil, nil
	}
	return &all[i], nil
}

// path wants a conversation to be listed with a path, and with the network and the
// source that the server sees.
func (e *Env) path(ctx context.Context, t *Talk, want string) error {
	l, err := e.listing(ctx, t)
	switch {
	case err != nil:
		return err
	case l == nil:
		return fmt.Errorf("the flow to %v is not listed", t.conn.RemoteAddr())
	case l.Path != want:
		return fmt.Errorf("the flow to %v is %s, want %s", l.Dst, l.Path, want)
	case l.Interface != e.Network(t.Network).Link || l.Source != t.Source:
		return fmt.Errorf("the flow to %v is listed with %s and %v, the server sees %s and %v", l.Dst, l.Interface, l.Source, t.Network, t.Source)
	}
	return nil
}

// talkOn opens a conversation and wants it carried by a network and on a path.
func (e *Env) talkOn(ctx context.Context, path, network string, dst netip.AddrPort) (*Talk, error) {
	t, err := e.Talk(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return nil, err
	}
	if err = e.path(ctx, t, path); err == nil && t.Network != network {
		err = fmt.Errorf("%v was carried by %s, want %s", dst, t.Network, network)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// goes is talkOn for a few words.
func (e *Env) goes(ctx context.Context, path, network string, dst netip.AddrPort) error {
	t, err := e.talkOn(ctx, path, network, dst)
	if err != nil {
		return err
	}
	defer t.Close()
	return t.Say()
}

func learnsPaths(ctx context.Context, e *Env) error {
	for _, dst := range bothFamilies(firstE1) {
		err := steps(
			func() error { return e.wouldBe(ctx, dst, "terminated", "nothing is known of the path yet") },
			func() error { return e.goes(ctx, "terminated", "n1", dst) },
			func() error { return e.wouldBe(ctx, dst, "translated", "nothing to gain from terminating") },
			func() error { return e.goes(ctx, "offloaded", "n1", dst) },
			func() error { return e.counted(ctx, dst) },
		)
		if err != nil {
			return err
		}
	}
	e.App = e.Client
	for _, dst := range bothFamilies(firstE1) {
		if err := e.counted(ctx, dst); err != nil {
			return fmt.Errorf("of the LAN: %w", err)
		}
	}
	e.App = e.Host
	return errors.Join(e.noneListed(ctx), e.outlived(ctx))
}

// wouldBe asks for what would become of a connection, and why.
func (e *Env) wouldBe(ctx context.Context, dst netip.AddrPort, path, reason string) error {
	var x struct {
		Decision struct {
			Path   string
			Reason string `json:"path_reason"`
		}
	}
	err := e.JSON(ctx, &x, "explain", dst.Addr().String(), "--port", strconv.Itoa(int(dst.Port())))
	if err == nil && (x.Decision.Path != path || !strings.Contains(x.Decision.Reason, reason)) {
		err = fmt.Errorf("a connection to %v would be %s (%s), want %s (%s)", dst, x.Decision.Path, x.Decision.Reason, path, reason)
	}
	return err
}

// counted wants the bytes of a translated flow in the list as they pass.
func (e *Env) counted(ctx context.Context, dst netip.AddrPort) error {
	t, err := e.talkOn(ctx, "offloaded", "n1", dst)
	if err != nil {
		return err
	}
	defer t.Close()
	before, err := e.listing(ctx, t)
	if err != nil {
		return err
	}
	const lines, bytes = 5, 5 * uint64(len("line 1\n"))
	for range lines {
		if err := t.Say(); err != nil {
			return err
		}
	}
	after, err := e.listing(ctx, t)
	if err != nil {
		return err
	}
	if before == nil || after == nil || after.Tx-before.Tx != bytes || after.Rx-before.Rx != bytes {
		return fmt.Errorf("%d bytes each way make %+v of %+v", bytes, after, before)
	}
	return nil
}

// noneListed waits until the list is without flows that have ended: all of them.
func (e *Env) noneListed(ctx context.Context) error {
	return within(ctx, func() error {
		var all []listing
		err := e.JSON(ctx, &all, "flows")
		if i := slices.IndexFunc(all, func(l listing) bool { return l.Proto == "tcp" }); err == nil && i >= 0 {
			err = fmt.Errorf("a flow that has ended is still listed: %+v", all[i])
		}
		return err
	})
}

// outlived kills the daemon, then has another one end in order, which resets what
// it cannot look after any more. Its programs go with it, and the kernel's own ways
// work.
func (e *Env) outlived(ctx context.Context) error {
	for _, program := range []string{"program mifvif_egress on mif0", "program mifvif_ingress on e1"} {
		if err := e.hasLine(program, true); err != nil {
			return err
		}
	}
	e.Daemon.Kill()
	if err := errors.Join(e.withoutPrograms(ctx), e.StartDaemon(ctx), e.goes(ctx, "terminated", "n1", public4(firstE1))); err != nil {
		return err
	}
	open, err := e.talkOn(ctx, "offloaded", "n1", public4(firstE1))
	if err != nil {
		return err
	}
	defer open.Close()
	return steps(
		func() error { return e.Daemon.Stop(ctx) },
		func() error { return open.reset(time.Second) },
		func() error { return e.withoutPrograms(ctx) },
		func() error { return e.StartDaemon(ctx) }, // for the player
	)
}

// withoutPrograms wants the host to be as without mifvif.
func (e *Env) withoutPrograms(ctx context.Context) error {
	if err := e.hasLine("program mifvif", false); err != nil {
		return err
	}
	for _, dst := range bothFamilies(firstE1) {
		if err := e.Carried(ctx, "n1", dst, lab.SocketOptions{}); err != nil {
			return fmt.Errorf("by the kernel alone: %w", err)
		}
	}
	return nil
}

// hasLine wants a line that begins so in the host's snapshot, or none.
func (e *Env) hasLine(begin string, want bool) error {
	all, err := e.Host.Snapshot()
	if err == nil && slices.ContainsFunc(all, func(line string) bool { return strings.HasPrefix(line, begin) }) != want {
		err = fmt.Errorf("%q on the host: %v, want %v", begin, !want, want)
	}
	return err
}
