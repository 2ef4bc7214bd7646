package ra

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"time"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// Why a message is dropped as a whole (RFC 4861 6.1.2, RFC 8801 3.1).
var (
	errHopLimit = errors.New("the hop limit is not 255: it may come from another link")
	errSource   = errors.New("the source is no link-local address")
	errShort    = errors.New("it is shorter than its header")
	errType     = errors.New("it is no router advertisement of code 0")
	errOption   = errors.New("an option has no length or runs past the end")
	errPvD      = errors.New("its provisioning domain option is malformed")
)

const (
	typeAdvertisement = 134
	headerSize        = 16
	hopLimit          = 255 // of every message of neighbour discovery
)

// message is a received ICMPv6 message, whose checksum the kernel has verified.
type message struct {
	source   netip.Addr // without zone
	hopLimit int
	body     []byte
}

// reading is the making of one report.
type reading struct {
	link   netwatch.Link
	at     time.Time
	report pvd.Report
	inside bool // inside a PvD option
}

// read makes a report of a message that was heard on a link, or says why the
// message must be dropped. An option that makes no sense, or of an unknown type,
// is skipped; the options around it stand. m.body is not kept.
func read(m message, link netwatch.Link, at time.Time) (pvd.Report, error) {
	if err := m.accept(); err != nil {
		return pvd.Report{}, err
	}
	r := &reading{link: link, at: at, report: pvd.Report{
		Origin: pvd.FromRA, Ifindex: link.Index, Sender: m.source, Received: at, RA: header(m.body),
	}}
	options := m.body[headerSize:]
	if !wellFormed(options) {
		return pvd.Report{}, errOption
	}
	domain, err := r.domain(options)
	if err != nil {
		return pvd.Report{}, err
	}
	r.options(options)
	if domain != nil {
		r.inside = true
		r.options(domain)
	}
	return r.report, nil
}

// accept checks what RFC 4861 6.1.2 wants of a message besides its options.
func (m *message) accept() error {
	switch {
	case m.hopLimit != hopLimit:
		return errHopLimit
	case !m.source.Is6() || !m.source.IsLinkLocalUnicast():
		return errSource
	case len(m.body) < headerSize:
		return errShort
	case m.body[0] != typeAdvertisement || m.body[1] != 0:
		return errType
	}
	return nil
}

// header reads the sixteen octets of a router advertisement's header (RFC 4861
// 4.2, RFC 4191 2.2), of which a PvD option may hold a second one. Its type, code
// and checksum do not matter there.
func header(b []byte) *pvd.Advertisement {
	a := &pvd.Advertisement{
		HopLimit: int(b[4]),
		Managed:  b[5]&0x80 != 0,
		Other:    b[5]&0x40 != 0,
		Lifetime: time.Duration(binary.BigEndian.Uint16(b[6:])) * time.Second,
	}
	if a.Lifetime > 0 {
		a.Preference, _ = preference(b[5])
	}
	return a
}

// preference reads the two bits of RFC 4191 2.1; ok is false for the reserved
// value, which is medium in a header and nothing in a route.
func preference(flags byte) (p pvd.Preference, ok bool) {
	switch flags >> 3 & 3 {
	case 1:
		return pvd.High, true
	case 3:
		return pvd.Low, true
	case 2:
		return pvd.Medium, false
	}
	return pvd.Medium, true
}

// until returns the end of a lifetime of so many seconds from now: never, as the
// zero Time, for all ones (RFC 4861 4.6.2), now for none.
func (r *reading) until(seconds uint32) time.Time {
	if seconds == math.MaxUint32 {
		return time.Time{}
	}
	return r.at.Add(time.Duration(seconds) * time.Second)
}
