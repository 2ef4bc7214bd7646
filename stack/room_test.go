package stack

import (
	"testing"
	"time"
	"unsafe"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

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

// TestAFastUploadHasTheLargestWindow, and one that has become slow has not.
func TestAFastUploadHasTheLargestWindow(t *testing.T) {
	s, err := New(Config{MTU: 1500, Pending: 1, PerSource: 1}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		s.net.Destroy()
		s.poller.Close()
		s.link.tardy.close()
	}()
	now := time.Now()
	carry := func(j *joint, took time.Duration) int64 {
		now = now.Add(took)
		j.measure(stretch/2, func() time.Time { return now })
		j.measure(stretch/2, func() time.Time { return now })
		return j.ep.SocketOptions().GetReceiveBufferSize()
	}
	for _, test := range []struct {
		name string
		took []time.Duration
		want int64
	}{
		{"the first stretch", []time.Duration{0}, receiveBuffer},
		{"fast", []time.Duration{0, fastStretch}, fastReceive},
		{"not fast", []time.Duration{0, fastStretch + 1}, receiveBuffer},
		{"hardly slower", []time.Duration{0, fastStretch, slowStretch}, fastReceive},
		{"slow at last", []time.Duration{0, fastStretch, slowStretch + 1}, receiveBuffer},
	} {
		j := s.uploading(t)
		var got int64
		for _, d := range test.took {
			got = carry(j, d)
		}
		if got != test.want {
			t.Errorf("%s: window from %d bytes, want %d", test.name, got, test.want)
		}
		s.receiving.give(j)
	}
	fast := 0
	for range 2 * mostFast {
		if j := s.uploading(t); carry(j, 0) > 0 && carry(j, fastStretch) == fastReceive {
			fast++
		}
	}
	if fast != mostFast {
		t.Errorf("%d have the largest window, want %d", fast, mostFast)
	}
}

// uploading returns a joint that has large buffers.
func (s *Stack) uploading(t *testing.T) *joint {
	t.Helper()
	var wq waiter.Queue
	ep, terr := s.net.NewEndpoint(tcp.ProtocolNumber, header.IPv4ProtocolNumber, &wq)
	if terr != nil {
		t.Fatal(terr)
	}
	t.Cleanup(ep.Close)
	j := &joint{Conn: &Conn{stack: s, ep: ep}}
	j.growReceive(showsWriting)
	if !j.receiveGrown.Load() {
		t.Fatal("it has no large buffers")
	}
	return j
}

// TestSettingTheClockMakesNobodySilent: half-closed connections are not ended, and
// windows not taken away, because the wall clock was set.
func TestSettingTheClockMakesNobodySilent(t *testing.T) {
	c := &Conn{stack: &Stack{made: time.Now()}}
	c.touch()
	now := time.Now()
	*(*uint64)(unsafe.Pointer(&now)) += 365 * 24 * 3600 << 30 // of the wall clock alone
	if now.Year() == time.Now().Year() {
		t.Skip("package time keeps its clocks in another way")
	}
	if silent := c.silent(now); silent < 0 || silent > time.Minute {
		t.Errorf("silent for %v, want about nothing", silent)
	}
}
