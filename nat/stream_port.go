package nat

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"mifvif/pvd"
)

// An app's address has one port on a domain, wherever it connects to (RFC 5382
// REQ-1), and no other has it. Ports are those that the kernel gives to nobody
// (ip_local_port_range): a socket of the host's that has asked for one of them by
// number is told apart by where it goes, as behind every NAT of a host's own.
const (
	firstPort = 1024
	leastFree = 4096 // fewer ports are not worth it
)

// errPorts says that the kernel gives nearly all ports to apps, or that all others
// are in use.
var errPorts = fmt.Errorf("no port outside of net.ipv4.ip_local_port_range is left: %w", ErrUntranslatable)

// leaseKey is an app's address on one domain.
type leaseKey struct {
	app    netip.AddrPort
	domain pvd.Key
	source netip.Addr
}

// lease is the port of an app's address.
type lease struct {
	key     leaseKey
	source  netip.AddrPort
	streams int
}

// ports are what there is to give.
type ports struct {
	free [][2]int                    // inclusive ranges
	n    int                         // how many that are
	next int                         // where to look for the next one
	used map[netip.AddrPort]struct{} // by source
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
	p.free, p.n = parsePorts(string(b))
}

// take returns a port of a source that nobody has: the next ones in turn, with
// gaps that nobody can foresee (RFC 6056 3.3.5), so that a server has forgotten the
// last connection from it.
func (p *ports) take(source netip.Addr) (netip.AddrPort, error) {
	if p.n < leastFree {
		return netip.AddrPort{}, errPorts
	}
	p.next += rand.IntN(maxGap)
	for range p.n {
		p.next = (p.next + 1) % p.n
		a := netip.AddrPortFrom(source, p.at(p.next))
		if _, taken := p.used[a]; !taken {
			p.used[a] = struct{}{}
			return a, nil
		}
	}
	return netip.AddrPort{}, errPorts
}

const maxGap = 8

// at returns the port with a number among the free ones.
func (p *ports) at(i int) uint16 {
	for _, r := range p.free {
		if n := r[1] - r[0] + 1; i >= n {
			i -= n
			continue
		}
		return uint16(r[0] + i)
	}
	return 0
}

// borrow returns the port for the streams of an app's address. t.mu is held.
func (t *Streams) borrow(app netip.AddrPort, c Choice) (*lease, error) {
	k := leaseKey{app, c.Domain.Key(), c.Source}
	if l := t.leases[k]; l != nil {
		l.streams++
		return l, nil
	}
	source, err := t.ports.take(c.Source)
	if err != nil {
		return nil, err
	}
	l := &lease{key: k, source: source, streams: 1}
	t.leases[k] = l
	return l, nil
}

// giveBack ends a stream's use of a port. t.mu is held.
func (t *Streams) giveBack(l *lease) {
	if l.streams--; l.streams == 0 {
		delete(t.ports.used, l.source)
		delete(t.leases, l.key)
	}
}

// raw is the socket by which whole packets leave a domain, shared by the streams
// with one source there.
type raw struct {
	key     hubKey
	fd      int
	streams int
}

// rawOf returns the socket for a stream. t.mu is held.
func (t *Streams) rawOf(c Choice) (*raw, error) {
	k := hubKey{c.Domain.Key(), c.Source}
	r := t.raws[k]
	if r == nil {
		fd, err := t.open.OpenRaw(c.Domain, c.Source)
		if err != nil {
			return nil, err //nolint:wrapcheck // says what and where
		}
		r = &raw{key: k, fd: fd}
		t.raws[k] = r
	}
	r.streams++
	return r, nil
}

// dropRaw ends a stream's use of a socket. t.mu is held.
func (t *Streams) dropRaw(r *raw) {
	if r.streams--; r.streams == 0 {
		unix.Close(r.fd)
		delete(t.raws, r.key)
	}
}

// send sends a whole packet.
func (r *raw) send(p []byte, dst netip.Addr) error {
	var to unix.Sockaddr
	if dst.Is6() {
		to = &unix.SockaddrInet6{Addr: dst.As16()}
	} else {
		to = &unix.SockaddrInet4{Addr: dst.As4()}
	}
	for {
		if err := unix.Sendto(r.fd, p, unix.MSG_DONTWAIT, to); !errors.Is(err, unix.EINTR) {
			return err //nolint:wrapcheck // its caller says what and where
		}
	}
}
