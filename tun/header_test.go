package tun

import "testing"

func TestHeadersSurviveTheWire(t *testing.T) {
	for _, h := range []Header{
		{},
		{NeedsChecksum: true, ChecksumStart: 20, ChecksumOffset: 16},
		{ChecksumValid: true},
		{NeedsChecksum: true, GSOType: GSOTCPv6, HeaderLen: 60, GSOSize: 1440, ChecksumStart: 40, ChecksumOffset: 16},
		{NeedsChecksum: true, GSOType: GSOUDPL4, HeaderLen: 28, GSOSize: 1200, ChecksumStart: 20, ChecksumOffset: 6},
	} {
		var b [HeaderLen]byte
		h.Put(b[:])
		if got, err := ParseHeader(b[:]); err != nil || got != h {
			t.Errorf("%+v became %+v, %v", h, got, err)
		}
	}
	if _, err := ParseHeader(make([]byte, HeaderLen-1)); err == nil {
		t.Error("a header that is cut short is parsed")
	}
}

func TestLyingHeadersAreRefused(t *testing.T) {
	packet := make([]byte, 100)
	tests := map[string]struct {
		h      Header
		packet []byte
		ok     bool
	}{
		"whole packet":             {Header{}, packet, true},
		"checksum inside":          {Header{NeedsChecksum: true, ChecksumStart: 90, ChecksumOffset: 8}, packet, true},
		"nothing":                  {Header{}, nil, false},
		"checksum beyond":          {Header{NeedsChecksum: true, ChecksumStart: 90, ChecksumOffset: 9}, packet, false},
		"checksum far beyond":      {Header{NeedsChecksum: true, ChecksumStart: 65535, ChecksumOffset: 65535}, packet, false},
		"segments of nothing":      {Header{GSOType: GSOTCPv4, GSOSize: 0, HeaderLen: 40}, packet, false},
		"segments of everything":   {Header{GSOType: GSOTCPv4, GSOSize: 65535, HeaderLen: 40}, packet, true},
		"headers beyond":           {Header{GSOType: GSOUDPL4, GSOSize: 10, HeaderLen: 101}, packet, false},
		"a type that nobody knows": {Header{GSOType: 77, GSOSize: 10, HeaderLen: 40}, packet, false},
	}
	for name, tt := range tests {
		if err := tt.h.Validate(tt.packet); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{1, 1, 40, 0, 0xa8, 5, 20, 0, 16, 0, 0x45})
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, err := ParseHeader(frame)
		if err != nil {
			return
		}
		packet := frame[HeaderLen:]
		if h.Validate(packet) == nil && h.NeedsChecksum {
			_ = packet[int(h.ChecksumStart)+int(h.ChecksumOffset)+1]
		}
	})
}
