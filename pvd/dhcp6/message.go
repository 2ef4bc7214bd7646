package dhcp6

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// Message types and option codes (RFC 8415 7.3, 21; 3646; 5908; 6731; 7078;
// 8910; 9463).
const (
	informationRequest = 11
	reply              = 7

	optClient    = 1
	optServer    = 2
	optWanted    = 6
	optElapsed   = 8
	optStatus    = 13
	optServers   = 23
	optSearch    = 24
	optRefresh   = 32
	optNTP       = 56
	optSelection = 74
	optMaxWait   = 83
	optTable     = 84
	optPortal    = 103
	optEncrypted = 144
)

const (
	maxMessage = 4096 // octets
	maxOptions = 128
)

// ErrMessage says that a packet is no reply of a DHCPv6 server.
var ErrMessage = errors.New("no reply of a DHCPv6 server")

// wanted is what is asked for. Resolvers by zone are asked for where the network
// is trusted (RFC 6731 4.2).
func (l Link) wanted() []uint16 {
	list := []uint16{optServers, optSearch, optRefresh, optNTP, optMaxWait, optTable, optPortal, optEncrypted}
	if l.Trusted {
		list = append(list, optSelection)
	}
	return list
}

// identifier is the client's: by link-layer address, of the link itself (RFC 8415
// 11.4), so that it names no more of the host than its packets do.
func identifier(hardware [6]byte) []byte { return append([]byte{0, 3, 0, 1}, hardware[:]...) }

// message makes an information-request.
func message(l Link, transmit [3]byte, hardware [6]byte, elapsed time.Duration) []byte {
	b := append([]byte{informationRequest}, transmit[:]...)
	option := func(code uint16, value []byte) {
		b = binary.BigEndian.AppendUint16(b, code)
		b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
		b = append(b, value...)
	}
	option(optClient, identifier(hardware))
	option(optElapsed, binary.BigEndian.AppendUint16(nil, uint16(min(elapsed/(10*time.Millisecond), 0xffff))))
	var wanted []byte
	for _, code := range l.wanted() {
		wanted = binary.BigEndian.AppendUint16(wanted, code)
	}
	option(optWanted, wanted)
	return b
}

// Reply is one reply of a server. Options that may be there once are those that
// came first.
type Reply struct {
	Transmit [3]byte
	Client   []byte // the client's identifier
	options  []option
}

type option struct {
	code  uint16
	value []byte
}

// Parse reads a reply. Options are not looked into, but for the two identifiers
// and a status, which must be success.
func Parse(b []byte) (*Reply, error) {
	if len(b) < 4 || len(b) > maxMessage || b[0] != reply {
		return nil, ErrMessage
	}
	r := &Reply{Transmit: [3]byte(b[1:4])}
	for b = b[4:]; len(b) > 0; {
		if len(b) < 4 || len(r.options) == maxOptions {
			return nil, ErrMessage
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return nil, ErrMessage
		}
		r.options = append(r.options, option{binary.BigEndian.Uint16(b), bytes.Clone(b[4:n])})
		b = b[n:]
	}
	server, ok := r.first(optServer)
	if !ok || len(server) < 3 || len(server) > 130 {
		return nil, ErrMessage
	}
	if status, there := r.first(optStatus); there && (len(status) < 2 || binary.BigEndian.Uint16(status) != 0) {
		return nil, ErrMessage
	}
	r.Client, _ = r.first(optClient)
	return r, nil
}

func (r *Reply) first(code uint16) (value []byte, ok bool) {
	for _, o := range r.options {
		if o.code == code {
			return o.value, true
		}
	}
	return nil, false
}

// Refresh times (RFC 8415 7.6, 21.23).
const (
	refreshDefault = 24 * time.Hour
	refreshLeast   = 10 * time.Minute
	never          = time.Duration(-1)
)

// Refresh returns after what time the server wants to be asked again.
func (r *Reply) Refresh() time.Duration {
	value, ok := r.first(optRefresh)
	if !ok || len(value) != 4 {
		return refreshDefault
	}
	if n := binary.BigEndian.Uint32(value); n != 0xffffffff {
		return max(time.Duration(n)*time.Second, refreshLeast)
	}
	return never
}

// MaxWait returns the longest wait between two questions that nobody answers, ok
// is false if the server does not set it (RFC 8415 21.25).
func (r *Reply) MaxWait() (d time.Duration, ok bool) {
	value, there := r.first(optMaxWait)
	if !there || len(value) != 4 {
		return 0, false
	}
	d = time.Duration(binary.BigEndian.Uint32(value)) * time.Second
	return d, d >= time.Minute && d <= 24*time.Hour
}
