package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"mifvif/lab"
)

// routingRows are RFC 6418 5: causes.
func routingRows() []Scenario {
	return []Scenario{
		{ID: "5.1-C", Title: "what a network said is kept with its lifetime, and goes alone when that is over", Layout: oneNamed, Run: expires},
		{ID: "5.3-A", Title: "the kernel's route from every source address leaves by the interface that owns it", Run: routePerSource},
		{ID: "5.3-B", Title: "an app's DSCP is on the wire and rules see it", Config: byDSCP, Run: codePointKept},
		{ID: "5.3-E", Title: "the first hop follows what routers say, and the source follows the first hop", Layout: secondPreferred, Config: byNextHop, Run: firstHopFollows},
		{ID: "5.4-B", Title: "of four networks, two on one link, each gets its own sources only", Layout: oneNamed, Config: scattered, Run: sourcePerHop},
		{ID: "5.5-D", Title: "100 changes of the default route break, lose and misroute nothing", Config: byPort, Run: defaultChanges},
	}
}

func routePerSource(_ context.Context, e *Env) error {
	for _, name := range []string{"n1", "n2"} {
		n := e.Network(name)
		for src, dsts := range map[netip.Addr][]netip.Addr{
			n.Host4(): {lab.Public4(), lab.Silent4(), netip.MustParseAddr("198.51.100.1")},
			n.Host6(): {lab.Public6(), lab.Silent6(), netip.MustParseAddr("2001:db8:fe::1")},
		} {
			for _, dst := range dsts {
				link, err := e.Host.RouteOf(dst, src)
				if err != nil {
					return err
				}
				if link != n.Link {
					return fmt.Errorf("ip route get %v from %v: %s, want %s", dst, src, link, n.Link)
				}
			}
		}
	}
	return nil
}

func codePointKept(ctx context.Context, e *Env) error {
	for _, mark := range []struct {
		tos           uint8
		link, network string
	}{{expedited, "e1", "n1"}, {classOne, "e2", "n2"}} {
		for _, dst := range bothFamilies(lab.PortEcho) {
			if err := e.onWire(ctx, dst, mark.tos, mark.link, mark.network); err != nil {
				return err
			}
		}
	}
	return nil
}

// onWire sends TCP and UDP with a code point and checks every packet to dst.
func (e *Env) onWire(ctx context.Context, dst netip.AddrPort, tos uint8, link, network string) error {
	capture, err := e.Host.Capture(link, func(r lab.Record) bool { return r.Out && r.Dst == dst.Addr() && r.DstPort == dst.Port() })
	if err != nil {
		return err
	}
	defer capture.Close()
	if err := e.Carried(ctx, network, dst, lab.SocketOptions{TOS: tos}); err != nil {
		return fmt.Errorf("TOS %#02x: %w", tos, err)
	}
	seen := map[uint8]int{}
	for _, r := range capture.Records() {
		if r.TOS>>2 != tos>>2 { // the last two bits are ECN's
			return fmt.Errorf("TOS %#02x of the app is not on the wire: %v", tos, r)
		}
		seen[r.Proto]++
	}
	if seen[6] < 4 || seen[17] < 1 {
		return fmt.Errorf("saw only %v packets by protocol to %v on %s", seen, dst, link)
	}
	return nil
}

func defaultChanges(ctx context.Context, e *Env) error {
	talks, err := e.talks(ctx, 20, "n1", bothFamilies(firstE1)...)
	if err != nil {
		return err
	}
	defer closeAll(talks)
	udp, err := e.sockets(lab.SocketOptions{}, 1, "n1", public4(firstE1))
	if err != nil {
		return err
	}
	defer closeSockets(udp)
	stop, heard := make(chan struct{}), make(chan error, 1)
	go func() { heard <- sayUntil(talks, stop) }()
	err = e.toggleDefault(udp[0])
	close(stop)
	if broken := <-heard; broken != nil {
		return fmt.Errorf("TCP flows: %w", firstLine(broken))
	}
	return err
}

// seen asks at once after a change, and again when everybody has noticed it.
func seen(udp *Socket) error {
	if err := udp.Say(); err != nil {
		return err
	}
	time.Sleep(30 * time.Millisecond)
	return udp.Say()
}

// toggleDefault adds and deletes a better default route by turns a hundred
// times and asks by UDP after each change.
func (e *Env) toggleDefault(udp *Socket) error {
	n1, n2 := e.Network("n1"), e.Network("n2")
	for i := range 50 {
		n := []lab.Network{n2, n1}[i%2]
		better := n.HostRoutes()
		for j := range better {
			better[j].Metric = 5
		}
		if err := e.Host.AddRoute(better...); err != nil {
			return err
		}
		if err := seen(udp); err != nil {
			return fmt.Errorf("UDP after change %d: %w", 2*i+1, err)
		}
		if err := e.Host.DeleteRoute(better...); err != nil {
			return err
		}
		if err := seen(udp); err != nil {
			return fmt.Errorf("UDP after change %d: %w", 2*i+2, err)
		}
	}
	return nil
}
