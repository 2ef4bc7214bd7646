package owner

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mifvif/flow"
)

// maxSockets bounds a Table; a host with more shows the first ones' owners.
const maxSockets = 65536

// Table is the sockets of one network namespace at one moment. It is immutable:
// safe for concurrent use.
type Table struct {
	sockets map[key]socket
	holders map[uint32]flow.Owner // by inode
}

// key is a socket by its own end.
type key struct {
	proto flow.Proto
	local netip.AddrPort
}

// Read takes the picture for the calling thread's network namespace. What the
// kernel does not tell is missing from it; that is no error.
func Read() (*Table, error) {
	t := &Table{sockets: make(map[key]socket), holders: make(map[uint32]flow.Owner)}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		tcp, err := netlink.SocketDiagTCP(family)
		if err != nil {
			return nil, fmt.Errorf("list TCP sockets: %w", err)
		}
		t.add(flow.TCP, tcp)
		udp, err := netlink.SocketDiagUDP(family)
		if err != nil {
			return nil, fmt.Errorf("list UDP sockets: %w", err)
		}
		t.add(flow.UDP, udp)
	}
	t.readHolders("/proc")
	return t, nil
}

func (t *Table) add(proto flow.Proto, list []*netlink.Socket) {
	for _, s := range list {
		if len(t.sockets) >= maxSockets || s == nil {
			return
		}
		a, ok := netip.AddrFromSlice(s.ID.Source)
		if !ok || s.INode == 0 {
			continue
		}
		k := key{proto, netip.AddrPortFrom(a.Unmap(), s.ID.SourcePort)}
		t.sockets[k] = socket{uid: s.UID, inode: s.INode}
		t.holders[s.INode] = flow.Owner{Known: true, UID: s.UID}
	}
}

// Lookup returns the owner of the local socket at src; a socket on the
// wildcard address counts for every address of its family, and an IPv6 one for
// IPv4 too.
func (t *Table) Lookup(proto flow.Proto, src netip.AddrPort) (flow.Owner, bool) {
	any4 := netip.AddrPortFrom(netip.IPv4Unspecified(), src.Port())
	any6 := netip.AddrPortFrom(netip.IPv6Unspecified(), src.Port())
	for _, local := range []netip.AddrPort{src, any4, any6} {
		if s, ok := t.sockets[key{proto, local}]; ok {
			return t.holders[s.inode], true
		}
	}
	return flow.Owner{}, false
}

// readHolders finds the processes that have the sockets open. Processes come
// and go meanwhile; whatever cannot be read is passed over.
func (t *Table) readHolders(proc string) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		t.readProcess(filepath.Join(proc, e.Name()), pid)
	}
}

// readProcess notes the sockets that one process holds.
func (t *Table) readProcess(dir string, pid int) {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return
	}
	for _, fd := range fds {
		inode, ok := socketInode(filepath.Join(dir, "fd", fd.Name()))
		if !ok {
			continue
		}
		o, known := t.holders[inode]
		if !known || o.PID != 0 {
			continue
		}
		o.PID, o.Process, o.Cgroup = pid, line(filepath.Join(dir, "comm")), cgroup(filepath.Join(dir, "cgroup"))
		t.holders[inode] = o
	}
}

// OwnGroup returns the caller's path in the unified hierarchy, "" where there is none.
func OwnGroup() string { return cgroup("/proc/self/cgroup") }

// cgroup returns the process's path in the unified hierarchy (cgroups(7): the
// line that begins with "0::").
func cgroup(path string) string {
	b, err := fs.ReadFile(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	if err != nil {
		return ""
	}
	for l := range strings.Lines(string(b)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(l), "0::"); ok {
			return p
		}
	}
	return ""
}
