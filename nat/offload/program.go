package offload

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	heads "mifvif/packet"
)

// Offsets in struct __sk_buff (linux/bpf.h).
const (
	skbPktType  = 4
	skbMark     = 8
	skbProtocol = 16
	skbVLAN     = 24
	skbIfindex  = 40
)

// Verdicts (linux/bpf.h): next leaves the packet to other programs and the
// kernel.
const (
	verdictNext = -1
	verdictDrop = 2
)

// Flags of the checksum helpers.
const (
	pseudoHeader = 1 << 4
	mayBeNone    = 1 << 5
	checksumIPv6 = 1 << 7 // Linux 6.16: the sum of the whole packet stays
)

// Places on the stack, by their distance from its top.
const (
	stackKey = -keySize
	stackIP  = -80                // the IP header, 40 bytes
	stackL4  = -104               // the transport's header without options, at most 20 bytes
	stackEth = -120               // an Ethernet header to be
	stackCut = stackEth - cutSize // a piece's key
	ethLen   = 14
)

// A program keeps the packet in R6, the value in R7, and the length of the
// payload in R8; R9 is at hand.
const (
	packet  = asm.R6
	entry   = asm.R7
	payload = asm.R8
)

// family is what differs between IPv4 and IPv6.
type family struct {
	name      string
	number    int32
	ethertype uint16
	header    int32 // bytes
	src, dst  int32 // in the header
	addr      int32 // bytes
}

func families() []family {
	return []family{
		{"4", 4, unix.ETH_P_IP, 20, 12, 16, 4},
		{"6", 6, unix.ETH_P_IPV6, 40, 8, 24, 16},
	}
}

// transport is what differs between TCP and UDP.
type transport struct {
	name   string
	number int32
	header int32 // bytes without options
	sum    int32 // offset of the checksum
	// flags of the checksum helpers: UDP over IPv4 may have none (RFC 768).
	flags int32
}

func transports() []transport {
	return []transport{
		{"tcp", unix.IPPROTO_TCP, 20, 16, 0},
		{"udp", unix.IPPROTO_UDP, 8, 6, mayBeNone},
	}
}

// maps are the descriptors of what a program looks into.
type maps struct{ flows, cut int }

// egress is the program of mif0: it gives the segments of apps their source on
// the uplink and sends them there.
func egress(m maps) asm.Instructions {
	p := asm.Instructions{asm.Mov.Reg(packet, asm.R1)}
	return append(p, program(m, direction{l3: 0, rewritten: keySrc, decided: true, onward: toUplink})...)
}

// ingress is the program of an uplink: it gives answers the destination that the
// app has, and has them come in by mif0.
func ingress(m maps, mtu int) asm.Instructions {
	p := asm.Instructions{
		asm.Mov.Reg(packet, asm.R1),
		// What is somebody else's, or of a VLAN, is not the uplink's. A tag of no VLAN
		// says a priority only (IEEE 802.1Q 6.9).
		asm.LoadMem(asm.R1, packet, skbPktType, asm.Word),
		asm.JNE.Imm(asm.R1, unix.PACKET_HOST, "next"),
		asm.LoadMem(asm.R1, packet, skbVLAN, asm.Word),
		asm.And.Imm(asm.R1, 0x0fff),
		asm.JNE.Imm(asm.R1, 0, "next"),
	}
	return append(p, program(m, direction{l3: ethLen, rewritten: keyDst, longest: int32(mtu), onward: toApp})...)
}

// direction is what differs between the two programs.
type direction struct {
	l3        int32 // where the IP header begins
	rewritten int32 // the address in the key that is
	decided   bool  // the house sees every SYN
	longest   int32 // UDP that is longer is not for us: mif0 would not take it; 0: any is
	onward    func(family) asm.Instructions
}

