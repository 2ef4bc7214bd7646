package offload

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"mifvif/flow"
)

// Flow is a flow of TCP or UDP as both sides have it. All addresses are of one
// family.
type Flow struct {
	Proto    flow.Proto
	ID       uint64         // comes back with what is counted; not 0
	App, Dst netip.AddrPort // what the app sends from, and to
	Source   netip.AddrPort // what it leaves from
	Mark     uint32         // leads to the domain's table
	Ifindex  int            // of the uplink, which has an Ethernet header
}

// Side is what went one way.
type Side struct {
	Segments uint64 // as the kernel had them: of up to 64 KiB
	Bytes    uint64 // of payload, what was sent again included
	Flags    uint8  // of TCP: all that were seen (RFC 9293 3.1), but RST only while it was the last
	First    time.Duration
	Last     time.Duration // since the machine started, see Now; 0: never
	Ack      uint32        // the last acknowledgment number
	Next     uint32        // the sequence number behind all segments
	End      uint32        // the sequence number behind the FIN, or of the RST, where Flags has one
}

// Traffic is what passed of a flow.
type Traffic struct{ Tx, Rx Side }

// Offload is the programs with their maps. Make one with New; its methods are
// safe for concurrent use.
type Offload struct {
	out, in *ebpf.Map // by what apps send, and by what comes back
	cut     *ebpf.Map // by packets that are in pieces
	device  int       // mif0
	life    sync.RWMutex
	over    bool // guarded by life, which is held for reading while a map is in use

	mu      sync.Mutex
	egress  *ebpf.Program
	ingress *ebpf.Program
	links   map[int]link.Link // by interface
	batch   batch
}

// New loads the programs for at most so many flows through the device with an
// index and an MTU; it attaches nothing yet. An error says that this kernel cannot,
// or that the process may not.
func New(device, mtu, flows int) (*Offload, error) {
	o := &Offload{device: device, links: make(map[int]link.Link)}
	if err := o.load(mtu, flows); err != nil {
		return nil, errors.Join(fmt.Errorf("load the programs that translate: %w", err), o.Close())
	}
	return o, nil
}

func (o *Offload) load(mtu, flows int) (err error) {
	if o.out, err = newMap("mifvif_out", flows); err != nil {
		return err
	}
	if o.in, err = newMap("mifvif_in", flows); err != nil {
		return err
	}
	o.cut, err = ebpf.NewMap(&ebpf.MapSpec{Name: "mifvif_cut", Type: ebpf.LRUHash, KeySize: cutSize, ValueSize: valSize, MaxEntries: maxCut})
	if err != nil {
		return fmt.Errorf("make a map: %w", err)
	}
	if o.egress, err = newProgram("mifvif_egress", ebpf.AttachTCXEgress, egress(maps{o.out.FD(), o.cut.FD()})); err != nil {
		return err
	}
	o.ingress, err = newProgram("mifvif_ingress", ebpf.AttachTCXIngress, ingress(maps{o.in.FD(), o.cut.FD()}, mtu))
	return err
}

// newMap makes a table that forgets nothing by itself and has no memory for flows
// that are not there.
func newMap(name string, flows int) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: name, Type: ebpf.Hash, KeySize: keySize, ValueSize: valSize, MaxEntries: uint32(flows), Flags: unix.BPF_F_NO_PREALLOC,
	})
	if err != nil {
		return nil, fmt.Errorf("make a map: %w", err)
	}
	return m, nil
}

func newProgram(name string, attach ebpf.AttachType, code asm.Instructions) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.SchedCLS, AttachType: attach, Instructions: code})
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	return p, nil
}

// Put has the segments of a flow translated from now on. The programs are
// attached where they are needed first.
func (o *Offload) Put(f Flow) error {
	if err := o.attach(f.Ifindex); err != nil {
		return err
	}
	return o.enter(f)
}

// enter puts a flow into both maps, or into none.
func (o *Offload) enter(f Flow) error {
	o.life.RLock()
	defer o.life.RUnlock()
	if o.over {
		return os.ErrClosed
	}
	// All go to the maps by their address: as they are, not by reflection.
	out := value{Addr: address(f.Source.Addr()), Port: port(f.Source), Mark: f.Mark, Ifindex: uint32(f.Ifindex), ID: f.ID}
	in := value{Addr: address(f.App.Addr()), Port: port(f.App), Ifindex: uint32(o.device), From: uint32(f.Ifindex), ID: f.ID}
	there, back := newKey(f.Proto, f.App, f.Dst), newKey(f.Proto, f.Dst, f.Source)
	if err := o.in.Update(&back, &in, ebpf.UpdateNoExist); err != nil {
		return fmt.Errorf("translate %s: %w", f.Source, err)
	}
	if err := o.out.Update(&there, &out, ebpf.UpdateNoExist); err != nil {
		return errors.Join(fmt.Errorf("translate %s: %w", f.App, err), o.in.Delete(&back))
	}
	return nil
}

