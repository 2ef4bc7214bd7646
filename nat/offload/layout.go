package offload

import (
	"encoding/binary"
	"net/netip"

	"mifvif/flow"
)

// key is the five-tuple of a packet as it enters: addresses and ports in the
// order of the network, an IPv4 address in the first four bytes. The programs
// build the same on their stack.
type key struct {
	Src, Dst         [16]byte
	SrcPort, DstPort [2]byte
	Family, Proto    uint16 // 4 or 6; TCP or UDP
}

// Offsets in key and its size.
const (
	keySrc     = 0
	keyDst     = 16
	keySrcPort = 32
	keyDstPort = 34
	keyFamily  = 36
	keyProto   = 38
	keySize    = 40
)

// value says what becomes of a packet, and counts.
type value struct {
	Addr    [16]byte // what its source (mif0) or destination (uplink) is rewritten to
	Port    [2]byte
	Unused  uint16 // named, so that the struct is copied as it is
	Mark    uint32 // mif0: leads to the domain's table
	Ifindex uint32 // where it goes on
	Flags   uint32 // of TCP, all that were seen
	ID      uint64 // whose it is
	Segs    uint64 // super-packets
	Bytes   uint64 // payload
	First   uint64 // nanoseconds of CLOCK_MONOTONIC
	Last    uint64
	Ack     uint32 // the last acknowledgment
	Next    uint32 // the sequence number behind all segments
	End     uint32 // the sequence number behind its FIN, or of its RST
	From    uint32 // uplink: the only interface that it may come in by
}

// Offsets in value and its size.
const (
	valAddr    = 0
	valPort    = 16
	valMark    = 20
	valIfindex = 24
	valFlags   = 28
	valID      = 32
	valSegs    = 40
	valBytes   = 48
	valFirst   = 56
	valLast    = 64
	valAck     = 72
	valNext    = 76
	valEnd     = 80
	valFrom    = 84
	valSize    = 88
)

// newKey returns the key of packets from src to dst.
func newKey(proto flow.Proto, src, dst netip.AddrPort) key {
	k := key{Src: address(src.Addr()), Dst: address(dst.Addr()), SrcPort: port(src), DstPort: port(dst), Family: 4, Proto: uint16(proto)}
	if src.Addr().Is6() {
		k.Family = 6
	}
	return k
}

// address returns an address as the maps have it.
func address(a netip.Addr) (out [16]byte) {
	copy(out[:], a.AsSlice())
	return out
}

func port(a netip.AddrPort) (out [2]byte) {
	binary.BigEndian.PutUint16(out[:], a.Port())
	return out
}