// program is what both do: parse, look up, count, rewrite and hand on.
func program(m maps, d direction) (p asm.Instructions) {
	p = append(p, asm.LoadMem(asm.R1, packet, skbProtocol, asm.Word))
	for _, f := range families() {
		p = append(p, asm.JEq.Imm(asm.R1, int32(bigEndian(f.ethertype)), "ip"+f.name))
	}
	p = append(p, asm.Ja.Label("next"))
	for _, f := range families() {
		p = append(p, label("ip"+f.name, parse(f, d))...)
		for _, t := range transports() {
			p = append(p, asm.JEq.Imm(asm.R1, t.number, t.name+f.name))
		}
		p = append(p, asm.Ja.Label("next"))
		for _, t := range transports() {
			v := variant{f, t}
			p = append(p, label(t.name+f.name, v.parse(d))...)
			p = append(p, v.lookUp(m.flows)...)
			p = append(p, d.arrived()...)
			p = append(p, v.count()...)
			p = append(p, v.begun(m.cut, d)...)
			p = append(p, v.rewrite(d)...)
			p = append(p, d.onward(f)...)
		}
	}
	p = append(p, label(laterPiece, later(families()[0], m.cut, d))...)
	p = append(p, label("next", asm.Instructions{asm.Mov.Imm(asm.R0, verdictNext), asm.Return()})...)
	return append(p, label("drop", asm.Instructions{asm.Mov.Imm(asm.R0, verdictDrop), asm.Return()})...)
}

// variant is one of the four kinds of packets.
type variant struct {
	family
	transport transport
}

// label returns a name that no other variant has.
func (v variant) label(what string) string { return what + v.transport.name + v.name }

// parse copies the IP header of a packet that has no IP options to the stack, and
// leaves the protocol in R1 and what follows the header, in bytes, in R8; anything
// else is not for us. Of what is in pieces TCP is (cut.go): nobody else knows of it.
func parse(f family, d direction) asm.Instructions {
	var p asm.Instructions
	p = append(p, load(d.l3, stackIP, f.header)...)
	if f.number == 6 {
		return append(p,
			asm.LoadMem(payload, asm.RFP, stackIP+4, asm.Half),
			asm.HostTo(asm.BE, payload, asm.Half),
			asm.LoadMem(asm.R1, asm.RFP, stackIP+6, asm.Byte),
		)
	}
	return append(p,
		asm.LoadMem(asm.R1, asm.RFP, stackIP, asm.Byte),
		asm.JNE.Imm(asm.R1, 0x45, "next"),
		asm.LoadMem(asm.R1, asm.RFP, stackIP+6, asm.Half), // fragments
		asm.HostTo(asm.BE, asm.R1, asm.Half),
		asm.And.Imm(asm.R1, 0x3fff),
		asm.JEq.Imm(asm.R1, 0, "whole"),
		asm.LoadMem(asm.R2, asm.RFP, stackIP+9, asm.Byte),
		asm.JNE.Imm(asm.R2, unix.IPPROTO_TCP, "next"),
		asm.And.Imm(asm.R1, 0x1fff),
		asm.JNE.Imm(asm.R1, 0, laterPiece),
		asm.LoadMem(payload, asm.RFP, stackIP+2, asm.Half).WithSymbol("whole"),
		asm.HostTo(asm.BE, payload, asm.Half),
		asm.Sub.Imm(payload, f.header),
		asm.LoadMem(asm.R1, asm.RFP, stackIP+9, asm.Byte),
	)
}

// parse copies the transport's header to the stack and leaves the length of the
// payload in R8. An app's SYN is the house's to decide about; the server's is one
// of both opening at a time (RFC 5382 REQ-2).
func (v variant) parse(d direction) asm.Instructions {
	p := load(d.l3+v.header, stackL4, v.transport.header)
	if v.transport.number == unix.IPPROTO_UDP {
		if d.longest > 0 {
			p = append(p, asm.JGT.Imm(payload, d.longest-v.header, "next"))
		}
		p = append(p, asm.Sub.Imm(payload, v.transport.header))
	} else {
		p = append(p,
			asm.LoadMem(asm.R1, asm.RFP, stackL4+12, asm.Byte), // data offset, in the upper half
			asm.RSh.Imm(asm.R1, 4),
			asm.LSh.Imm(asm.R1, 2),
			asm.Sub.Reg(payload, asm.R1),
		)
		if d.decided {
			p = append(p,
				asm.LoadMem(asm.R1, asm.RFP, stackL4+13, asm.Byte),
				asm.And.Imm(asm.R1, heads.TCPSyn|heads.TCPAck),
				asm.JEq.Imm(asm.R1, heads.TCPSyn, "next"),
			)
		}
	}
	return append(p, asm.JSLT.Imm(payload, 0, "next"))
}

