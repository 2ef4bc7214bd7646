package offload

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Offsets in struct __sk_buff (linux/bpf.h).
const (
	skbPktType     = 4
	skbMark        = 8
	skbProtocol    = 16
	skbVLANPresent = 20
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
	checksumIPv6 = 1 << 7 // Linux 6.16: the sum of the whole packet stays
)

// Places on the stack, by their distance from its top.
const (
	stackKey = -keySize
	stackIP  = -80  // the IP header, 40 bytes
	stackTCP = -104 // the TCP header without options, 20 bytes
	stackEth = -120 // an Ethernet header to be
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

// egress is the program of mif0: it gives the segments of apps their source on
// the uplink and sends them there.
func egress(flows int) asm.Instructions {
	p := asm.Instructions{asm.Mov.Reg(packet, asm.R1)}
	return append(p, program(flows, direction{l3: 0, rewritten: keySrc, onward: toUplink})...)
}

// ingress is the program of an uplink: it gives answers the destination that the
// app has, and has them come in by mif0.
func ingress(flows int) asm.Instructions {
	p := asm.Instructions{
		asm.Mov.Reg(packet, asm.R1),
		// What is somebody else's, or of a VLAN, is not the uplink's.
		asm.LoadMem(asm.R1, packet, skbPktType, asm.Word),
		asm.JNE.Imm(asm.R1, unix.PACKET_HOST, "next"),
		asm.LoadMem(asm.R1, packet, skbVLANPresent, asm.Word),
		asm.JNE.Imm(asm.R1, 0, "next"),
	}
	return append(p, program(flows, direction{l3: ethLen, rewritten: keyDst, onward: toApp})...)
}

// direction is what differs between the two programs.
type direction struct {
	l3        int32 // where the IP header begins
	rewritten int32 // the address in the key that is
	onward    func(family) asm.Instructions
}

// program is what both do: parse, look up, count, rewrite and hand on.
func program(flows int, d direction) (p asm.Instructions) {
	p = append(p, asm.LoadMem(asm.R1, packet, skbProtocol, asm.Word))
	for _, f := range families() {
		p = append(p, asm.JEq.Imm(asm.R1, int32(bigEndian(f.ethertype)), "ip"+f.name))
	}
	p = append(p, asm.Ja.Label("next"))
	for _, f := range families() {
		p = append(p, label("ip"+f.name, parse(f, d))...)
		p = append(p, lookUp(flows, f)...)
		p = append(p, count(f)...)
		p = append(p, rewrite(f, d)...)
		p = append(p, d.onward(f)...)
	}
	p = append(p, label("next", asm.Instructions{asm.Mov.Imm(asm.R0, verdictNext), asm.Return()})...)
	return append(p, label("drop", asm.Instructions{asm.Mov.Imm(asm.R0, verdictDrop), asm.Return()})...)
}

// parse copies the headers of a whole TCP segment without IP options to the stack,
// with the length of its payload in R8; anything else is not for us. The first SYN
// is the house's to decide about, and nobody's if it comes from outside.
func parse(f family, d direction) asm.Instructions {
	var p asm.Instructions
	p = append(p, load(d.l3, stackIP, f.header)...)
	if f.number == 4 {
		p = append(p,
			asm.LoadMem(asm.R1, asm.RFP, stackIP, asm.Byte),
			asm.JNE.Imm(asm.R1, 0x45, "next"),
			asm.LoadMem(asm.R1, asm.RFP, stackIP+6, asm.Half), // fragments
			asm.HostTo(asm.BE, asm.R1, asm.Half),
			asm.And.Imm(asm.R1, 0x3fff),
			asm.JNE.Imm(asm.R1, 0, "next"),
			asm.LoadMem(asm.R1, asm.RFP, stackIP+9, asm.Byte),
			asm.JNE.Imm(asm.R1, unix.IPPROTO_TCP, "next"),
			asm.LoadMem(payload, asm.RFP, stackIP+2, asm.Half),
			asm.HostTo(asm.BE, payload, asm.Half),
			asm.Sub.Imm(payload, f.header),
		)
	} else {
		p = append(p,
			asm.LoadMem(asm.R1, asm.RFP, stackIP+6, asm.Byte),
			asm.JNE.Imm(asm.R1, unix.IPPROTO_TCP, "next"),
			asm.LoadMem(payload, asm.RFP, stackIP+4, asm.Half),
			asm.HostTo(asm.BE, payload, asm.Half),
		)
	}
	p = append(p, load(d.l3+f.header, stackTCP, 20)...)
	return append(p,
		asm.LoadMem(asm.R1, asm.RFP, stackTCP+12, asm.Byte), // data offset, in the upper half
		asm.RSh.Imm(asm.R1, 4),
		asm.LSh.Imm(asm.R1, 2),
		asm.Sub.Reg(payload, asm.R1),
		asm.JSLT.Imm(payload, 0, "next"),
		asm.LoadMem(asm.R1, asm.RFP, stackTCP+13, asm.Byte),
		asm.And.Imm(asm.R1, tcpSYN|tcpACK),
		asm.JEq.Imm(asm.R1, tcpSYN, "next"),
	)
}

// TCP's flags (RFC 9293 3.1).
const (
	tcpFIN = 1
	tcpSYN = 2
	tcpRST = 4
	tcpACK = 16
)

// lookUp builds the key and leaves the value in R7; a segment that has none is not
// for us.
func lookUp(flows int, f family) (p asm.Instructions) {
	p = append(p, asm.Mov.Imm(asm.R1, 0))
	for off := int16(0); off < keySize; off += 8 {
		p = append(p, asm.StoreMem(asm.RFP, stackKey+off, asm.R1, asm.DWord))
	}
	for off := int16(0); off < int16(f.addr); off += 4 {
		p = append(p, move(stackIP+int16(f.src)+off, stackKey+keySrc+off)...)
		p = append(p, move(stackIP+int16(f.dst)+off, stackKey+keyDst+off)...)
	}
	p = append(p, move(stackTCP, stackKey+keySrcPort)...) // both ports
	return append(p,
		asm.StoreImm(asm.RFP, stackKey+keyFamily, int64(f.number), asm.Word),
		asm.LoadMapPtr(asm.R1, flows),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.Mov.Reg(entry, asm.R0),
	)
}

// count notes the segment in its value. A flow's segments pass one after the
// other, but for those that several processors have at once: what is added up is
// added atomically, of the rest the last one counts.
func count(f family) (p asm.Instructions) {
	named := func(what string) string { return what + f.name }
	// R9 is the number behind the segment, of which SYN and FIN are one each.
	p = append(p,
		asm.LoadMem(asm.R9, asm.RFP, stackTCP+4, asm.Word),
		asm.HostTo(asm.BE, asm.R9, asm.Word),
		asm.Add.Reg32(asm.R9, payload),
		asm.LoadMem(asm.R2, asm.RFP, stackTCP+13, asm.Byte),
		asm.JSet.Imm(asm.R2, tcpSYN|tcpFIN, named("numbered")),
		asm.JSet.Imm(asm.R2, tcpRST, named("end")),
		asm.Ja.Label(named("flags")),
		asm.Add.Imm32(asm.R9, 1).WithSymbol(named("numbered")),
		asm.JSet.Imm(asm.R2, tcpSYN, named("flags")),
		asm.StoreMem(entry, valEnd, asm.R9, asm.Word).WithSymbol(named("end")),
	)
	p = append(p,
		asm.LoadMem(asm.R1, entry, valFlags, asm.Word).WithSymbol(named("flags")),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Or.Reg(asm.R3, asm.R2),
		asm.JEq.Reg(asm.R3, asm.R1, named("seen")), // mostly: nothing is written then
		asm.StoreMem(entry, valFlags, asm.R3, asm.Word),
		asm.JSet.Imm(asm.R2, tcpACK, named("acked")).WithSymbol(named("seen")),
		asm.Ja.Label(named("time")),
		asm.LoadMem(asm.R1, asm.RFP, stackTCP+8, asm.Word).WithSymbol(named("acked")),
		asm.HostTo(asm.BE, asm.R1, asm.Word),
		asm.StoreMem(entry, valAck, asm.R1, asm.Word),
	)
	return append(p,
		asm.FnKtimeGetNs.Call().WithSymbol(named("time")),
		asm.StoreMem(entry, valLast, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, entry, valFirst, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, named("again")),
		asm.StoreMem(entry, valFirst, asm.R0, asm.DWord),
		asm.Ja.Label(named("next")),
		asm.Mov.Reg32(asm.R2, asm.R9).WithSymbol(named("again")), // what is sent again is older
		asm.LoadMem(asm.R1, entry, valNext, asm.Word),
		asm.Sub.Reg32(asm.R2, asm.R1),
		asm.JSLE.Imm32(asm.R2, 0, named("counted")),
		asm.StoreMem(entry, valNext, asm.R9, asm.Word).WithSymbol(named("next")),
		asm.Mov.Imm(asm.R1, 1).WithSymbol(named("counted")),
		asm.AddAtomic.Mem(entry, asm.R1, asm.DWord, valSegs),
		asm.AddAtomic.Mem(entry, payload, asm.DWord, valBytes),
	)
}

// rewrite gives the segment its other address and port, and keeps its sums true
// (RFC 1624). Nothing has been changed before, so a segment that cannot be changed
// is dropped, and sent again.
func rewrite(f family, d direction) (p asm.Instructions) {
	addr, at, portAt := f.src, int16(stackIP+f.src), int32(0)
	if d.rewritten == keyDst {
		addr, at, portAt = f.dst, int16(stackIP+f.dst), 2
	}
	l4 := d.l3 + f.header
	p = append(p, pseudoSum(f, l4+16, at)...)
	p = append(p,
		asm.Mov.Reg(asm.R1, packet),
		asm.Mov.Imm(asm.R2, l4+16),
		asm.LoadMem(asm.R3, asm.RFP, int16(stackTCP+portAt), asm.Half),
		asm.LoadMem(asm.R4, entry, valPort, asm.Half),
		asm.Mov.Imm(asm.R5, 2),
		asm.FnL4CsumReplace.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
	)
	if f.number == 4 {
		p = append(p,
			asm.Mov.Reg(asm.R1, packet),
			asm.Mov.Imm(asm.R2, d.l3+10),
			asm.LoadMem(asm.R3, asm.RFP, at, asm.Word),
			asm.LoadMem(asm.R4, entry, valAddr, asm.Word),
			asm.Mov.Imm(asm.R5, 4),
			asm.FnL3CsumReplace.Call(),
			asm.JNE.Imm(asm.R0, 0, "drop"),
		)
	}
	p = append(p, store(d.l3+addr, entry, valAddr, f.addr)...)
	return append(p, store(l4+portAt, entry, valPort, 2)...)
}

// pseudoSum has the sum at an offset follow the change of the address at a place on
// the stack.
func pseudoSum(f family, sum int32, at int16) asm.Instructions {
	if f.number == 4 {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, packet),
			asm.Mov.Imm(asm.R2, sum),
			asm.LoadMem(asm.R3, asm.RFP, at, asm.Word),
			asm.LoadMem(asm.R4, entry, valAddr, asm.Word),
			asm.Mov.Imm(asm.R5, pseudoHeader|4),
			asm.FnL4CsumReplace.Call(),
			asm.JNE.Imm(asm.R0, 0, "drop"),
		}
	}
	p := asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, int32(at)),
		asm.Mov.Imm(asm.R2, f.addr),
		asm.Mov.Reg(asm.R3, entry), // valAddr is 0
		asm.Mov.Imm(asm.R4, f.addr),
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
			asm.Mov.Imm(asm.R5, flags),
			asm.FnL4CsumReplace.Call(),
			asm.JEq.Imm(asm.R0, 0, "summed"),
		)
	}
	return append(p, asm.Ja.Label("drop"), asm.Mov.Imm(asm.R1, 0).WithSymbol("summed"))
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
