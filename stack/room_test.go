package stack

import "testing"

// TestLargeBuffersAreFew: however many connections carry, so many have large
// buffers, and a place that is given back is another's.
func TestLargeBuffersAreFew(t *testing.T) {
	var r room
	all := make([]joint, 2*mostGrown)
	took := 0
	for i := range all {
		if r.take(&all[i]) {
			took++
		}
	}
	if took != mostGrown {
		t.Errorf("%d of %d have large buffers, want %d", took, len(all), mostGrown)
	}
	r.give(&all[len(all)-1]) // has none
	if r.take(&all[len(all)-1]) {
		t.Error("a place was given back by one that had none")
	}
	r.give(&all[0])
	if !r.take(&all[len(all)-1]) {
		t.Error("a place that was given back is lost")
	}
}