// Delete leaves the flow to the kernel's usual way again and returns what has
// passed.
func (o *Offload) Delete(f Flow) Traffic {
	o.life.RLock()
	defer o.life.RUnlock()
	there, back := newKey(f.Proto, f.App, f.Dst), newKey(f.Proto, f.Dst, f.Source)
	var out, in value
	gone := o.out.LookupAndDelete(&there, &out) // fails where it is not there, or after Close
	if errors.Join(gone, o.in.LookupAndDelete(&back, &in)) != nil {
		return Traffic{}
	}
	return Traffic{out.side(), in.side()}
}

// Traffic returns what has passed of a flow, nothing where it is not translated.
func (o *Offload) Traffic(f Flow) Traffic {
	o.life.RLock()
	defer o.life.RUnlock()
	there, back := newKey(f.Proto, f.App, f.Dst), newKey(f.Proto, f.Dst, f.Source)
	var out, in value
	if o.out.Lookup(&there, &out) != nil || o.in.Lookup(&back, &in) != nil {
		return Traffic{}
	}
	return Traffic{out.side(), in.side()}
}

func (v *value) side() Side {
	return Side{
		Segments: v.Segs, Bytes: v.Bytes, Flags: uint8(v.Flags), First: time.Duration(v.First), Last: time.Duration(v.Last), Ack: v.Ack, Next: v.Next, End: v.End,
	}
}

// All calls see with what has passed of every flow, by ID. A flow that is put in or
// taken out meanwhile may be left out.
func (o *Offload) All(see func(id uint64, t Traffic)) error {
	o.life.RLock()
	defer o.life.RUnlock()
	if o.over {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batch.open()
	if err := o.batch.read(o.in, func(v *value) { o.batch.came[v.ID] = v.side() }); err != nil {
		return err
	}
	return o.batch.read(o.out, func(v *value) {
		if in, ok := o.batch.came[v.ID]; ok {
			see(v.ID, Traffic{v.side(), in})
		}
	})
}

// batch is the memory for reading many entries with one system call, and what was
// read of those that come in.
type batch struct {
	keys   []key
	values []value
	came   map[uint64]Side
}

const batchSize = 1024

// open makes the memory ready.
func (b *batch) open() {
	if b.keys == nil {
		b.keys, b.values, b.came = make([]key, batchSize), make([]value, batchSize), make(map[uint64]Side)
	}
	clear(b.came)
}

// read calls see with every value of m.
func (b *batch) read(m *ebpf.Map, see func(*value)) error {
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, b.keys, b.values, nil)
		for i := range b.values[:n] {
			see(&b.values[i])
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("read what is translated: %w", err)
		}
	}
}

// Now returns the time since the machine started, as Side has it.
func Now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // does not fail on this clock
	return time.Duration(ts.Nano())
}

// attach puts the programs in place, on mif0 with the first uplink.
func (o *Offload) attach(ifindex int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.egress == nil {
		return os.ErrClosed
	}
	if err := o.hang(o.device, o.egress, ebpf.AttachTCXEgress); err != nil {
		return err
	}
	return o.hang(ifindex, o.ingress, ebpf.AttachTCXIngress)
}

// errNoEthernet says that packets on a link have no Ethernet header, which the
// programs take for granted.
var errNoEthernet = errors.New("the link is not Ethernet")

// macLen is the length of Ethernet's addresses, and of no other link's.
const macLen = 6

// hang attaches a program to an interface, once. o.mu is held.
func (o *Offload) hang(ifindex int, p *ebpf.Program, at ebpf.AttachType) error {
	if o.links[ifindex] != nil {
		return nil
	}
	if ifindex != o.device {
		if on, err := net.InterfaceByIndex(ifindex); err != nil || len(on.HardwareAddr) != macLen {
			return errors.Join(fmt.Errorf("interface %d: %w", ifindex, errNoEthernet), err)
		}
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: p, Attach: at})
	if err != nil {
		return fmt.Errorf("attach %s to interface %d: %w", p.String(), ifindex, err)
	}
	o.links[ifindex] = l
	return nil
}

// Keep takes the programs off the uplinks that are not among those given, whose
// indices may be another interface's one day, and puts those back that somebody
// else has taken off.
func (o *Offload) Keep(uplinks []int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for i, l := range o.links {
		stays := i == o.device || slices.Contains(uplinks, i)
		if stays && hangs(l) {
			continue
		}
		l.Close()
		delete(o.links, i)
		switch {
		case i == o.device:
			errs = append(errs, o.hang(i, o.egress, ebpf.AttachTCXEgress))
		case stays:
			errs = append(errs, o.hang(i, o.ingress, ebpf.AttachTCXIngress))
		}
	}
	return errors.Join(errs...)
}

// hangs reports whether a program is still where it was attached.
func hangs(l link.Link) bool {
	info, err := l.Info()
	return err == nil && info.TCX() != nil && info.TCX().Ifindex != 0
}

// Close takes everything out of the kernel.
func (o *Offload) Close() error {
	o.life.Lock()
	defer o.life.Unlock()
	o.over = true
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, l := range o.links {
		l.Close()
		delete(o.links, i)
	}
	for _, p := range []*ebpf.Program{o.egress, o.ingress} {
		if p != nil {
			p.Close()
		}
	}
	o.egress, o.ingress = nil, nil
	for _, m := range []*ebpf.Map{o.out, o.in, o.cut} {
		if m != nil {
			m.Close()
		}
	}
	return nil
}
