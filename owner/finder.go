package owner

import (
	"sync"
	"time"

	"mifvif/flow"
)

// Bounds of what a Finder remembers: apps' UDP sockets are asked about again for
// each destination that policy names, and groups live long.
const (
	rememberFor = time.Second
	maxSocket   = 4096
	maxGroups   = 1024
)

// Want is what has to be known of an owner. To know the process is what costs.
type Want struct{ Cgroup, Process bool }

// Finder says who has the socket of one flow of this host. It is safe for
// concurrent use; it may block for the time of a few system calls, and longer
// where Want.Process is set on a host without cgroup v2.
type Finder struct {
	diag      *diag
	echoes    *echoes
	hierarchy hierarchy
	processes processes

	mu      sync.Mutex
	sockets map[key]remembered
	groups  map[uint64]string // paths by id
}

type remembered struct {
	owner flow.Owner
	want  Want
	until time.Time
}

// NewFinder returns a Finder for the calling thread's network namespace. The
// caller closes it.
func NewFinder() (*Finder, error) {
	d, err := openDiag()
	if err != nil {
		return nil, err
	}
	return &Finder{
		diag: d, echoes: openEchoes(), hierarchy: findHierarchy("/proc/self/mountinfo"), processes: processes{proc: "/proc"},
		sockets: make(map[key]remembered), groups: make(map[uint64]string),
	}, nil
}

// Close ends the Finder.
func (f *Finder) Close() error {
	f.echoes.close()
	return f.diag.close()
}

// Find returns who has the socket of a flow that was sent by this host. Flows
// whose socket the kernel does not know, or not any more, have the zero Owner; so
// has what is neither TCP nor UDP nor ICMP echo.
func (f *Finder) Find(fl flow.Flow, want Want) flow.Owner {
	k, lasting := key{fl.Proto, fl.Src}, fl.Proto != flow.TCP
	if lasting {
		if o, ok := f.remembered(k, want); ok {
			return o
		}
	}
	s, ok := f.socket(fl)
	if !ok {
		return flow.Owner{}
	}
	o := flow.Owner{Known: true, UID: s.uid}
	if (want.Cgroup || want.Process) && s.cgroup != 0 {
		o.Cgroup = f.group(s.cgroup)
	}
	if want.Process {
		o.PID, o.Process = f.processes.holder(s.inode, f.hierarchy.members(o.Cgroup))
	}
	if lasting {
		f.remember(k, o, want)
	}
	return o
}

// socket asks the kernel for the socket of a flow.
func (f *Finder) socket(fl flow.Flow) (socket, bool) {
	switch fl.Proto {
	case flow.TCP, flow.UDP:
		s, err := f.diag.find(fl.Proto, fl.Src, fl.Dst)
		return s, err == nil
	case flow.ICMP, flow.ICMPv6:
		return f.echoes.find(fl)
	}
	return socket{}, false
}

func (f *Finder) remembered(k key, want Want) (flow.Owner, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.sockets[k]
	return r.owner, ok && r.want == want && time.Now().Before(r.until)
}

// remember notes an owner for a moment; when there is no place left all that is
// remembered is forgotten.
func (f *Finder) remember(k key, o flow.Owner, want Want) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sockets) >= maxSocket {
		clear(f.sockets)
	}
	f.sockets[k] = remembered{o, want, time.Now().Add(rememberFor)}
}

// group returns the path of a group. The kernel uses no id twice.
func (f *Finder) group(id uint64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if path, ok := f.groups[id]; ok {
		return path
	}
	path := f.hierarchy.path(id)
	if path == "" {
		return ""
	}
	if len(f.groups) >= maxGroups {
		clear(f.groups)
	}
	f.groups[id] = path
	return path
}
