package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"mifvif/flow"
	heads "mifvif/packet"
)

// loaded returns the programs of an Offload that is attached nowhere, with these
// flows in its maps.
func loaded(t *testing.T, flows ...Flow) *Offload {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("programs are loaded by root only")
		}
		t.Skip("programs are loaded by root only")
	}
	o, err := New(1, 1500, 100)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { o.Close() })
	for _, f := range flows {
		if err := o.enter(f); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// received has the uplink's program look at a frame that comes in and returns its
// verdict and the frame behind it.
func (o *Offload) received(t *testing.T, p []byte) (int32, []byte) {
	t.Helper()
	frame := append(make([]byte, 12, 14), 0x08, 0x00)
	if p[0]>>4 == 6 {
		frame = append(frame[:12], 0x86, 0xdd)
	}
	frame = append(frame, p...)
	out := make([]byte, len(frame)+256)
	run := &ebpf.RunOptions{Data: frame, DataOut: out}
	verdict, err := o.ingress.Run(run)
	if err != nil {
		t.Fatal(err)
	}
	return int32(verdict), run.DataOut[ethLen:]
}

var (
	flow4 = Flow{
		Proto: flow.TCP, ID: 1, App: netip.MustParseAddrPort("198.18.0.1:4000"), Dst: netip.MustParseAddrPort("203.0.113.1:80"),
		Source: netip.MustParseAddrPort("10.0.0.2:1025"), Ifindex: loopback,
	}
	flow6 = Flow{
		Proto: flow.TCP, ID: 2, App: netip.MustParseAddrPort("[2001:2::1]:4000"), Dst: netip.MustParseAddrPort("[2001:db8::1]:80"),
		Source: netip.MustParseAddrPort("[2001:db8:1::2]:1025"), Ifindex: loopback,
	}
)

const (
	redirected = 7
	loopback   = 1 // by which what a test has the kernel play comes in
)

func TestAnswersGetTheAppsAddress(t *testing.T) {
	o := loaded(t, flow4, flow6)
	for _, f := range []Flow{flow4, flow6} {
		verdict, got := o.received(t, heads.AppendAck(nil, f.Dst, f.Source, 7, 9))
		if want := heads.AppendAck(nil, f.Dst, f.App, 7, 9); verdict != redirected || !bytes.Equal(got, want) {
			t.Errorf("%v: verdict %d\n% x, want\n% x", f.App, verdict, got, want)
		}
		side := o.Traffic(f).Rx
		if side.Segments != 1 || side.Bytes != 0 || side.Flags != heads.TCPAck || side.Ack != 9 || side.Next != 7 || side.First == 0 {
			t.Errorf("%v: counted %+v", f.App, side)
		}
	}
}

func TestWhatIsNoneOfOursIsLeftAlone(t *testing.T) {
	o := loaded(t, flow4, flow6)
	edit := func(f Flow, change func(p []byte)) []byte {
		p := heads.AppendAck(nil, f.Dst, f.Source, 7, 9)
		change(p)
		return p
	}
	for name, p := range map[string][]byte{
		"another port":           heads.AppendAck(nil, flow4.Dst, netip.MustParseAddrPort("10.0.0.2:1026"), 7, 9),
		"another server":         heads.AppendAck(nil, netip.MustParseAddrPort("203.0.113.2:80"), flow4.Source, 7, 9),
		"a piece without others": edit(flow4, func(p []byte) { p[7] = 1 }),
		"a piece of UDP":         edit(flow4, func(p []byte) { p[6], p[9] = 0x20, 17 }),
		"IP options":             edit(flow4, func(p []byte) { p[0] = 0x46 }),
		"a new connection":       heads.AppendAck(nil, flow4.Dst, netip.AddrPortFrom(flow4.Source.Addr(), 22), 7, 9),
		"UDP":                    edit(flow4, func(p []byte) { p[9] = 17 }),
		"an extension header":    edit(flow6, func(p []byte) { p[6] = 0 }),
		"longer than it is":      edit(flow4, func(p []byte) { p[32] = 0xf0 }),
		"IPv6's address in IPv4": heads.AppendAck(nil, netip.MustParseAddrPort("32.1.13.184:80"), netip.MustParseAddrPort("32.1.13.184:1025"), 7, 9),
	} {
		if verdict, got := o.received(t, p); verdict != verdictNext || !bytes.Equal(got, p) {
			t.Errorf("%s: verdict %d, changed: %v", name, verdict, !bytes.Equal(got, p))
		}
	}
}

// TestTheNumbersThatAreKept plays a connection from the server's side.
func TestTheNumbersThatAreKept(t *testing.T) {
	o := loaded(t, flow4)
	segment := func(seq uint32, flags byte, data int) {
		p := heads.AppendAck(nil, flow4.Dst, flow4.Source, seq, 9)
		p = append(p, make([]byte, data)...)
		p[33] = flags
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		o.received(t, p)
	}
	start := ^uint32(0) - 5 // it wraps
	segment(start, heads.TCPSyn|heads.TCPAck, 0)
	segment(start+1, heads.TCPAck, 100)
	segment(start+101, heads.TCPAck, 100)
	segment(start+1, heads.TCPAck, 100) // again
	got := o.Traffic(flow4).Rx
	if got.Next != start+201 || got.Bytes != 300 || got.Segments != 4 {
		t.Errorf("counted %+v, want the number %d", got, start+201)
	}
	segment(start+201, heads.TCPAck|heads.TCPFin, 10)
	if got = o.Traffic(flow4).Rx; got.End != start+212 || got.Next != got.End || got.Flags != heads.TCPSyn|heads.TCPAck|heads.TCPFin {
		t.Errorf("after FIN %+v, want the number %d", got, start+212)
	}
	segment(start+7, heads.TCPRst, 0)
	if got = o.Traffic(flow4).Rx; got.End != start+7 || got.Next != start+212 || got.Flags&heads.TCPRst == 0 {
		t.Errorf("after RST %+v, want the number %d", got, start+7)
	}
	segment(start+212, heads.TCPAck, 0)
	if got = o.Traffic(flow4).Rx; got.Flags != heads.TCPSyn|heads.TCPAck|heads.TCPFin {
		t.Errorf("who goes on has the flags %x, want no RST", got.Flags)
	}
}

// TestAnythingMayComeIn has the program look at noise behind true headers: it
// neither fails nor touches what it does not redirect.
func TestAnythingMayComeIn(t *testing.T) {
	o := loaded(t, flow4, flow6)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		f := []Flow{flow4, flow6}[r.IntN(2)]
		p := heads.AppendAck(nil, f.Dst, f.Source, 7, 9)
		p = p[:1+r.IntN(len(p))]
		p = append(p, make([]byte, 40)...) // the kernel plays nothing shorter than an IP header
		for range r.IntN(4) {
			p[r.IntN(len(p))] ^= byte(1 << r.IntN(8))
		}
		if p[0]>>4 != 4 && p[0]>>4 != 6 {
			continue
		}
		if verdict, got := o.received(t, p); verdict != redirected && !bytes.Equal(got, p) {
			t.Fatalf("verdict %d and changed: % x", verdict, p)
		}
	}
}

