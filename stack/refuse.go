package stack

import (
	"mifvif/packet"
	"mifvif/tun"
)

// Refusal is what an app is told instead of a connection.
type Refusal uint8

// The refusals, and what the app's connect says: Reset "connection refused",
// NetUnreachable and HostUnreachable "no route", Prohibited "permission
// denied", Silent nothing until it gives up. RFC 1122 4.2.3.9, RFC 4443 3.1.
const (
	Silent Refusal = iota
	Reset
	NetUnreachable
	HostUnreachable
	Prohibited
)

// Refuse answers the SYN with the truth. Calls after the first of Accept and
// Refuse do nothing. Once the stack stops nobody is left in silence: the app would
// send its SYN again and again when there is no mif0 any more, from its address.
func (r *Request) Refuse(why Refusal) {
	if r.settled {
		return
	}
	if why == Silent && r.stack.pending.stopped() {
		why = Reset
	}
	if code, ok := why.code(); ok {
		// Best effort, as every ICMP error: TCP asks again.
		_ = r.stack.link.out.Write(tun.Header{}, packet.AppendUnreachable(nil, code, r.attempt.quote))
	}
	r.settle(why == Reset)
}

// code returns the ICMP error that says why, if one does.
func (why Refusal) code() (packet.Unreachable, bool) {
	switch why {
	case NetUnreachable:
		return packet.NetUnreachable, true
	case HostUnreachable:
		return packet.HostUnreachable, true
	case Prohibited:
		return packet.AdminProhibited, true
	}
	return 0, false
}
