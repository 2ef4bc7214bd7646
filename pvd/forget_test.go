package pvd

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLostDomainsAreForgottenAfterAWhile(t *testing.T) {
	for name, lost := range map[string]*kernel{
		"interface gone":     new(kernel),
		"link down":          new(kernel).link(2, "eth0", "down"),
		"no route any more":  new(kernel).link(2, "eth0").addr(2, "192.0.2.10/24"),
		"turned to be inner": new(kernel).link(2, "eth0").addr(2, "10.0.0.1/24"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBuilder(usual())
				b.Build(plain().State, Inputs{})
				if _, ok := b.Deadline(); ok {
					t.Error("a deadline although nothing is lost")
				}
				time.Sleep(time.Hour)
				was := b.Build(lost.State, Inputs{}).ByName("eth0")
				if was == nil || was.State != Offline {
					t.Fatalf("right after the loss: %s, want it offline", describe(was))
				}
				at, ok := b.Deadline()
				if !ok || time.Until(at) != forgetAfter {
					t.Fatalf("deadline %v %v, want in %v", at, ok, forgetAfter)
				}
				time.Sleep(forgetAfter - time.Second)
				if b.Build(lost.State, Inputs{}).ByName("eth0") != was {
					t.Fatal("the lost domain must stay as it is until its time is over")
				}
				time.Sleep(time.Second)
				if got := b.Build(lost.State, Inputs{}).All(); len(got) != 0 {
					t.Fatalf("%v, want nothing", lines(NewSet(got)))
				}
				if again := b.Build(plain().State, Inputs{}).ByName("eth0"); again.Key() == was.Key() || again.Slot == was.Slot {
					t.Errorf("the new domain has the old one's slot %d: slots are used again as late as possible", again.Slot)
				}
			})
		})
	}
}

func TestDeclaredDomainsAreNeverForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		discovery := usual()
		discovery.Declarations = []Declaration{{Name: "fiber", Interface: "eth0"}, {Name: "corp", Interface: "wg0", Prefixes: prefixes(t, "10.0.0.0/8")}}
		b := NewBuilder(discovery)
		b.Build(plain().State, Inputs{})
		for range 3 {
			time.Sleep(2 * forgetAfter)
			set := b.Build(new(kernel).State, Inputs{})
			want := []string{"corp offline (the interface is not there)", "fiber offline (the interface is not there)"}
			if diff := cmp.Diff(want, lines(set)); diff != "" {
				t.Fatalf("domains (-want +got):\n%s", diff)
			}
			if len(set.ByName("corp").Prefixes) != 1 {
				t.Fatal("what is declared to be behind a domain stays so while it is away, or its flows leak elsewhere")
			}
		}
		if _, ok := b.Deadline(); ok {
			t.Error("declared domains have no deadline")
		}
	})
}

func TestLostDomainsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuilder(usual())
		for i := range 3 * maxLost {
			name := fmt.Sprintf("e%d", i)
			b.Build(new(kernel).link(i+2, name).addr(i+2, "192.0.2.10/24").route(i+2, "default", "192.0.2.1").State, Inputs{})
			time.Sleep(time.Second)
		}
		b.Build(new(kernel).State, Inputs{})
		set := b.Build(new(kernel).State, Inputs{})
		if n := len(set.All()); n != maxLost {
			t.Fatalf("%d lost domains, want %d", n, maxLost)
		}
		if set.ByName(fmt.Sprintf("e%d", 3*maxLost-1)) == nil || set.ByName("e0") != nil {
			t.Error("the longest lost ones must go first")
		}
	})
}

func TestIgnoredFromNowOnIsForgottenAtOnce(t *testing.T) {
	b := NewBuilder(usual())
	b.Build(plain().State, Inputs{})
	b.Configure(Discovery{Ignore: []string{"eth*"}})
	if got := b.Build(plain().State, Inputs{}).All(); len(got) != 0 {
		t.Errorf("%v, want nothing", lines(NewSet(got)))
	}
}