// lookUp builds the key and leaves the value in R7; a segment that has none is not
// for us.
func (v variant) lookUp(flows int) (p asm.Instructions) {
	p = append(p, asm.Mov.Imm(asm.R1, 0))
	for off := int16(0); off < keySize; off += 8 {
		p = append(p, asm.StoreMem(asm.RFP, stackKey+off, asm.R1, asm.DWord))
	}
	for off := int16(0); off < int16(v.addr); off += 4 {
		p = append(p, move(stackIP+int16(v.src)+off, stackKey+keySrc+off)...)
		p = append(p, move(stackIP+int16(v.dst)+off, stackKey+keyDst+off)...)
	}
	p = append(p, move(stackL4, stackKey+keySrcPort)...) // both ports
	return append(p,
		asm.StoreImm(asm.RFP, stackKey+keyFamily, int64(v.number), asm.Half),
		asm.StoreImm(asm.RFP, stackKey+keyProto, int64(v.transport.number), asm.Half),
		asm.LoadMapPtr(asm.R1, flows),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.Mov.Reg(entry, asm.R0),
	)
}

// arrived leaves what does not come from the flow's own uplink to the kernel: its host
// is a strong one (RFC 1122 3.3.4.2), and one network does not speak for another.
func (d direction) arrived() asm.Instructions {
	if d.decided {
		return nil
	}
	return asm.Instructions{
		asm.LoadMem(asm.R1, packet, skbIfindex, asm.Word),
		asm.LoadMem(asm.R2, entry, valFrom, asm.Word),
		asm.JNE.Reg(asm.R1, asm.R2, "next"),
	}
}

// count notes the packet in its value. A flow's packets pass one after the other,
// but for those that several processors have at once: what is added up is added
// atomically, of the rest the last one counts.
func (v variant) count() asm.Instructions {
	if v.transport.number == unix.IPPROTO_UDP {
		return append(v.now(), v.add()...)
	}
	p := append(v.numbers(), v.now()...)
	p = append(p,
		asm.Mov.Reg32(asm.R2, asm.R9), // what is sent again is older
		asm.LoadMem(asm.R3, entry, valNext, asm.Word),
		asm.Sub.Reg32(asm.R2, asm.R3),
		asm.JSGT.Imm32(asm.R2, 0, v.label("newer")),
		asm.JNE.Imm(asm.R1, 0, v.label("older")), // there was none before
		asm.StoreMem(entry, valNext, asm.R9, asm.Word).WithSymbol(v.label("newer")),
		asm.Mov.Imm(asm.R1, 0).WithSymbol(v.label("older")),
	)
	return append(p, v.add()...)
}

// now notes the time, and leaves in R1 when the first packet was, 0 for "now".
func (v variant) now() asm.Instructions {
	return asm.Instructions{
		asm.FnKtimeGetNs.Call().WithSymbol(v.label("time")),
		asm.StoreMem(entry, valLast, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, entry, valFirst, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, v.label("begun")),
		asm.StoreMem(entry, valFirst, asm.R0, asm.DWord),
		asm.Mov.Reg(asm.R2, asm.R1).WithSymbol(v.label("begun")),
	}
}

// add counts the packet and its payload.
func (variant) add() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(entry, asm.R1, asm.DWord, valSegs),
		asm.AddAtomic.Mem(entry, payload, asm.DWord, valBytes),
	}
}

