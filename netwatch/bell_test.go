package netwatch

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// message is a netlink message.
func message(kind uint16, sequence uint32, flags uint16, payload ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, payload...)
	return append(b, make([]byte, aligned(len(b))-len(b))...)
}

func TestNotificationsSayWhatToRead(t *testing.T) {
	everything := news{parts: all, lost: true}
	for title, tt := range map[string]struct {
		messages [][]byte
		want     news
	}{
		"a route":              {[][]byte{message(unix.RTM_NEWROUTE, 0, 0, unix.AF_INET, 0)}, news{parts: routes4}},
		"a route of IPv6":      {[][]byte{message(unix.RTM_DELROUTE, 0, 0, unix.AF_INET6, 0)}, news{parts: routes6}},
		"a rule":               {[][]byte{message(unix.RTM_DELRULE, 0, 0, unix.AF_INET)}, news{parts: rules}},
		"an address":           {[][]byte{message(unix.RTM_NEWADDR, 0, 0, unix.AF_INET)}, news{parts: addresses}},
		"an address and rules": {[][]byte{message(unix.RTM_NEWADDR, 0, 0, 2), message(unix.RTM_NEWRULE, 0, 0, 2)}, news{parts: addresses | rules}},
		"an address less":      {[][]byte{message(unix.RTM_DELADDR, 0, 0, unix.AF_INET6)}, everything},
		"a link":               {[][]byte{message(unix.RTM_NEWLINK, 0, 0, 0)}, everything},
		"what nobody knows":    {[][]byte{message(4711, 0, 0)}, everything},
		"half a message":       {[][]byte{message(unix.RTM_NEWRULE, 0, 0, 2)[:16]}, everything},
	} {
		l := listener{about: ofRouting}
		var b []byte
		for _, m := range tt.messages {
			b = append(b, m...)
		}
		if got := l.read(b); got != tt.want {
			t.Errorf("%s: %+v, want %+v", title, got, tt.want)
		}
	}
}

func TestABellCollectsABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBell()
		began := time.Now()
		go func() {
			b.ring(news{parts: routes6})
			time.Sleep(settle / 2)
			b.ring(news{parts: links, lost: true})
		}()
		if !b.wait(t.Context(), began.Add(time.Hour)) || time.Since(began) != settle {
			t.Errorf("woken after %v", time.Since(began))
		}
		if got, want := b.heard(), (news{routes6 | links, true}); got != want {
			t.Errorf("heard %+v, want %+v", got, want)
		}
		if got := b.heard(); got != (news{}) {
			t.Errorf("heard %+v twice", got)
		}
		began = time.Now()
		if !b.wait(t.Context(), began.Add(time.Minute)) || time.Since(began) != time.Minute {
			t.Errorf("nobody rang, woken after %v", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b.wait(ctx, began.Add(time.Hour)) {
			t.Error("it goes on after the end")
		}
	})
}
