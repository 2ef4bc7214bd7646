package uplinks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/uplinks/multipath"
)

// errShared: packets of a subflow are routed by their source, which must say where.
const errShared = unable("the source address is on another link too")

// Multipath is one connection that may have subflows in several domains (RFC 8684).
// Each subflow's packets are routed by their source address; the mark that all of
// them have keeps them out of everything but the domains' tables. Safe for concurrent
// use.
type Multipath struct {
	*TCP
	set   *Set
	paths *multipath.Paths
	token uint32 // of a connection that has not fallen back

	closing sync.Once
	mu      sync.Mutex
	fallen  bool
	ids     map[netip.Addr]uint8 // of the local addresses, as the peer knows them
}

// DialMultipath opens a multipath connection whose first subflow leaves by d with
// source src; the rest is as with DialTCP. That the server, or something on the way,
// knows TCP only is no error: Whole reports it. An error that is
// errors.ErrUnsupported says that this host cannot.
func (s *Set) DialMultipath(ctx context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (*Multipath, error) {
	c, err := s.dialMultipath(ctx, d, src, dst, tos)
	if err != nil {
		return nil, fmt.Errorf("connect to %s over %s: %w", dst, d.Name, err)
	}
	return c, nil
}

func (s *Set) dialMultipath(ctx context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (*Multipath, error) {
	if err := s.admitSubflow(d, src, dst.Addr()); err != nil {
		return nil, err
	}
	paths, err := s.hold()
	if err != nil {
		return nil, err
	}
	tcp, err := connect(ctx, d, src, dst, tos, multipath.Protocol)
	if err != nil {
		s.let()
		return nil, err
	}
	c := &Multipath{TCP: tcp, set: s, paths: paths, ids: map[netip.Addr]uint8{src: 0}}
	if err := c.control("ask for the token", func(fd int) (err error) { c.token, err = multipath.Token(fd); return err }); err != nil {
		c.fallen = true
	}
	return c, nil
}

// admitSubflow refuses what admit does, and what would not be routed by its source.
func (s *Set) admitSubflow(d *pvd.Domain, src, dst netip.Addr) error {
	if err := s.admit(d, src, dst); err != nil {
		return err
	}
	if set := s.current.Load(); set == nil || src.IsLinkLocalUnicast() || !soleOwner(set, d, src) {
		return errShared
	}
	return nil
}

// soleOwner reports whether the rule by source leads packets from an address to the
// table of d.
func soleOwner(set *pvd.Set, d *pvd.Domain, src netip.Addr) bool {
	for _, other := range set.All() {
		if !other.Owns(src) {
			continue
		}
		if other.Key() == d.Key() {
			return !elsewhere(set, d, src)
		}
		return false // the first one has the rule
	}
	return false
}

// elsewhere reports whether an address is on another link than that of d.
func elsewhere(set *pvd.Set, d *pvd.Domain, a netip.Addr) bool {
	for _, other := range set.All() {
		if other.Ifindex != d.Ifindex && other.Owns(a) {
			return true
		}
	}
	return false
}

// markSubflows has the packets of all subflows routed by their source.
func markSubflows(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(uint32(pvd.SourceRoutedMark))); err != nil {
		return fmt.Errorf("mark the socket: %w", err)
	}
	return nil
}

// Whole reports whether it is a multipath connection still. Once it has fallen back
// to TCP it stays so, on its first path.
func (c *Multipath) Whole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.fallen
}

// Subflows returns the subflows that are connected, and those whose handshake is
// under way; an error once there can be no more, because it fell back or is closed.
func (c *Multipath) Subflows() (connected, begun []flow.Ends, err error) {
	err = c.control("ask for subflows", func(fd int) error {
		_, err := multipath.Token(fd)
		if err == nil {
			connected, begun, err = multipath.Subflows(fd)
		}
		return err
	})
	if errors.Is(err, multipath.ErrFallen) {
		c.mu.Lock()
		c.fallen = true
		c.mu.Unlock()
	}
	return connected, begun, err
}

// Finished reports whether there is nothing left for subflows to carry: the peer has
// finished, and has all that was written. What it has sent can be read without any.
func (c *Multipath) Finished() bool {
	finished := false
	err := c.control("ask for its end", func(fd int) error { finished = multipath.Finished(fd); return nil })
	return err == nil && finished
}

// Join begins a subflow by d, as a backup if it is to carry only what the others
// cannot. The handshake goes on behind it: Subflows shows how it ended. ENOTCONN
// says that the peer has acknowledged nothing yet.
func (c *Multipath) Join(d *pvd.Domain, src netip.Addr, dst netip.AddrPort, backup bool) error {
	err := c.set.admitSubflow(d, src, dst.Addr())
	if err == nil {
		id, known := c.id(src)
		if !known {
			return fmt.Errorf("join %s over %s: %w", dst, d.Name, unix.ENOSPC)
		}
		err = c.paths.Create(c.token, multipath.Subflow{
			Ends: flow.Ends{Local: netip.AddrPortFrom(src, 0), Remote: dst}, Ifindex: d.Ifindex, ID: id, Backup: backup,
		})
	}
	if err != nil {
		return fmt.Errorf("join %s over %s: %w", dst, d.Name, err)
	}
	return nil
}

// id returns the number of a local address, a new one for a new address; ok is false
// when there are none left.
func (c *Multipath) id(src netip.Addr) (id uint8, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok = c.ids[src]
	if !ok && len(c.ids) <= maxIDs {
		id, ok = uint8(len(c.ids)), true
		c.ids[src] = id
	}
	return id, ok
}

// maxIDs is the largest number of an address (RFC 8684 3.2: one octet, and the
// kernel keeps 255).
const maxIDs = 254

// Leave ends a subflow, or its handshake, and tells the peer by the others that its address is gone:
// what was on its way there goes by them at once.
func (c *Multipath) Leave(ends flow.Ends) error {
	id, ok := c.id(ends.Local.Addr())
	if !ok {
		return fmt.Errorf("leave %s: %w", ends.Local, unix.ENOENT)
	}
	var err error
	if id == 0 { // the kernel tells nobody of this one while it has the subflow
		err = errors.Join(c.paths.Destroy(c.token, ends), c.paths.Withdraw(c.token, id))
	} else {
		err = errors.Join(c.paths.Withdraw(c.token, id), c.paths.Destroy(c.token, ends))
	}
	if err != nil {
		return fmt.Errorf("leave %s: %w", ends.Local, err)
	}
	return nil
}

// Close ends the connection and all its subflows.
func (c *Multipath) Close() error {
	err := c.TCP.Close()
	c.closing.Do(c.set.let)
	return err //nolint:wrapcheck // it is that one's
}
