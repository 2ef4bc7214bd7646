package netwatch

import (
	"net/netip"
	"testing"
	"time"
)

// TestWhatIsReadFollowsFromWhatIsHeard has a kernel whose routes are still resting.
func TestWhatIsReadFollowsFromWhatIsHeard(t *testing.T) {
	address := Address{Ifindex: 2, Prefix: netip.MustParsePrefix("2001:db8:1::2/64")}
	for title, tt := range map[string]struct {
		heard  news
		fewer  bool // the address is gone
		awake  bool // the routes have rested
		read   parts
		due    parts // after that
		change bool
	}{
		"nothing":                              {},
		"routes that rest":                     {heard: news{parts: routes6}, due: routes6},
		"routes that have rested":              {heard: news{parts: routes6}, awake: true, read: routes6 | links},
		"rules beside routes":                  {heard: news{parts: rules | routes4}, read: rules, due: routes4},
		"an address that was there":            {heard: news{parts: addresses}, read: addresses},
		"an address that is gone":              {heard: news{parts: addresses}, fewer: true, read: addresses | routes | links, change: true},
		"an address that is gone in a flood":   {heard: news{parts: addresses | routes6}, fewer: true, read: addresses | routes | links, change: true},
		"something that went without a word":   {heard: news{parts: all, lost: true}, read: all},
		"more than could be heard, in a flood": {heard: news{parts: all}, read: all &^ routes, due: routes},
	} {
		now := time.Now()
		f := following{due: tt.heard, full: now, last: State{Addresses: []Address{address}}}
		if !tt.awake {
			f.rested = now.Add(time.Second)
		}
		var read parts
		f.kernel = func(s *State, what parts) error {
			read |= what
			if tt.fewer && what&addresses != 0 {
				s.Addresses = nil
			}
			return nil
		}
		changed, err := f.read(now)
		if err != nil || changed != tt.change || read != tt.read || f.due.parts != tt.due {
			t.Errorf("%s: read %b, left %b, changed %v (%v), want %b, %b, %v", title, read, f.due.parts, changed, err, tt.read, tt.due, tt.change)
		}
		if want := f.rested; tt.due != 0 && !f.next().Equal(want) {
			t.Errorf("%s: the next reading is at %v, want %v", title, f.next(), want)
		}
	}
}

func TestAllIsReadNowAndThen(t *testing.T) {
	now := time.Now()
	var read parts
	f := following{full: now.Add(-refresh), kernel: func(_ *State, what parts) error { read |= what; return nil }}
	if _, err := f.read(now); err != nil || read != all || !f.full.Equal(now) {
		t.Errorf("read %b at %v (%v)", read, f.full, err)
	}
	if _, err := f.read(now.Add(time.Second)); err != nil || !f.full.Equal(now) || !f.next().Equal(now.Add(refresh)) {
		t.Errorf("the next reading is at %v (%v)", f.next(), err)
	}
}
