package dns

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// one runs a server on one domain with one resolver.
func one(t *testing.T, u upstream, f func(t *testing.T, s *Server, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.at(fiber, 0, u)
		s, stop := start(t, w, nil)
		defer stop()
		f(t, s, w)
	})
}

func TestWhatTheResolverIsAsked(t *testing.T) {
	for _, bits := range []struct{ do, cd, ad, rd bool }{{}, {do: true, rd: true}, {cd: true, rd: true}, {ad: true, rd: true}} {
		one(t, answers("wWw.eXample.net. 60 IN A 203.0.113.80"), func(t *testing.T, s *Server, w *world) {
			t.Helper()
			q := query("wWw.eXample.net.", wire.TypeA)
			q.SetEdns0(512, bits.do)
			q.Extra = q.Extra[1:]
			q.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_NSID{Code: wire.EDNS0NSID}}
			q.CheckingDisabled, q.AuthenticatedData, q.RecursionDesired = bits.cd, bits.ad, bits.rd
			got := ask(t, s, q)
			up := w.last()
			opt := up.IsEdns0()
			if up.Question[0].Name != "wWw.eXample.net." || got.Question[0].Name != "wWw.eXample.net." {
				t.Errorf("spelling changed: asked %s, answered %s", up.Question[0].Name, got.Question[0].Name)
			}
			if opt == nil || opt.UDPSize() != 1232 || opt.Do() != bits.do || len(opt.Option) != 0 {
				t.Errorf("EDNS to the resolver is %v, want our own with the client's DO", opt)
			}
			if up.CheckingDisabled != bits.cd || !up.AuthenticatedData || up.RecursionDesired != bits.rd {
				t.Errorf("flags changed on the way: %+v", up.MsgHdr)
			}
			if got.Id != q.Id || !got.Response || got.CheckingDisabled != bits.cd || got.RecursionDesired != bits.rd {
				t.Errorf("the client's header is %+v", got.MsgHdr)
			}
		})
	}
}

func TestIdsAreFresh(t *testing.T) {
	one(t, answers(good), func(t *testing.T, s *Server, w *world) {
		t.Helper()
		ids := make(map[uint16]bool)
		for i := range 20 {
			q := query(fmt.Sprintf("n%d.example.net.", i), wire.TypeA)
			q.Id = 4711
			ask(t, s, q)
			ids[w.last().Id] = true
		}
		if len(ids) < 19 {
			t.Errorf("20 queries went out with %d ids, want random ones", len(ids))
		}
	})
}

func TestADOnlyForThoseWhoAsk(t *testing.T) {
	authentic := func(_ string, q *wire.Msg) [][]byte {
		m := respond(q, wire.RcodeSuccess, good)
		m.AuthenticatedData = true
		return packed(m)
	}
	one(t, authentic, func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		if ask(t, s, query("www.example.net.", wire.TypeA)).AuthenticatedData {
			t.Error("AD is set for a client that did not ask (RFC 6840 5.8)")
		}
		q := query("www.example.net.", wire.TypeA)
		q.AuthenticatedData = true
		if !ask(t, s, q).AuthenticatedData {
			t.Error("AD is lost for a client that asked")
		}
	})
}

// many returns n address records of one name.
func many(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("www.example.net. 60 IN AAAA 2001:db8:ffff::%x", i+1))
	}
	return out
}

