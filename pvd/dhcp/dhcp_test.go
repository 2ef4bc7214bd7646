package dhcp

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/bpf"

	"mifvif/packet"
	"mifvif/pvd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTheFilterTakesWhatIsForTheClientsPort plays its programs.
func TestTheFilterTakesWhatIsForTheClientsPort(t *testing.T) {
	udp := func(src, dst string, port uint16) []byte {
		return packet.AppendUDP(nil, packet.Info{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: 67, DstPort: port}, 0)
	}
	with := func(b []byte, at int, v byte) []byte {
		b = slices.Clone(b)
		b[at] = v
		return b
	}
	options := slices.Insert(with(udp("10.1.0.1", "10.1.0.2", 68), 0, 0x46), packet.IPv4HeaderLen, 1, 1, 1, 1)
	for _, test := range []struct {
		title, client string
		b             []byte
		want          bool
	}{
		{"IPv4", "0.0.0.0:68", udp("10.1.0.1", "10.1.0.2", 68), true},
		{"IPv4 with options", "0.0.0.0:68", options, true},
		{"IPv4, another port", "0.0.0.0:68", udp("10.1.0.1", "10.1.0.2", 69), false},
		{"IPv4, a first fragment", "0.0.0.0:68", with(udp("10.1.0.1", "10.1.0.2", 68), 6, 0x20), false},
		{"IPv4, a later fragment", "0.0.0.0:68", with(udp("10.1.0.1", "10.1.0.2", 68), 7, 1), false},
		{"IPv4, TCP", "0.0.0.0:68", with(udp("10.1.0.1", "10.1.0.2", 68), 9, 6), false},
		{"IPv4, cut off", "0.0.0.0:68", udp("10.1.0.1", "10.1.0.2", 68)[:21], false},
		{"IPv6", "[fe80::2]:546", udp("fe80::1", "fe80::2", 546), true},
		{"IPv6, another port", "[fe80::2]:546", udp("fe80::1", "fe80::2", 547), false},
		{"IPv6, TCP", "[fe80::2]:546", with(udp("fe80::1", "fe80::2", 546), 6, 6), false},
		{"IPv6, cut off", "[fe80::2]:546", udp("fe80::1", "fe80::2", 546)[:41], false},
	} {
		vm, err := bpf.NewVM(hears(netip.MustParseAddrPort(test.client)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := vm.Run(test.b); err != nil || (n > 0) != test.want {
			t.Errorf("%s: %d octets are heard (%v), want any: %v", test.title, n, err, test.want)
		}
	}
}

func TestAQuestionIsFromTheClientAndStaysOnTheLink(t *testing.T) {
	for _, test := range []struct {
		src, dst, client, from string
		ttl                    uint8
	}{
		{"", "255.255.255.255", "0.0.0.0:68", "0.0.0.0", 64},
		{"10.1.0.2", "10.1.0.1", "0.0.0.0:68", "10.1.0.2", 64},
		{"", "ff02::1:2", "[fe80::2]:546", "fe80::2", 1},
	} {
		f := Frame{Dst: netip.MustParseAddr(test.dst), Payload: []byte("what is there?")}
		if test.src != "" {
			f.Src = netip.MustParseAddr(test.src)
		}
		client := netip.MustParseAddrPort(test.client)
		b := datagram(f, client, 67)
		info, err := packet.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", test.dst, err)
		}
		if info.Src.String() != test.from || info.Dst != f.Dst || info.SrcPort != client.Port() || info.DstPort != 67 || info.TTL != test.ttl || !packet.UDPSound(&info, b) || string(info.Payload(b)) != "what is there?" {
			t.Errorf("%s: sent %+v", test.dst, info)
		}
	}
}

// TestHearingIsBounded has servers answer that are named by the frames' first byte
// at the times in seconds.
func TestHearingIsBounded(t *testing.T) {
	for _, test := range []struct {
		title, frames string
		limit         int
		want          string
		after         time.Duration
	}{
		{"nobody", "", 4, "", 5 * time.Second},
		{"no answers", "xx", 4, "", 5 * time.Second},
		{"the first", "xab", 1, "a", 0},
		{"one twice, and another", "aab", 4, "ab", time.Second},
		{"as many as are heard", "abcdef", 4, "abcd", 0},
		{"a flood before", strings.Repeat("x", MaxFrames) + "a", 4, "", 5 * time.Second},
		{"a flood after", "a" + strings.Repeat("a", MaxFrames) + "b", 4, "a", time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &Port{Frames: make(chan Frame, 256)}
			for i := range len(test.frames) {
				p.Frames <- Frame{Payload: []byte{test.frames[i]}}
			}
			read := func(f Frame) (byte, netip.Addr, bool) {
				c := f.Payload[0]
				return c, netip.AddrFrom4([4]byte{c}), c != 'x'
			}
			began, got := time.Now(), ""
			ok := Hear(t.Context(), p, 5*time.Second, test.limit, read, func(c byte, server netip.Addr) {
				if server != netip.AddrFrom4([4]byte{c}) {
					t.Errorf("%s: %c is said to be of %v", test.title, c, server)
				}
				got += string(c)
			})
			if got != test.want || ok != (got != "") || time.Since(began) != test.after {
				t.Errorf("%s: %q after %v (%v), want %q after %v", test.title, got, time.Since(began), ok, test.want, test.after)
			}
		})
	}
}

func TestLinksAreWorkedOnOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		say := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, s)
		}
		l := NewLinks[string]()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- l.Run(ctx, func(ctx context.Context, link string) {
				say("work on " + link)
				<-ctx.Done()
				say("leave " + link)
			})
		}()
		for _, links := range [][]string{{"a"}, {"a"}, {"a", "b"}, {"b"}} {
			l.Watch(links)
			synctest.Wait()
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{"work on a", "work on b", "leave a", "leave b"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatAServerNoLongerSaysIsTakenBack(t *testing.T) {
	var got []string
	s := Servers{Origin: pvd.FromDHCPv6, Ifindex: 2, Deliver: func(r pvd.Report) {
		w := r.Sender.String()
		if !r.Until.IsZero() && r.Until.Equal(r.Received) && r.Origin == pvd.FromDHCPv6 && r.Ifindex == 2 {
			w += " no more"
		}
		got = append(got, w)
	}}
	a, b := netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b")
	for i, server := range []netip.Addr{a, b, a} {
		if first := s.Say(pvd.Report{Sender: server}); first != (i < 2) {
			t.Errorf("report %d is the first of %v: %v", i, server, first)
		}
	}
	s.Keep(b)
	s.Keep()
	s.Keep()
	want := []string{"fe80::a", "fe80::b", "fe80::a", "fe80::a no more", "fe80::b no more"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