func TestAFlowIsThereUntilItIsDeleted(t *testing.T) {
	o := loaded(t, flow4, flow6)
	if err := o.enter(flow4); err == nil {
		t.Error("a flow was entered twice")
	}
	o.received(t, heads.AppendAck(nil, flow4.Dst, flow4.Source, 7, 9))
	seen := make(map[uint64]Traffic)
	if err := o.All(func(id uint64, p Traffic) { seen[id] = p }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[1].Rx.Segments != 1 || seen[2].Rx.Segments != 0 {
		t.Errorf("all are %+v", seen)
	}
	if last := o.Delete(flow4); last.Rx.Segments != 1 {
		t.Errorf("at the end %+v", last)
	}
	if verdict, _ := o.received(t, heads.AppendAck(nil, flow4.Dst, flow4.Source, 7, 9)); verdict != verdictNext {
		t.Errorf("after its end the verdict is %d", verdict)
	}
	if err := o.enter(flow4); err != nil {
		t.Error(err)
	}
	o.Close()
	if last := o.Delete(flow4); last != (Traffic{}) || o.enter(flow6) == nil || o.All(func(uint64, Traffic) { t.Error("one is seen") }) != nil {
		t.Errorf("after Close: %+v", last)
	}
}

// TestManyAreReadTogether has more flows than one call reads.
func TestManyAreReadTogether(t *testing.T) {
	loaded(t) // skips
	const flows = 3*batchSize + 7
	o, err := New(1, 1500, flows)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for i := range flows {
		f := flow4
		f.ID = uint64(i + 1)
		f.App = netip.AddrPortFrom(f.App.Addr(), uint16(i+1))
		f.Source = netip.AddrPortFrom(f.Source.Addr(), uint16(i+1))
		if err := o.enter(f); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	if err := o.All(func(uint64, Traffic) { seen++ }); err != nil || seen != flows {
		t.Errorf("%d of %d were seen: %v", seen, flows, err)
	}
	if err := o.enter(flow6); !errors.Is(err, unix.E2BIG) {
		t.Errorf("one more: %v", err)
	} else if o.Traffic(flow6).Rx.First != 0 {
		t.Error("half of it is there")
	}
}

func TestOnlyEthernetIsTranslatedTo(t *testing.T) {
	o := loaded(t)
	o.device = 0 // loopback is not mif0
	if err := o.hang(1, o.ingress, ebpf.AttachTCXIngress); err == nil {
		t.Error("a program was attached to loopback")
	}
}
