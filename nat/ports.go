package nat

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"

	"mifvif/pvd"
)

// Ports of streams are those that the kernel gives to nobody (ip_local_port_range): a
// socket of the host's that has asked for one of them by number is told apart by where
// it goes, as behind every NAT of a host's own.
const (
	firstPort = 1024
	leastFree = 4096 // fewer ports are not worth it
)

// errPorts says that the kernel gives nearly all ports to apps, or that all others
// are in use.
var errPorts = fmt.Errorf("no port outside of net.ipv4.ip_local_port_range is left: %w", ErrUntranslatable)

// ports are what there is to give.
type ports struct {
	free    [][2]int                    // inclusive ranges
	n       int                         // how many that are
	used    map[netip.AddrPort]struct{} // by source
	resting map[netip.Addr]*rest        // by source, from its first port on
}

// rest is the ports of a source that nobody has, a ring in the order in which they
// were given back.
type rest struct {
	ring    []uint16
	head, n int
}

// parsePorts returns the ports outside of a range "FIRST LAST".
func parsePorts(local string) (free [][2]int, n int) {
	first, last := firstPort, 65535
	if _, err := fmt.Sscanf(local, "%d %d", &first, &last); err != nil {
		return nil, 0
	}
	for _, r := range [][2]int{{firstPort, min(first-1, 65535)}, {max(last+1, firstPort), 65535}} {
		if r[0] <= r[1] {
			free, n = append(free, r), n+r[1]-r[0]+1
		}
	}
	return free, n
}

// refresh reads which ports there are.
func (p *ports) refresh() {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return // as before
	}
	p.set(string(b))
}

// set says which ports the kernel has. Where that changes, all begin anew.
func (p *ports) set(local string) {
	free, n := parsePorts(local)
	if p.resting == nil || !slices.Equal(free, p.free) {
		p.free, p.n, p.resting = free, n, make(map[netip.Addr]*rest)
	}
}

// keep forgets the sources that no domain has any more.
func (p *ports) keep(set *pvd.Set) {
	for source := range p.resting {
		if !slices.ContainsFunc(set.All(), func(d *pvd.Domain) bool { return d.Owns(source) }) {
			delete(p.resting, source)
		}
	}
}

// take returns a port of a source that nobody has: one of those that have rested
// longest, so that a server has forgotten the last connection from it (RFC 9293
// 3.6.1), and nobody can foresee which (RFC 6056 3.1).
func (p *ports) take(source netip.Addr) (netip.AddrPort, error) {
	if p.n < leastFree {
		return netip.AddrPort{}, errPorts
	}
	r := p.resting[source]
	if r == nil {
		r = p.all(source)
		p.resting[source] = r
	}
	if r.n == 0 {
		return netip.AddrPort{}, errPorts
	}
	a := netip.AddrPortFrom(source, r.take())
	p.used[a] = struct{}{}
	return a, nil
}

// all returns the ports of a source that nobody has, shuffled.
func (p *ports) all(source netip.Addr) *rest {
	r := &rest{ring: make([]uint16, 0, p.n)}
	for _, of := range p.free {
		for port := of[0]; port <= of[1]; port++ {
			if _, taken := p.used[netip.AddrPortFrom(source, uint16(port))]; !taken {
				r.ring = append(r.ring, uint16(port))
			}
		}
	}
	r.n = len(r.ring)
	rand.Shuffle(r.n, func(i, j int) { r.ring[i], r.ring[j] = r.ring[j], r.ring[i] })
	r.ring = r.ring[:p.n]
	return r
}

// giveBack has a port rest.
func (p *ports) giveBack(a netip.AddrPort) {
	delete(p.used, a)
	r, port := p.resting[a.Addr()], int(a.Port())
	if r == nil || !slices.ContainsFunc(p.free, func(of [2]int) bool { return of[0] <= port && port <= of[1] }) {
		return
	}
	r.ring[(r.head+r.n)%len(r.ring)] = a.Port()
	r.n++
}

// among is how many of those that have rested longest may be the next.
const among = 64

// take returns one that has rested long. There is one.
func (r *rest) take() uint16 {
	i := (r.head + rand.IntN(min(among, r.n))) % len(r.ring)
	port := r.ring[i]
	r.ring[i] = r.ring[r.head]
	r.head, r.n = (r.head+1)%len(r.ring), r.n-1
	return port
}
