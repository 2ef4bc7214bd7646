package owner

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"mifvif/flow"
)

// maxList bounds how much of a list of sockets is read, in bytes.
const maxList = 1 << 18

// echoes finds the sockets that ICMP echo comes from. sock_diag does not know
// them, but procfs lists them: ping sockets by their identifier, and raw sockets,
// which send any. Safe for concurrent use.
type echoes struct {
	mu    sync.Mutex
	lists map[list]*os.File // open, so that they stay those of their namespace
	buf   []byte
}

// list is one list of procfs.
type list struct{ raw, is6 bool }

// openEchoes opens the lists of the calling thread's network namespace. A kernel
// without one has no such sockets.
func openEchoes() *echoes {
	e := &echoes{lists: make(map[list]*os.File)}
	for l, name := range map[list]string{{}: "icmp", {is6: true}: "icmp6", {raw: true}: "raw", {raw: true, is6: true}: "raw6"} {
		if f, err := os.Open("/proc/thread-self/net/" + name); err == nil {
			e.lists[l] = f
		}
	}
	return e
}

func (e *echoes) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.lists {
		f.Close()
	}
	clear(e.lists)
}

// houseUser is the user of sockets that are the house's own; -1 is no user, and
// nothing runs as -2.
const houseUser = ^uint32(0) - 1

// Disown makes a raw socket of the house's nobody's, so that no flow is taken for
// its. Where the kernel does not allow that, a ping's owner may be mistaken.
func Disown(fd int) { _ = unix.Fchown(fd, int(houseUser), -1) }

// find returns the socket of a flow of ICMP echo: the ping socket with its
// identifier, else the youngest raw socket that can have sent it. A raw socket has
// no identifier, but the others that a host has wait for router advertisements
// since long, or ping already.
func (e *echoes) find(fl flow.Flow) (socket, bool) {
	is6, proto := fl.Src.Addr().Is6(), uint16(1)
	if is6 {
		proto = 58
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.youngest(list{is6: is6}, fl.Src.Port(), fl.Src.Addr()); ok {
		return s, true
	}
	return e.youngest(list{raw: true, is6: is6}, proto, fl.Src.Addr())
}

// youngest returns the socket with a port that was made last; the kernel counts
// inodes up. It is called under mu.
func (e *echoes) youngest(l list, port uint16, src netip.Addr) (found socket, ok bool) {
	for line := range bytes.Lines(e.read(l)) {
		s, local, sound := parseLine(line)
		if sound && s.uid != houseUser && local.Port() == port && isLocal(local.Addr(), src) && (!ok || s.inode > found.inode) {
			found, ok = s, true
		}
	}
	return found, ok
}

// isLocal reports whether a socket bound to local can send from src. Our own are
// bound to an uplink's address.
func isLocal(local, src netip.Addr) bool { return local.IsUnspecified() || local == src }

// read returns a list, as much of it as there is room for. It is called under mu.
func (e *echoes) read(l list) []byte {
	f := e.lists[l]
	if f == nil {
		return nil
	}
	if e.buf == nil {
		e.buf = make([]byte, maxList)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil
	}
	n, _ := io.ReadFull(f, e.buf) // what could not be read is not there
	return e.buf[:n]
}

// parseLine reads a line of procfs about one socket: its own end (for a raw socket
// the port is its protocol), its user and its inode.
func parseLine(line []byte) (s socket, local netip.AddrPort, ok bool) {
	const localField, uidField, inodeField, fields = 1, 7, 9, 10
	f := bytes.Fields(line)
	if len(f) < fields {
		return s, local, false
	}
	address, port, found := bytes.Cut(f[localField], []byte(":"))
	number, err := strconv.ParseUint(string(port), 16, 16)
	if !found || err != nil {
		return s, local, false
	}
	a, ok := parseAddr(address)
	uid, uerr := strconv.ParseUint(string(f[uidField]), 10, 32)
	inode, ierr := strconv.ParseUint(string(f[inodeField]), 10, 32)
	if !ok || uerr != nil || ierr != nil {
		return s, local, false
	}
	return socket{uid: uint32(uid), inode: uint32(inode)}, netip.AddrPortFrom(a, uint16(number)), true
}

// parseAddr reads an address as procfs writes it: words of 32 bits in the host's
// order.
func parseAddr(text []byte) (netip.Addr, bool) {
	var b [16]byte
	n, err := hex.Decode(b[:], text[:min(len(text), 2*len(b))])
	if err != nil || len(text) != 2*n || n != 4 && n != 16 {
		return netip.Addr{}, false
	}
	for i := 0; i < n; i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	return netip.AddrFromSlice(b[:n])
}
