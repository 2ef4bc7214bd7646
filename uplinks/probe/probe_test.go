package probe

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/pvd"
)

func bodyOf(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

const page = "http://probe.example.net/generate_204"

func checked(d *pvd.Domain) { d.Check.URL = page }

func TestWhatIsFound(t *testing.T) {
	honest := map[string]string{"probe.example.net": "203.0.113.80", wellKnown: "192.0.0.170"}
	cases := []struct {
		name string
		net  *network
		ask  func(*pvd.Domain)
		want pvd.Verdict
	}{
		{"204", &network{names: honest, pages: always(204, "", "")}, checked, pvd.Verdict{Connectivity: pvd.Full, Reason: reasonReached}},
		{
			"a redirect", &network{names: honest, pages: always(302, "http://10.1.0.99/login", "")}, checked,
			pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonLogin, PortalURL: "http://10.1.0.99/login"},
		},
		{
			"a redirect to nowhere", &network{names: honest, pages: always(302, "javascript:alert(1)", "")}, checked,
			pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonLogin, PortalURL: page},
		},
		{
			"a page instead", &network{names: honest, pages: always(200, "", "welcome")}, checked,
			pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonLogin, PortalURL: page},
		},
		{
			"511", &network{names: honest, pages: always(511, "", "log in")}, checked,
			pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonLogin, PortalURL: page},
		},
		{"a broken server", &network{names: honest, pages: always(503, "", "")}, checked, pvd.Verdict{Connectivity: pvd.None, Reason: reasonSilent}},
		{"silence", &network{names: honest}, checked, pvd.Verdict{Connectivity: pvd.None, Reason: reasonSilent}},
		{"the probe's name is unknown", &network{}, checked, pvd.Verdict{Connectivity: pvd.None, Reason: reasonSilent}},
		{
			"every name has one address", &network{names: map[string]string{"*": "10.1.0.99"}}, nil,
			pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonMadeUp},
		},
		{
			"only names that do not exist lead to advertisements", &network{names: map[string]string{wellKnown: "192.0.0.171", "*": "203.0.113.9"}}, nil,
			pvd.Verdict{Connectivity: pvd.Unknown, Reason: reasonUnproven},
		},
		{"nothing is known", &network{}, nil, pvd.Verdict{Connectivity: pvd.Unknown, Reason: reasonUnproven}},
		{
			"the network says that there is no portal", &network{}, func(d *pvd.Domain) { d.Portal.URI = unrestricted },
			pvd.Verdict{Connectivity: pvd.Full, Reason: reasonOpen},
		},
		{
			"an API that is not https is none", &network{names: honest, pages: always(200, "", `{"captive": true}`)},
			func(d *pvd.Domain) { d.Portal.URI = "http://cp.example.net/api" },
			pvd.Verdict{Connectivity: pvd.Unknown, Reason: reasonUnproven},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, _ := validator(t, c.net)
			w := newWatcher(v, domain(c.ask))
			if diff := cmp.Diff(c.want, w.validate(t.Context(), w.domain.Load())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			c.net.work.Wait()
		})
	}
}

func TestStateOfTheAPI(t *testing.T) {
	cases := []struct {
		in   string
		want apiState
		bad  bool
	}{
		{`{"captive": true, "user-portal-url": "https://cp.example.net/login", "seconds-remaining": 3}`, apiState{true, "https://cp.example.net/login"}, false},
		{`{"captive": false}`, apiState{}, false},
		{`{"captive": true, "user-portal-url": "http://cp.example.net/login"}`, apiState{Captive: true}, false},
		{`{"captive": true, "user-portal-url": "file:///etc/passwd"}`, apiState{Captive: true}, false},
		{`{"user-portal-url": "https://cp.example.net/login"}`, apiState{}, true},
		{`{"captive": "yes"}`, apiState{}, true},
		{`[true]`, apiState{}, true},
		{``, apiState{}, true},
	}
	for _, c := range cases {
		got, err := parseState([]byte(c.in))
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("%s: got %+v, %v", c.in, got, err)
		}
	}
}

func FuzzStateOfTheAPI(f *testing.F) {
	f.Add([]byte(`{"captive": true, "user-portal-url": "https://cp.example.net/login"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseState(b); err == nil && s.UserPortalURL != "" && !strings.HasPrefix(strings.ToLower(s.UserPortalURL), "https:") {
			t.Errorf("%q leads to %q", b, s.UserPortalURL)
		}
	})
}

// follow runs v over time until the test is over.
func follow(t *testing.T, v *Validator) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := v.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); run.Wait() }
}

func TestLoginIsNoticedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{names: map[string]string{"*": "10.1.0.99"}}
		v, verdicts := validator(t, n)
		stop := follow(t, v)
		v.Watch(pvd.NewSet([]*pvd.Domain{domain(nil)}))
		if got := <-verdicts; got.Connectivity != pvd.Portal {
			t.Fatalf("got %+v, want a portal", got)
		}
		n.mu.Lock()
		n.names = map[string]string{wellKnown: "192.0.0.170"}
		n.mu.Unlock()
		began := time.Now()
		if got := <-verdicts; got.Connectivity != pvd.Unknown {
			t.Fatalf("got %+v, want no portal any more", got)
		}
		if waited := time.Since(began); waited > whenPortal {
			t.Errorf("noticed after %v, want %v at the most", waited, whenPortal)
		}
		stop()
	})
}

func TestOneSilenceIsNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{names: map[string]string{"probe.example.net": "203.0.113.80"}, pages: always(204, "", "")}
		v, verdicts := validator(t, n)
		stop := follow(t, v)
		d := domain(func(d *pvd.Domain) { checked(d); d.Check.Interval = 5 * time.Second })
		v.Watch(pvd.NewSet([]*pvd.Domain{d}))
		if got := <-verdicts; got.Connectivity != pvd.Full {
			t.Fatalf("got %+v, want the Internet", got)
		}
		set := func(pages func()) { n.mu.Lock(); pages(); n.mu.Unlock() }
		set(func() { n.pages = nil })
		time.Sleep(5*time.Second + 100*time.Millisecond) // one probe fails
		set(func() { n.pages = always(204, "", "") })
		time.Sleep(30 * time.Second)
		if len(verdicts) != 0 {
			t.Errorf("one silence changed the verdict to %+v", <-verdicts)
		}
		set(func() { n.pages = nil })
		if got := <-verdicts; got.Connectivity != pvd.None {
			t.Errorf("got %+v, want none", got)
		}
		stop()
		n.work.Wait()
	})
}

func TestGoneDomainsAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		v, verdicts := validator(t, n)
		stop := follow(t, v)
		v.Watch(pvd.NewSet([]*pvd.Domain{domain(nil), domain(func(d *pvd.Domain) { d.Name, d.Slot, d.Internet = "vpn", 2, false })}))
		<-verdicts
		v.Watch(pvd.NewSet(nil))
		synctest.Wait()
		before := len(n.asked)
		time.Sleep(time.Hour)
		if len(verdicts) != 0 || len(n.asked) != before {
			t.Errorf("asked %v after the domain was gone", n.asked[before:])
		}
		stop()
	})
}
