package multipath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"mifvif/flow"
)

// Protocol is the socket(2) protocol of Multipath TCP.
const Protocol = unix.IPPROTO_MPTCP

// ErrFallen says that a connection is, or has become, one of plain TCP: the server
// does not speak Multipath TCP, or something on the way takes its options out (RFC
// 8684 3.7).
var ErrFallen = errors.New("it fell back to plain TCP")

// Options of level SOL_MPTCP (linux/mptcp.h).
const (
	level          = 284
	optionInfo     = 1
	optionTCPInfo  = 2
	optionSubflows = 3
)

// Layout of struct mptcp_info as far as it is read.
const (
	infoSize     = 80
	infoFlags    = 8
	infoToken    = 12
	infoWritten  = 16 // number of the next byte to be written, FIN counts as one
	infoArrived  = 24 // number of the first byte that has not been acknowledged
	flagFallback = 1
)

// Token returns by what the path manager knows a connected socket; ErrFallen if it
// is none of Multipath TCP any more.
func Token(fd int) (uint32, error) {
	var info [infoSize]byte
	n, err := option(fd, optionInfo, info[:])
	switch {
	case err != nil:
		return 0, err
	case n < infoToken+4:
		return 0, fmt.Errorf("ask for the token: %d bytes of answer", n)
	case binary.NativeEndian.Uint32(info[infoFlags:])&flagFallback != 0:
		return 0, ErrFallen
	}
	return binary.NativeEndian.Uint32(info[infoToken:]), nil
}

// Finished reports whether a connected socket needs no subflow any more: the peer has
// sent its FIN, and all that came before it waits in the socket at the latest; and
// the peer has acknowledged all that was written. The kernel ends the subflows then,
// at once when both sides have finished, else after a while (net.mptcp.close_timeout
// of the peer), however much has not been read yet.
func Finished(fd int) bool {
	var info [infoSize]byte
	if n, err := option(fd, optionInfo, info[:]); err != nil || n < infoArrived+8 ||
		binary.NativeEndian.Uint64(info[infoWritten:]) != binary.NativeEndian.Uint64(info[infoArrived:]) {
		return false
	}
	look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(look, 0)
	return err == nil && n == 1 && look[0].Revents&unix.POLLRDHUP != 0
}

// MaxSubflows is how many subflows Subflows returns at the most.
const MaxSubflows = 16

// Layout of struct mptcp_subflow_data, and of the array elements behind it.
const (
	headSize    = 16
	headNumber  = 4
	headUser    = 12
	addrsSize   = 2 * storageSize
	storageSize = 128 // struct sockaddr_storage
	statesSize  = 4   // of struct tcp_info, which begins with the state
)

// The states of a TCP connection that carries, and of one whose SYN has not been
// answered (TCP_ESTABLISHED, TCP_SYN_SENT).
const (
	established = 1
	synSent     = 2
)

// Subflows returns the subflows of a socket that are connected, and those that are
// under way, at most MaxSubflows; ErrFallen if it has none because it fell back,
// EAGAIN if they change faster than they can be asked for.
func Subflows(fd int) (connected, begun []flow.Ends, err error) {
	var states [headSize + MaxSubflows*statesSize]byte
	var addrs, after [headSize + MaxSubflows*addrsSize]byte
	n, err := array(fd, optionSubflows, addrs[:], addrsSize)
	if err != nil {
		return nil, nil, err
	}
	for range 3 { // the two lists have one order while nothing comes or goes
		if _, err := array(fd, optionTCPInfo, states[:], statesSize); err != nil {
			return nil, nil, err
		}
		m, err := array(fd, optionSubflows, after[:], addrsSize)
		if err != nil {
			return nil, nil, err
		}
		if n == m && addrs == after {
			connected, begun = subflows(states[headSize:][:n*statesSize], addrs[headSize:][:n*addrsSize])
			return connected, begun, nil
		}
		n, addrs = m, after
	}
	return nil, nil, unix.EAGAIN
}

// subflows reads the two arrays.
func subflows(states, addrs []byte) (connected, begun []flow.Ends) {
	for i := range len(states) / statesSize {
		at := addrs[i*addrsSize:][:addrsSize]
		ends := flow.Ends{Local: sockaddr(at[:storageSize]), Remote: sockaddr(at[storageSize:])}
		switch state := states[i*statesSize]; {
		case !ends.Local.IsValid() || !ends.Remote.IsValid():
		case state == established:
			connected = append(connected, ends)
		case state == synSent:
			begun = append(begun, ends)
		}
	}
	return connected, begun
}

// sockaddr reads a struct sockaddr_in or sockaddr_in6, zero for any other.
func sockaddr(b []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
}

// array asks for what there is of each subflow, elements of size bytes behind a
// head, and returns how many came.
func array(fd, which int, into []byte, size int) (int, error) {
	clear(into[:headSize])
	binary.NativeEndian.PutUint32(into, headSize)
	binary.NativeEndian.PutUint32(into[headUser:], uint32(size))
	n, err := option(fd, which, into)
	if err != nil {
		return 0, err
	}
	if n < headSize || binary.NativeEndian.Uint32(into[headUser:]) != uint32(size) {
		return 0, errors.New("ask for subflows: the kernel knows them in another form")
	}
	return min((n-headSize)/size, int(binary.NativeEndian.Uint32(into[headNumber:]))), nil
}

// option is getsockopt(2) of level SOL_MPTCP. A socket that has fallen back knows
// none of its options, and says so in one way for each family.
func option(fd, which int, into []byte) (int, error) {
	size := uint32(len(into))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), level, uintptr(which),
		uintptr(unsafe.Pointer(unsafe.SliceData(into))), uintptr(unsafe.Pointer(&size)), 0)
	switch errno {
	case 0:
		return int(size), nil
	case unix.EOPNOTSUPP, unix.ENOPROTOOPT:
		return 0, ErrFallen
	}
	return 0, fmt.Errorf("ask a multipath socket: %w", errno)
}