// numbers notes flags, acknowledgment and end of a segment, and leaves in R9 the
// number behind it, of which SYN and FIN are one each. Who goes on after a RST has
// not ended (RFC 7857 2.2).
func (v variant) numbers() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R9, asm.RFP, stackL4+4, asm.Word),
		asm.HostTo(asm.BE, asm.R9, asm.Word),
		asm.Add.Reg32(asm.R9, payload),
		asm.LoadMem(asm.R2, asm.RFP, stackL4+13, asm.Byte),
		asm.JSet.Imm(asm.R2, heads.TCPSyn|heads.TCPFin, v.label("numbered")),
		asm.JSet.Imm(asm.R2, heads.TCPRst, v.label("end")),
		asm.Ja.Label(v.label("flags")),
		asm.Add.Imm32(asm.R9, 1).WithSymbol(v.label("numbered")),
		asm.JSet.Imm(asm.R2, heads.TCPSyn, v.label("flags")),
		asm.StoreMem(entry, valEnd, asm.R9, asm.Word).WithSymbol(v.label("end")),

		asm.LoadMem(asm.R1, entry, valFlags, asm.Word).WithSymbol(v.label("flags")),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Or.Reg(asm.R3, asm.R2),
		asm.JSet.Imm(asm.R2, heads.TCPRst, v.label("reset")),
		asm.And.Imm(asm.R3, ^heads.TCPRst),
		asm.JEq.Reg(asm.R3, asm.R1, v.label("seen")).WithSymbol(v.label("reset")), // mostly: nothing is written then
		asm.StoreMem(entry, valFlags, asm.R3, asm.Word),

		asm.JSet.Imm(asm.R2, heads.TCPAck, v.label("acked")).WithSymbol(v.label("seen")),
		asm.Ja.Label(v.label("time")),
		asm.LoadMem(asm.R1, asm.RFP, stackL4+8, asm.Word).WithSymbol(v.label("acked")),
		asm.HostTo(asm.BE, asm.R1, asm.Word),
		asm.StoreMem(entry, valAck, asm.R1, asm.Word),
	}
}

// rewrite gives the segment its other address and port, and keeps its sums true
// (RFC 1624). Nothing has been changed before, so a segment that cannot be changed
// is dropped, and sent again.
func (v variant) rewrite(d direction) (p asm.Instructions) {
	portAt := int32(0)
	if d.rewritten == keyDst {
		portAt = 2
	}
	l4 := d.l3 + v.header
	p = append(p, v.pseudoSum(l4+v.transport.sum, stackIP+int16(d.address(v.family)))...)
	p = append(p,
		asm.Mov.Reg(asm.R1, packet),
		asm.Mov.Imm(asm.R2, l4+v.transport.sum),
		asm.LoadMem(asm.R3, asm.RFP, int16(stackL4+portAt), asm.Half),
		asm.LoadMem(asm.R4, entry, valPort, asm.Half),
		asm.Mov.Imm(asm.R5, v.transport.flags|2),
		asm.FnL4CsumReplace.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
	)
	p = append(p, readdress(v.family, d)...)
	return append(p, store(l4+portAt, entry, valPort, 2)...)
}

// address returns where in a header the address is that is rewritten.
func (d direction) address(f family) int32 {
	if d.rewritten == keyDst {
		return f.dst
	}
	return f.src
}

// readdress gives an IP header its other address, and keeps its sum true.
func readdress(f family, d direction) (p asm.Instructions) {
	addr := d.address(f)
	if f.number == 4 {
		p = asm.Instructions{
			asm.Mov.Reg(asm.R1, packet),
			asm.Mov.Imm(asm.R2, d.l3+10),
			asm.LoadMem(asm.R3, asm.RFP, int16(stackIP+addr), asm.Word),
			asm.LoadMem(asm.R4, entry, valAddr, asm.Word),
			asm.Mov.Imm(asm.R5, 4),
			asm.FnL3CsumReplace.Call(),
			asm.JNE.Imm(asm.R0, 0, "drop"),
		}
	}
	return append(p, store(d.l3+addr, entry, valAddr, f.addr)...)
}