func TestCutAnswerIsFetchedOverTCP(t *testing.T) {
	cut := func(network string, q *wire.Msg) [][]byte {
		m := respond(q, wire.RcodeSuccess, many(100)...)
		if network == "udp" {
			m.Truncate(1232)
		}
		return packed(m)
	}
	one(t, cut, func(t *testing.T, s *Server, w *world) {
		t.Helper()
		got := ask(t, s, query("www.example.net.", wire.TypeAAAA))
		want := []string{"fiber 192.0.2.53 udp", "fiber 192.0.2.53 tcp"}
		if diff := cmp.Diff(want, w.seen()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		got.Compress = true
		if !got.Truncated || got.Len() <= 512 || got.Len() > 1232 {
			t.Errorf("the UDP client got %d bytes, tc=%v, want as much as fits and TC", got.Len(), got.Truncated)
		}
		plain := new(wire.Msg)
		plain.SetQuestion("www.example.net.", wire.TypeAAAA)
		got = ask(t, s, plain)
		got.Compress = true
		if b, _ := got.Pack(); !got.Truncated || len(b) > 512 || got.IsEdns0() != nil {
			t.Errorf("a client without EDNS got %d bytes, tc=%v, opt=%v", len(b), got.Truncated, got.IsEdns0())
		}
		answer := overTCP(t, s, query("www.example.net.", wire.TypeAAAA))
		if answer.Truncated || len(answer.Answer) != 100 {
			t.Errorf("the TCP client got %d records, tc=%v, want all", len(answer.Answer), answer.Truncated)
		}
	})
}

func TestServerWithoutEDNSIsAskedPlainly(t *testing.T) {
	for _, rcode := range []int{wire.RcodeFormatError, wire.RcodeNotImplemented, wire.RcodeBadVers} {
		old := func(_ string, q *wire.Msg) [][]byte {
			if q.IsEdns0() == nil {
				return packed(respond(q, wire.RcodeSuccess, good))
			}
			m := respond(q, rcode)
			if rcode != wire.RcodeBadVers {
				m.Extra = nil
				m.Question = nil // old servers return the bare header
			}
			return packed(m)
		}
		one(t, old, func(t *testing.T, s *Server, w *world) {
			t.Helper()
			for _, name := range []string{"www.example.net.", "ftp.example.net."} {
				if got := ask(t, s, query(name, wire.TypeA)); len(got.Answer) != 1 {
					t.Errorf("after %s: %s", wire.RcodeToString[rcode], brief(got))
				}
			}
			if n := len(w.seen()); n != 3 {
				t.Errorf("%d queries for two questions, want 3: what was learnt is forgotten", n)
			}
		})
	}
}

// forged are datagrams that must not be taken for the answer to q.
func forged(q *wire.Msg) [][]byte {
	change := func(f func(*wire.Msg)) []byte {
		m := respond(q, wire.RcodeSuccess, "www.example.net. 60 IN A 192.0.2.66")
		f(m)
		return packed(m)[0]
	}
	return [][]byte{
		change(func(m *wire.Msg) { m.Id++ }),
		change(func(m *wire.Msg) { m.Response = false }),
		change(func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }),
		change(func(m *wire.Msg) { m.Question[0].Name = "www.example.org." }),
		change(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeAAAA }),
		change(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS }),
		change(func(m *wire.Msg) { m.Question = nil }),
		change(func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		{0, 1, 2},
		change(func(*wire.Msg) {})[:headerLen],
	}
}

func TestForgedAnswersArePassedOver(t *testing.T) {
	attacked := func(n string, q *wire.Msg) [][]byte {
		return append(forged(q), answers(good)(n, q)...)
	}
	one(t, attacked, func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		got := ask(t, s, query("www.example.net.", wire.TypeA))
		if want := "NOERROR; www.example.net. 60 IN A 203.0.113.80"; brief(got) != want {
			t.Errorf("got %q, want %q", brief(got), want)
		}
		if n := s.Drops()["spoofed"]; n != 10 {
			t.Errorf("%d forged answers were counted, want 10", n)
		}
	})
}

func TestFloodOfForgedAnswersLeadsToTCP(t *testing.T) {
	flood := func(network string, q *wire.Msg) [][]byte {
		if network == "tcp" {
			return answers(good)(network, q)
		}
		var out [][]byte
		for range 10 {
			out = append(out, forged(q)...)
		}
		return out
	}
	one(t, flood, func(t *testing.T, s *Server, w *world) {
		t.Helper()
		if got := ask(t, s, query("www.example.net.", wire.TypeA)); len(got.Answer) != 1 {
			t.Errorf("got %s, want the answer over TCP", brief(got))
		}
	})
}

// loop is an answer whose name points to itself.
func loop(q *wire.Msg) []byte {
	b := packed(respond(q, wire.RcodeSuccess))[0]
	binary.BigEndian.PutUint16(b[6:], 1)
	at := len(b) - 11 // before the OPT record
	rr := []byte{0xc0, byte(at), 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 66}
	return append(b[:at:at], append(rr, b[at:]...)...)
}

