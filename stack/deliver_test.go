package stack

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"mifvif/packet"
	"mifvif/tun"
)

// app keeps what the stack sends to it.
type app struct {
	mu   sync.Mutex
	sent [][]byte
}

func (a *app) Write(_ tun.Header, bufs ...[]byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b []byte
	for _, p := range bufs {
		b = append(b, p...)
	}
	a.sent = append(a.sent, b)
	return nil
}

func newStack(tb testing.TB, handler func(*Request)) (*Stack, *app) {
	tb.Helper()
	s, out, stop := newStopped(tb, handler)
	tb.Cleanup(stop)
	return s, out
}

// newStopped is newStack that the caller stops.
func newStopped(tb testing.TB, handler func(*Request)) (s *Stack, out *app, stop func()) {
	tb.Helper()
	out = &app{}
	s, err := New(Config{MTU: 1500, Pending: 8, PerSource: 0.5}, out, handler, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	return s, out, func() { cancel(); wg.Wait() }
}

// segment4 builds a TCP segment with a right checksum.
func segment4(src, dst string, sport uint16, flags header.TCPFlags) []byte {
	i := packet.Info{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: 6, TTL: 64}
	b := packet.AppendIP(nil, i, header.TCPMinimumSize)
	l4 := len(b)
	b = append(b, make([]byte, header.TCPMinimumSize)...)
	header.TCP(b[l4:]).Encode(&header.TCPFields{SrcPort: sport, DstPort: 80, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: flags, WindowSize: 65535})
	sum := packet.Sum(b[l4:], packet.PseudoSum(i.Src, i.Dst, 6, header.TCPMinimumSize))
	binary.BigEndian.PutUint16(b[l4+16:], ^sum)
	return b
}

func TestPendingIsBoundedPerSource(t *testing.T) {
	hold := make(chan struct{})
	var mu sync.Mutex
	begun := 0
	s, _ := newStack(t, func(*Request) {
		mu.Lock()
		begun++
		mu.Unlock()
		<-hold
	})
	for port := range uint16(20) {
		s.Deliver(tun.Header{}, segment4("198.18.0.1", "203.0.113.80", 1000+port, header.TCPFlagSyn))
	}
	s.pending.mu.Lock()
	open := len(s.pending.open)
	s.pending.mu.Unlock()
	if open != 4 || s.Stats()["tcp_pending"] != 16 {
		t.Errorf("%d attempts of one source under way, %v; want half of 8", open, s.Stats())
	}
	close(hold)
}

func TestRSTOfTheAppEndsTheAttempt(t *testing.T) {
	gone := make(chan struct{})
	s, _ := newStack(t, func(r *Request) {
		ctx, cancel := r.Under(context.Background(), time.Minute)
		defer cancel()
		<-ctx.Done()
		close(gone)
	})
	s.Deliver(tun.Header{}, segment4("198.18.0.1", "203.0.113.80", 1000, header.TCPFlagSyn))
	s.Deliver(tun.Header{}, segment4("198.18.0.1", "203.0.113.80", 1000, header.TCPFlagRst))
	<-gone
}

// TestSYNsAreResetWhenTheStackStops: one that is being answered, one that comes before
// everything has ended, and one that comes after.
func TestSYNsAreResetWhenTheStackStops(t *testing.T) {
	begun, hold := make(chan struct{}), make(chan struct{})
	s, out, stop := newStopped(t, func(r *Request) {
		ctx, cancel := r.Under(context.Background(), time.Minute)
		defer cancel()
		close(begun)
		<-ctx.Done()
		s := r.stack
		s.Deliver(tun.Header{}, segment4("198.18.0.1", "203.0.113.80", 2000, header.TCPFlagSyn))
		close(hold)
	})
	s.Deliver(tun.Header{}, segment4("198.18.0.1", "203.0.113.80", 1000, header.TCPFlagSyn))
	<-begun
	stop()
	<-hold
	s.Deliver(tun.Header{}, segment4("198.18.0.1", "203.0.113.80", 3000, header.TCPFlagSyn))
	out.mu.Lock()
	defer out.mu.Unlock()
	told := make(map[uint16]bool)
	for _, b := range out.sent {
		if h := header.TCP(b[20:]); h.Flags().Contains(header.TCPFlagRst) && h.AckNumber() == 2 {
			told[h.DestinationPort()] = true
		}
	}
	if !told[1000] || !told[2000] || !told[3000] {
		t.Errorf("RSTs to the ports %v, want 1000, 2000 and 3000", told)
	}
}

func TestUnknownConnectionsAreReset(t *testing.T) {
	s, out := newStack(t, func(*Request) {})
	s.Deliver(tun.Header{}, segment4("198.18.0.1", "203.0.113.80", 1000, header.TCPFlagAck))
	out.mu.Lock()
	defer out.mu.Unlock()
	if len(out.sent) != 1 || !header.TCP(out.sent[0][20:]).Flags().Contains(header.TCPFlagRst) {
		t.Errorf("%d packets, want one RST", len(out.sent))
	}
}

func TestWrongChecksumsAreDroppedAndCounted(t *testing.T) {
	s, out := newStack(t, func(*Request) {})
	b := segment4("198.18.0.1", "203.0.113.80", 1000, header.TCPFlagAck)
	b[38]++
	s.Deliver(tun.Header{}, b)
	if len(out.sent) != 0 || s.Stats()["tcp_checksum"] != 1 {
		t.Errorf("sent %d, counted %v", len(out.sent), s.Stats())
	}
	s.Deliver(tun.Header{}, b[:30])
	if s.Stats()["tcp_malformed"] != 1 {
		t.Errorf("counted %v", s.Stats())
	}
}

func FuzzDeliver(f *testing.F) {
	f.Add(segment4("198.18.0.1", "203.0.113.80", 1000, header.TCPFlagSyn), true)
	f.Add(segment4("198.18.0.1", "203.0.113.80", 1000, header.TCPFlagAck), false)
	s, _ := newStack(f, func(r *Request) { r.Refuse(Reset) })
	f.Fuzz(func(_ *testing.T, b []byte, partial bool) {
		s.Deliver(tun.Header{NeedsChecksum: partial}, b)
	})
}
