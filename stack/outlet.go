package stack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// conversing is after how many turns, a request of the app's and an answer, an
// acknowledgment waits for the answer to ride on.
const conversing = 2

// outlet is where a Conn's packets leave gVisor for the app. gVisor sends each
// thing it has to say at once and by itself; where another packet is about to say
// the same, the outlet keeps the first back for a moment: an acknowledgment for
// the answer that follows (RFC 9293 3.8.6.3), the last bytes for the FIN behind
// them. Every packet is a write to mif0 and a wake-up of the app. Safe for
// concurrent use.
type outlet struct {
	link *link

	mu     sync.Mutex
	kept   *stack.PacketBuffer // nil for none
	last   bool                // kept is data that a FIN may follow, else an acknowledgment
	corked bool                // the next short segment is kept
	over   bool                // FIN or RST has been sent
	quiet  bool                // the last packet was an acknowledgment
	turns  int                 // of the conversation
	acked  uint32              // the last acknowledgment number sent
	listed bool                // link.tardy has it
	tick   uint32              // of link.tardy, when the acknowledgment was kept
}

// KUID implements tcpip.PacketOwner, by which a packet names its outlet.
func (o *outlet) KUID() uint32 { return 0 }

// KGID implements tcpip.PacketOwner.
func (o *outlet) KGID() uint32 { return 0 }

// open has every packet of ep from now on pass the outlet.
func (o *outlet) open(l *link, ep tcpip.Endpoint) {
	o.link = l
	e, ok := ep.(*tcp.Endpoint)
	if !ok {
		return
	}
	e.LockUser() // its packets are sent under this lock
	e.SetOwner(o)
	e.UnlockUser()
}

// send writes p to the app, or keeps it for a moment.
func (o *outlet) send(p *stack.PacketBuffer) {
	h, payload := header.TCP(p.TransportHeader().Slice()), p.Data().Size()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept != nil && o.rides(h, payload) {
		return
	}
	keep := o.corked && payload > 0 && payload <= int(p.GSOOptions.MSS) && !h.Flags().Intersects(header.TCPFlagFin)
	o.last = keep
	if payload == 0 && h.Flags() == header.TCPFlagAck {
		keep = o.mayWait(h, p.GSOOptions.MSS)
		o.quiet = true
	} else {
		if o.quiet && payload > 0 {
			o.turns++
		}
		o.quiet = false
		o.over = o.over || h.Flags().Intersects(header.TCPFlagFin|header.TCPFlagRst)
	}
	o.acked = h.AckNumber()
	if !keep {
		o.link.write(p)
		return
	}
	o.kept = p.IncRef()
	if !o.last {
		o.tick = o.link.tardy.add(o)
	}
}

// mayWait reports whether an acknowledgment may wait: it says nothing else, it is
// the first of its kind, it is for less than two segments (RFC 5681 4.2), and the
// app is in conversation.
func (o *outlet) mayWait(h header.TCP, mss uint16) bool {
	if o.quiet {
		o.turns = 0 // the app sends on without an answer
	}
	fresh := int32(h.AckNumber() - o.acked)
	const timestamps = 12 // bytes of options: more tell what is missing (RFC 2018)
	if o.over || fresh <= 0 || fresh >= 2*int32(mss) || int(h.DataOffset()) > header.TCPMinimumSize+timestamps {
		return false
	}
	return o.turns >= conversing
}

// rides settles what becomes of the kept packet now that another one follows,
// and reports whether the other one has become part of it.
func (o *outlet) rides(h header.TCP, payload int) bool {
	kept := o.kept
	o.kept = nil
	defer kept.DecRef()
	if !o.last { // the packet that follows acknowledges the same and more
		return false
	}
	own := header.TCP(kept.TransportHeader().Slice())
	follows := payload == 0 && h.Flags() == header.TCPFlagFin|header.TCPFlagAck &&
		h.SequenceNumber() == own.SequenceNumber()+uint32(kept.Data().Size()) && h.AckNumber() == own.AckNumber()
	if follows {
		own.SetFlags(uint8(own.Flags() | header.TCPFlagFin)) // the kernel does the checksum
		o.over = true
	}
	o.link.write(kept)
	return follows
}

// cork has the next short segment wait for what follows it, until uncork.
func (o *outlet) cork() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = true
}

// uncork sends the segment that cork kept.
func (o *outlet) uncork() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = false
	if o.kept != nil && o.last {
		o.flush()
	}
}

// flush sends what is kept. It is called under mu.
func (o *outlet) flush() {
	o.link.write(o.kept)
	o.kept.DecRef()
	o.kept = nil
}
