package ra

import (
	"encoding/binary"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

// The flags of a PvD option (RFC 8801 3.1).
const (
	flagHTTP   = 0x8000
	flagLegacy = 0x4000
	flagHeader = 0x2000
	delayMask  = 0x000f
)

// domain puts the report under the id of the first PvD option, if there is one,
// and returns the options nested in it; further PvD options are ignored (RFC 8801
// 3.4). A malformed one condemns the message: what it says belongs to some
// explicit domain, and nobody can tell which.
func (r *reading) domain(options []byte) (nested []byte, err error) {
	for kind, body := range each(options) {
		if kind == optPvD {
			return r.enter(body)
		}
	}
	return nil, nil
}

func (r *reading) enter(b []byte) (nested []byte, err error) {
	if len(b) < 5 {
		return nil, errPvD
	}
	flags, sequence := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	id, rest, err := wire.Name(b[4:])
	if err != nil || id == "" {
		return nil, errPvD
	}
	// Type and length, flags and id are padded to eight octets together.
	used := 2 + len(b) - len(rest)
	padding := (8 - used%8) % 8
	if padding > len(rest) {
		return nil, errPvD
	}
	rest = rest[padding:]
	if flags&flagHeader != 0 {
		if len(rest) < headerSize {
			return nil, errPvD
		}
		r.report.RA = within(header(rest), r.report.RA)
		rest = rest[headerSize:]
	}
	if !wellFormed(rest) {
		return nil, errOption
	}
	r.report.ID = id
	ra := r.report.RA
	ra.HTTP, ra.Legacy = flags&flagHTTP != 0, flags&flagLegacy != 0
	if ra.HTTP { // else they mean nothing
		ra.Delay, ra.Sequence = uint8(flags&delayMask), sequence
	}
	return rest, nil
}

// within returns the inner header, which wins over the outer one (RFC 8801 3.4),
// except for what it leaves unspecified (RFC 4861 6.3.4).
func within(inner, outer *pvd.Advertisement) *pvd.Advertisement {
	inner.Nested.Header = true
	if inner.HopLimit == 0 {
		inner.HopLimit = outer.HopLimit
	}
	return inner
}
