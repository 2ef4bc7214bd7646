package owner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"mifvif/flow"
)

// errUnknown says that the kernel has no such socket.
var errUnknown = errors.New("there is no such socket")

// Sizes and places in sock_diag's messages (linux/inet_diag.h).
const (
	headerLen   = unix.SizeofNlMsghdr
	requestLen  = headerLen + 8 + 48 // inet_diag_req_v2
	messageLen  = 72                 // inet_diag_msg
	uidAt       = 64
	inodeAt     = 68
	attrCgroup  = 21 // INET_DIAG_CGROUP_ID
	allStates   = 0xffffffff
	nativeAlign = unix.NLMSG_ALIGNTO
)

// socket is what sock_diag tells of one socket.
type socket struct {
	uid    uint32
	inode  uint32
	cgroup uint64 // id, 0 if the kernel does not say
}

// diag asks about single sockets of the network namespace it was opened in. Safe
// for concurrent use: one question at a time.
type diag struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf [4096]byte
}

func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	timeout := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bound the wait for sock_diag: %w", err)
	}
	return &diag{fd: fd}, nil
}

func (d *diag) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return unix.Close(d.fd) //nolint:wrapcheck // says enough
}

// find asks for the socket of a flow. A UDP socket that is not connected is
// found by its own end; kernels differ in which end they take for the own one.
func (d *diag) find(proto flow.Proto, src, dst netip.AddrPort) (socket, error) {
	s, err := d.ask(proto, src, dst)
	if err != nil && proto == flow.UDP {
		s, err = d.ask(proto, dst, src)
	}
	return s, err
}

// ask puts one question and reads its answer.
func (d *diag) ask(proto flow.Proto, src, dst netip.AddrPort) (socket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	if err := unix.Sendto(d.fd, d.request(proto, src, dst), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return socket{}, fmt.Errorf("ask sock_diag: %w", err)
	}
	for {
		n, _, err := unix.Recvfrom(d.fd, d.buf[:], 0)
		if err != nil {
			return socket{}, fmt.Errorf("read sock_diag: %w", err)
		}
		if s, seq, err := parse(d.buf[:n]); seq == d.seq {
			return s, err
		}
	}
}

// request writes the question about one socket into the buffer.
func (d *diag) request(proto flow.Proto, src, dst netip.AddrPort) []byte {
	b := d.buf[:requestLen]
	clear(b)
	binary.NativeEndian.PutUint32(b, requestLen)
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], d.seq)
	r := b[headerLen:]
	r[0], r[1] = unix.AF_INET, uint8(proto)
	if dst.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(r[4:], allStates)
	id := r[8:]
	binary.BigEndian.PutUint16(id, src.Port())
	binary.BigEndian.PutUint16(id[2:], dst.Port())
	copy(id[4:20], src.Addr().AsSlice())
	copy(id[20:36], dst.Addr().AsSlice())
	binary.NativeEndian.PutUint64(id[40:], ^uint64(0)) // no cookie is known
	return b
}

// parse reads one message: its sequence number, and the socket or what the
// kernel says instead.
func parse(b []byte) (socket, uint32, error) {
	if len(b) < headerLen {
		return socket{}, 0, errUnknown
	}
	length := int(binary.NativeEndian.Uint32(b))
	kind, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
	if length < headerLen+messageLen || length > len(b) || kind != unix.SOCK_DIAG_BY_FAMILY {
		return socket{}, seq, errUnknown
	}
	m := b[headerLen:length]
	s := socket{uid: binary.NativeEndian.Uint32(m[uidAt:]), inode: binary.NativeEndian.Uint32(m[inodeAt:])}
	for attrs := m[messageLen:]; len(attrs) >= unix.SizeofNlAttr; {
		size, typ := int(binary.NativeEndian.Uint16(attrs)), binary.NativeEndian.Uint16(attrs[2:])
		if size < unix.SizeofNlAttr || size > len(attrs) {
			break
		}
		if typ == attrCgroup && size >= unix.SizeofNlAttr+8 {
			s.cgroup = binary.NativeEndian.Uint64(attrs[unix.SizeofNlAttr:])
		}
		attrs = attrs[min((size+nativeAlign-1)&^(nativeAlign-1), len(attrs)):]
	}
	return s, seq, nil
}