// bomb is a TCP answer that would take a hundred times its size in memory.
func bomb(q *wire.Msg) []byte {
	m := respond(q, wire.RcodeSuccess)
	m.Extra = nil
	b := packed(m)[0]
	owner := len(b)
	long := strings.Repeat(strings.Repeat("\\001", 63)+".", 3) + "x."
	name := make([]byte, 256)
	off, err := wire.PackDomainName(long, name, 0, nil, false)
	if err != nil {
		panic(err)
	}
	b = append(b, name[:off]...)
	b = append(b, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 66)
	n := 1
	for len(b) < 65000 {
		b = append(b, 0xc0, byte(owner), 0, 99, 0, 1, 0, 0, 0, 60, 0, 0)
		n++
	}
	binary.BigEndian.PutUint16(b[6:], uint16(n))
	return b
}

const wrong = "www.example.net. 60 IN A 192.0.2.66"

func TestBadAnswersAreFailures(t *testing.T) {
	tests := map[string]func(q *wire.Msg) []byte{
		"truncated":       func(q *wire.Msg) []byte { b := packed(respond(q, 0, wrong))[0]; return b[:len(b)-14] },
		"cut at a record": func(q *wire.Msg) []byte { b := packed(respond(q, 0, wrong))[0]; return b[:len(b)-11] },
		"looping name":    loop,
		"bomb":            bomb,
		"oversize":        func(q *wire.Msg) []byte { return packed(respond(q, 0, many(2000)...))[0] },
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fiber := domain(1, "fiber", "192.0.2.53", "192.0.2.54")
				w := newWorld(fiber)
				w.at(fiber, 0, func(_ string, q *wire.Msg) [][]byte { return [][]byte{bad(q)} })
				w.at(fiber, 1, answers(good))
				s, stop := start(t, w, nil)
				defer stop()
				begun := time.Now()
				got := ask(t, s, query("www.example.net.", wire.TypeA))
				if want := "NOERROR; www.example.net. 60 IN A 203.0.113.80"; brief(got) != want {
					t.Errorf("got %q, want the second server's %q", brief(got), want)
				}
				if took := time.Since(begun); took > 0 {
					t.Errorf("took %v: a bad answer is a failure at once", took)
				}
			})
		})
	}
}

func TestResolverThatClosesOrHangsOnTCP(t *testing.T) {
	for name, overTCP := range map[string]upstream{
		"hangs":          silent,
		"another answer": func(_ string, q *wire.Msg) [][]byte { return forged(q)[:1] },
		"bomb":           func(_ string, q *wire.Msg) [][]byte { return [][]byte{bomb(q)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fiber, lte := domain(1, "fiber", "192.0.2.53"), domain(2, "lte", "198.51.100.53")
				w := newWorld(fiber, lte)
				w.at(fiber, 0, func(network string, q *wire.Msg) [][]byte {
					if network == "tcp" {
						return overTCP(network, q)
					}
					m := respond(q, wire.RcodeSuccess)
					m.Truncated = true
					return packed(m)
				})
				w.at(lte, 0, answers(good))
				s, stop := start(t, w, nil)
				defer stop()
				if got := ask(t, s, query("www.example.net.", wire.TypeA)); len(got.Answer) != 1 {
					t.Errorf("got %s, want the next domain's answer", brief(got))
				}
			})
		})
	}
}

func TestTTLCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.choice = Choice{Domains: []*pvd.Domain{fiber}, MaxTTL: 30 * time.Second}
		w.at(fiber, 0, answers("www.example.net. 3600 IN A 203.0.113.80", "www.example.net. 7 IN A 203.0.113.81", "www.example.net. 4294967295 IN A 203.0.113.82"))
		s, stop := start(t, w, nil)
		defer stop()
		got := ask(t, s, query("www.example.net.", wire.TypeA))
		var ttls []uint32
		for _, rr := range got.Answer {
			ttls = append(ttls, rr.Header().Ttl)
		}
		if diff := cmp.Diff([]uint32{30, 7, 0}, ttls); diff != "" {
			t.Errorf("TTLs (-want +got):\n%s", diff)
		}
		if opt := got.IsEdns0(); opt == nil || opt.Version() != 0 {
			t.Errorf("the cap spoilt the OPT record: %v", opt)
		}
	})
}
