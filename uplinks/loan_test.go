package uplinks

import (
	"testing"
	"time"
)

func TestALifetimeThatIsAboutRightStays(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	never := time.Time{}
	for title, tt := range map[string]struct {
		known, now time.Time
		want       bool
	}{
		"forever":                  {never, never, true},
		"the same":                 {in(time.Hour), in(time.Hour), true},
		"a little longer":          {in(time.Hour), in(time.Hour + time.Minute), true},
		"half as long again":       {in(time.Hour), in(90 * time.Minute), false},
		"a little of what is left": {in(30 * time.Second), in(40 * time.Second), false},
		"shorter":                  {in(time.Hour), in(time.Hour - time.Second), false},
		"no longer forever":        {never, in(time.Hour), false},
		"forever now":              {in(time.Hour), never, false},
		"over, and again":          {in(-time.Second), in(time.Hour), false},
	} {
		for _, l := range []struct{ known, now loan }{{loan{tt.known, never}, loan{tt.now, never}}, {loan{never, tt.known}, loan{never, tt.now}}} {
			if got := l.known.suffices(l.now, now); got != tt.want {
				t.Errorf("%s: %v, want %v", title, got, tt.want)
			}
		}
	}
}
