package bench

import (
	"context"
	"strings"

	"mifvif/lab"
)

// tcpRows are bulk transfers by iperf3.
func tcpRows() []Row {
	row := func(id, title, cc string, turns int, client bool, args ...string) Row {
		return Row{
			ID: cc + "-" + id, Title: title + ", " + cc, Unit: "Gbit/s", Congestion: cc, Turns: turns, TCP: true,
			measure: func(ctx context.Context, s *system) (sample, error) {
				from := s.world.Host
				if client {
					from = s.world.Client
				}
				r, err := iperf(ctx, from, append([]string{"-C", cc, "-t", "2"}, args...)...)
				return sample{value: r.bits / 1e9, bytes: r.bytes}, err
			},
		}
	}
	const many = 9 // eight flows fall into one of two modes, the kernel's too
	var rows []Row
	for _, cc := range []string{"cubic", "bbr"} {
		rows = append(rows,
			row("tcp1-up", "TCP 1 flow up", cc, 0, false),
			row("tcp1-down", "TCP 1 flow down", cc, 0, false, "-R"),
			row("tcp8-up", "TCP 8 flows up", cc, many, false, "-P", "8"),
			row("tcp8-down", "TCP 8 flows down", cc, many, false, "-P", "8", "-R"),
			row("lan-up", "TCP from a LAN client, up", cc, 0, true),
			row("lan-down", "TCP from a LAN client, down", cc, 0, true, "-R"),
		)
	}
	return rows
}

// lossyFlows is how many flows share a lossy wire: with few of them, the luck of
// which packets are lost says more than the TCP.
const lossyFlows = "16"

// lossRows are transfers over a wire that delays by 20 ms each way and loses one
// packet in a hundred: the uplink, and the link of a LAN client.
func lossRows() []Row {
	var rows []Row
	for _, layout := range []string{lossyUplink, lossyLAN} {
		for _, way := range []string{"up", "down"} {
			rows = append(rows, Row{
				ID: layout + "-" + way, Title: "TCP with 40 ms and 1 % loss on the " + strings.TrimPrefix(layout, "lossy-") + ", " + way,
				Unit: "Mbit/s", Congestion: "cubic", Layout: layout, TCP: true,
				measure: func(ctx context.Context, s *system) (sample, error) {
					from, args := s.world.Host, []string{"-C", "cubic", "-t", "8", "-P", lossyFlows}
					if layout == lossyLAN {
						from = s.world.Client
					}
					if way == "down" {
						args = append(args, "-R")
					}
					r, err := iperf(ctx, from, args...)
					return sample{value: r.bits / 1e6, bytes: r.bytes}, err
				},
			})
		}
	}
	return rows
}

// The layouts of worlds.
const (
	lossyUplink = "lossy-uplink"
	lossyLAN    = "lossy-LAN"
	flooded     = "flooded"
)

// layoutOf builds the named layout and says which network is to carry everything.
func layoutOf(name, congestion string) (l lab.Layout, via string) {
	l, via = lab.TwoNetworks(), "n1"
	l.Congestion, l.LAN = congestion, true
	switch name {
	case lossyUplink:
		l.Networks[0].Impairment = lossy(1)
	case lossyLAN:
		l.LANImpairment = lossy(2)
	case flooded:
		l.Networks[0].Advert, l.LAN, via = lab.Network.PlainAdvert, false, "n2"
	}
	return l, via
}
