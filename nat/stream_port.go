package nat

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"mifvif/pvd"
)

// leaseKey is an app's address on one domain, which has one port there, wherever it
// connects to (RFC 5382 REQ-1), and no other has it.
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
		t.ports.giveBack(l.source)
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
