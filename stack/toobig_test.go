package stack_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"mifvif/lab/labtest"
	"mifvif/packet"
)

// TestSegmentsFitTheSmallestLink: a router between mif0 and the app says that
// segments are too big, and the next ones are smaller.
func TestSegmentsFitTheSmallestLink(t *testing.T) {
	labtest.InNamespace(t, func() {
		w := newWorld(t, toLoopback(makeDialer(t, "127.0.0.1")))
		const size = 1 << 20
		srv := server(t, func(c *net.TCPConn) { // a megabyte for each byte
			defer c.Close()
			var b [1]byte
			for {
				if _, err := c.Read(b[:]); err != nil {
					return
				}
				_, _ = io.CopyN(c, zeros{}, size)
			}
		})
		for _, test := range []struct {
			host      string
			about     uint8
			mtu, want int // 0: not believed
		}{
			{"203.0.113.80", 6, 1300, 1300 - 40},
			{"203.0.113.80", 6, 551, 0},
			{"203.0.113.80", 17, 1300, 0},
			{"2001:db8:ff::80", 6, 1400, 1400 - 60},
			{"2001:db8:ff::80", 6, 1279, 0},
			{"2001:db8:ff::80", 17, 1400, 0},
		} {
			dst := netip.AddrPortFrom(netip.MustParseAddr(test.host), srv.Port())
			c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(dst))
			if err != nil {
				t.Errorf("connect through mif0 to %s: %v", test.host, err)
				return
			}
			defer c.Close()
			before := fetch(t, c, size)
			src := c.LocalAddr().(*net.TCPAddr).AddrPort()
			tooBig := packet.TooBigError(test.mtu, dst.Addr().Is6())
			tooBig.From = src.Addr()
			took := w.stack.TooBig(packet.AppendError(nil, tooBig, sent(test.about, dst, src)))
			switch after := fetch(t, c, size); {
			case took != (test.want > 0):
				t.Errorf("%s: an MTU of %d was taken: %v", test.host, test.mtu, took)
			case test.want == 0 && after != before:
				t.Errorf("%s: segments of %d bytes, want %d as before", test.host, after, before)
			case test.want > 0 && (after > test.want || after < test.want-40): // options
				t.Errorf("%s: segments of %d bytes with an MTU of %d, before %d", test.host, after, test.mtu, before)
			}
		}
	})
}

// fetch reads so many bytes and returns how large their segments were.
func fetch(t *testing.T, c *net.TCPConn, size int64) int {
	t.Helper()
	_, err := c.Write([]byte("x"))
	if err == nil {
		_, err = io.CopyN(io.Discard, c, size)
	}
	raw, rawErr := c.SyscallConn()
	if err != nil || rawErr != nil {
		t.Errorf("fetch %d bytes: %v, %v", size, err, rawErr)
		return 0
	}
	var info *unix.TCPInfo
	_ = raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		t.Error(err)
		return 0
	}
	return int(info.Rcv_mss)
}

// sent returns the beginning of a segment as a router quotes it.
func sent(proto uint8, src, dst netip.AddrPort) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, src.Port())
	binary.BigEndian.PutUint16(tcp[2:], dst.Port())
	return append(packet.AppendIP(nil, packet.Info{Src: src.Addr(), Dst: dst.Addr(), Proto: proto, TTL: 64}, len(tcp)), tcp...)
}
