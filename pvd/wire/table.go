package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"mifvif/pvd"
)

// ErrTable says that an address selection option is malformed.
var ErrTable = errors.New("an address selection table is malformed")

// MaxRows is how many rows of an address selection table are kept.
const MaxRows = 64

// Option codes inside OPTION_ADDRSEL (RFC 7078 2, 3).
const optionTable = 85

// Table is an address selection policy (RFC 7078).
type Table struct {
	Automatic    bool // rows of the host's own may be added; meaningless beside Rows
	PreferPublic bool // public addresses before temporary ones
	Rows         []pvd.PolicyRow
}

// TableFromDHCPv6 reads the content of OPTION_ADDRSEL: a flags octet whose two
// low bits are A (automatic rows allowed) and P (temporary addresses preferred,
// as without the option), then OPTION_ADDRSEL_TABLE options of label, precedence, prefix
// length and as many octets of prefix as that needs (RFC 7078 2, 3).
func TableFromDHCPv6(b []byte) (Table, error) {
	if len(b) < 1 {
		return Table{}, ErrTable
	}
	const a, p = 2, 1
	t := Table{Automatic: b[0]&a != 0, PreferPublic: b[0]&p == 0}
	for b = b[1:]; len(b) > 0; {
		if len(b) < 4 {
			return Table{}, ErrTable
		}
		code := binary.BigEndian.Uint16(b)
		content, rest, ok := field(b[2:], 2)
		if !ok {
			return Table{}, ErrTable
		}
		b = rest
		if code != optionTable {
			continue
		}
		row, err := tableRow(content)
		if err != nil {
			return Table{}, err
		}
		if len(t.Rows) < MaxRows {
			t.Rows = append(t.Rows, row)
		}
	}
	return t, nil
}

// tableRow reads one row. An IPv4-mapped prefix stays in its IPv6 form, in
// which tables are looked up (RFC 6724 3.2).
func tableRow(b []byte) (pvd.PolicyRow, error) {
	if len(b) < 3 {
		return pvd.PolicyRow{}, ErrTable
	}
	bits := int(b[2])
	if bits > 128 || len(b)-3 != (bits+7)/8 {
		return pvd.PolicyRow{}, ErrTable
	}
	var raw [16]byte
	copy(raw[:], b[3:])
	prefix := netip.PrefixFrom(netip.AddrFrom16(raw), bits).Masked()
	return pvd.PolicyRow{Prefix: prefix, Label: b[0], Precedence: b[1], Origin: pvd.FromDHCPv6}, nil
}
