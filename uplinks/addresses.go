package uplinks

import (
	"time"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// wanted returns the addresses that domains want on their interfaces because the kernel
// does not form them.
func wanted(set *pvd.Set) []netwatch.Address {
	var out []netwatch.Address
	now := time.Now()
	for _, d := range set.All() {
		for _, w := range d.Wanted {
			out = append(out, netwatch.Address{
				Ifindex: d.Ifindex, Prefix: w.Prefix, Valid: until(w.Valid, now), Preferred: until(w.Preferred, now),
			})
		}
	}
	return out
}

// until restates an end as a lifetime from now on.
func until(end, now time.Time) time.Duration {
	if end.IsZero() {
		return netwatch.Forever
	}
	return max(end.Sub(now), 0)
}
