package multipath

import (
	"fmt"
	"net/netip"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mifvif/flow"
)

// The generic netlink family and what of it is used (linux/mptcp.h).
const (
	familyName    = "mptcp_pm"
	familyVersion = 1

	cmdGetAddr  = 3
	cmdRemove   = 9
	cmdCreate   = 10
	cmdDestroy  = 11
	attrAddr    = 1
	attrToken   = 4
	attrLocID   = 5
	attrRemote  = 6
	addrFamily  = 1
	addrID      = 2
	addrV4      = 3
	addrV6      = 4
	addrPort    = 5
	addrFlags   = 6
	addrIfindex = 7
	flagBackup  = 4
)

// Paths has the kernel make and end subflows of this network namespace's
// connections. It is safe for concurrent use; the caller closes it.
type Paths struct {
	conn   *genetlink.Conn
	family uint16
}

// Open connects to the kernel's path manager; an error that is os.ErrNotExist says
// that this kernel has none.
func Open() (*Paths, error) {
	conn, err := genetlink.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("connect to generic netlink: %w", err)
	}
	family, err := conn.GetFamily(familyName)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("ask for the kernel's path manager: %w", err)
	}
	_ = conn.SetOption(netlink.ExtendedAcknowledge, true) // errors say more then
	return &Paths{conn, family.ID}, nil
}

// Close ends the connection to the kernel; subflows stay.
func (p *Paths) Close() error {
	if err := p.conn.Close(); err != nil {
		return fmt.Errorf("close generic netlink: %w", err)
	}
	return nil
}

// Subflow is what is to be made: a path from a local address, without port for one
// of the kernel's choice, out of an interface.
type Subflow struct {
	Ends    flow.Ends
	Ifindex int
	// ID is what the peer knows the local address by (RFC 8684 3.2): 0 is that of the
	// connection's first subflow, every other address has one of its own.
	ID     uint8
	Backup bool // carries only while nothing else does
}

// Create begins a subflow; the handshake goes on behind it. ENOTCONN says that the
// peer has acknowledged nothing yet.
func (p *Paths) Create(token uint32, s Subflow) error {
	return p.execute("make a subflow", cmdCreate, created(token, s))
}

// Destroy ends a subflow, ESRCH if there is none of these ends. What it has not
// delivered goes by the others.
func (p *Paths) Destroy(token uint32, ends flow.Ends) error {
	return p.execute("end a subflow", cmdDestroy, destroyed(token, ends))
}

// Withdraw tells the peer by the other subflows that a local address is gone (RFC
// 8684 3.4.2), so that it does not wait for what is lost on it.
func (p *Paths) Withdraw(token uint32, id uint8) error {
	return p.execute("withdraw an address", cmdRemove, withdrawn(token, id))
}

// Endpoints returns how many endpoints others have given the kernel's own path
// manager (ip mptcp endpoint).
func (p *Paths) Endpoints() (int, error) {
	messages, err := p.conn.Execute(message(cmdGetAddr, nil), p.family, netlink.Request|netlink.Dump)
	if err != nil {
		return 0, fmt.Errorf("ask for endpoints: %w", err)
	}
	return len(messages), nil
}

func (p *Paths) execute(what string, command uint8, data []byte) error {
	if _, err := p.conn.Execute(message(command, data), p.family, netlink.Request|netlink.Acknowledge); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func message(command uint8, data []byte) genetlink.Message {
	return genetlink.Message{Header: genetlink.Header{Command: command, Version: familyVersion}, Data: data}
}

func created(token uint32, s Subflow) []byte {
	return encode(func(e *netlink.AttributeEncoder) {
		e.Nested(attrAddr, func(e *netlink.AttributeEncoder) error {
			address(e, s.Ends.Local)
			if s.ID != 0 {
				e.Uint8(addrID, s.ID)
			}
			if s.Backup {
				e.Uint32(addrFlags, flagBackup)
			}
			if s.Ifindex != 0 {
				e.Int32(addrIfindex, int32(s.Ifindex))
			}
			return nil
		})
		e.Uint32(attrToken, token)
		remote(e, s.Ends.Remote)
	})
}

func destroyed(token uint32, ends flow.Ends) []byte {
	return encode(func(e *netlink.AttributeEncoder) {
		e.Nested(attrAddr, func(e *netlink.AttributeEncoder) error {
			address(e, ends.Local)
			return nil
		})
		e.Uint32(attrToken, token)
		remote(e, ends.Remote)
	})
}

func withdrawn(token uint32, id uint8) []byte {
	return encode(func(e *netlink.AttributeEncoder) {
		e.Uint32(attrToken, token)
		e.Uint8(attrLocID, id)
	})
}

func remote(e *netlink.AttributeEncoder, a netip.AddrPort) {
	e.Nested(attrRemote, func(e *netlink.AttributeEncoder) error {
		address(e, a)
		return nil
	})
}

// address writes one end: numbers in the host's order, the address in the
// network's.
func address(e *netlink.AttributeEncoder, a netip.AddrPort) {
	family, kind := uint16(unix.AF_INET), uint16(addrV4)
	if a.Addr().Is6() {
		family, kind = unix.AF_INET6, addrV6
	}
	e.Uint16(addrFamily, family)
	e.Bytes(kind, a.Addr().AsSlice())
	if a.Port() != 0 {
		e.Uint16(addrPort, a.Port())
	}
}

// encode returns what write has written. Attributes of these sizes always fit.
func encode(write func(*netlink.AttributeEncoder)) []byte {
	e := netlink.NewAttributeEncoder()
	write(e)
	b, _ := e.Encode()
	return b
}
