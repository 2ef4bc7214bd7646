package offload

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"mifvif/lab"
	"mifvif/lab/labtest"
	heads "mifvif/packet"
)

// pieces cuts a packet of a server's into three, of which the first is header bytes
// and eight of data.
func pieces(whole []byte, id uint16) (all [][]byte) {
	const first, next = heads.TCPHeaderLen + 12, 40
	data := whole[heads.IPv4HeaderLen:]
	for from := 0; from < len(data); {
		to := min(from+next, len(data))
		if from == 0 {
			to = first
		}
		place := uint16(from / 8)
		if to < len(data) {
			place |= 0x2000
		}
		p := append(append([]byte(nil), whole[:heads.IPv4HeaderLen]...), data[from:to]...)
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[4:], id)
		binary.BigEndian.PutUint16(p[6:], place)
		binary.BigEndian.PutUint16(p[10:], 0)
		binary.BigEndian.PutUint16(p[10:], ^heads.Sum(p[:heads.IPv4HeaderLen], 0))
		all, from = append(all, p), to
	}
	return all
}

// segment is one with data and true sums.
func segment(from, to netip.AddrPort) []byte {
	p := append(heads.AppendAck(nil, from, to, 7, 9), bytes.Repeat([]byte("data"), 25)...)
	heads.ReaddressSYN(p, from, 0xffff, true)
	return p
}

func TestAllPiecesGetTheAppsAddress(t *testing.T) {
	o := loaded(t, flow4)
	got, want := pieces(segment(flow4.Dst, flow4.Source), 5), pieces(segment(flow4.Dst, flow4.App), 5)
	for i, p := range got {
		if verdict, q := o.received(t, p); verdict != redirected || !bytes.Equal(q, want[i]) {
			t.Errorf("piece %d: verdict %d\n% x, want\n% x", i, verdict, q, want[i])
		}
	}
	if side := o.Traffic(flow4).Rx; side.Segments != 1 {
		t.Errorf("%d segments are counted", side.Segments)
	}
	strange := pieces(segment(netip.MustParseAddrPort("203.0.113.9:80"), flow4.Source), 5)
	for what, p := range map[string][]byte{"another number": pieces(segment(flow4.Dst, flow4.Source), 6)[1], "another server's": strange[1], "its first piece": strange[0]} {
		if verdict, q := o.received(t, p); verdict != verdictNext || !bytes.Equal(p, q) {
			t.Errorf("%s: verdict %d", what, verdict)
		}
	}
	var k cutKey
	var v value
	if entries := o.cut.Iterate(); !entries.Next(&k, &v) {
		t.Fatal("nothing is noted")
	}
	v.Last -= uint64(3 * time.Second)
	if err := o.cut.Update(k, v, ebpf.UpdateExist); err != nil {
		t.Fatal(err)
	}
	if verdict, _ := o.received(t, got[1]); verdict != verdictNext {
		t.Errorf("three seconds later the verdict is %d", verdict)
	}
}

// TestAllPiecesLeaveByTheUplink has what a LAN's host sends in pieces come out of mif0.
func TestAllPiecesLeaveByTheUplink(t *testing.T) {
	labtest.Need(t)
	w := lab.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { labtest.Must(t, w.Close()) })
	host, err := w.NewNode("h")
	labtest.Must(t, err)
	router, err := w.NewNode("r")
	labtest.Must(t, err)
	labtest.Must(t, w.Veth(lab.End{Node: host, Link: "e1"}, lab.End{Node: router, Link: "e1"}, 1500))
	_, err = w.Wire(lab.End{Node: host, Link: "mif0"}, lab.End{Node: router, Link: "unused"}, lab.WireConfig{PointToPoint: true})
	labtest.Must(t, err)
	labtest.Must(t, host.AddAddress("e1", netip.PrefixFrom(flow4.Source.Addr(), 32)))
	labtest.Must(t, router.AddAddress("e1", netip.PrefixFrom(flow4.Dst.Addr(), 32)))
	f := flow4
	f.Ifindex, err = host.LinkIndex("e1")
	labtest.Must(t, err)
	o := loaded(t, f)
	o.device, err = host.LinkIndex("mif0")
	labtest.Must(t, err)
	labtest.Must(t, host.Do(func() error { return o.hang(o.device, o.egress, ebpf.AttachTCXEgress) }))
	came, err := router.Capture("e1", func(r lab.Record) bool {
		return !r.Out && r.Proto == unix.IPPROTO_TCP && r.Src == f.Source.Addr() && r.Dst == f.Dst.Addr()
	})
	labtest.Must(t, err)
	all := pieces(segment(f.App, f.Dst), 5)
	for _, p := range all {
		labtest.Must(t, host.Do(func() error {
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Sendto(fd, p, 0, &unix.SockaddrLinklayer{Ifindex: o.device, Protocol: bigEndian(unix.ETH_P_IP)})
		}))
	}
	labtest.Eventually(t, "all pieces on the uplink", func() bool { return came.Matched() == uint64(len(all)) })
}
