package netwatch

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestADumpIsTakenApart(t *testing.T) {
	const ours = 7
	failed := binary.NativeEndian.AppendUint32(nil, 0xffffffff-uint32(unix.EBUSY)+1)
	for title, tt := range map[string]struct {
		piece             []byte
		want              []string
		err               error
		done, interrupted bool
	}{
		"two of them":         {slices.Concat(message(24, ours, 0, 'a'), message(24, ours, 0, 'b', 'c')), []string{"a", "bc"}, nil, false, false},
		"somebody else's":     {slices.Concat(message(24, 8, 0, 'a'), message(24, ours, 0, 'b')), []string{"b"}, nil, false, false},
		"the end":             {message(unix.NLMSG_DONE, ours, 0, 0, 0, 0, 0), nil, nil, true, false},
		"the end of the hard": {message(unix.NLMSG_DONE, ours, 0, failed...), nil, unix.EBUSY, true, false},
		"a refusal":           {message(unix.NLMSG_ERROR, ours, 0, failed...), nil, unix.EBUSY, true, false},
		"a change under way":  {message(24, ours, unix.NLM_F_DUMP_INTR, 'a'), []string{"a"}, nil, false, true},
	} {
		var got []string
		d := answer{sequence: ours, take: func(b []byte) error { got = append(got, string(b)); return nil }}
		if err := d.hear(tt.piece); !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) || d.done != tt.done || d.interrupted != tt.interrupted {
			t.Errorf("%s: %q, %v, done %v, interrupted %v", title, got, err, d.done, d.interrupted)
		}
	}
	d := answer{sequence: ours}
	if err := d.hear(message(24, ours, 0, 1, 2, 3, 4)[:18]); err == nil {
		t.Error("half a message is taken for one")
	}
}

func FuzzRoute(f *testing.F) {
	f.Add(make([]byte, unix.SizeofRtMsg))
	f.Add(append(make([]byte, unix.SizeofRtMsg), 12, 0, unix.RTA_MULTIPATH, 0, 8, 0, 0, 0, 1, 0, 0, 0))
	f.Add(append(make([]byte, unix.SizeofRtMsg), 8, 0, unix.RTA_TABLE, 0, 254, 0, 0, 0))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = parseRoute(b, func(*Route) {})
		_, _ = readAddress(b)
	})
}
