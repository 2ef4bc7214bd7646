package pvd

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDiffNamesEachChangeOnce(t *testing.T) {
	two := func() *kernel {
		return plain().link(3, "e2").addr(3, "198.51.100.2/24").route(3, "default", "198.51.100.1")
	}
	b := NewBuilder(usual())
	last := new(Set)
	for _, step := range []struct {
		what  string
		state *kernel
		want  []Event
	}{
		{"start", plain(), []Event{{"pvd.added", "eth0", "online: link, address and next hop are there"}}},
		{"nothing", plain(), nil},
		{"another", two(), []Event{{"pvd.added", "e2", "online: link, address and next hop are there"}}},
		{"one more address", two().addr(2, "192.0.2.11/24"), []Event{{"pvd.changed", "eth0", "other addresses"}}},
		{"one more route", two().addr(2, "192.0.2.11/24").route(3, "10.0.0.0/8", "198.51.100.9"), []Event{{"pvd.changed", "e2", "other routes"}}},
		{"gone", plain().addr(2, "192.0.2.11/24"), []Event{{"pvd.state", "e2", "online -> offline: the interface is not there"}}},
		{"back", two().addr(2, "192.0.2.11/24"), []Event{{"pvd.state", "e2", "offline -> online: link, address and next hop are there"}}},
	} {
		now := b.Build(step.state.State, Inputs{})
		if diff := cmp.Diff(step.want, Diff(last, now)); diff != "" {
			t.Errorf("%s: events (-want +got):\n%s", step.what, diff)
		}
		last = now
	}
	if diff := cmp.Diff([]Event{{"pvd.removed", "e2", "it is there no more, and was online"}}, Diff(last, NewSet(last.All()[1:]))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestLifetimesAloneAreNoEvent(t *testing.T) {
	b, k := NewBuilder(usual()), plain()
	one := b.Build(k.State, Inputs{})
	k.Addresses[1].Valid, k.Addresses[1].Preferred = 2*time.Hour, time.Hour
	two := b.Build(k.State, Inputs{})
	if Equal(one.ByName("eth0"), two.ByName("eth0")) {
		t.Error("a lifetime is part of what a domain says")
	}
	if events := Diff(one, two); len(events) != 0 {
		t.Errorf("%v: a router's advertisement must not be an event each time", events)
	}
}

// TestEqualSeesEveryField changes each field of a Domain by itself, so that a
// field added later is not forgotten.
func TestEqualSeesEveryField(t *testing.T) {
	for i := range reflect.TypeFor[Domain]().NumField() {
		var a, b Domain
		f := reflect.ValueOf(&b).Elem().Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int:
			f.SetInt(7)
		case reflect.Uint8, reflect.Uint16, reflect.Uint64:
			f.SetUint(7)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Struct:
			switch f = f.Field(0); f.Kind() {
			case reflect.Bool:
				f.SetBool(true)
			case reflect.Uint64:
				f.SetUint(7)
			default:
				f.SetString("x")
			}
		}
		name := reflect.TypeFor[Domain]().Field(i).Name
		if !Equal(&a, &a) || Equal(&a, &b) {
			t.Errorf("Equal does not look at %s: add it to diff.go", name)
		}
		if f.Kind() == reflect.Slice {
			f.Set(reflect.MakeSlice(f.Type(), 0, 1))
			if !Equal(&a, &b) {
				t.Errorf("an empty list of %s is like none", name)
			}
		}
	}
	if Equal(nil, new(Domain)) || !Equal(nil, nil) {
		t.Error("nil is equal to nil only")
	}
}
