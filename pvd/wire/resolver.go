package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"mifvif/pvd"
)

// MaxServers is how many addresses of one list of servers are kept.
const MaxServers = 16

// MaxRecords is how many encrypted resolvers of one option are kept.
const MaxRecords = 8

// ErrRecord says that an encrypted resolver is malformed or cannot be used.
var ErrRecord = errors.New("an encrypted resolver is malformed")

// Encrypted is one encrypted resolver (RFC 9463 3.1).
type Encrypted struct {
	Priority int    // lower first
	Name     string // authentication domain name, to be verified
	Addrs    []netip.Addr
	DoT, DoH bool
	Port     uint16 // 0: the transport's own
	Path     string // URI template of DoH
}

// ADNOnly reports whether the record is a name alone, whose addresses and
// parameters are to be looked up (RFC 9463 3.1.9).
func (e *Encrypted) ADNOnly() bool { return len(e.Addrs) == 0 }

// Describe adds the record to a report: one Resolver for each address and transport,
// a Designation where it is a name alone. template has what they share.
func (e *Encrypted) Describe(r *pvd.Report, template pvd.Resolver) {
	if e.ADNOnly() && len(r.Designated) < MaxServers {
		r.Designated = append(r.Designated, pvd.Designation{Name: e.Name, Priority: e.Priority, Origin: template.Origin, Until: template.Until})
	}
	r.Resolvers = append(r.Resolvers, e.Resolvers(template)...)
}

// Resolvers restates the record, one Resolver for each address and transport.
// A name alone makes none.
func (e *Encrypted) Resolvers(template pvd.Resolver) []pvd.Resolver {
	var all []pvd.Resolver
	add := func(addr netip.Addr, transport pvd.Transport, port uint16, path string) {
		if e.Port != 0 {
			port = e.Port
		}
		r := template
		r.Addr, r.Transport, r.Name, r.Path, r.Priority = netip.AddrPortFrom(addr, port), transport, e.Name, path, e.Priority
		all = append(all, r)
	}
	for _, addr := range e.Addrs {
		if e.DoT {
			add(addr, pvd.DoT, 853, "")
		}
		if e.DoH {
			add(addr, pvd.DoH, 443, e.Path)
		}
	}
	return all
}

