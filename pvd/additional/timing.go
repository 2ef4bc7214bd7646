package additional

import (
	"math/rand/v2"
	"time"
)

// The timing of RFC 8801 4.1.
const (
	// firstWithin spreads the first fetches of hosts that come together; the RFC
	// asks for no delay.
	firstWithin = 500 * time.Millisecond
	// betweenFetches is the least time between two fetches for one domain.
	betweenFetches = 10 * time.Second
	// A network is asked so often in so long, for all its domains.
	perNetwork    = 5
	networkWindow = 10 * time.Second
	// failuresEnd is how many failures end all asking on a network.
	failuresEnd = 10
	// maxDelay is the greatest Delay there is (4 bits).
	maxDelay = 15
)

// afterChange is how long to wait with a fetch after the sequence number changed:
// uniform in [0, 2^(10+delay)) milliseconds.
func afterChange(delay uint8) time.Duration {
	return upTo(time.Millisecond << (10 + min(delay, maxDelay)))
}

// freshAgain is when to fetch an object again that was got at a time and expires
// at another: uniform in the second half of its life.
func freshAgain(got, expires time.Time) time.Time {
	half := expires.Sub(got) / 2
	return got.Add(half + upTo(half))
}

// upTo returns a random duration below d, zero for one that is not positive.
func upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// window keeps the times of the last fetches on a network.
type window struct{ times []time.Time }

// free returns when the next fetch may start.
func (w *window) free(now time.Time) time.Time {
	for len(w.times) > 0 && now.Sub(w.times[0]) >= networkWindow {
		w.times = w.times[1:]
	}
	if len(w.times) < perNetwork {
		return now
	}
	return w.times[len(w.times)-perNetwork].Add(networkWindow)
}

func (w *window) note(now time.Time) { w.times = append(w.times, now) }