// pseudoSum has the sum at an offset follow the change of the address at a place on
// the stack.
func (v variant) pseudoSum(sum int32, at int16) asm.Instructions {
	if v.number == 4 {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, packet),
			asm.Mov.Imm(asm.R2, sum),
			asm.LoadMem(asm.R3, asm.RFP, at, asm.Word),
			asm.LoadMem(asm.R4, entry, valAddr, asm.Word),
			asm.Mov.Imm(asm.R5, v.transport.flags|pseudoHeader|4),
			asm.FnL4CsumReplace.Call(),
			asm.JNE.Imm(asm.R0, 0, "drop"),
		}
	}
	p := asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, int32(at)),
		asm.Mov.Imm(asm.R2, v.addr),
		asm.Mov.Reg(asm.R3, entry), // valAddr is 0
		asm.Mov.Imm(asm.R4, v.addr),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnCsumDiff.Call(),
		asm.JSLT.Imm(asm.R0, 0, "drop"),
		asm.Mov.Reg(payload, asm.R0), // not needed any more
	}
	for _, flags := range []int32{pseudoHeader | checksumIPv6, pseudoHeader} { // older kernels refuse the first
		p = append(p,
			asm.Mov.Reg(asm.R1, packet),
			asm.Mov.Imm(asm.R2, sum),
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Reg(asm.R4, payload),
			asm.Mov.Imm(asm.R5, v.transport.flags|flags),
			asm.FnL4CsumReplace.Call(),
			asm.JEq.Imm(asm.R0, 0, v.label("summed")),
		)
	}
	return append(p, asm.Ja.Label("drop"), asm.Mov.Imm(asm.R1, 0).WithSymbol(v.label("summed")))
}

// toUplink sends the segment by the domain: the mark leads to its table, the table
// to the next hop, as for every socket of the domain's.
func toUplink(f family) asm.Instructions {
	p := asm.Instructions{
		asm.LoadMem(asm.R1, entry, valMark, asm.Word),
		asm.StoreMem(packet, skbMark, asm.R1, asm.Word),
		// mif0 has no link layer: there is to be one.
		asm.Mov.Reg(asm.R1, packet),
		asm.Mov.Imm(asm.R2, ethLen),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnSkbChangeHead.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, stackEth, asm.R1, asm.DWord),
		asm.StoreMem(asm.RFP, stackEth+8, asm.R1, asm.Word),
		asm.StoreImm(asm.RFP, stackEth+12, int64(bigEndian(f.ethertype)), asm.Half),
	}
	p = append(p, store(0, asm.RFP, stackEth, ethLen)...)
	return append(p,
		asm.LoadMem(asm.R1, entry, valIfindex, asm.Word),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRedirectNeigh.Call(),
		asm.Return(),
	)
}

// toApp has the segment come in by mif0, like everything else that is for apps.
func toApp(family) asm.Instructions {
	const inwards = 1 // BPF_F_INGRESS
	return asm.Instructions{
		asm.LoadMem(asm.R1, entry, valIfindex, asm.Word),
		asm.Mov.Imm(asm.R2, inwards),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// load copies bytes of the packet to the stack.
func load(from int32, to int16, length int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, packet),
		asm.Mov.Imm(asm.R2, from),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, int32(to)),
		asm.Mov.Imm(asm.R4, length),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "next"),
	}
}

// store writes bytes into the packet.
func store(to int32, base asm.Register, from int16, length int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, packet),
		asm.Mov.Imm(asm.R2, to),
		asm.Mov.Reg(asm.R3, base),
		asm.Add.Imm(asm.R3, int32(from)),
		asm.Mov.Imm(asm.R4, length),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnSkbStoreBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
	}
}

// move copies four bytes on the stack.
func move(from, to int16) asm.Instructions {
	return asm.Instructions{asm.LoadMem(asm.R1, asm.RFP, from, asm.Word), asm.StoreMem(asm.RFP, to, asm.R1, asm.Word)}
}

// label names where p begins.
func label(name string, p asm.Instructions) asm.Instructions {
	p[0] = p[0].WithSymbol(name)
	return p
}

// bigEndian returns what the bytes of v in the order of the network are to this
// machine.
func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