// EncryptedFromDHCPv4 reads the joined content of option 162 (RFC 9463 5.1). A
// record that is malformed inside its own length is skipped; err is the first
// such one's and the others stand.
func EncryptedFromDHCPv4(b []byte) (all []Encrypted, err error) {
	for len(b) > 0 && len(all) < MaxRecords {
		if len(b) < 2 {
			return all, ErrRecord
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > len(b)-2 {
			return all, ErrRecord
		}
		e, bad := record(b[2:2+n], 1, 4)
		if bad == nil {
			all = append(all, e)
		} else if err == nil {
			err = bad
		}
		b = b[2+n:]
	}
	return all, err
}

// EncryptedFromDHCPv6 reads the content of one option 144 (RFC 9463 4.1).
func EncryptedFromDHCPv6(b []byte) (Encrypted, error) { return record(b, 2, 16) }

// EncryptedFromRA reads a DNR option of a router advertisement behind its type,
// length and lifetime fields: priority, then the name with its length, then
// addresses and parameters with theirs, then padding (RFC 9463 6.1).
func EncryptedFromRA(priority uint16, b []byte) (Encrypted, error) {
	e := Encrypted{Priority: int(priority)}
	name, b, ok := field(b, 2)
	if !ok {
		return e, ErrRecord
	}
	if err := e.called(name); err != nil {
		return e, err
	}
	if zero(b) {
		return e, nil // the name alone and padding
	}
	addrs, b, ok := field(b, 2)
	if !ok {
		return e, ErrRecord
	}
	params, rest, ok := field(b, 2)
	if !ok || !zero(rest) || len(rest) > 7 {
		return e, ErrRecord
	}
	return e, e.rest(addrs, params, 16)
}

// record reads what both DHCP options hold; size is that of the length fields
// of name and addresses, width that of an address.
func record(b []byte, size, width int) (Encrypted, error) {
	if len(b) < 2 {
		return Encrypted{}, ErrRecord
	}
	e := Encrypted{Priority: int(binary.BigEndian.Uint16(b))}
	name, b, ok := field(b[2:], size)
	if !ok {
		return e, ErrRecord
	}
	if err := e.called(name); err != nil {
		return e, err
	}
	if len(b) == 0 {
		return e, nil
	}
	addrs, params, ok := field(b, size)
	if !ok {
		return e, ErrRecord
	}
	return e, e.rest(addrs, params, width)
}

// field reads a length of size octets and as many octets.
func field(b []byte, size int) (content, rest []byte, ok bool) {
	if len(b) < size {
		return nil, nil, false
	}
	n := int(b[0])
	if size == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	if b = b[size:]; n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// called reads the authentication domain name, which fills its field.
func (e *Encrypted) called(b []byte) error {
	name, rest, err := Name(b)
	switch {
	case err != nil:
		return err
	case name == "" || len(rest) > 0:
		return ErrRecord
	}
	e.Name = name
	return nil
}

// rest reads addresses of width octets and service parameters.
func (e *Encrypted) rest(addrs, params []byte, width int) error {
	if len(addrs) == 0 || len(addrs)%width != 0 {
		return ErrRecord
	}
	for chunk := range slices.Chunk(addrs, width) {
		addr, _ := netip.AddrFromSlice(chunk)
		if !Server(addr) {
			return ErrRecord
		}
		if len(e.Addrs) < MaxServers {
			e.Addrs = append(e.Addrs, addr)
		}
	}
	return e.params(params)
}

// Keys of service parameters (RFC 9460 14.3.2, RFC 9461 5).
const (
	keyMandatory = 0
	keyALPN      = 1
	keyPort      = 3
	keyIPv4Hint  = 4
	keyIPv6Hint  = 6
	keyDoHPath   = 7
)

// params reads service parameters in their wire format (RFC 9460 2.2): keys in
// strictly rising order. The address hints must not be there (RFC 9463 3.1.8).
func (e *Encrypted) params(b []byte) error {
	last := -1
	h2 := false
	var mandatory []byte
	for len(b) > 0 {
		if len(b) < 4 {
			return ErrRecord
		}
		key := int(binary.BigEndian.Uint16(b))
		value, rest, ok := field(b[2:], 2)
		if !ok || key <= last {
			return ErrRecord
		}
		b, last = rest, key
		switch key {
		case keyMandatory:
			mandatory = value
		case keyALPN:
			if h2, ok = e.alpn(value); !ok {
				return ErrRecord
			}
		case keyPort:
			if len(value) != 2 || binary.BigEndian.Uint16(value) == 0 {
				return ErrRecord
			}
			e.Port = binary.BigEndian.Uint16(value)
		case keyDoHPath:
			e.Path = string(value)
		case keyIPv4Hint, keyIPv6Hint:
			return ErrRecord
		}
	}
	if h2 && dohPath(e.Path) {
		e.DoH = true
	}
	if !understood(mandatory) || !e.DoT && !e.DoH {
		return ErrRecord
	}
	return nil
}

// alpn reads protocol names and notes those that mifvif speaks.
func (e *Encrypted) alpn(b []byte) (h2, ok bool) {
	for len(b) > 0 {
		id, rest, ok := field(b, 1)
		if !ok || len(id) == 0 {
			return false, false
		}
		e.DoT = e.DoT || string(id) == "dot"
		h2, b = h2 || string(id) == "h2", rest
	}
	return h2, true
}

// understood reports whether every key that must be understood is.
func understood(mandatory []byte) bool {
	if len(mandatory)%2 != 0 {
		return false
	}
	for key := range slices.Chunk(mandatory, 2) {
		switch binary.BigEndian.Uint16(key) {
		case keyALPN, keyPort, keyDoHPath:
		default:
			return false
		}
	}
	return true
}

// dohPath reports whether s is a relative URI template with the one variable
// that DoH has (RFC 9461 5).
func dohPath(s string) bool {
	return len(s) <= 255 && strings.HasPrefix(s, "/") && strings.Contains(s, "{?dns}") && printable(s)
}

// Server reports whether a can be the address of a server: unicast, not of this
// host, not unspecified.
func Server(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6() {
		return false
	}
	if !a.Is4() {
		return true
	}
	b := a.As4()
	return b[0] != 0 && b[0] < 240
}

// Servers reads addresses of width octets (4 or 16) and keeps, each once, those
// that can be servers'. ok is false when the length is no multiple of width;
// bad counts those that were left out.
func Servers(b []byte, width int) (all []netip.Addr, bad int, ok bool) {
	if len(b) == 0 || len(b)%width != 0 {
		return nil, 0, false
	}
	for chunk := range slices.Chunk(b, width) {
		addr, _ := netip.AddrFromSlice(chunk)
		switch {
		case !Server(addr) || len(all) == MaxServers:
			bad++
		case !slices.Contains(all, addr):
			all = append(all, addr)
		}
	}
	return all, bad, true
}

func zero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }
