package offload

import (
	"time"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A segment that a router has cut says in its first piece only which flow it is of.
// The program that sees that notes the packet's number, and the pieces behind it
// get its address, too: the app's kernel puts them together. A piece that overtakes
// the first one is lost, and the segment sent again. Of IPv6, where senders cut,
// TCP is never in pieces.
const (
	maxCut  = 4096            // packets under way; the oldest are forgotten
	cutFor  = 2 * time.Second // after that a number may be another packet's
	cutSize = 16
)

// cutKey is what all pieces of a packet have (RFC 791 3.2).
type cutKey struct {
	Src, Dst [4]byte
	ID       [2]byte
	Way      uint16 // keySrc or keyDst: which program it is about
	Unused   uint32
}

// Offsets in cutKey.
const (
	cutSrc = 0
	cutDst = 4
	cutID  = 8
	cutWay = 10
)

// laterPiece is where a piece goes that is not the first.
const laterPiece = "later"

// cutOf builds a piece's key on the stack, R2 points to it, and R1 to the map.
func (d direction) cutOf(f family, cut int) (p asm.Instructions) {
	p = append(p, move(stackIP+int16(f.src), stackCut+cutSrc)...)
	p = append(p, move(stackIP+int16(f.dst), stackCut+cutDst)...)
	return append(p,
		asm.LoadMem(asm.R1, asm.RFP, stackIP+4, asm.Half),
		asm.StoreMem(asm.RFP, stackCut+cutID, asm.R1, asm.Half),
		asm.StoreImm(asm.RFP, stackCut+cutWay, int64(d.rewritten), asm.Half),
		asm.StoreImm(asm.RFP, stackCut+cutSize-4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, cut),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackCut),
	)
}

// begun notes the packet that a first piece is of, with what becomes of it.
func (v variant) begun(cut int, d direction) asm.Instructions {
	if v.number == 6 || v.transport.number != unix.IPPROTO_TCP {
		return nil
	}
	const moreFragments = 0x20 // in the header's seventh byte
	p := asm.Instructions{
		asm.LoadMem(asm.R1, asm.RFP, stackIP+6, asm.Byte),
		asm.JSet.Imm(asm.R1, moreFragments, v.label("cut")),
		asm.Ja.Label(v.label("uncut")),
	}
	p = append(p, label(v.label("cut"), d.cutOf(v.family, cut))...)
	return append(p,
		asm.Mov.Reg(asm.R3, entry),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(), // fails: the other pieces go where they went before
		asm.Mov.Imm(asm.R1, 0).WithSymbol(v.label("uncut")),
	)
}

// later is what becomes of pieces behind the first: that has been counted.
func later(f family, cut int, d direction) asm.Instructions {
	p := append(d.cutOf(f, cut),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.Mov.Reg(entry, asm.R0),
		asm.FnKtimeGetNs.Call(),
		asm.LoadMem(asm.R1, entry, valLast, asm.DWord),
		asm.Sub.Reg(asm.R0, asm.R1),
		asm.JGT.Imm(asm.R0, int32(cutFor), "next"),
	)
	p = append(p, d.arrived()...)
	p = append(p, readdress(f, d)...)
	return append(p, d.onward(f)...)
}
