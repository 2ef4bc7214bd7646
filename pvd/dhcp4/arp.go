package dhcp4

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"mifvif/pvd/dhcp"
)

// How an address is looked for before it is used. RFC 5227 1.1 spreads three probes
// over up to nine seconds; a server has looked too (RFC 2131 3.1), and an attachment
// is not to wait for so long.
const (
	probes    = 3
	probeWait = 250 * time.Millisecond
	// declinedWait is the least time before the client begins anew (RFC 2131 3.1.5).
	declinedWait = 10 * time.Second
)

// Fields of an ARP packet for IPv4 on Ethernet (RFC 826).
const (
	arpSize            = 28
	arpSenderHardware  = 8
	arpSenderAddress   = 14
	arpTargetAddress   = 24
	arpOperationLookup = 1
)

// inUse asks the link whether somebody has an address already (RFC 5227 2.1.1): who
// answers for it, speaks with it, or is about to take it too.
func inUse(ctx context.Context, link Link, addr netip.Addr) (bool, error) {
	i, err := ethernet(link)
	if err != nil {
		return false, err
	}
	conn, err := dhcp.Listen(i, unix.ETH_P_ARP, speaksOf(addr))
	if err != nil {
		return false, fmt.Errorf("look for %s on %s: %w", addr, link.Name, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	hardware, all := [6]byte(i.HardwareAddr), everybody()
	for range probes {
		if _, err := conn.WriteTo(probe(hardware, addr), &packet.Addr{HardwareAddr: all[:]}); err != nil {
			return false, fmt.Errorf("look for %s on %s: %w", addr, link.Name, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(probeWait)); err != nil {
			return false, err
		}
		taken, err := another(conn, hardware)
		if taken || ctx.Err() != nil || err != nil {
			return taken, err
		}
	}
	return false, ctx.Err()
}

// probe is a question for an address by a host that has none.
func probe(hardware [6]byte, addr netip.Addr) []byte {
	b := binary.BigEndian.AppendUint16(nil, hardwareEthernet)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	b = append(b, 6, 4, 0, arpOperationLookup)
	b = append(b, hardware[:]...)
	b = append(b, make([]byte, 4+6)...)
	return append(b, addr.AsSlice()...)
}

// another reports whether a packet that the filter lets through came from another
// host than we are, before the socket's deadline. It looks at so many and no more.
func another(conn net.PacketConn, hardware [6]byte) (bool, error) {
	var b [64]byte
	for range dhcp.MaxFrames {
		n, _, err := conn.ReadFrom(b[:])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, err
		case n >= arpSize && [6]byte(b[arpSenderHardware:]) != hardware:
			return true, nil
		}
	}
	return false, nil
}

// speaksOf are the ARP packets whose sender has an address, or has none and asks for
// this one.
func speaksOf(addr netip.Addr) []bpf.Instruction {
	a := binary.BigEndian.Uint32(addr.AsSlice())
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: arpSenderAddress, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: a, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
		bpf.LoadAbsolute{Off: arpTargetAddress, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: a, SkipTrue: 1},
		bpf.RetConstant{Val: 0xffff},
		bpf.RetConstant{Val: 0},
	}
}
