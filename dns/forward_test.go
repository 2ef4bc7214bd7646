package dns

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

const good = "www.example.net. 60 IN A 203.0.113.80"

func TestFailureGoesOnAndDenialDoesNot(t *testing.T) {
	fiber, lte := domain(1, "fiber", "192.0.2.53", "192.0.2.54"), domain(2, "lte", "198.51.100.53")
	tests := map[string]struct {
		first, second, other upstream
		want                 string
		seen                 []string
	}{
		"first answers":    {answers(good), nil, nil, "NOERROR", []string{"fiber 192.0.2.53 udp"}},
		"denial is final":  {says(wire.RcodeNameError), nil, nil, "NXDOMAIN", []string{"fiber 192.0.2.53 udp"}},
		"no data is final": {answers(), nil, nil, "NOERROR", []string{"fiber 192.0.2.53 udp"}},
		"failure asks the same domain's next": {
			says(wire.RcodeServerFailure), answers(good), nil, "NOERROR",
			[]string{"fiber 192.0.2.53 udp", "fiber 192.0.2.54 udp"},
		},
		"refusal asks the same domain's next": {
			says(wire.RcodeRefused), answers(good), nil, "NOERROR",
			[]string{"fiber 192.0.2.53 udp", "fiber 192.0.2.54 udp"},
		},
		"then the next domain": {
			says(wire.RcodeRefused), says(wire.RcodeServerFailure), answers(good), "NOERROR",
			[]string{"fiber 192.0.2.53 udp", "fiber 192.0.2.54 udp", "lte 198.51.100.53 udp"},
		},
		"silence asks the same domain's next": {
			silent, answers(good), nil, "NOERROR",
			[]string{"fiber 192.0.2.53 udp", "fiber 192.0.2.54 udp"},
		},
		"silence everywhere asks the next domain": {
			silent, silent, answers(good), "NOERROR",
			[]string{"fiber 192.0.2.53 udp", "fiber 192.0.2.54 udp", "lte 198.51.100.53 udp"},
		},
		"everybody fails": {
			says(wire.RcodeRefused), says(wire.RcodeRefused), says(wire.RcodeRefused), "SERVFAIL",
			[]string{"fiber 192.0.2.53 udp", "fiber 192.0.2.54 udp", "lte 198.51.100.53 udp"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(fiber, lte)
				w.at(fiber, 0, tt.first)
				w.at(fiber, 1, tt.second)
				w.at(lte, 0, tt.other)
				s, stop := start(t, w, nil)
				defer stop()
				got := ask(t, s, query("www.example.net.", wire.TypeA))
				if !strings.HasPrefix(brief(got), tt.want) {
					t.Errorf("answer is %s, want %s", brief(got), tt.want)
				}
				if diff := cmp.Diff(tt.seen, w.seen()); diff != "" {
					t.Errorf("wrong resolvers were asked (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSilentNetworksCostNoMoreThanTheStubsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber, lte := domain(1, "fiber", "192.0.2.53"), domain(2, "lte", "198.51.100.53")
		w := newWorld(fiber, lte)
		w.at(fiber, 0, silent)
		w.at(lte, 0, silent)
		s, stop := start(t, w, nil)
		defer stop()
		begun := time.Now()
		got := ask(t, s, query("www.example.net.", wire.TypeA))
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("the answer took %v: the app's stub has given up", took)
		}
		if brief(got) != "SERVFAIL" || reason(got) != 23 {
			t.Errorf("answer is %s with reason %d, want SERVFAIL with 23 (Network Error)", brief(got), reason(got))
		}
	})
}

func TestLateAnswerStillCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sat := domain(1, "sat", "192.0.2.53", "192.0.2.54")
		w := newWorld(sat)
		w.at(sat, 0, after(1300*time.Millisecond, answers(good)))
		w.at(sat, 1, silent)
		s, stop := start(t, w, nil)
		defer stop()
		begun := time.Now()
		if got := ask(t, s, query("www.example.net.", wire.TypeA)); len(got.Answer) != 1 {
			t.Errorf("answer is %s", brief(got))
		}
		if took := time.Since(begun); took > 1400*time.Millisecond {
			t.Errorf("took %v: the first server's answer was not waited for once the second was asked", took)
		}
	})
}

func TestLastNetworkGetsAllTheTimeThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		var delay atomic.Int64
		w.at(fiber, 0, func(n string, q *wire.Msg) [][]byte {
			time.Sleep(time.Duration(delay.Load()))
			return answers(good)(n, q)
		})
		s, stop := start(t, w, nil)
		defer stop()
		ask(t, s, query("www.example.net.", wire.TypeA)) // it is known to be fast
		delay.Store(int64(4 * time.Second))
		if got := ask(t, s, query("www.example.net.", wire.TypeA)); len(got.Answer) != 1 {
			t.Errorf("got %s, want the answer that took 4 s: nobody else can be asked", brief(got))
		}
	})
}

func TestDeadNetworkIsPassedOverAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber, lte := domain(1, "fiber", "192.0.2.53"), domain(2, "lte", "198.51.100.53")
		w := newWorld(fiber, lte)
		var alive atomic.Bool
		w.at(fiber, 0, func(n string, q *wire.Msg) [][]byte {
			if alive.Load() {
				return answers(good)(n, q)
			}
			return nil
		})
		w.at(lte, 0, answers(good))
		s, stop := start(t, w, nil)
		defer stop()
		ask(t, s, query("www.example.net.", wire.TypeA))
		begun := time.Now()
		ask(t, s, query("www.example.net.", wire.TypeA))
		if took := time.Since(begun); took > 0 {
			t.Errorf("the second query took %v, want the dead network passed over", took)
		}
		alive.Store(true)
		time.Sleep(longestPause)
		ask(t, s, query("www.example.net.", wire.TypeA))
		if got := w.seen(); !strings.HasPrefix(got[len(got)-1], "fiber") {
			t.Errorf("after the pause %q was asked, want fiber again", got[len(got)-1])
		}
	})
}

func TestVanishedDomainIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber, lte := domain(1, "fiber", "192.0.2.53"), domain(2, "lte", "198.51.100.53")
		w := newWorld(fiber, lte)
		w.at(fiber, 0, silent)
		w.at(lte, 0, answers(good))
		s, stop := start(t, w, nil)
		defer stop()
		s.Publish(pvd.NewSet([]*pvd.Domain{fiber, lte}))
		begun := time.Now()
		go func() {
			time.Sleep(100 * time.Millisecond)
			s.Publish(pvd.NewSet([]*pvd.Domain{lte}))
		}()
		got := ask(t, s, query("www.example.net.", wire.TypeA))
		if took := time.Since(begun); len(got.Answer) != 1 || took > 150*time.Millisecond {
			t.Errorf("answer %s after %v, want lte's as soon as fiber is gone", brief(got), took)
		}
	})
}

func TestNobodyToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bare := domain(1, "bare")
		only6 := domain(2, "v4only", "2001:db8:ffff::53")
		only6.Addresses = only6.Addresses[:1]
		for name, domains := range map[string][]*pvd.Domain{
			"no domain": nil, "no resolver": {bare}, "resolver of a family without address": {only6},
		} {
			w := newWorld(domains...)
			s, stop := start(t, w, nil)
			got := ask(t, s, query("www.example.net.", wire.TypeA))
			if brief(got) != "SERVFAIL" || reason(got) != 23 {
				t.Errorf("%s: %s with reason %d, want SERVFAIL with 23", name, brief(got), reason(got))
			}
			stop()
		}
	})
}

func TestResolversReasonIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.at(fiber, 0, func(_ string, q *wire.Msg) [][]byte {
			m := respond(q, wire.RcodeServerFailure)
			m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_EDE{InfoCode: wire.ExtendedErrorCodeDNSBogus}}
			return packed(m)
		})
		s, stop := start(t, w, nil)
		defer stop()
		if got := ask(t, s, query("www.example.net.", wire.TypeA)); reason(got) != 6 {
			t.Errorf("reason is %d, want the resolver's 6 (DNSSEC Bogus)", reason(got))
		}
	})
}

func TestReferralIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53", "192.0.2.54")
		w := newWorld(fiber)
		w.at(fiber, 0, func(_ string, q *wire.Msg) [][]byte {
			m := respond(q, wire.RcodeSuccess)
			m.RecursionAvailable = false
			ns, _ := wire.NewRR("net. 60 IN NS a.gtld-servers.net.")
			m.Ns = []wire.RR{ns}
			return packed(m)
		})
		w.at(fiber, 1, answers(good))
		s, stop := start(t, w, nil)
		defer stop()
		if got := ask(t, s, query("www.example.net.", wire.TypeA)); len(got.Answer) != 1 {
			t.Errorf("answer is %s, want the second server's", brief(got))
		}
	})
}

func TestRunEndsWithItsQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.at(fiber, 0, silent)
		s, stop := start(t, w, nil)
		b, _ := query("www.example.net.", wire.TypeA).Pack()
		s.ServeUDP(b, app(), func([]byte) {})
		time.Sleep(10 * time.Millisecond)
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Run took %v to end after its context", took)
		}
		s.ServeUDP(b, app(), func([]byte) { t.Error("a stopped server answers") })
		if s.Drops()["stopped"] != 1 {
			t.Error("a query to a stopped server is not counted")
		}
	})
}

func TestBadAnswerNamesItsRcode(t *testing.T) {
	var bad *badAnswer
	if !errors.As(usable(respond(query("a.example.", wire.TypeA), wire.RcodeRefused)), &bad) || bad.rcode != wire.RcodeRefused {
		t.Error("a refusal must be told as one")
	}
}
